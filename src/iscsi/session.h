/*
 * The full feature phase of a session, pure (RFC 7143 sections 4, 11): commands and their data,
 * task management, NOP, text, logout. One connection per session (MaxConnections=1,
 * ErrorRecoveryLevel=0).
 *
 * session.c receives PDUs and keeps the numbering; command.c carries SCSI tasks (it is the
 * transport of scsi/task.h) and data_out.c their data; task_management.c ends them early;
 * text_request.c answers SendTargets. Everything belongs to the thread of the session's target.
 */
#pragma once

#include "iscsi/conn.h"
#include "iscsi/lun.h"
#include "iscsi/record.h"
#include "iscsi/roster.h"

#define ISCSI_TASK_BUCKETS 16

/* Commands that a session may have under way while buffers are scarce. */
#define ISCSI_QUEUE_DEPTH_SCARCE 8
/* Who has more requests under way than these that no window holds back (immediate ones, and what
 * is rejected), or more tasks, does not read our answers: an initiator has one or two. */
#define ISCSI_MAX_UNNUMBERED     64
#define ISCSI_MAX_IMMEDIATE      32 /* of those, immediate ones; more are rejected */
#define ISCSI_MAX_TASKS          (2 * ISCSI_QUEUE_DEPTH_MAX)

struct iscsi_target;
struct iscsi_task;

struct iscsi_session {
    struct list link;            /* in target->sessions */
    struct iscsi_target *target; /* NULL: a discovery session */
    struct iscsi_conn *conn;
    struct iscsi_login_identity identity;
    struct iscsi_login_traits traits;
    struct iscsi_parameters parameters;
    uint16_t tsih;
    uint32_t exp_cmdsn, max_cmdsn;
    uint32_t granted_cmdsn; /* the MaxCmdSN that was sent last: the one that the initiator knows */
    unsigned n_unnumbered;  /* see ISCSI_MAX_UNNUMBERED; one less with each answer that leaves */
    uint32_t next_ttt;
    struct scsi_target *scsi; /* its LUNs of now; those beside LUN 0 are in conn->luns */
    struct scsi_nexus nexus;  /* to LUN 0 */
    struct buffer_share share;
    struct iscsi_task *buckets[ISCSI_TASK_BUCKETS]; /* by ITT */
    struct list tasks;                              /* oldest first */
    struct list cancelled;                          /* tasks that wait for the disk */
    unsigned n_tasks;                               /* in both */
    unsigned n_open; /* tasks whose status was not queued yet: they fill the window */
    bool ending;
    bool pings;                          /* has sent a NOP-Out: it will answer one of ours */
    unsigned n_away;                     /* task management functions on another thread */
    bool releasing;                      /* conn->luns */
    struct iscsi_text_reply *text_reply; /* of a long answer: what is still to be fetched */
    struct io_timer leave;               /* runs: it is to be gone when it expires; see async.h */
    const char *leave_reason;
    struct iscsi_roster_entry roster;
    struct iscsi_record record;
};

/* Makes the session of a connection that is ATTACHING, connects it to the target (NULL for
 * discovery) and completes the login. -ENOMEM: nothing was done. */
int iscsi_session_start(struct iscsi_conn *conn, struct iscsi_target *target,
                        uint16_t tsih) MUST_CHECK;

/* What a login calls the nexus of a session and an LU. */
struct scsi_nexus_id iscsi_nexus_id(const struct iscsi_login_identity *identity);

/* Its connection is gone: aborts what is under way and frees the session when that has let go;
 * then tells the target and conn->operations->released(). */
void iscsi_session_end(struct iscsi_session *session);

/* ExpCmdSN and MaxCmdSN of a PDU to the initiator; nothing if session is NULL. */
void iscsi_session_put_window(struct iscsi_session *session, uint8_t bhs[static ISCSI_BHS_SIZE]);

/* Does its initiator bear what it has not asked for? Firmware would not, nor does everybody else
 * who never pings. */
bool iscsi_session_bears_messages(const struct iscsi_session *session);
/* Asks the initiator for a sign of life (NOP-In), if it is one that will give it: firmware would
 * not, nor does everybody else who never pings. False: it was not asked. */
