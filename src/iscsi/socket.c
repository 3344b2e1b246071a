/*
 * The life of a connection on its socket: from the thread that accepted it to that of its target,
 * what the connection asks for, and its end.
 */
#include "iscsi/socket.h"

#include <errno.h>
#include <netinet/tcp.h>

/* How fast a dead peer is noticed. A short disturbance of the network must not end a session; but
 * where another login waits for the place of this one, seconds have to do. */
struct patience {
    int idle;     /* seconds of silence after which the kernel asks whether the peer is alive */
    int interval; /* seconds between the questions */
    int timeout;  /* milliseconds without an answer, to data or to those questions: it is dead */
};
static const struct patience usual_patience = {30, 10, 60000}, probe_patience = {1, 3, 5000};
#define PROBE_SECONDS    10
/* Of up to 1 MiB each, of a peer that goes on sending. */
#define FORGOTTEN_PIECES 16

static const struct iscsi_portal_operations *operations_of(const struct iscsi_socket *s)
{
    return &s->owner->portal->operations;
}

/* --- the life of a socket --- */

void iscsi_socket_leave_login(struct iscsi_socket *s)
{
    io_timer_stop(&s->deadline);
    if (!s->logging_in)
        return;
    s->logging_in = false;
    s->owner->n_logins--;
    list_remove(&s->link);
    list_append(&s->owner->sockets, &s->link);
}

static void release_admission(struct iscsi_socket *s)
{
    const struct iscsi_portal_operations *operations = operations_of(s);
    if (!s->admission && s->conn.login)
        s->admission = take_ptr(s->conn.login->admission);
    if (s->admission)
        operations->release(operations->context, take_ptr(s->admission));
}

/* What nobody reads any more would have the kernel reset the connection, and lose the last answers
 * that are on their way. */
static void forget_input(int fd)
{
    for (int i = 0; i < FORGOTTEN_PIECES; i++)
        if (recv(fd, NULL, MIB, MSG_TRUNC | MSG_DONTWAIT) <= 0)
            return;
}

static void free_socket(struct iscsi_socket *s)
{
    struct iscsi_portal *portal = s->owner->portal;
    iscsi_socket_leave_login(s);
    io_deferred_cancel(&s->flush);
    list_remove(&s->link);
    release_admission(s);
    iscsi_conn_clear(&s->conn);
    forget_input(s->fd);
    close(s->fd);
    free(s->unread);
    free(s);
    iscsi_portal_let_go(portal);
}

/* Goes on with closing as far as the ring has let go; the order: stop what is under way in the
 * ring, then what is queued, then the session's tasks, then free. */
static void continue_closing(struct iscsi_socket *s)
{
    if (!s->shut_down) {
        s->shut_down = true;
        iscsi_socket_leave_login(s);
        io_timer_stop(&s->ping);
        shutdown(s->fd, SHUT_RDWR);
    }
    if (!s->receiving && !s->conn.sending && !s->opening && !s->dropped) {
        s->dropped = true;
        iscsi_conn_drop(&s->conn); /* ends in released() */
    }
}

void iscsi_socket_wake(struct iscsi_socket *s)
{
    io_thread_defer(s->owner->thread, &s->flush);
}

static void released(struct iscsi_conn *conn)
{
    struct iscsi_socket *s = iscsi_socket_of(conn);
    s->released = true;
    iscsi_socket_wake(s); /* not inside the session's own calls */
}

