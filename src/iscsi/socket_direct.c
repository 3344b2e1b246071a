/*
 * Receiving large data, straight to where it is written from.
 *
 * The multishot receive of socket_operations.c is the cheapest for small PDUs, but all bytes go
 * through the thread's buffers, 16 KiB each, and are copied from there. A session that sends large
 * data segments is received from otherwise: the ring tells when there is something, and a recvmsg
 * puts what is missing of the segment where it belongs, and a few bytes that follow it (the next
 * header) beside. When nothing large has come for a while, it goes back to the multishot receive.
 *
 * Bytes stay in order: one of the two is under way, never both. This one begins when the multishot
 * receive has been called off and has said that it ended. Nothing is given to the kernel that
 * outlasts the call, so a task may end, and take its buffers with it, at any time between.
 *
 * Cost of a segment of 256 KiB: a recvmsg and a share of a poll in the ring; no copy but the
 * kernel's own.
 */
#include "iscsi/socket.h"

#include <errno.h>
#include <poll.h>

/* What may still be missing of a data segment to make it worth while. */
#define LARGE             (32 * KIB)
/* Behind the segment: the next header, not much of what comes then. */
#define BESIDE            512
/* Without anything large: goes back after so many times that all was received. */
#define PATIENCE          16
/* So many completions after it was called off, the multishot receive is called off again: the
 * kernel does not find it at a moment when it is on its way from one batch to the next. */
#define CALL_OFF_AGAIN    32
#define RECEIVE_PER_ROUND (512 * KIB)

static void wait_for_more(struct iscsi_socket *s)
{
    struct io_uring_sqe *sqe = ring_sqe(&s->owner->thread->ring);
    io_uring_prep_poll_add(sqe, s->fd, POLLIN);
    ring_attach(sqe, &s->poll_op);
    s->receiving = true;
}

static bool is_open(const struct iscsi_socket *s)
{
    return s->conn.state == ISCSI_CONN_FULL;
}

static void take(struct iscsi_socket *s, const uint8_t *data, size_t size)
{
    if (size > 0 && is_open(s))
        iscsi_socket_take_input(s, data, size);
}

/* One receive. How many bytes have come; *ret_all: there are no more at the moment. */
static size_t receive_some(struct iscsi_socket *s, bool *ret_all, bool *ret_large)
{
    uint8_t beside[BESIDE], *place;
    size_t missing = iscsi_conn_input_place(&s->conn, &place);
    struct iovec parts[] = {{place, missing}, {beside, sizeof(beside)}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts)};
    ssize_t n = recvmsg(s->fd, &message, MSG_DONTWAIT);
    if (n <= 0) {
        iscsi_socket_receive_failed(s, n == 0 ? 0 : -errno);
        *ret_all = true;
        return 0;
    }
    size_t placed = MIN((size_t)n, missing);
    *ret_all = (size_t)n < missing + sizeof(beside);
    *ret_large |= missing >= LARGE;
    take(s, place, placed);
    take(s, beside, (size_t)n - placed);
    return (size_t)n;
}

static void readable(struct io_op *op, int32_t result, uint32_t cqe_flags)
{
    struct iscsi_socket *s = container_of(op, struct iscsi_socket, poll_op);
    bool all = false, large = false;
    size_t total = 0;
    s->receiving = false;
    while (is_open(s) && !all && total < RECEIVE_PER_ROUND)
        total += receive_some(s, &all, &large);
    s->heard |= total > 0;
    s->n_since = large ? 0 : s->n_since + 1;
    if (s->n_since > PATIENCE)
        s->direct = false;
    iscsi_socket_received(s);
}

void iscsi_socket_direct_receive(struct iscsi_socket *s)
{
    s->poll_op.complete = readable;
    wait_for_more(s);
}

void iscsi_socket_direct_consider(struct iscsi_socket *s)
{
    uint8_t *place;
    if (!is_open(s))
        return;
    if (s->direct)
        s->n_since++;
    else if (iscsi_conn_input_place(&s->conn, &place) >= LARGE)
        s->n_since = 0;
    else
        return;
    s->direct = true;
    if (s->receiving && s->n_since % CALL_OFF_AGAIN == 0)
        ring_cancel(&s->owner->thread->ring, &s->receive_op);
}
