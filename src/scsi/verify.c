/*
 * VERIFY and WRITE AND VERIFY (SBC-3 5.23, 5.41).
 *
 * What is compared is read into a buffer of its own beside the initiator's data, burst by burst;
 * one block that stands for all (BYTCHK 11b) is compared with as much as a buffer holds at a time.
 *
 * INFORMATION is the offset of the first difference in what was sent. The disk may be through with
 * the later one of two bursts first: what differs there is told only when the earlier one is done.
 */
#include "scsi/command.h"

#define NO_DIFFERENCE UINT32_MAX /* data never reaches that far */

enum byte_check { CHECK_MEDIUM = 0, CHECK_ALL = 1, CHECK_SAME = 3 };

static enum byte_check byte_check(const struct scsi_task *task)
{
    return task->cdb[1] >> 1 & 0x03;
}

/* Is a burst other than this one under way, with data from before the difference? */
static bool may_differ_earlier(const struct scsi_burst *burst)
{
    const struct scsi_task *task = burst->task;
    for (size_t i = 0; i < SCSI_BURSTS; i++) {
        const struct scsi_burst *other = &task->bursts[i];
        if (other != burst && other->state != BURST_IDLE && other->offset < task->differs_at)
            return true;
    }
    return false;
}

/* No further bursts are begun once there is a difference. */
static bool compare(struct scsi_burst *burst, const uint8_t *theirs, const uint8_t *ours,
                    uint32_t length)
{
    struct scsi_task *task = burst->task;
    bool same = memcmp(theirs, ours, length) == 0;
    if (!same) {
        uint32_t at = burst->offset + scsi_first_difference(theirs, ours);
        task->differs_at = MIN(task->differs_at, at);
        task->length = task->begun;
    }
    if (task->differs_at != NO_DIFFERENCE && !may_differ_earlier(burst))
        scsi_task_check_at(task, SENSE_MISCOMPARE, task->differs_at);
    return same;
}

/* Every byte that was sent with the one in its place. */
static bool compare_all(struct scsi_burst *burst)
{
    if (!burst->beside)
        return scsi_read_beside(burst, burst->task->position + burst->offset, burst->length);
    compare(burst, burst->buffer->data, burst->beside->data, burst->length);
    return false;
}

static bool compare_blocks(struct scsi_burst *burst)
{
    bool same = true;
    for (uint64_t at = 0; at < burst->request.length && same; at += burst->length)
        same = compare(burst, burst->buffer->data, burst->beside->data + at, burst->length);
    return same;
}

/* The one block that was sent with each block of the range. */
static bool compare_same(struct scsi_burst *burst)
{
    struct scsi_task *task = burst->task;
    if (burst->length < task->nexus->lu->block_size) {
        scsi_task_check(task, SENSE_INVALID_FIELD_IN_CDB); /* not even a block came */
        return false;
    }
    if ((burst->beside && !compare_blocks(burst)) || task->left == 0)
        return false;
    uint64_t position = task->position;
    uint32_t length = (uint32_t)MIN(task->left, BUFFER_MAX_SIZE);
    task->position += length;
    task->left -= length;
    return scsi_read_beside(burst, position, length);
}

static void compare_all_of(struct scsi_task *task, struct scsi_burst *burst)
{
    scsi_device_steps(burst, compare_all);
}

static void compare_same_of(struct scsi_task *task, struct scsi_burst *burst)
{
    scsi_device_steps(burst, compare_same);
}

void scsi_verify(struct scsi_task *task)
{
    struct scsi_range range;
    uint32_t size = task->nexus->lu->block_size;
    if (!scsi_get_range(task, &range))
        return;
    task->position = range.lba * size;
    task->left = (uint64_t)range.count * size;
    task->differs_at = NO_DIFFERENCE;
    switch (byte_check(task)) {
    case CHECK_MEDIUM: /* a file's blocks read or not: to read them now tells nothing for later */
        scsi_task_good(task);
        break;
    case CHECK_ALL:
        scsi_transfer_out(task, task->left, compare_all_of);
        break;
    case CHECK_SAME:
        scsi_transfer_out(task, range.count > 0 ? size : 0, compare_same_of);
        break;
    default:
        scsi_task_check(task, SENSE_INVALID_FIELD_IN_CDB);
        break;
    }
}

/* On the medium, that is durable: a cache that forgets proves nothing. */
static bool write_and_compare(struct scsi_burst *burst)
{
    struct scsi_task *task = burst->task;
    bool written = burst->request.operation == BLOCK_WRITE;
    if (written || burst->beside)
        return byte_check(task) == CHECK_ALL && compare_all(burst);
    burst->request.operation = BLOCK_WRITE;
    burst->request.flags = BLOCK_FUA;
    burst->request.offset = task->position + burst->offset;
    burst->request.length = burst->length;
    burst->request.data = burst->buffer->data;
    return true;
}

/* What others wrote meanwhile would look like a fault of the medium. */
static void write_and_compare_of(struct scsi_task *task, struct scsi_burst *burst)
{
    if (byte_check(task) == CHECK_ALL)
        scsi_device_steps_alone(burst, task->position + burst->offset, burst->length,
                                write_and_compare);
    else
        scsi_device_steps(burst, write_and_compare);
}

void scsi_write_and_verify(struct scsi_task *task)
{
    struct scsi_range range;
    uint32_t size = task->nexus->lu->block_size;
    if (!scsi_get_range(task, &range))
        return;
    if (byte_check(task) != CHECK_MEDIUM && byte_check(task) != CHECK_ALL) {
        scsi_task_check(task, SENSE_INVALID_FIELD_IN_CDB);
        return;
    }
    task->position = range.lba * size;
    task->differs_at = NO_DIFFERENCE;
    scsi_transfer_out(task, (uint64_t)range.count * size, write_and_compare_of);
}
