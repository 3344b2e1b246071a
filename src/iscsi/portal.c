/*
 * Sockets of the iSCSI target.
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
#include "iscsi/portal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>

/* Pieces that one sendmsg takes: a batch of about 80 small PDUs. */
#define SEND_PIECES 256

/* How fast a dead peer is noticed. A short disturbance of the network must not end a session; but
 * where another login waits for the place of this one, seconds have to do. */
struct patience {
    int idle;     /* seconds of silence after which the kernel asks whether the peer is alive */
    int interval; /* seconds between the questions */
    int timeout;  /* milliseconds without an answer, to data or to those questions: it is dead */
};
static const struct patience usual_patience = {30, 10, 60000}, probe_patience = {1, 3, 5000};
#define PROBE_SECONDS 10

struct portal_thread {
    struct iscsi_portal *portal;
    struct io_thread *thread;
    struct list logins;  /* sockets that are logging in, oldest first */
    struct list sockets; /* the others */
    unsigned n_logins;
    struct message start, stop;
    bool stopping;
    struct accept_op *accepts; /* one per listener */
};

struct accept_op {
    struct io_op op;
    struct io_timer retry;
    struct portal_thread *owner;
    int fd;
    bool armed;
};

struct iscsi_portal {
    struct iscsi_portal_operations operations;
    struct iscsi_login_policy policy;
    struct iscsi_limits limits;
    struct portal_thread *threads;
    unsigned n_threads;
    int *listeners;
    unsigned n_listeners;
    struct iscsi_portal_counters counters;

    /* What must be gone before the portal may: sockets (also those on their way between threads),
     * accepts in a ring, and threads that were not told to stop yet. */
    atomic_uint live;
    pthread_mutex_t lock; /* protects gone */
    pthread_cond_t changed;
    bool gone;
};

struct iscsi_socket {
    struct iscsi_conn conn;
    struct portal_thread *owner;
    struct list link; /* in owner->logins or owner->sockets */
    int fd;
    bool receiving;
    bool logging_in; /* in owner->logins */
    bool wants_move;
    bool opening;  /* request is under way */
    bool expiring; /* the deadline for what is still to be sent is set */
    bool shut_down;
    bool dropped;  /* iscsi_conn_drop() was called */
    bool released; /* the session, if there was one, is gone */
    void *admission;
    uint8_t *unread; /* bytes that came too early, while it changes thread */
    size_t n_unread;
    struct io_op receive_op, send_op;
    struct io_deferred flush;
    struct io_timer deadline; /* of the login; later, of a probe; in the end, of the last output */
    struct io_timer ping;     /* see ping_due() */
    bool watched;             /* ping is set */
    bool heard, pinged;       /* since it was set */
    struct message move;
    struct iscsi_target_request request;
    struct msghdr message;
    struct iovec *pieces; /* of the send under way */
};

static void arm_receive(struct iscsi_socket *s);
static void arm_accept(struct accept_op *accept);

static struct iscsi_socket *socket_of(struct iscsi_conn *conn)
{
    return container_of(conn, struct iscsi_socket, conn);
}

static const struct iscsi_portal_operations *operations_of(const struct iscsi_socket *s)
{
    return &s->owner->portal->operations;
}

/* --- the life of a socket --- */

static void leave_login(struct iscsi_socket *s)
{
    io_timer_stop(&s->deadline);
    if (!s->logging_in)
        return;
    s->logging_in = false;
    s->owner->n_logins--;
    list_remove(&s->link);
    list_append(&s->owner->sockets, &s->link);
}

static void let_go(struct iscsi_portal *portal)
{
    if (atomic_fetch_sub(&portal->live, 1) != 1)
        return;
    pthread_mutex_lock(&portal->lock);
    portal->gone = true;
    pthread_cond_signal(&portal->changed);
    pthread_mutex_unlock(&portal->lock);
}

static void release_admission(struct iscsi_socket *s)
{
    const struct iscsi_portal_operations *operations = operations_of(s);
    if (!s->admission && s->conn.login)
        s->admission = take_ptr(s->conn.login->admission);
    if (s->admission)
        operations->release(operations->context, take_ptr(s->admission));
}

