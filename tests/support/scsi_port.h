/*
 * A SCSI initiator for tests that talks to a logical unit on a memdisk directly: it is the
 * transport of scsi/task.h, without any protocol. One task at a time.
 *
 * What the contract of scsi/task.h promises to a transport is asserted here for every task: bursts
 * in order, without gaps, two at most, never more than the initiator expects; complete() once,
 * when nothing is under way any more; and the task is freed there, so that the address sanitizer
 * sees who still touches it.
 */
#pragma once

#include "fake_thread.h"
#include "memdisk.h"
#include "scsi/task.h"

#define SCSI_PORT_ROOM ((size_t)4 * MIB)

struct scsi_port {
    struct io_thread *thread;
    struct buffer_share share;
    struct memdisk *disk;
    struct scsi_lu *lu;
    struct scsi_nexus nexus;
    struct scsi_target_lun lun0;
    struct scsi_target target;
    struct scsi_nexus *speaker; /* whose commands they are, instead of nexus; or NULL */
    bool no_such_lun;           /* commands go to a LUN that does not exist */
    bool hold;                  /* bursts wait for scsi_port_move() */

    struct scsi_task *task; /* NULL: none is under way */
    const uint8_t *out;     /* what the initiator sends */
    struct scsi_burst *held[SCSI_BURSTS];
    unsigned n_held;
    uint32_t moved; /* bytes of the bursts so far */
    unsigned bursts;
    bool had_last, lost;

    /* of the task that has completed */
    uint8_t *in; /* SCSI_PORT_ROOM bytes, of which `moved` came */
    uint8_t status;
    uint8_t sense_size;
    uint8_t sense[SCSI_SENSE_MAX_SIZE];
    uint64_t data_length;
    bool aborted;
};

struct scsi_port *scsi_port_new(uint64_t disk_size, uint32_t block_size);
void scsi_port_free(struct scsi_port *port);
/* A nexus from port `number` (the port's own is 1) of host<number>. */
void scsi_port_connect(struct scsi_port *port, struct scsi_nexus *nexus, uint8_t number);

/* Starts a task. The initiator sends out[0..out_size) at most, or takes in_size bytes. */
void scsi_port_begin(struct scsi_port *port, const uint8_t cdb[static SCSI_CDB_SIZE],
                     const void *out, uint32_t out_size, uint32_t in_size);
/* Lets the oldest held burst go: it arrives (ok) or the connection is gone. */
void scsi_port_move(struct scsi_port *port, bool ok);
/* Starts a task and carries out all that it asks for, until it completes. */
void scsi_port_run(struct scsi_port *port, const uint8_t cdb[static SCSI_CDB_SIZE], const void *out,
                   uint32_t out_size, uint32_t in_size);
/* Aborts the task under way. */
void scsi_port_abort(struct scsi_port *port);

/* Did the last task end with RESERVATION CONFLICT? */
bool scsi_port_conflict(const struct scsi_port *port);
/* The sense of the last task, in whichever format: key << 16 | ASC << 8 | ASCQ; SENSE_NONE after
 * GOOD. Asserts that status and sense fit together. */
enum scsi_sense scsi_port_sense(const struct scsi_port *port);
