#include "thread_call.h"

struct call {
    struct message message;
    void (*run)(void *context);
    void *context;
    struct bell returned;
};

static void run_call(struct message *message)
{
    struct call *call = container_of(message, struct call, message);
    call->run(call->context);
    bell_ring(&call->returned);
}

void thread_call(struct io_thread *thread, void (*run)(void *context), void *context)
{
    struct call call = {{.run = run_call}, run, context, BELL_NEW};
    io_thread_post(thread, &call.message);
    bell_wait(&call.returned, 1);
}

struct round_end {
    struct io_thread *thread;
    struct io_deferred deferred;
    struct bell ended;
};

static void ring_at_end(struct io_deferred *deferred)
{
    bell_ring(&container_of(deferred, struct round_end, deferred)->ended);
}

static void defer_ring(void *context)
{
    struct round_end *end = context;
    io_thread_defer(end->thread, &end->deferred);
}

void thread_end_round(struct io_thread *thread)
{
    struct round_end end = {thread, {.run = ring_at_end}, BELL_NEW};
    thread_call(thread, defer_ring, &end);
    bell_wait(&end.ended, 1);
}

void bell_ring(struct bell *bell)
{
    pthread_mutex_lock(&bell->lock);
    bell->count++;
    pthread_cond_broadcast(&bell->rung);
    pthread_mutex_unlock(&bell->lock);
}

void bell_wait(struct bell *bell, unsigned count)
{
    pthread_mutex_lock(&bell->lock);
    while (bell->count < count)
        pthread_cond_wait(&bell->rung, &bell->lock);
    pthread_mutex_unlock(&bell->lock);
}