static void free_socket(struct iscsi_socket *s)
{
    struct iscsi_portal *portal = s->owner->portal;
    leave_login(s);
    io_deferred_cancel(&s->flush);
    list_remove(&s->link);
    release_admission(s);
    iscsi_conn_clear(&s->conn);
    close(s->fd);
    free(s->unread);
    free(s->pieces);
    free(s);
    let_go(portal);
}

/* Goes on with closing as far as the ring has let go; the order: stop what is under way in the
 * ring, then what is queued, then the session's tasks, then free. */
static void continue_closing(struct iscsi_socket *s)
{
    if (!s->shut_down) {
        s->shut_down = true;
        leave_login(s);
        io_timer_stop(&s->ping);
        shutdown(s->fd, SHUT_RDWR);
    }
    if (!s->receiving && !s->conn.sending && !s->opening && !s->dropped) {
        s->dropped = true;
        iscsi_conn_drop(&s->conn); /* ends in released() */
    }
}

static void released(struct iscsi_conn *conn)
{
    struct iscsi_socket *s = socket_of(conn);
    s->released = true;
    io_thread_defer(s->owner->thread, &s->flush); /* not inside the session's own calls */
}

static void wake(struct iscsi_conn *conn)
{
    struct iscsi_socket *s = socket_of(conn);
    io_thread_defer(s->owner->thread, &s->flush);
}

/* --- sending --- */

static void start_send(struct iscsi_socket *s)
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

static void close_expired(struct io_timer *timer)
{
    struct iscsi_socket *s = container_of(timer, struct iscsi_socket, deadline);
    iscsi_conn_close(&s->conn, s->conn.end_reason);
}

/* It is to be closed when its output has left: but not for ever. */
static void expect_end(struct iscsi_socket *s)
{
    if (s->expiring)
        return;
    s->expiring = true;
    s->deadline.expired = close_expired;
    io_timer_start(s->owner->thread, &s->deadline, ISCSI_CLOSE_SECONDS * USEC_PER_SEC);
}

static void try_move(struct iscsi_socket *s);

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
    wake(&s->conn);
    try_move(s);
}

