/*
 * Reading from and writing to an LU for a task of another one, on whatever thread either is.
 *
 * An LU belongs to its thread: what is asked of one of another thread goes there and back as a
 * message, embedded here. On the LU's thread a request is treated as the nexus's own READ or WRITE
 * would be: refused by what refuses those, and a write claims its bytes.
 */
#pragma once

#include "core/mailbox.h"
#include "scsi/lu.h"

struct scsi_lu_request {
    /* set by whoever asks */
    struct scsi_lu *lu;
    struct scsi_nexus *nexus;     /* of the initiator, with that LU */
    struct io_thread *thread;     /* that asks, and where done() is called */
    struct block_request request; /* operation (BLOCK_READ, BLOCK_WRITE), offset, length, data */
    /* 0; -EIO, -ENOSPC of the device; -ENOMEDIUM, -EROFS, -EBUSY (it is reserved). Perhaps inside
     * scsi_lu_request_submit(). The nexus must stay connected until then. */
    void (*done)(struct scsi_lu_request *request, int result);

    /* private */
    struct scsi_range_claim claim;
    struct message message;
    int result;
};

void scsi_lu_request_submit(struct scsi_lu_request *request);