static void wake(struct iscsi_conn *conn)
{
    iscsi_socket_wake(iscsi_socket_of(conn));
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

/* The end of a round. With the move, the last step, it may become another thread's. */
static void flush(struct io_deferred *deferred)
{
    struct iscsi_socket *s = container_of(deferred, struct iscsi_socket, flush);
    if (s->released) {
        free_socket(s);
        return;
    }
    if (s->conn.state != ISCSI_CONN_CLOSED && !s->conn.sending && iscsi_conn_has_output(&s->conn))
        iscsi_socket_send(s);
    if (s->conn.state == ISCSI_CONN_CLOSING)
        expect_end(s);
    if (s->conn.state == ISCSI_CONN_CLOSED)
        continue_closing(s);
    else
        iscsi_socket_try_move(s);
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
        iscsi_socket_wake(s); /* it was closed meanwhile, and waited for this */
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
    iscsi_socket_leave_login(s);
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

void iscsi_socket_try_move(struct iscsi_socket *s)
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

/* From the first ping of its peer on: a thread with a timer wakes each second, one whose sessions
 * are all silent must not. */
void iscsi_socket_watch(struct iscsi_socket *s)
{
    uint32_t seconds = s->owner->portal->limits.ping_seconds;
    if (s->watched || seconds == 0 || s->conn.state != ISCSI_CONN_FULL || !s->conn.session->pings ||
        !s->conn.session->target)
        return;
    s->watched = true;
    io_timer_start(s->owner->thread, &s->ping, seconds * USEC_PER_SEC);
}

/* --- what a connection asks for --- */

static void attach(struct iscsi_conn *conn)
{
    iscsi_socket_of(conn)->wants_move = true;
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
    struct iscsi_socket *s = iscsi_socket_of(conn);
    set_patience(s->fd, &probe_patience);
    s->deadline.expired = probe_answered;
    io_timer_start(s->owner->thread, &s->deadline, PROBE_SECONDS * USEC_PER_SEC);
}

static void list_targets(struct iscsi_conn *conn, const char *only,
                         void (*add)(struct iscsi_conn *conn, const char *target))
{
    const struct iscsi_portal_operations *operations = operations_of(iscsi_socket_of(conn));
    operations->list_targets(operations->context, conn, &conn->session->identity, only, add);
}

static bool is_ipv4(const struct endpoint *endpoint)
{
    uint32_t address;
    return endpoint_ipv4(endpoint, &address);
}

/* Does a socket that is bound to this wildcard take connections to that address, too? */
static bool wildcard_takes(int listener, const struct endpoint *wildcard,
                           const struct endpoint *address)
{
    int v6_only = 1;
    socklen_t size = sizeof(v6_only);
    if (wildcard->any.sa_family != AF_INET6)
        return is_ipv4(address);
    if (!is_ipv4(address))
        return true;
    return getsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, &size) == 0 && !v6_only;
}

/* Are the two good for the same initiators? */
static bool is_like(const struct endpoint *a, const struct endpoint *b)
{
    return is_ipv4(a) == is_ipv4(b) && endpoint_is_loopback(a) == endpoint_is_loopback(b) &&
           endpoint_is_link_local(a) == endpoint_is_link_local(b);
}

/* The addresses of this server that are like the one which the initiator has reached: of the same
 * family, and loopback or link-local only for the same. A wildcard stands for that one. */
static void list_portals(struct iscsi_conn *conn,
                         void (*add)(struct iscsi_conn *conn, const struct endpoint *portal))
{
    const struct iscsi_portal *portal = iscsi_socket_of(conn)->owner->portal;
    for (unsigned i = 0; i < portal->n_listeners; i++) {
        struct endpoint address;
        if (endpoint_from_socket(portal->listeners[i], &address) < 0)
            continue;
        if (endpoint_is_any(&address)) {
            if (!wildcard_takes(portal->listeners[i], &address, &conn->local))
                continue;
            address = endpoint_with_port(&conn->local, endpoint_port(&address));
        }
        bool same = endpoint_same_host(&address, &conn->local) &&
                    endpoint_port(&address) == endpoint_port(&conn->local);
        if (!same && is_like(&address, &conn->local))
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
    const struct iscsi_portal *portal = iscsi_socket_of(conn)->owner->portal;
    uint32_t most = portal->limits.sessions;
    return most == 0 || counter_get(&portal->counters.sessions) < most;
}

static enum iscsi_login_status check(struct iscsi_conn *conn, const char **ret_reason)
{
    struct iscsi_socket *s = iscsi_socket_of(conn);
    const struct iscsi_portal_operations *operations = operations_of(s);
    return operations->check(operations->context, s->admission, ret_reason);
}

static void logged_in(struct iscsi_conn *conn)
{
    struct iscsi_socket *s = iscsi_socket_of(conn);
    struct iscsi_event event = {.kind = ISCSI_EVENT_LOGIN, .session = conn->session};
    iscsi_socket_leave_login(s);
    counter_add(&s->owner->portal->counters.logins, 1);
    counter_add(&s->owner->portal->counters.sessions, 1);
    iscsi_roster_add(s->owner->portal->roster, (unsigned)(s->owner - s->owner->portal->threads),
                     conn->session);
    emit(s, &event);
    release_admission(s);
    if (s->n_unread > 0) {
        iscsi_socket_take_input(s, s->unread, s->n_unread);
        free(take_ptr(s->unread));
        s->n_unread = 0;
    }
    if (conn->state == ISCSI_CONN_FULL)
        iscsi_socket_receive(s);
}

static void refused(struct iscsi_conn *conn, enum iscsi_login_status status, const char *reason)
{
    struct iscsi_event event = {
        .kind = ISCSI_EVENT_REFUSED, .status = status, .reason = reason, .rival = conn->rival};
    if (status != ISCSI_LOGIN_MOVED_TEMPORARILY)
        counter_add(&iscsi_socket_of(conn)->owner->portal->counters.refused, 1);
    emit(iscsi_socket_of(conn), &event);
}

static void ended(struct iscsi_conn *conn, const char *reason)
{
    struct iscsi_socket *s = iscsi_socket_of(conn);
    struct iscsi_event event = {.kind = ISCSI_EVENT_END,
                                .reason = reason,
                                .violated = conn->violated,
                                .orderly = conn->orderly};
    counter_add(&s->owner->portal->counters.violations, conn->violated);
    if (conn->session) {
        event.counters = &conn->session->record.counters;
        iscsi_roster_remove(conn->session);
        counter_subtract(&s->owner->portal->counters.sessions, 1);
    }
    emit(s, &event);
}

static const struct iscsi_conn_operations conn_operations = {
    .wake = wake,
    .attach = attach,
    .probe = probe,
    .has_room = has_room,
    .check = check,
    .released = released,
    .list_targets = list_targets,
    .list_portals = list_portals,
    .logged_in = logged_in,
    .refused = refused,
    .ended = ended,
};

/* --- its beginning --- */

/* A storage network is no Internet: what BBR does for lossy and long ways (pacing, probing) costs
 * throughput and processor here. Where CUBIC is not to be had, the system's choice stays. */
static void set_congestion_control(int fd)
{
    static const char name[] = "cubic";
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, sizeof(name) - 1);
}

void iscsi_socket_prepare_listener(int fd)
{
    set_congestion_control(fd);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_patience(fd, &usual_patience);
}

int iscsi_socket_open(struct portal_thread *owner, int fd)
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
    iscsi_socket_init_operations(s);
    s->flush.run = flush;
    s->deadline.expired = login_expired;
    s->ping.expired = ping_due;
    s->request.done = target_found;
    atomic_fetch_add(&owner->portal->live, 1);
    enter_thread(s, owner);
    iscsi_socket_receive(s);
    return 0;
}
