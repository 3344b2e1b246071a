/*
 * Portals: listening, and whom to let in.
 */
#include "iscsi/socket.h"

#include <errno.h>

struct accept_op {
    struct io_op op;
    struct io_timer retry;
    struct portal_thread *owner;
    int fd;
    bool armed;
};

static void arm_accept(struct accept_op *accept);

void iscsi_portal_let_go(struct iscsi_portal *portal)
{
    if (atomic_fetch_sub(&portal->live, 1) != 1)
        return;
    pthread_mutex_lock(&portal->lock);
    portal->gone = true;
    pthread_cond_signal(&portal->changed);
    pthread_mutex_unlock(&portal->lock);
}

/* --- accepting --- */

/* Those who are here to log in say who they are at once. */
static bool make_room(struct portal_thread *owner)
{
    if (owner->n_logins < owner->portal->limits.logins)
        return true;
    list_for_each(node, &owner->logins) {
        struct iscsi_socket *s = container_of(node, struct iscsi_socket, link);
        if (s->conn.state != ISCSI_CONN_LOGIN || s->conn.login->named)
            continue;
        iscsi_socket_leave_login(s);
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
    if (!make_room(owner) || iscsi_socket_open(owner, fd) < 0) {
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
        iscsi_portal_let_go(owner->portal);
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
            iscsi_portal_let_go(owner->portal);
    }
    close_all(&owner->logins);
    close_all(&owner->sockets);
    iscsi_portal_let_go(owner->portal);
}

/* --- the portal --- */

static void free_portal(struct iscsi_portal *portal)
{
    for (unsigned i = 0; portal->threads && i < portal->n_threads; i++)
        free(portal->threads[i].accepts);
    for (unsigned i = 0; i < portal->n_listeners; i++)
        close(portal->listeners[i]);
    iscsi_roster_free(portal->roster);
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
                                                     .alias = operations->alias,
                                                     .redirect = operations->redirect,
                                                     .context = operations->context};
        pthread_mutex_init(&portal->lock, NULL);
        pthread_cond_init(&portal->changed, NULL);
        portal->listeners = calloc(n_listeners, sizeof(*portal->listeners));
        portal->threads = calloc(n_threads, sizeof(*portal->threads));
        portal->roster = iscsi_roster_new(threads, n_threads);
        ok = portal->listeners && portal->threads && portal->roster;
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
    for (unsigned i = 0; i < n_listeners; i++)
        iscsi_socket_prepare_listener(listeners[i]);
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

struct iscsi_roster *iscsi_portal_roster(const struct iscsi_portal *portal)
{
    return portal->roster;
}
