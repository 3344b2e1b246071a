#include "io/ring.h"

#include <errno.h>

#define COMPLETIONS_PER_BATCH 128
#define MAX_WORKERS           128

/* What waits for a disk holds a kernel worker (a write, a flush: one each for a file). The usual
 * few per core would let a handful of hung disks stop the writes to all others. */
static void raise_workers(struct ring *ring)
{
    unsigned int limits[2] = {MAX_WORKERS, 0}; /* 0: leave those for sockets as they are */
    int r = io_uring_register_iowq_max_workers(&ring->uring, limits);
    (void)r; /* then it has fewer */
}

int ring_open(struct ring *ring, unsigned entries, struct error *ret_error)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE,
        .cq_entries = entries * 8,
    };
    int r = io_uring_queue_init_params(entries, &ring->uring, &params);
    switch (r) {
    case 0:
        raise_workers(ring);
        return 0;
    case -ENOSYS:
    case -EPERM:
        return error_set(ret_error, r,
                         "io_uring is not allowed here; set kernel.io_uring_disabled=0 and let "
                         "the container's seccomp profile pass it");
    case -EINVAL:
        return error_set(ret_error, r, "this kernel's io_uring is too old; nodisk needs Linux 6.1");
    case -ENOMEM:
        return error_set(ret_error, r, "not enough locked memory for io_uring; raise LimitMEMLOCK");
    default:
        return error_set(ret_error, r, "cannot set up io_uring: %s", strerror(-r));
    }
}

void ring_close(struct ring *ring)
{
    io_uring_queue_exit(&ring->uring);
}

struct io_uring_sqe *ring_sqe(struct ring *ring)
{
    struct io_uring_sqe *sqe;
    while (!(sqe = io_uring_get_sqe(&ring->uring)))
        io_uring_submit(&ring->uring);
    return sqe;
}

/* Runs the completions that are in the queue now; true if there were any. */
static bool run_batch(struct ring *ring)
{
    struct io_uring_cqe *cqes[COMPLETIONS_PER_BATCH];
    unsigned n = io_uring_peek_batch_cqe(&ring->uring, cqes, COMPLETIONS_PER_BATCH);
    for (unsigned i = 0; i < n; i++) {
        /* Copied out first: what complete() submits may reuse the slot. */
        struct io_op *op = io_uring_cqe_get_data(cqes[i]);
        int32_t result = cqes[i]->res;
        uint32_t flags = cqes[i]->flags;
        if (op)
            op->complete(op, result, flags);
    }
    io_uring_cq_advance(&ring->uring, n);
    return n > 0;
}

int ring_run(struct ring *ring, bool wait)
{
    int r = wait ? io_uring_submit_and_wait(&ring->uring, 1)
                 : io_uring_submit_and_get_events(&ring->uring);
    if (r < 0 && r != -EINTR && r != -EBUSY && r != -EAGAIN)
        return r;
    while (run_batch(ring))
        ;
    return 0;
}

void ring_cancel(struct ring *ring, struct io_op *op)
{
    struct io_uring_sqe *sqe = ring_sqe(ring);
    io_uring_prep_cancel(sqe, op, 0);
    ring_attach(sqe, NULL);
}
