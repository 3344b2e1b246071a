#include "fake_thread.h"

#include <assert.h>

struct io_thread *fake_thread_new(size_t buffer_budget)
{
    struct io_thread *thread = calloc(1, sizeof(*thread));
    list_init(&thread->deferred);
    list_init(&thread->timers);
    thread->mailbox.fd = -1; /* nobody waits for it */
    thread->ticking = true;  /* timers never expire by themselves: it has no ring */
    thread->buffers = buffer_pool_new(buffer_budget);
    return thread;
}

void fake_thread_round(struct io_thread *thread)
{
    thread->now = 0;
    buffer_pool_serve(thread->buffers);
    for (struct list *node; (node = list_pop(&thread->deferred));) {
        struct io_deferred *deferred = container_of(node, struct io_deferred, link);
        deferred->run(deferred);
    }
}

size_t fake_thread_messages(struct io_thread *thread)
{
    return mailbox_run(&thread->mailbox);
}

void fake_thread_free(struct io_thread *thread)
{
    assert(buffer_pool_used(thread->buffers) == 0); /* every buffer was given back */
    buffer_pool_free(thread->buffers);
    free(thread);
}
