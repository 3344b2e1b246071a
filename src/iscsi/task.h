/* A SCSI command of an iSCSI session, shared by command.c, data_out.c and task_management.c. */
#pragma once

#include "iscsi/session.h"

struct iscsi_remote;

/* Data that was asked for: an R2T that is not fulfilled yet. */
struct iscsi_r2t {
    struct scsi_burst *burst; /* NULL: unused */
    uint32_t ttt;
    uint32_t offset; /* of the next byte to come, in the task's data */
    uint32_t end;
    uint32_t datasn; /* of the next Data-Out */
};

struct iscsi_task {
    struct list link; /* in session->tasks or, once cancelled, in session->cancelled */
    struct iscsi_task *next_in_bucket;
    bool has_tag; /* in the buckets: until the initiator may use the tag again */
    struct iscsi_session *session;
    uint32_t itt;
    uint32_t cmdsn;
    uint64_t began;           /* io_thread_now() */
    uint32_t expected_length; /* EDTL: Expected Data Transfer Length */
    uint64_t lun;
    bool status_sent; /* with the last Data-In */
    bool cancelled;
    uint32_t datasn; /* of the next Data-In */
    uint32_t r2tsn;  /* of the next R2T */

    /* Data-out that comes unasked: immediate data, then Data-Out PDUs up to an F bit. `early` is
     * what comes before the command set has asked for it. */
    struct buffer *early;
    uint32_t early_size;
    uint32_t early_room;         /* for so many bytes, the first burst whole; 0: for early_size */
    uint32_t unsolicited_datasn; /* of the next PDU... */
    uint32_t unsolicited_offset; /* ...and of its data */
    bool unsolicited_open;       /* more is to come */
    enum scsi_sense data_error;  /* what is wrong with its data; SENSE_NONE: nothing */

    struct scsi_burst *wanted[SCSI_BURSTS]; /* bursts to be filled, in order */
    size_t n_wanted;
    struct iscsi_r2t r2ts[SCSI_BURSTS];

    struct iscsi_remote *remote; /* NULL: its LU belongs to this thread */
    struct scsi_task scsi;
};

static inline struct iscsi_task *iscsi_task_of(struct scsi_task *scsi)
{
    return container_of(scsi, struct iscsi_task, scsi);
}

/* May it still change the medium? */
bool iscsi_task_writes(const struct iscsi_task *task);

/* --- data_out.c, for command.c --- */

/* Makes room for what comes unasked: the command set, on another thread, asks later. False: no
 * memory. */
bool iscsi_data_out_expect(struct iscsi_task *task) MUST_CHECK;
/* The command set asks for data: scsi_transport.receive(). */
void iscsi_data_out_receive(struct scsi_task *scsi, struct scsi_burst *burst);
/* Gives back the bursts that wait for data. May free the task. */
void iscsi_data_out_give_up(struct iscsi_task *task);
/* Ends a task with a data_error, but not before the initiator has sent all that it was asked for
 * (RFC 7143 7.7). May free the task. */
void iscsi_data_out_fail_if_all_came(struct iscsi_task *task);
