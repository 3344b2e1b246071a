/* Runs a piece of a test on an I/O thread, and waits for what threads do. */
#pragma once

#include "io/thread.h"

/* run(context) on the thread; returns when it has returned. */
void thread_call(struct io_thread *thread, void (*run)(void *context), void *context);
/* Waits until the thread has ended a round: what it deferred before this call is done. */
void thread_end_round(struct io_thread *thread);

/* One thread rings, another waits for it. */
struct bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    unsigned count;
};

#define BELL_NEW                                                                                   \
    (struct bell)                                                                                  \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER, .rung = PTHREAD_COND_INITIALIZER                        \
    }

/* Any thread. */
void bell_ring(struct bell *bell);
/* Waits until it has rung `count` times in all. */
void bell_wait(struct bell *bell, unsigned count);
