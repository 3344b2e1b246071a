/*
 * A SCSI command on its way through a logical unit, and the contract between the command set and
 * the transport (iSCSI) that carries it.
 *
 * The transport fills in a task and starts it. The command set then asks the transport to move
 * data in bursts, at most two at a time per task, and in the end to deliver the status. Bursts go
 * in ascending order without gaps; each is answered exactly once (scsi_burst_moved), also when the
 * task was aborted. complete() is called exactly once, when no burst and no disk request is left.
 *
 * Any of these calls may happen inside another: the transport must be ready for scsi_task_start()
 * to call complete() before it returns. Or nothing happens for a while: until those commands have
 * ended that must come first (task_set.h).
 */
#pragma once

#include "core/wire.h"
#include "scsi/lu.h"

#define SCSI_CDB_SIZE 16
#define SCSI_BURSTS   2

struct scsi_task;

/* A piece of a task's data. */
struct scsi_burst {
    struct scsi_task *task;
    struct buffer *buffer;  /* data-in: set, or NULL: see view; data-out: the transport sets it */
    struct block_view view; /* data-in without a buffer: the bytes; only if the task takes that */
    struct buffer *beside;  /* the command set's own: what the data is compared with */
    uint32_t offset;        /* in the task's data */
    uint32_t length;        /* 1..BUFFER_MAX_SIZE */
    /* data-in: this is the end of it and GOOD status follows, which may go with the data */
    bool is_last;

    /* private to the command set */
    enum {
        BURST_IDLE,
        BURST_WAITING,
        BURST_HELD_BACK,
        BURST_ON_DISK,
        BURST_READY,
        BURST_MOVING
    } state;
    struct buffer_waiter waiter; /* data-out: the transport's */
    struct block_request request;
    struct scsi_range_claim claim; /* of the bytes that request writes, or all steps do */
    bool (*step)(struct scsi_burst *burst);
    void (*run)(struct scsi_burst *burst); /* see scsi_burst_alone() */
    bool stepping, stepped;                /* see run_steps() in transfer.c */
    /* private to the transport */
    uint32_t received; /* data-out: bytes that are in the buffer */
};

/* Data-in: where its bytes are. */
static inline const uint8_t *scsi_burst_data(const struct scsi_burst *burst)
{
    return burst->buffer ? burst->buffer->data : burst->view.data;
}

struct scsi_transport {
    /* Data-in: bring the bytes (scsi_burst_data()) to the initiator. */
    void (*send)(struct scsi_task *task, struct scsi_burst *burst);
    /* Data-out: get burst->length bytes from the initiator into a buffer of the transport's
     * choice. The command set lets go of that buffer. */
    void (*receive)(struct scsi_task *task, struct scsi_burst *burst);
    /* The end: status, sense and data_length are final. */
    void (*complete)(struct scsi_task *task);
    /* Its initiator is told the LUNs of task->target: on none of them it has to be told any more
     * that they have changed (SPC-4 6.33). Before complete(). NULL: they never change. */
    void (*luns_reported)(struct scsi_task *task);
};

struct scsi_task {
    /* --- set by the transport --- */
    const struct scsi_transport *transport;
    struct scsi_target *target;
    struct scsi_nexus *nexus; /* NULL: there is no such LUN */
    struct io_thread *thread;
    struct buffer_share *share; /* of the session: for its bursts */
    uint8_t cdb[SCSI_CDB_SIZE];
    uint8_t attribute;     /* enum scsi_task_attribute, or what else came */
    uint32_t expected_out; /* bytes that the initiator will send at most */
    uint32_t expected_in;  /* bytes that the initiator will take at most */
    bool takes_views;      /* the transport sends data-in without looking at it: see block_view() */

    /* --- result --- */
    uint64_t data_length; /* bytes that the command would move with unlimited room: for residuals */
    uint8_t status;
    uint8_t sense_size; /* 0: none */
    uint8_t sense[SCSI_SENSE_MAX_SIZE];
    bool aborted; /* the transport gave it up: deliver nothing */
    /* How a failure is to be told: as the LU had it when the task was started. A transport that
     * carries a task to another thread carries this back. */
    bool descriptor_sense;

    /* --- private to the command set --- */
    const struct scsi_command *command;
    struct scsi_task_place place; /* in the LU's task set */
    struct scsi_burst bursts[SCSI_BURSTS];
    uint64_t position;     /* byte on the device where the data begins, or the next step */
    uint64_t left;         /* bytes of the steps to come */
    uint32_t length;       /* bytes to move: data_length, cut to what the initiator expects */
    uint32_t begun;        /* bytes for which bursts were begun */
    uint32_t passed;       /* data-in: bytes handed to the transport */
    bool is_read;          /* the data is data-in */
    bool failed;           /* no more bursts: status tells why */
    bool advancing, again; /* see advance() in transfer.c */
    void (*process)(struct scsi_task *task, struct scsi_burst *burst); /* data-out arrived */
    uint32_t cursor;     /* where a handler stands in its parameter list */
    uint32_t differs_at; /* verify.c: where the data first differs, as far as it was compared */
};

struct scsi_target_lun {
    uint64_t lun; /* as on the wire: 8 bytes, big-endian */
    struct scsi_lu *lu;
    /* Of the initiator; NULL in a target of one LUN: the task's own. Belongs to the LU's thread. */
    struct scsi_nexus *nexus;
};

/* What an initiator sees of a target: what it is called, and what LUNs there are. Never changes: if
 * there are others, tasks that come then have another one. */
struct scsi_target {
    const char *name; /* a SCSI name: of iSCSI, the target's */
    const struct scsi_target_lun *luns;
    size_t n_luns;
};

/* Runs the task; see above for what it calls. */
void scsi_task_start(struct scsi_task *task);
/* The transport's answer to send() or receive(). ok: false if the connection or the task is gone.
 */
void scsi_burst_moved(struct scsi_burst *burst, bool ok);
/* The transport gives up its data, which did not come as it should: no more bursts are begun, and
 * the task ends with this sense (unless it has failed already). The bursts that the transport holds
 * are still to be answered; if it holds none, complete() may follow at once. A task that was never
 * started may be ended this way, too. */
void scsi_task_fail(struct scsi_task *task, enum scsi_sense sense);
/* Does its command change the medium, or the LU? If so, nobody may be told that it is gone before
 * it is. */
bool scsi_task_writes(const struct scsi_task *task);
/* The same, of a CDB that was not started. */
bool scsi_cdb_writes(const uint8_t cdb[static SCSI_CDB_SIZE]);
/* Ends it as early as what is on the disk allows. complete() follows, perhaps at once; the
 * transport answers bursts that it holds by itself. */
void scsi_task_abort(struct scsi_task *task);