bool iscsi_session_ping(struct iscsi_session *session);

/* The connection's calls: this is the last header of what is sent now; an answer has left. */
void iscsi_session_sending(struct iscsi_session *session, const uint8_t bhs[static ISCSI_BHS_SIZE]);
void iscsi_session_answered(struct iscsi_session *session);

/* The connection's calls: a header has come (decide where the data goes); the PDU is complete. */
void iscsi_session_header(struct iscsi_session *session, struct iscsi_input *in);
void iscsi_session_pdu(struct iscsi_session *session, struct iscsi_input *in);
/* Instead: its data digest does not fit its data (RFC 7143 7.7). */
void iscsi_session_damaged_pdu(struct iscsi_session *session, struct iscsi_input *in);

/* Cancels all of its tasks. It stays, even if the last of them is gone at once. */
void iscsi_session_cancel_tasks(struct iscsi_session *session);
/* Cancels those on one LUN, but for `except` (or NULL) of the command set. */
void iscsi_session_cancel_lun(struct iscsi_session *session, int number,
                              const struct scsi_task *except);
/* Cancels those that the thread of this LU, another one, has cleared. */
void iscsi_session_cancel_cleared(struct iscsi_session *session, const struct iscsi_lun *lun);
/* May something of it still land on the medium? */
bool iscsi_session_may_write(const struct iscsi_session *session);

/* Of the tasks that were cancelled, does any still write? */
bool iscsi_session_cancelled_writes(const struct iscsi_session *session);

/* Frees the session if nothing holds it any more. For command.c. */
void iscsi_session_task_ended(struct iscsi_session *session);

/* A tag of ours, for an R2T or a ping. */
uint32_t iscsi_session_new_ttt(struct iscsi_session *session);

/* Reject reasons (RFC 7143 11.17.1). */
enum iscsi_reject {
    ISCSI_REJECT_DATA_DIGEST = 0x02,
    ISCSI_REJECT_SNACK = 0x03,
    ISCSI_REJECT_PROTOCOL = 0x04,
    ISCSI_REJECT_NOT_SUPPORTED = 0x05,
    ISCSI_REJECT_TOO_MANY_IMMEDIATE = 0x06,
    ISCSI_REJECT_INVALID_FIELD = 0x09,
};
/* Sends the header back, with the reason; or, to firmware, ends the connection. */
void iscsi_session_reject(struct iscsi_session *session, const struct iscsi_input *in,
                          enum iscsi_reject reason);

/* --- command.c --- */

void iscsi_command_header(struct iscsi_session *session, struct iscsi_input *in);
void iscsi_command_pdu(struct iscsi_session *session, struct iscsi_input *in);
struct iscsi_task *iscsi_task_find(struct iscsi_session *session, uint32_t itt);
/* Answers a burst that the command set has given out; see scsi_burst_moved(). */
void iscsi_burst_moved(struct scsi_burst *burst, bool ok);
/* Ends a task early without a response. May free it at once. */
void iscsi_task_cancel(struct iscsi_task *task);

/* --- data_out.c --- */

void iscsi_data_out_header(struct iscsi_session *session, struct iscsi_input *in);
void iscsi_data_out_pdu(struct iscsi_session *session, struct iscsi_input *in);
/* The data of this Data-Out is damaged (its digest tells): it costs the command. */
void iscsi_data_out_damaged(struct iscsi_session *session, struct iscsi_input *in);

/* --- task_management.c --- */

void iscsi_task_management_pdu(struct iscsi_session *session, const struct iscsi_input *in);
/* A task is gone: answers those functions that have nothing left to wait for. */
void iscsi_task_management_continue(struct iscsi_target *target);
/* For PREEMPT AND ABORT: of session->nexus. */
extern const struct scsi_nexus_operations iscsi_session_nexus_operations;
/* The session is going: nobody is left to answer to. */
void iscsi_task_management_forget(struct iscsi_session *session);

/* --- text_request.c --- */

void iscsi_text_request_pdu(struct iscsi_session *session, struct iscsi_input *in);
void iscsi_text_reply_free(struct iscsi_text_reply *reply);