/* The end of a round. */
static void flush(struct io_deferred *deferred)
{
    struct iscsi_socket *s = container_of(deferred, struct iscsi_socket, flush);
    if (s->released) {
        free_socket(s);
        return;
    }
    if (s->conn.state != ISCSI_CONN_CLOSED && !s->conn.sending && iscsi_conn_has_output(&s->conn))
        start_send(s);
    if (s->conn.state == ISCSI_CONN_CLOSING)
        expect_end(s);
    if (s->conn.state == ISCSI_CONN_CLOSED)
        continue_closing(s);
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

static void take_input(struct iscsi_socket *s, const uint8_t *data, size_t size)
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

/* From the first ping of its peer on: a thread with a timer wakes each second, one whose sessions
 * are all silent must not. */
static void watch(struct iscsi_socket *s)
{
    uint32_t seconds = s->owner->portal->limits.ping_seconds;
    if (s->watched || seconds == 0 || s->conn.state != ISCSI_CONN_FULL || !s->conn.session->pings ||
        !s->conn.session->target)
        return;
    s->watched = true;
    io_timer_start(s->owner->thread, &s->ping, seconds * USEC_PER_SEC);
}

static void received(struct io_op *op, int32_t result, uint32_t cqe_flags)
{
    struct iscsi_socket *s = container_of(op, struct iscsi_socket, receive_op);
    struct io_thread *thread = s->owner->thread;
    if (!(cqe_flags & IORING_CQE_F_MORE))
        s->receiving = false;
    s->heard |= result > 0;
    if (result > 0)
        take_input(s, io_receive_buffer(thread, cqe_flags), (size_t)result);
    else
        receive_failed(s, result);
    watch(s);
    if (cqe_flags & IORING_CQE_F_BUFFER)
        io_receive_buffer_return(thread, cqe_flags);
    if (s->conn.state == ISCSI_CONN_CLOSED)
        wake(&s->conn);
    else if (s->conn.state == ISCSI_CONN_ATTACHING)
        try_move(s);
    else if (!s->receiving && s->conn.state != ISCSI_CONN_CLOSING)
        arm_receive(s);
}

static void arm_receive(struct iscsi_socket *s)
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

/* --- from the thread of the login to that of the target --- */

static void target_found(struct iscsi_target_request *request, struct iscsi_target *target,
                         const char *reason)
{
    struct iscsi_socket *s = container_of(request, struct iscsi_socket, request);
    s->opening = false;
    s->conn.luns = take_ptr(request->luns);
    if (s->conn.luns)
        s->conn.luns->conn = &s->conn;
    if (s->conn.state != ISCSI_CONN_ATTACHING)
        wake(&s->conn); /* it was closed meanwhile, and waited for this */
    else if (target)
        iscsi_target_attach(target, &s->conn);
    else
        iscsi_conn_refuse(&s->conn, ISCSI_LOGIN_UNAVAILABLE, reason);
}

/* On the target's thread. */
static void attach_here(struct iscsi_socket *s)
{
    const struct iscsi_portal_operations *operations = operations_of(s);
    const struct iscsi_login *login = s->conn.login;
    if (login->identity.discovery) {
        iscsi_discovery_attach(&s->conn);
        return;
    }
    s->opening = true;
    operations->target(operations->context, s->owner->thread, s->admission, &login->traits,
                       &s->request);
}

/* Whether it is the peer that is slow, or we are. */
static void login_expired(struct io_timer *timer)
{
    struct iscsi_socket *s = container_of(timer, struct iscsi_socket, deadline);
    if (s->opening)
        iscsi_conn_refuse(&s->conn, ISCSI_LOGIN_UNAVAILABLE, "opening its volume takes long");
    else if (!iscsi_target_stop_waiting(&s->conn))
        iscsi_conn_violation(&s->conn, "took too long to log in");
}

static void enter_thread(struct iscsi_socket *s, struct portal_thread *owner)
{
    s->owner = owner;
    s->conn.thread = owner->thread;
    s->logging_in = true;
    owner->n_logins++;
    list_append(&owner->logins, &s->link);
    io_timer_start(owner->thread, &s->deadline, owner->portal->limits.login_seconds * USEC_PER_SEC);
}

static void leave_thread(struct iscsi_socket *s)
{
    leave_login(s);
    io_deferred_cancel(&s->flush);
    list_remove(&s->link);
}

static void moved_here(struct message *message)
{
    struct iscsi_socket *s = container_of(message, struct iscsi_socket, move);
    enter_thread(s, s->owner);
    if (s->owner->stopping)
        iscsi_conn_close(&s->conn, "the daemon stops");
    else
        attach_here(s);
}

static void try_move(struct iscsi_socket *s)
{
    const struct iscsi_portal_operations *operations = operations_of(s);
    if (!s->wants_move || s->conn.state != ISCSI_CONN_ATTACHING || s->receiving ||
        s->conn.sending || iscsi_conn_has_output(&s->conn))
        return;
    s->wants_move = false;
    s->admission = take_ptr(s->conn.login->admission);
    struct iscsi_portal *portal = s->owner->portal;
    struct portal_thread *owner = s->owner;
    if (s->admission)
        owner = &portal->threads[operations->owner(operations->context, s->admission)];
    if (owner == s->owner) {
        attach_here(s);
        return;
    }
    leave_thread(s);
    s->owner = owner;
    s->move.run = moved_here;
    io_thread_post(owner->thread, &s->move); /* it is theirs now */
}

/* --- what a connection asks for --- */

static void attach(struct iscsi_conn *conn)
{
    socket_of(conn)->wants_move = true;
}

static void set_option(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_patience(int fd, const struct patience *patience)
{
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, patience->idle);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, patience->interval);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, patience->timeout); /* of both */
}

static void probe_answered(struct io_timer *timer)
{
    set_patience(container_of(timer, struct iscsi_socket, deadline)->fd, &usual_patience);
}

/* Makes the kernel ask whether the peer is alive: it ends the connection within seconds if not. */
static void probe(struct iscsi_conn *conn)
{
    struct iscsi_socket *s = socket_of(conn);
    set_patience(s->fd, &probe_patience);
    s->deadline.expired = probe_answered;
    io_timer_start(s->owner->thread, &s->deadline, PROBE_SECONDS * USEC_PER_SEC);
}

