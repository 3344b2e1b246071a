/*
 * What a connection does with its socket.
 *
 * Receiving: during the login one receive at a time, so that nothing is under way in the ring when
 * the connection changes its thread; then one multishot receive for as long as nothing large comes
 * (socket_direct.c). Buffers are the thread's (an idle connection has none); bytes are consumed at
 * once.
 *
 * Sending: what a round has queued on a connection goes out with one sendmsg at its end; larger
 * pieces of a file that never changes go by sendfile, as pages. A socket that is full is waited for
 * in the ring. One that never is has its turn for SEND_PER_ROUND, so that nobody else waits long.
 *
 * Cost of a command that reads cached data: a share of one io_uring_enter() for its receive and of
 * one sendmsg() for its answer, and a preadv2() unless its bytes are those of an image; no copy but
 * the kernel's own.
 */
#include "iscsi/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/sendfile.h>

/* Pieces that one sendmsg takes: a batch of about 80 small PDUs. */
#define SEND_PIECES    256
#define SEND_PER_ROUND MIB

/* --- sending --- */

/* The ring wants sockets that wait, this call one that does not. Nothing is submitted between. */
static ssize_t send_file(int socket, int file, off_t offset, size_t size)
{
    int flags = fcntl(socket, F_GETFL);
    fcntl(socket, F_SETFL, flags | O_NONBLOCK);
    ssize_t n = sendfile(socket, file, &offset, size);
    int error = errno;
    fcntl(socket, F_SETFL, flags);
    errno = error;
    return n;
}

static ssize_t send_pieces(const struct iscsi_socket *s)
{
    struct iovec pieces[SEND_PIECES];
    struct msghdr message = {.msg_iov = pieces};
    bool file_follows;
    message.msg_iovlen = iscsi_conn_output(&s->conn, pieces, SEND_PIECES, &file_follows);
    int more = file_follows ? MSG_MORE : 0;
    return sendmsg(s->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT | more);
}

static ssize_t send_some(const struct iscsi_socket *s)
{
    int file;
    off_t offset;
    size_t size;
    if (iscsi_conn_file_output(&s->conn, &file, &offset, &size))
        return send_file(s->fd, file, offset, size);
    return send_pieces(s);
}

static void await_room(struct iscsi_socket *s)
{
    struct io_uring_sqe *sqe = ring_sqe(&s->owner->thread->ring);
    io_uring_prep_poll_add(sqe, s->fd, POLLOUT);
    ring_attach(sqe, &s->send_op);
    s->conn.sending = true;
}

static void has_room(struct io_op *op, int32_t result, uint32_t cqe_flags)
{
    struct iscsi_socket *s = container_of(op, struct iscsi_socket, send_op);
    s->conn.sending = false;
    iscsi_socket_wake(s);
}

static bool has_more(const struct iscsi_socket *s)
{
    return s->conn.state != ISCSI_CONN_CLOSED && iscsi_conn_has_output(&s->conn);
}

void iscsi_socket_send(struct iscsi_socket *s)
{
    size_t total = 0;
    while (has_more(s) && total < SEND_PER_ROUND) {
        ssize_t n = send_some(s);
        if (n > 0) {
            total += (size_t)n;
            iscsi_conn_sent(&s->conn, (size_t)n); /* may queue more, and may close it */
        } else if (n < 0 && errno == EAGAIN) {
            await_room(s);
            return;
        } else if (n == 0 || errno != EINTR) {
            iscsi_conn_close(&s->conn, n == 0 ? "its image has become shorter" : "connection lost");
        }
    }
    if (has_more(s))
        iscsi_socket_wake(s);
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

void iscsi_socket_receive_failed(struct iscsi_socket *s, int32_t result)
{
    if (result == 0 && s->conn.state == ISCSI_CONN_CLOSING)
        return; /* it has logged out, and may still read the answer */
    if (result == 0)
        iscsi_conn_close(&s->conn, "closed by the initiator");
    else if (result != -ENOBUFS && result != -EINTR && result != -EAGAIN && result != -ECANCELED)
        iscsi_conn_close(&s->conn, "connection lost");
}

void iscsi_socket_received(struct iscsi_socket *s)
{
    iscsi_socket_watch(s);
    if (s->conn.state == ISCSI_CONN_CLOSED)
        iscsi_socket_wake(s);
    else if (s->conn.state == ISCSI_CONN_ATTACHING)
        iscsi_socket_try_move(s);
    else if (!s->receiving && s->conn.state != ISCSI_CONN_CLOSING)
        iscsi_socket_receive(s);
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
        iscsi_socket_receive_failed(s, result);
    if (cqe_flags & IORING_CQE_F_BUFFER)
        io_receive_buffer_return(thread, cqe_flags);
    iscsi_socket_direct_consider(s);
    iscsi_socket_received(s);
}

void iscsi_socket_receive(struct iscsi_socket *s)
{
    if (s->direct) {
        iscsi_socket_direct_receive(s);
        return;
    }
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
    s->send_op.complete = has_room;
}
