/*
 * A target: its logical units and its sessions. Belongs, with all its sessions and their
 * connections, to one I/O thread.
 */
#pragma once

#include "iscsi/session.h"

struct iscsi_task_management;

struct iscsi_target {
    struct io_thread *thread;
    char name[IQN_MAX_LEN + 1];
    struct scsi_target scsi;
    struct scsi_target_lun lun0;
    /* The volume is for one machine: a login from another address is refused while a session of
     * the first is alive. */
    bool single_writer;
    /* Do both logins come from one machine, through two cards of it? NULL: no, an address is a
     * machine. Asked on the target's thread. */
    bool (*same_machine)(struct iscsi_target *target, const struct iscsi_login_identity *a,
                         const struct iscsi_login_identity *b);
    struct list sessions;
    struct list remotes;   /* struct iscsi_lun: sessions of other targets that have its LUN 0 */
    struct list attaching; /* connections that wait for an old session to end */
    struct list task_management; /* functions that wait for tasks to end */
    struct list clears;          /* functions of other sessions that wait for tasks of its LUN 0 */
    uint16_t last_tsih;
    /* Called at the end of a round in which the last session has gone; may free the target. */
    void (*idle)(struct iscsi_target *target);
    struct io_deferred idle_check;
    void *context; /* of whoever made the target */
};

/* lu becomes LUN 0 and is owned, also on failure. idle: see above, or NULL. NULL: no memory. */
struct iscsi_target *iscsi_target_new(struct io_thread *thread, const char *name,
                                      struct scsi_lu *lu, bool single_writer,
                                      void (*idle)(struct iscsi_target *target));
/* Without sessions. */
void iscsi_target_free(struct iscsi_target *target);
static inline bool iscsi_target_is_idle(const struct iscsi_target *target)
{
    return list_empty(&target->sessions) && list_empty(&target->attaching) &&
           list_empty(&target->remotes);
}
/* Calls idle() at the end of this round, if it is idle then. */
void iscsi_target_check_idle(struct iscsi_target *target);
/* Closes every connection; sessions end as the disk lets go. */
void iscsi_target_close_sessions(struct iscsi_target *target, const char *reason);

/* Makes the session of a connection that is ATTACHING on this thread: at once, or when the session
 * that it replaces has ended (same initiator and ISID: reinstatement, RFC 7143 6.3.5) and (of a
 * single writer) nothing of those that are about to end can land on the medium any more; or refuses
 * it. */
void iscsi_target_attach(struct iscsi_target *target, struct iscsi_conn *conn);
/* Is the volume for one machine, and in use by another one than this? */
bool iscsi_target_has_rival(struct iscsi_target *target,
                            const struct iscsi_login_identity *identity);
/* The same, if also one with the same name that has it as a further LUN is another one when it is
 * not this machine: who is one is found out at LUN 0, which is asked later. */
bool iscsi_target_has_others(struct iscsi_target *target,
                             const struct iscsi_login_identity *identity);
/* For a discovery session, which has no target. */
void iscsi_discovery_attach(struct iscsi_conn *conn);

/* For socket.c: it has waited long enough. Refuses the connection, if it waits. */
bool iscsi_target_stop_waiting(struct iscsi_conn *conn);

/* For session.c: it is gone. */
void iscsi_target_session_ended(struct iscsi_target *target);
/* For command.c: a task is gone, of a session that has LUN 0 of this target as a further one. */
void iscsi_target_lun_task_ended(struct iscsi_target *target);
/* For session.c: a task is gone; functions and logins may have waited for it. */
void iscsi_target_task_ended(struct iscsi_target *target);