static void list_targets(struct iscsi_conn *conn, const char *only,
                         void (*add)(struct iscsi_conn *conn, const char *target))
{
    const struct iscsi_portal_operations *operations = operations_of(socket_of(conn));
    operations->list_targets(operations->context, conn, &conn->session->identity, only, add);
}

static bool is_ipv4(const struct endpoint *endpoint)
{
    uint32_t address;
    return endpoint_ipv4(endpoint, &address);
}

/* The addresses of this server that are like the one which the initiator has reached: of the same
 * family, and loopback only for loopback. A wildcard stands for that one. */
static void list_portals(struct iscsi_conn *conn,
                         void (*add)(struct iscsi_conn *conn, const struct endpoint *portal))
{
    const struct iscsi_portal *portal = socket_of(conn)->owner->portal;
    for (unsigned i = 0; i < portal->n_listeners; i++) {
        struct endpoint address;
        if (endpoint_from_socket(portal->listeners[i], &address) < 0)
            continue;
        if (endpoint_is_any(&address))
            address = endpoint_with_port(&conn->local, endpoint_port(&address));
        bool same = endpoint_same_host(&address, &conn->local) &&
                    endpoint_port(&address) == endpoint_port(&conn->local);
        if (!same && is_ipv4(&address) == is_ipv4(&conn->local) &&
            endpoint_is_loopback(&address) == endpoint_is_loopback(&conn->local))
            add(conn, &address);
    }
}

static void emit(struct iscsi_socket *s, struct iscsi_event *event)
{
    const struct iscsi_portal_operations *operations = operations_of(s);
    const struct iscsi_conn *conn = &s->conn;
    event->peer = &conn->peer;
    if (conn->session) {
        event->identity = &conn->session->identity;
        event->traits = &conn->session->traits;
        event->target = conn->session->target;
    } else if (conn->login && conn->login->identity.initiator[0]) {
        event->identity = &conn->login->identity;
        event->traits = &conn->login->traits;
    }
    operations->event(operations->context, event);
}

/* A peer whose kernel lives may still hang. Who says nothing for a while, although he has pinged us
 * before, is pinged, and his connection closed if he does not answer. */
static void ping_due(struct io_timer *timer)
{
    struct iscsi_socket *s = container_of(timer, struct iscsi_socket, ping);
    const struct iscsi_limits *limits = &s->owner->portal->limits;
    if (s->conn.state != ISCSI_CONN_FULL)
        return;
    if (s->pinged && !s->heard) {
        iscsi_conn_close(&s->conn, "it does not answer pings");
        return;
    }
    s->pinged = !s->heard && iscsi_session_ping(s->conn.session);
    s->heard = false;
    io_timer_start(s->owner->thread, &s->ping,
                   (s->pinged ? limits->ping_timeout : limits->ping_seconds) * USEC_PER_SEC);
}

static bool has_room(struct iscsi_conn *conn)
{
    const struct iscsi_portal *portal = socket_of(conn)->owner->portal;
    uint32_t most = portal->limits.sessions;
    return most == 0 || counter_get(&portal->counters.sessions) < most;
}

static void logged_in(struct iscsi_conn *conn)
{
    struct iscsi_socket *s = socket_of(conn);
    struct iscsi_event event = {.kind = ISCSI_EVENT_LOGIN};
    leave_login(s);
    counter_add(&s->owner->portal->counters.logins, 1);
    counter_add(&s->owner->portal->counters.sessions, 1);
    emit(s, &event);
    release_admission(s);
    if (s->n_unread > 0) {
        take_input(s, s->unread, s->n_unread);
        free(take_ptr(s->unread));
        s->n_unread = 0;
    }
    if (conn->state == ISCSI_CONN_FULL)
        arm_receive(s);
}

static void refused(struct iscsi_conn *conn, enum iscsi_login_status status, const char *reason)
{
    struct iscsi_event event = {.kind = ISCSI_EVENT_REFUSED, .status = status, .reason = reason};
    if (status != ISCSI_LOGIN_MOVED_TEMPORARILY)
        counter_add(&socket_of(conn)->owner->portal->counters.refused, 1);
    emit(socket_of(conn), &event);
}

