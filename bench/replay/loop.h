/*
 * The loop of the replayer: descriptors and timers of one thread.
 *
 * The clock is read once per round (loop->now, microseconds that never jump): thousands of nodes
 * ask it for each of their commands.
 */
#pragma once

#include "core/util.h"

struct loop;

/* Embedded in what waits for a descriptor; fd is -1 while there is none. */
struct source {
    int fd;
    void (*ready)(struct source *source, uint32_t events); /* of epoll */
};

/* Embedded in what waits for a time. Zeroed, it is not set. */
struct timer {
    uint64_t at;
    size_t place; /* in the heap, from 1; 0: not set */
    void (*fire)(struct timer *timer);
};

struct loop {
    int epoll;
    uint64_t now;
    struct timer **heap; /* from 1 */
    size_t n_timers, room;
    bool ended;
};

int loop_open(struct loop *loop) MUST_CHECK;
void loop_close(struct loop *loop);

/* Runs until somebody sets `ended`. */
int loop_run(struct loop *loop) MUST_CHECK;

/* Takes the descriptor, which the source then owns. */
int loop_add(struct loop *loop, struct source *source, int fd, uint32_t events) MUST_CHECK;
int loop_change(struct loop *loop, struct source *source, uint32_t events) MUST_CHECK;
/* Closes its descriptor, if it has one. An event of this round may still come, with fd -1. */
void loop_drop(struct source *source);

/* Sets or moves a timer. Without memory the program ends. */
void loop_set_timer(struct loop *loop, struct timer *timer, uint64_t at);
void loop_clear_timer(struct loop *loop, struct timer *timer);

static inline bool timer_is_set(const struct timer *timer)
{
    return timer->place > 0;
}
