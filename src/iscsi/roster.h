/*
 * The sessions that are open, of all I/O threads: for those who show or end them.
 *
 * Each thread has a list of its own sessions, which nobody else touches. Who wants to see them
 * sends each thread a message, and it goes through its list a few at a time, between other work.
 * So a login costs two links in a list, a command nothing, and an idle daemon is not woken.
 */
#pragma once

#include "core/list.h"
#include "io/thread.h"

struct iscsi_roster;
struct iscsi_session;

/* In each session. */
struct iscsi_roster_entry {
    struct list link;
    struct iscsi_session *session; /* NULL: a mark of somebody who goes through the list */
    uint64_t id;                   /* 1.., unique in this run of the daemon */
};

/* NULL without memory. */
struct iscsi_roster *iscsi_roster_new(struct io_thread *const *threads, unsigned n_threads);
/* How many there are. */
unsigned iscsi_roster_threads(const struct iscsi_roster *roster);
/* With no session in it, and nobody who goes through it. NULL: no-op. */
void iscsi_roster_free(struct iscsi_roster *roster);

/* On the session's thread, which is threads[thread]. */
void iscsi_roster_add(struct iscsi_roster *roster, unsigned thread, struct iscsi_session *session);
/* The same; no-op if it is in none. */
void iscsi_roster_remove(struct iscsi_session *session);

/* Calls visit() for each session, on the thread of the session (threads[thread]), several threads
 * at once; returns when all have. The session may be ended in it. A session that begins or ends
 * meanwhile may be among them or not; one that was there before and is there afterwards is. Not to
 * be called on an I/O thread. -ENOMEM: it was called for none. */
int iscsi_roster_visit(struct iscsi_roster *roster,
                       void (*visit)(void *context, unsigned thread, struct iscsi_session *session),
                       void *context) MUST_CHECK;
