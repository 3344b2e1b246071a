/* An exchange (server/open_volumes.h) for a thread that waits for it. */
#include <errno.h>
#include <semaphore.h>

#include "server/targets_internal.h"

#define PATIENCE_USEC (10 * 1000)

struct waiting_exchange {
    struct open_volumes_exchange exchange;
    struct message message;
    struct targets *targets;
    struct io_thread *thread;
    int result;
    sem_t done;
};

static void done(struct open_volumes_exchange *exchange, int result)
{
    struct waiting_exchange *w = container_of(exchange, struct waiting_exchange, exchange);
    w->result = result;
    sem_post(&w->done);
}

static void start(struct message *message)
{
    struct waiting_exchange *w = container_of(message, struct waiting_exchange, message);
    open_volumes_exchange(w->targets->volumes, w->thread, &w->exchange);
}

static int try(struct waiting_exchange *w)
{
    io_thread_post(w->thread, &w->message);
    while (sem_wait(&w->done) < 0)
        ; /* EINTR */
    return w->result;
}

int targets_exchange(struct targets *targets, uint64_t volume_id,
                     int (*change)(void *argument, bool in_use, struct error *ret_error),
                     void *argument, struct error *ret_error)
{
    struct waiting_exchange w = {
        .exchange = {.volume_id = volume_id, .change = change, .argument = argument, .done = done},
        .message.run = start,
        .targets = targets,
        .thread = targets->threads[volume_id % targets->n_threads],
    };
    int r;
    sem_init(&w.done, 0, 0);
    while ((r = try(&w)) == -EAGAIN)
        usleep(PATIENCE_USEC);
    sem_destroy(&w.done);
    if (r == -ESHUTDOWN) /* claimed: nobody opens it meanwhile */
        return change(argument, false, ret_error);
    if (r < 0)
        *ret_error = w.exchange.error;
    return r;
}
