/*
 * The further logical units of a session: LUN 1.. of a node's target, each a volume that is a
 * target of its own, too, and belongs to the I/O thread of that target.
 *
 * What an iscsi_lun holds beside its nexus belongs to the session's thread, or never changes while
 * it is connected. The nexus lives on the LU's thread: connecting and disconnecting are messages,
 * and so is every command (remote.h) unless both threads are the same.
 *
 * Cost: two messages per LUN and login, two per LUN and end of a session.
 */
#pragma once

#include <stdatomic.h>

#include "io/thread.h"
#include "iscsi/login.h"
#include "scsi/lu.h"
#include "scsi/task.h"

struct iscsi_conn;
struct iscsi_luns;
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
    unsigned number;          /* 1..255 */
    struct io_thread *thread; /* that the LU belongs to */
    uint64_t volume_id;       /* of whoever opens it */
    const void *volume;       /* the same; until it is connected */
    bool connected;           /* to be used; else reason tells why not */
    const char *reason;

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

    /* the LU's thread's */
    struct list link; /* in target->remotes */
    struct iscsi_target *target;
    struct scsi_nexus nexus;
    struct buffer_share share; /* of what is read */
    struct list tasks;         /* struct iscsi_remote */
};

struct iscsi_luns {
    struct io_thread *thread; /* of the session */
    struct iscsi_conn *conn;  /* of the session, once there is one */
    struct iscsi_login_identity identity;
    struct scsi_target scsi; /* LUN 0 and what is connected: for REPORT LUNS */
    /* Of whoever opens the volumes. open() is called on the LU's thread and ends in
     * lun->request.done(); freed() on the session's, when nothing is connected any more. */
    void (*open)(struct iscsi_lun *lun);
    void (*connected)(struct iscsi_luns *luns);
    void (*freed)(struct iscsi_luns *luns);
    void *context;

    /* private to lun.c */
    unsigned n_pending;
    void (*released)(void *context);
    void *released_context;
    size_t n;
    struct iscsi_lun *luns;
    struct scsi_target_lun *list;
};

/* For a session on `thread`. Fill in the callbacks, and of luns[0..n) number, thread, volume_id and
 * volume. NULL: no memory. */
struct iscsi_luns *iscsi_luns_new(struct io_thread *thread, size_t n);
/* Opens and connects them; luns->connected() is called, at once or later. A LUN that cannot be
 * connected is left out. */
void iscsi_luns_connect(struct iscsi_luns *luns);
/* The session has begun: LUN 0 is this LU, and this is its nexus. */
void iscsi_luns_set_first(struct iscsi_luns *luns, struct scsi_lu *lu, struct scsi_nexus *nexus);
/* Disconnects them, frees all, and calls released(context), at once or later. No task may be left.
 */
void iscsi_luns_release(struct iscsi_luns *luns, void (*released)(void *context), void *context);

/* Their session is lost, or logs out: what their nexuses had reserved is free. luns may be NULL. */
void iscsi_luns_lose(struct iscsi_luns *luns);

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
