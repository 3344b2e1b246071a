/*
 * The gate between the commands of an LU and its device: while it is shut, what they want of the
 * device waits, and when nothing is under way the device can be exchanged for another one. Nobody
 * notices but for the pause.
 *
 * On the LU's thread.
 */
#pragma once

#include "block/block.h"

struct scsi_lu;

struct scsi_lu_gate {
    unsigned under_way; /* requests that the device has */
    bool shut;
    struct list waiting; /* struct block_request */
    void (*drained)(struct scsi_lu *lu, void *context);
    void *context;
};

void scsi_lu_gate_init(struct scsi_lu_gate *gate);
/* Every request goes to the device by this; may be done before it returns. */
void scsi_lu_submit(struct scsi_lu *lu, struct block_request *request);
/* The same of a read, see block_view(). It is not under way afterwards. */
bool scsi_lu_view(struct scsi_lu *lu, uint64_t offset, uint64_t length,
                  struct block_view *ret_view);
/* First thing in done() of each. */
void scsi_lu_request_ended(struct scsi_lu *lu);

/* Shuts the gate; drained() is called, at once or later, when the device has nothing to do. */
void scsi_lu_shut_gate(struct scsi_lu *lu, void (*drained)(struct scsi_lu *lu, void *context),
                       void *context);
/* Takes over the new device and gives the old one back. Drained only. Whoever is connected is told
 * if the number of blocks is another one. */
struct block_device *scsi_lu_exchange_device(struct scsi_lu *lu, struct block_device *device);
void scsi_lu_open_gate(struct scsi_lu *lu);
