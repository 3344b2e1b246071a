/*
 * What a connection has under way in the ring.
 *
 * Receiving: during the login one receive at a time, so that nothing is under way in the ring when
 * the connection changes its thread; then one multishot receive for as long as it lives. Buffers
 * are the thread's (an idle connection has none); bytes are consumed at once.
 *
 * Sending: what a round has queued on a connection goes out with one sendmsg at its end.
 *
 * Cost of a command that reads cached data: a share of one io_uring_enter() for its receive, one
 * for its read, one for its send; no copy but the kernel's own.
 */
#include "iscsi/socket.h"

#include <errno.h>

/* Pieces that one sendmsg takes: a batch of about 80 small PDUs. */
#define SEND_PIECES 256

/* --- sending --- */

void iscsi_socket_send(struct iscsi_socket *s)
{
    if (!s->pieces)
        s->pieces = malloc(SEND_PIECES * sizeof(*s->pieces));
    size_t n = s->pieces ? iscsi_conn_output(&s->conn, s->pieces, SEND_PIECES) : 0;
    if (n == 0) {
        iscsi_conn_close(&s->conn, "out of memory");
        return;
    }
    s->message = (struct msghdr){.msg_iov = s->pieces, .msg_iovlen = n};
    struct io_uring_sqe *sqe = ring_sqe(&s->owner->thread->ring);
    io_uring_prep_sendmsg(sqe, s->fd, &s->message, MSG_NOSIGNAL | MSG_WAITALL);
    ring_attach(sqe, &s->send_op);
    s->conn.sending = true;
}

static void sent(struct io_op *op, int32_t result, uint32_t cqe_flags)
{
    struct iscsi_socket *s = container_of(op, struct iscsi_socket, send_op);
    s->conn.sending = false;
    if (result > 0)
        iscsi_conn_sent(&s->conn, (size_t)result);
    else if (result != -EINTR && result != -EAGAIN)
        iscsi_conn_close(&s->conn, "connection lost");
    if (!iscsi_conn_has_output(&s->conn)) {
        free(s->pieces); /* an idle session keeps nothing */
        s->pieces = NULL;
    }
    iscsi_socket_wake(s);
    iscsi_socket_try_move(s);
}

/* --- receiving --- */

static bool in_login(const struct iscsi_socket *s)
{
    return s->conn.state == ISCSI_CONN_LOGIN;
}

static void keep_unread(struct iscsi_socket *s, const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    uint8_t *grown = realloc(s->unread, s->n_unread + size);
    if (!grown) {
        iscsi_conn_close(&s->conn, "out of memory");
        return;
    }
    memcpy(grown + s->n_unread, data, size);
    s->unread = grown;
    s->n_unread += size;
}

void iscsi_socket_take_input(struct iscsi_socket *s, const uint8_t *data, size_t size)
{
    size_t taken = iscsi_conn_input(&s->conn, data, size);
    if (s->conn.state == ISCSI_CONN_ATTACHING)
        keep_unread(s, data + taken, size - taken);
}

static void receive_failed(struct iscsi_socket *s, int32_t result)
{
    if (result == 0 && s->conn.state == ISCSI_CONN_CLOSING)
        return; /* it has logged out, and may still read the answer */
    if (result == 0)
        iscsi_conn_close(&s->conn, "closed by the initiator");
    else if (result != -ENOBUFS && result != -EINTR && result != -EAGAIN)
        iscsi_conn_close(&s->conn, "connection lost");
}

static void received(struct io_op *op, int32_t result, uint32_t cqe_flags)
{
    struct iscsi_socket *s = container_of(op, struct iscsi_socket, receive_op);
    struct io_thread *thread = s->owner->thread;
    if (!(cqe_flags & IORING_CQE_F_MORE))
        s->receiving = false;
    s->heard |= result > 0;
    if (result > 0)
        iscsi_socket_take_input(s, io_receive_buffer(thread, cqe_flags), (size_t)result);
    else
        receive_failed(s, result);
    iscsi_socket_watch(s);
    if (cqe_flags & IORING_CQE_F_BUFFER)
        io_receive_buffer_return(thread, cqe_flags);
    if (s->conn.state == ISCSI_CONN_CLOSED)
        iscsi_socket_wake(s);
    else if (s->conn.state == ISCSI_CONN_ATTACHING)
        iscsi_socket_try_move(s);
    else if (!s->receiving && s->conn.state != ISCSI_CONN_CLOSING)
        iscsi_socket_receive(s);
}

void iscsi_socket_receive(struct iscsi_socket *s)
{
    struct io_uring_sqe *sqe = ring_sqe(&s->owner->thread->ring);
    if (in_login(s))
        io_uring_prep_recv(sqe, s->fd, NULL, RECEIVE_BUFFER_SIZE, 0);
    else
        io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = RECEIVE_BUFFER_GROUP;
    ring_attach(sqe, &s->receive_op);
    s->receiving = true;
}

void iscsi_socket_init_operations(struct iscsi_socket *s)
{
    s->receive_op.complete = received;
    s->send_op.complete = sent;
}
