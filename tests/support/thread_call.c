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
