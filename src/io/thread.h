/*
 * I/O threads: one per core, each with its own ring, buffers and timers, sharing nothing.
 *
 * A round of a thread: wait for completions, run them all, give out buffers that became free, and
 * then let everything that asked for it (io_thread_defer) finish the round, such as a connection
 * that has gathered answers to send. What happens in one round costs one system call for all.
 */
#pragma once

#include "core/list.h"
#include "core/mailbox.h"
#include "io/buffer.h"
#include "io/ring.h"

#include <pthread.h>

#define RECEIVE_BUFFER_SIZE  (16 * KIB)
#define RECEIVE_BUFFER_COUNT 64 /* a power of two */
#define RECEIVE_BUFFER_GROUP 0

/* Something to do once, at the end of this round. */
struct io_deferred {
    struct list link;
    void (*run)(struct io_deferred *deferred);
};

/* Expires once, up to a second late. Embedded in what it guards. */
struct io_timer {
    struct list link;
    uint64_t deadline; /* clock_monotonic_usec() */
    void (*expired)(struct io_timer *timer);
};

struct io_thread {
    /* For its owner: */
    unsigned index;
    struct ring ring;
    struct buffer_pool *buffers;
    /* Private: */
    pthread_t thread;
    struct mailbox mailbox;
    struct io_op mailbox_op;
    struct list deferred;
    struct list timers;
    struct io_op tick_op;
    struct io_timer trim; /* of the buffers; runs while more are kept than an idle thread should */
    uint64_t now;         /* see io_thread_now(); 0: not looked at yet in this round */
    bool ticking;
    bool stopping;
    struct io_uring_buf_ring *receive_ring;
    uint8_t *receive_memory;
};

/* Makes a thread and runs it. buffer_budget: see buffer_pool_new(). Threads are given back by
 * io_thread_stop(). */
int io_thread_start(unsigned index, size_t buffer_budget, struct io_thread **ret_thread,
                    struct error *ret_error) MUST_CHECK;
/* Waits for the thread to end; it ends after the messages posted before this. Whatever used the
 * thread must have let go of it by then. */
void io_thread_stop(struct io_thread *thread);

/* Its mailbox, for those who are to post an answer there. */
static inline struct mailbox *io_thread_mailbox(struct io_thread *thread)
{
    return &thread->mailbox;
}

/* From any thread. */
void io_thread_post(struct io_thread *thread, struct message *message);

/* --- the rest: on the thread itself only --- */

/* No-op if it waits for the end of this round already. */
void io_thread_defer(struct io_thread *thread, struct io_deferred *deferred);
void io_deferred_cancel(struct io_deferred *deferred);

/* clock_monotonic_usec() as it was when somebody first asked in this round: one look at the clock
 * for all that happens in it. */
static inline uint64_t io_thread_now(struct io_thread *thread)
{
    if (!thread->now)
        thread->now = clock_monotonic_usec();
    return thread->now;
}

void io_timer_start(struct io_thread *thread, struct io_timer *timer, uint64_t usec_from_now);
/* No-op if it is not running. */
void io_timer_stop(struct io_timer *timer);

/* Receive buffers: given by the kernel to whatever receives (IOSQE_BUFFER_SELECT), so that an idle
 * connection holds none. The bytes of the completion are valid until it is given back. */
static inline const uint8_t *io_receive_buffer(struct io_thread *thread, uint32_t cqe_flags)
{
    return thread->receive_memory +
           (size_t)(cqe_flags >> IORING_CQE_BUFFER_SHIFT) * RECEIVE_BUFFER_SIZE;
}
void io_receive_buffer_return(struct io_thread *thread, uint32_t cqe_flags);
