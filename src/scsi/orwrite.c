/*
 * ORWRITE(16) (SBC-3 5.12): what is sent is or'ed to the medium.
 *
 * Burst by burst: nobody else writes to the bytes of one from its read until its write is done.
 */
#include "scsi/command.h"

static void or_to_medium(struct scsi_burst *burst)
{
    const uint8_t *data = burst->buffer->data;
    uint8_t *medium = burst->beside->data;
    for (uint32_t i = 0; i < burst->length; i++)
        medium[i] |= data[i];
}

/* Reads and writes back; the request that writes is the one that has read. */
static bool read_or_and_write(struct scsi_burst *burst)
{
    struct scsi_task *task = burst->task;
    if (!burst->beside)
        return scsi_read_beside(burst, task->position + burst->offset, burst->length);
    if (burst->request.operation == BLOCK_WRITE)
        return false;
    or_to_medium(burst);
    burst->request.operation = BLOCK_WRITE;
    burst->request.flags = task->cdb[1] & 0x08 ? BLOCK_FUA : 0;
    return true;
}

static void orwrite_burst(struct scsi_task *task, struct scsi_burst *burst)
{
    scsi_device_steps_alone(burst, task->position + burst->offset, burst->length,
                            read_or_and_write);
}

void scsi_orwrite(struct scsi_task *task)
{
    struct scsi_range range;
    uint64_t size = task->nexus->lu->block_size;
    if (scsi_get_range(task, &range))
        scsi_transfer_blocks(task, range.lba * size, range.count * size, orwrite_burst);
}