static void ended(struct iscsi_conn *conn, const char *reason)
{
    struct iscsi_socket *s = socket_of(conn);
    struct iscsi_event event = {.kind = ISCSI_EVENT_END,
                                .reason = reason,
                                .violated = conn->violated,
                                .orderly = conn->orderly};
    counter_add(&s->owner->portal->counters.violations, conn->violated);
    if (conn->session) {
        event.counters = &conn->session->counters;
        counter_subtract(&s->owner->portal->counters.sessions, 1);
    }
    emit(s, &event);
}

static const struct iscsi_conn_operations conn_operations = {
    .wake = wake,
    .attach = attach,
    .probe = probe,
    .has_room = has_room,
    .released = released,
    .list_targets = list_targets,
    .list_portals = list_portals,
    .logged_in = logged_in,
    .refused = refused,
    .ended = ended,
};

/* --- accepting --- */

static void set_options(int fd)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_patience(fd, &usual_patience);
}

static int open_socket(struct portal_thread *owner, int fd)
{
    struct endpoint peer, local;
    if (owner->stopping || endpoint_from_peer(fd, &peer) < 0 ||
        endpoint_from_socket(fd, &local) < 0)
        return -ENOTCONN;
    struct iscsi_socket *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    if (iscsi_conn_init(&s->conn, &conn_operations, owner->thread, &owner->portal->policy, &peer,
                        &local) < 0) {
        free(s);
        return -ENOMEM;
    }
    s->fd = fd;
    s->conn.limits = &owner->portal->limits;
    s->receive_op.complete = received;
    s->send_op.complete = sent;
    s->flush.run = flush;
    s->deadline.expired = login_expired;
    s->ping.expired = ping_due;
    s->request.done = target_found;
    set_options(fd);
    atomic_fetch_add(&owner->portal->live, 1);
    enter_thread(s, owner);
    arm_receive(s);
    return 0;
}

/* Those who are here to log in say who they are at once. */
static bool make_room(struct portal_thread *owner)
{
    if (owner->n_logins < owner->portal->limits.logins)
        return true;
    list_for_each(node, &owner->logins) {
        struct iscsi_socket *s = container_of(node, struct iscsi_socket, link);
        if (s->conn.state != ISCSI_CONN_LOGIN || s->conn.login->named)
            continue;
        leave_login(s);
        counter_add(&owner->portal->counters.busy, 1);
        iscsi_conn_close(&s->conn, "said nothing, and others want to log in");
        return true;
    }
    return false;
}

static void take_connection(struct portal_thread *owner, int fd)
{
    struct iscsi_portal *portal = owner->portal;
    counter_add(&portal->counters.connections, 1);
    if (!make_room(owner) || open_socket(owner, fd) < 0) {
        counter_add(&portal->counters.busy, 1);
        close(fd);
    }
}

static void accept_again(struct io_timer *timer)
{
    struct accept_op *accept = container_of(timer, struct accept_op, retry);
    arm_accept(accept);
}

static void accepted(struct io_op *op, int32_t result, uint32_t cqe_flags)
{
    struct accept_op *accept = container_of(op, struct accept_op, op);
    struct portal_thread *owner = accept->owner;
    accept->armed = cqe_flags & IORING_CQE_F_MORE;
    if (result >= 0)
        take_connection(owner, result);
    if (accept->armed)
        return;
    if (owner->stopping)
        let_go(owner->portal);
    else if (result == -EMFILE || result == -ENFILE || result == -ENOMEM || result == -ENOBUFS)
        io_timer_start(owner->thread, &accept->retry, USEC_PER_SEC); /* until some are closed */
    else
        arm_accept(accept);
}

static void arm_accept(struct accept_op *accept)
{
    struct io_uring_sqe *sqe = ring_sqe(&accept->owner->thread->ring);
    io_uring_prep_multishot_accept(sqe, accept->fd, NULL, NULL, SOCK_CLOEXEC);
    ring_attach(sqe, &accept->op);
    accept->armed = true;
}

static void start_on_thread(struct message *message)
{
    struct portal_thread *owner = container_of(message, struct portal_thread, start);
    for (unsigned i = 0; i < owner->portal->n_listeners; i++)
        arm_accept(&owner->accepts[i]);
}

static void close_all(struct list *sockets)
{
    list_for_each(node, sockets)
        iscsi_conn_close(&container_of(node, struct iscsi_socket, link)->conn, "the daemon stops");
}

