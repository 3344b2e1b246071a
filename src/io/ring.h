/*
 * One io_uring and its completions. Belongs to the thread that opened it; nothing here may be
 * called by another one (the ring is a DEFER_TASKRUN ring: it completes only when its owner
 * enters the kernel).
 */
#pragma once

#include "core/error.h"

#include <liburing.h>

/* Something under way in the ring. Embedded in what started it; must stay until complete() was
 * called with IORING_CQE_F_MORE clear. result: >= 0 or a negative errno. */
struct io_op {
    void (*complete)(struct io_op *op, int32_t result, uint32_t cqe_flags);
};

struct ring {
    struct io_uring uring;
};

int ring_open(struct ring *ring, unsigned entries, struct error *ret_error) MUST_CHECK;
void ring_close(struct ring *ring);

/* A submission entry for the caller to prepare (io_uring_prep_...), never NULL; op is told of the
 * completion. A full queue is submitted first. Prepare it before asking for another one. The op
 * is attached by ring_attach() after preparing, because io_uring_prep_... clears it. */
struct io_uring_sqe *ring_sqe(struct ring *ring);
static inline void ring_attach(struct io_uring_sqe *sqe, struct io_op *op)
{
    io_uring_sqe_set_data(sqe, op);
}

/* Submits what was prepared, waits until something completed (unless `wait` is false) and runs
 * every completion that is there. 0, or a negative errno if the kernel refused to work. */
int ring_run(struct ring *ring, bool wait) MUST_CHECK;

/* Asks the kernel to end op early; op still completes (with -ECANCELED, or as it was to). */
void ring_cancel(struct ring *ring, struct io_op *op);
