/*
 * COMPARE AND WRITE (SBC-3 5.3): what clusters lock with.
 *
 * The data is what the medium must hold, followed by as much to be written in its place. All of it
 * comes in one burst, and nobody else writes there from the read until the write is done.
 */
#include "scsi/command.h"

/* INFORMATION is where the first byte is that differs (SBC-3 5.3). */
static bool compare(struct scsi_burst *burst, uint32_t length)
{
    const uint8_t *theirs = burst->buffer->data, *ours = burst->beside->data;
    bool same = memcmp(theirs, ours, length) == 0;
    if (!same)
        scsi_task_check_at(burst->task, SENSE_MISCOMPARE, scsi_first_difference(theirs, ours));
    return same;
}

/* Reads, compares and writes; the request that writes is the one that has read. */
static bool compare_and_write(struct scsi_burst *burst)
{
    struct scsi_task *task = burst->task;
    uint32_t length = burst->length / 2;
    if (!burst->beside)
        return scsi_read_beside(burst, task->position, length);
    if (burst->request.operation == BLOCK_WRITE || !compare(burst, length))
        return false;
    burst->request.operation = BLOCK_WRITE;
    burst->request.flags = task->cdb[1] & 0x08 ? BLOCK_FUA : 0;
    burst->request.data = burst->buffer->data + length;
    return true;
}

static void compare_and_write_of(struct scsi_task *task, struct scsi_burst *burst)
{
    scsi_device_steps_alone(burst, task->position, burst->length / 2, compare_and_write);
}

/* *ret_range: the blocks that are compared, and then written. */
static enum scsi_sense check(const struct scsi_task *task, struct scsi_range *ret_range)
{
    const struct scsi_lu *lu = task->nexus->lu;
    struct wire_reader cdb = wire_reader_of(task->cdb + 2, SCSI_CDB_SIZE - 2);
    struct scsi_range range = {.lba = wire_get_be64(&cdb)};
    wire_skip(&cdb, 3);
    range.count = wire_get_u8(&cdb);
    bool protect = task->cdb[1] >> 5;
    if (protect || range.count > scsi_max_compare_blocks(lu))
        return SENSE_INVALID_FIELD_IN_CDB;
    if (!scsi_in_bounds(lu, range.lba, range.count))
        return SENSE_LBA_OUT_OF_RANGE;
    if (task->expected_out != 2 * range.count * lu->block_size)
        return SENSE_INVALID_FIELD_IN_CDB; /* exactly as much, also for no blocks */
    *ret_range = range;
    return SENSE_NONE;
}

void scsi_compare_and_write(struct scsi_task *task)
{
    struct scsi_range range;
    uint64_t size = task->nexus->lu->block_size;
    enum scsi_sense sense = check(task, &range);
    if (sense) {
        scsi_task_check(task, sense);
        return;
    }
    task->position = range.lba * size;
    scsi_transfer_out(task, 2 * range.count * size, compare_and_write_of);
}
