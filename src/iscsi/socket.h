/*
 * A connection's socket, for portal.c, socket.c, socket_operations.c and socket_direct.c alone.
 *
 * portal.c listens and lets in, socket.c is the life of a connection from then on, on its thread
 * and from one to another; socket_operations.c is what it has under way in the ring, and
 * socket_direct.c how it receives while large data comes.
 */
#pragma once

#include "iscsi/portal.h"

#include <pthread.h>
#include <stdatomic.h>

struct accept_op;

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

struct iscsi_portal {
    struct iscsi_portal_operations operations;
    struct iscsi_login_policy policy;
    struct iscsi_limits limits;
    struct portal_thread *threads;
    unsigned n_threads;
    int *listeners;
    unsigned n_listeners;
    struct iscsi_portal_counters counters;
    struct iscsi_roster *roster;

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
    bool receiving;  /* receive_op or poll_op is under way */
    bool direct;     /* receives by itself, see socket_direct.c */
    uint8_t n_since; /* completions, since something large came */
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
    struct io_op receive_op, poll_op, send_op;
    struct io_deferred flush;
    struct io_timer deadline; /* of the login; later, of a probe; in the end, of the last output */
    struct io_timer ping;     /* see ping_due() */
    bool watched;             /* ping is set */
    bool heard, pinged;       /* since it was set */
    struct message move;
    struct iscsi_target_request request;
};

static inline struct iscsi_socket *iscsi_socket_of(struct iscsi_conn *conn)
{
    return container_of(conn, struct iscsi_socket, conn);
}

/* --- portal.c --- */

/* One less of what portal->live counts. */
void iscsi_portal_let_go(struct iscsi_portal *portal);

/* --- socket.c --- */

/* Sets the options that a listener's connections inherit. */
void iscsi_socket_prepare_listener(int fd);
/* For a connection that was accepted; fd is owned, unless this fails. */
int iscsi_socket_open(struct portal_thread *owner, int fd) MUST_CHECK;
/* It has logged in, or is not going to. */
void iscsi_socket_leave_login(struct iscsi_socket *s);
/* Looks at it at the end of this round. */
void iscsi_socket_wake(struct iscsi_socket *s);
/* Moves it to the thread of its target, if it wants that and nothing holds it here any more: may
 * be called only as the last that this thread does with it. */
void iscsi_socket_try_move(struct iscsi_socket *s);
/* Something has come: begins with pings, if its peer is one who answers them. */
void iscsi_socket_watch(struct iscsi_socket *s);

/* --- socket_operations.c --- */

void iscsi_socket_init_operations(struct iscsi_socket *s);
/* Receives: once during the login, else until the end. Not while s->receiving. */
void iscsi_socket_receive(struct iscsi_socket *s);
/* What was received is taken: goes on with receiving, or with what has become of the connection. It
 * may be another thread's after that. */
void iscsi_socket_received(struct iscsi_socket *s);
/* result: 0: its peer has closed it; or a negative errno, which may be none for it to end by. */
void iscsi_socket_receive_failed(struct iscsi_socket *s, int32_t result);
/* Sends what is queued. Not while s->conn.sending. */
void iscsi_socket_send(struct iscsi_socket *s);
/* Gives bytes to the connection; keeps those that it cannot take yet. */
void iscsi_socket_take_input(struct iscsi_socket *s, const uint8_t *data, size_t size);

/* --- socket_direct.c --- */

/* Looks at what comes: if it is large, the multishot receive ends, and s->direct is set. */
void iscsi_socket_direct_consider(struct iscsi_socket *s);
/* iscsi_socket_receive() while s->direct. */
void iscsi_socket_direct_receive(struct iscsi_socket *s);
