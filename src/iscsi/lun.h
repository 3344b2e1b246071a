/*
 * The further logical units of a session: LUN 1.. of a node's target, each a volume that is a
 * target of its own, too, and belongs to the I/O thread of that target.
 *
 * What an iscsi_lun holds beside its nexus belongs to the session's thread, or never changes while
 * it is connected. The nexus lives on the LU's thread: connecting and disconnecting are messages,
 * and so is every command (remote.h) unless both threads are the same.
 *
 * LUNs are connected before their session begins, or are attached to it while it runs. None leaves
 * before the session ends. What LUNs a session has is a list that never changes, since a command
 * that carries it may be on any thread: one LUN more is another list, for the commands that come
 * from then on. The old ones stay until the session ends, at most one for each LUN that was
 * attached. The initiator is told by unit attentions of the LUs that it knows; REPORT LUNS clears
 * them, if what it has told is the list of now.
 *
 * Cost: two messages per LUN and login, two per LUN and end of a session; and when a LUN is
 * attached or REPORT LUNS has told of it, one for each LUN of another thread.
 */
#pragma once

#include <stdatomic.h>

#include "io/thread.h"
#include "iscsi/login.h"
#include "scsi/lu.h"
#include "scsi/task.h"

#define ISCSI_LUNS 256 /* 0..255 */

struct iscsi_conn;
struct iscsi_lun_list;
struct iscsi_luns;
struct iscsi_session;
struct iscsi_target;
struct iscsi_target_request;

/* Somebody waits for a target; embedded in what waits, and stays until done() was called. */
struct iscsi_target_request {
    struct list link; /* of whoever opens the target */
    /* target: NULL if it cannot be served; reason (for the log) tells why. */
    void (*done)(struct iscsi_target_request *request, struct iscsi_target *target,
                 const char *reason);
    /* The further LUNs of the session to be, connected; or NULL. For done() to take over. */
    struct iscsi_luns *luns;
};

struct iscsi_lun {
    struct iscsi_luns *luns;
    struct list link;         /* in luns->all */
    unsigned number;          /* 1..255 */
    struct io_thread *thread; /* that the LU belongs to */
    uint64_t volume_id;       /* of whoever opens it */
    const void *volume;       /* the same; until luns->opened() */
    bool attached;            /* to a session that had begun */
    bool connected;           /* and found by its number */
    const char *reason;       /* why not, for luns->opened() */

    /* private to lun.c */
    struct message message;
    struct iscsi_target_request request;
    struct message evict;
    bool evicting; /* the LU's thread's */
    const char *evict_reason;
    struct message clear;
    atomic_bool clearing; /* `clear` is posted */
    struct message lose;
    bool lost; /* `lose` is posted */
    struct message news;
    atomic_bool telling;      /* `news` is posted */
    atomic_bool luns_changed; /* what it tells */

    /* the LU's thread's */
    struct list remote_link; /* in target->remotes */
    struct iscsi_target *target;
    struct scsi_nexus nexus;
    struct buffer_share share; /* of what is read */
    struct list tasks;         /* struct iscsi_remote */
};

struct iscsi_luns {
    struct io_thread *thread; /* of the session */
    struct iscsi_conn *conn;  /* of the session, once there is one */
    struct iscsi_login_identity identity;
    struct list all; /* struct iscsi_lun, connected or about to be */
    /* Of whoever opens the volumes. open() is called on the LU's thread and ends in
     * lun->request.done(). The rest on the session's: opened() when a LUN is connected, or is not
     * and let_go() follows; connected() before the session begins; let_go() when a LUN has gone;
     * freed() when all have. */
    void (*open)(struct iscsi_lun *lun);
    void (*opened)(struct iscsi_lun *lun);
    void (*connected)(struct iscsi_luns *luns);
    void (*let_go)(struct iscsi_lun *lun);
    void (*freed)(struct iscsi_luns *luns);
    void *context;

    /* private to lun.c */
    unsigned n_pending;
    void (*released)(void *context);
    void *released_context;
    struct iscsi_lun *by_number[ISCSI_LUNS]; /* those that are connected */
    struct iscsi_lun_list *list;             /* the one of now; behind it the older ones */
};

/* For a session on `thread`. Fill in the callbacks. NULL: no memory. */
struct iscsi_luns *iscsi_luns_new(struct io_thread *thread);
/* Adds a LUN that is not connected yet; its number is not in use. NULL: no memory. */
struct iscsi_lun *iscsi_luns_add(struct iscsi_luns *luns, unsigned number, struct io_thread *thread,
                                 uint64_t volume_id, const void *volume);
/* Opens and connects what was added; luns->connected() is called, at once or later. A LUN that
 * cannot be connected is left out. */
void iscsi_luns_connect(struct iscsi_luns *luns);
/* The session begins, with these LUNs beside its own; on its thread. -ENOMEM. */
int iscsi_luns_begin(struct iscsi_luns *luns, struct iscsi_session *session) MUST_CHECK;
/* Opens and connects a LUN that was added, for the session that has begun, whose initiator is told;
 * luns->opened() is called later. */
void iscsi_luns_attach(struct iscsi_lun *lun);
/* Disconnects them, frees all, and calls released(context), at once or later. No task may be left.
 */
void iscsi_luns_release(struct iscsi_luns *luns, void (*released)(void *context), void *context);

/* Their session is lost, or logs out: what their nexuses had reserved is free. luns may be NULL. */
void iscsi_luns_lose(struct iscsi_luns *luns);
/* The initiator is told this list of LUNs, by REPORT LUNS. On the session's thread. */
void iscsi_luns_reported(struct iscsi_session *session, const struct scsi_target *list);

/* LUN as on the wire to its number; -1: not of the single-level formats (SAM-5 4.7: peripheral
 * device and flat space addressing). */
int iscsi_lun_number(uint64_t wire);
/* NULL: there is no such LUN. luns may be NULL. */
struct iscsi_lun *iscsi_luns_find(struct iscsi_luns *luns, int number);

/* --- on the LU's thread --- */

/* For PREEMPT AND ABORT: of lun->nexus. In task_management.c. */
extern const struct scsi_nexus_operations iscsi_lun_nexus_operations;

/* Ends the session that it belongs to. */
void iscsi_lun_evict(struct iscsi_lun *lun, const char *reason);
/* Cancels the tasks that the session has under way on it and that are marked as cleared: not those
 * that are still on their way here. */
void iscsi_lun_clear(struct iscsi_lun *lun);
