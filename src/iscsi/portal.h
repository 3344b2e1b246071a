/*
 * Portals: the listening sockets, and the connections on them, on the I/O threads' rings.
 *
 * Every thread accepts. A connection logs in where it was accepted and then moves, once, to the
 * thread that owns its target.
 */
#pragma once

#include "core/counter.h"
#include "iscsi/target.h"

/* For what is still to be sent on a connection that ends. */
#define ISCSI_CLOSE_SECONDS 5

enum iscsi_event_kind { ISCSI_EVENT_LOGIN, ISCSI_EVENT_REFUSED, ISCSI_EVENT_END };

struct iscsi_event {
    enum iscsi_event_kind kind;
    const struct iscsi_login_identity *identity; /* NULL: it never said who it is */
    const struct iscsi_login_traits *traits;
    const struct iscsi_target *target; /* LOGIN, and END of such a session; NULL: discovery */
    struct iscsi_session *session;     /* LOGIN: it has begun; else NULL */
    const struct iscsi_session_counters *counters; /* END of a session; else NULL */
    const struct endpoint *peer;
    enum iscsi_login_status status; /* REFUSED */
    const char *reason;             /* REFUSED, END */
    const struct endpoint *rival;   /* REFUSED because its disk is in use from there; else NULL */
    bool violated;                  /* END: because the peer broke the protocol */
    bool orderly;                   /* END: because the peer logged out */
};

struct iscsi_portal_operations {
    /* Who may log in to what; see login.h. Called on any thread, several at once. */
    enum iscsi_login_status (*admit)(void *context, const struct iscsi_login_identity *identity,
                                     void **ret_admission, const char **ret_reason);
    /* What must be proved; see login.h. Any thread, several at once. May be NULL. */
    const struct chap_credentials *(*credentials)(void *context, const void *admission);
    /* What it is called; see login.h. Any thread, several at once. */
    const char *(*alias)(void *context, const void *admission);
    /* Is it served elsewhere? See login.h. Any thread, several at once. */
    bool (*redirect)(void *context, const struct iscsi_login_identity *identity,
                     struct endpoint *ret_portal);
    /* Is it still admitted, now that its session is to begin? As admit(). On its owner's thread. */
    enum iscsi_login_status (*check)(void *context, const void *admission, const char **ret_reason);
    /* Lets go of what admit() gave; exactly once for each. */
    void (*release)(void *context, void *admission);
    /* Index of the thread that owns the admitted target. Any thread. */
    unsigned (*owner)(void *context, const void *admission);
    /* Calls request->done() with the target, at once or, if nobody uses it yet, when it is open. On
     * its owner's thread. If it cannot be served, the initiator is told to try again later. */
    void (*target)(void *context, struct io_thread *thread, const void *admission,
                   const struct iscsi_login_traits *traits, struct iscsi_target_request *request);
    /* Discovery; see conn.h. */
    void (*list_targets)(void *context, struct iscsi_conn *conn,
                         const struct iscsi_login_identity *identity, const char *only,
                         void (*add)(struct iscsi_conn *conn, const char *target));
    /* On the thread where it happened: be quick. */
    void (*event)(void *context, const struct iscsi_event *event);
    void *context;
};

struct iscsi_portal;

/* limits: copied. When there are more logins than they say, the oldest of those that have not said
 * who they are makes room; if all have, the new one is closed.
 *
 * Accepts on each of listeners[0..n_listeners) (owned from now on, also on failure). The arrays
 * are copied, the threads and operations are not owned. */
int iscsi_portal_start(struct io_thread *const *threads, unsigned n_threads, const int *listeners,
                       unsigned n_listeners, const struct iscsi_limits *limits,
                       const struct iscsi_portal_operations *operations,
                       struct iscsi_portal **ret_portal, struct error *ret_error) MUST_CHECK;
/* Closes every connection, waits until disk and sockets have let go, and frees it. The targets of
 * `operations` are idle afterwards. */
void iscsi_portal_stop(struct iscsi_portal *portal);

struct iscsi_portal_counters {
    struct counter connections;
    struct counter busy;       /* connections closed for too many logins, or without memory */
    struct counter logins;     /* sessions that were opened */
    struct counter refused;    /* logins */
    struct counter violations; /* connections ended because the peer broke the protocol */
    struct counter sessions;   /* open now */
};
/* Lives as long as the portal; any thread may read it. */
const struct iscsi_portal_counters *iscsi_portal_counters(const struct iscsi_portal *portal);
/* The sessions on it; lives as long as the portal. */
struct iscsi_roster *iscsi_portal_roster(const struct iscsi_portal *portal);