static void stop_on_thread(struct message *message)
{
    struct portal_thread *owner = container_of(message, struct portal_thread, stop);
    owner->stopping = true;
    for (unsigned i = 0; i < owner->portal->n_listeners; i++) {
        struct accept_op *accept = &owner->accepts[i];
        io_timer_stop(&accept->retry);
        if (accept->armed)
            ring_cancel(&owner->thread->ring, &accept->op);
        else
            let_go(owner->portal);
    }
    close_all(&owner->logins);
    close_all(&owner->sockets);
    let_go(owner->portal);
}

/* --- the portal --- */

static void free_portal(struct iscsi_portal *portal)
{
    for (unsigned i = 0; portal->threads && i < portal->n_threads; i++)
        free(portal->threads[i].accepts);
    for (unsigned i = 0; i < portal->n_listeners; i++)
        close(portal->listeners[i]);
    free(portal->threads);
    free(portal->listeners);
    pthread_mutex_destroy(&portal->lock);
    pthread_cond_destroy(&portal->changed);
    free(portal);
}

static bool init_thread(struct iscsi_portal *portal, struct portal_thread *owner,
                        struct io_thread *thread)
{
    *owner = (struct portal_thread){.portal = portal, .thread = thread};
    owner->start.run = start_on_thread;
    owner->stop.run = stop_on_thread;
    list_init(&owner->logins);
    list_init(&owner->sockets);
    owner->accepts = calloc(portal->n_listeners, sizeof(*owner->accepts));
    for (unsigned i = 0; owner->accepts && i < portal->n_listeners; i++)
        owner->accepts[i] = (struct accept_op){.op.complete = accepted,
                                               .retry.expired = accept_again,
                                               .owner = owner,
                                               .fd = portal->listeners[i]};
    return owner->accepts != NULL;
}

int iscsi_portal_start(struct io_thread *const *threads, unsigned n_threads, const int *listeners,
                       unsigned n_listeners, const struct iscsi_limits *limits,
                       const struct iscsi_portal_operations *operations,
                       struct iscsi_portal **ret_portal, struct error *ret_error)
{
    struct iscsi_portal *portal = calloc(1, sizeof(*portal));
    bool ok = portal != NULL;
    if (ok) {
        portal->operations = *operations;
        portal->limits = *limits;
        portal->policy = (struct iscsi_login_policy){.admit = operations->admit,
                                                     .credentials = operations->credentials,
                                                     .redirect = operations->redirect,
                                                     .context = operations->context};
        pthread_mutex_init(&portal->lock, NULL);
        pthread_cond_init(&portal->changed, NULL);
        portal->listeners = calloc(n_listeners, sizeof(*portal->listeners));
        portal->threads = calloc(n_threads, sizeof(*portal->threads));
        ok = portal->listeners && portal->threads;
    }
    if (ok) {
        memcpy(portal->listeners, listeners, n_listeners * sizeof(*listeners));
        portal->n_listeners = n_listeners;
        portal->n_threads = n_threads;
    }
    for (unsigned i = 0; ok && i < n_threads; i++)
        ok = init_thread(portal, &portal->threads[i], threads[i]);
    if (!ok) {
        for (unsigned i = 0; i < n_listeners && !(portal && portal->n_listeners); i++)
            close(listeners[i]);
        if (portal)
            free_portal(portal);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    atomic_init(&portal->live, n_threads * (1 + n_listeners));
    for (unsigned i = 0; i < n_threads; i++)
        io_thread_post(threads[i], &portal->threads[i].start);
    *ret_portal = portal;
    return 0;
}

void iscsi_portal_stop(struct iscsi_portal *portal)
{
    if (!portal)
        return;
    for (unsigned i = 0; i < portal->n_threads; i++)
        io_thread_post(portal->threads[i].thread, &portal->threads[i].stop);
    pthread_mutex_lock(&portal->lock);
    while (!portal->gone)
        pthread_cond_wait(&portal->changed, &portal->lock);
    pthread_mutex_unlock(&portal->lock);
    free_portal(portal);
}

const struct iscsi_portal_counters *iscsi_portal_counters(const struct iscsi_portal *portal)
{
    return &portal->counters;
}
