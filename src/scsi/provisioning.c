/*
 * UNMAP, WRITE SAME and GET LBA STATUS (SBC-4 5.35, 5.50, 5.6): giving space back, filling ranges,
 * and telling which blocks have space of their own.
 *
 * What zeroes is carried out in steps: what is with the kernel cannot be called back, so an abort
 * waits for one step, not for the whole command.
 */
#include "scsi/command.h"

#define UNMAP_HEADER_SIZE     8
#define UNMAP_DESCRIPTOR_SIZE 16

#define ZERO_STEP (64 * MIB)

/* The next step of the zeroing of task->left bytes at task->position. */
static bool zero_next(struct scsi_burst *burst)
{
    struct scsi_task *task = burst->task;
    burst->request.operation = BLOCK_WRITE_ZEROES;
    burst->request.offset = task->position;
    burst->request.length = MIN(task->left, ZERO_STEP);
    task->position += burst->request.length;
    task->left -= burst->request.length;
    return burst->request.length > 0;
}

/* Goes on with a descriptor, or to the next one, at task->cursor. */
static bool unmap_next(struct scsi_burst *burst)
{
    struct scsi_task *task = burst->task;
    uint64_t size = task->nexus->lu->block_size;
    while (task->left == 0 && task->cursor + UNMAP_DESCRIPTOR_SIZE <= burst->length) {
        struct wire_reader r =
            wire_reader_of(burst->buffer->data + task->cursor, UNMAP_DESCRIPTOR_SIZE);
        task->position = wire_get_be64(&r) * size;
        task->left = wire_get_be32(&r) * size;
        task->cursor += UNMAP_DESCRIPTOR_SIZE;
    }
    return zero_next(burst);
}

/* All descriptors are looked at before the first is carried out. *ret_end: where they end. */
static enum scsi_sense check_descriptors(const struct scsi_lu *lu, const struct scsi_burst *burst,
                                         uint32_t *ret_end)
{
    struct wire_reader r = wire_reader_of(burst->buffer->data, burst->length);
    uint32_t data_length = wire_get_be16(&r);
    uint32_t descriptors_length = wire_get_be16(&r);
    wire_skip(&r, 4);
    if (!wire_reader_ok(&r))
        return SENSE_PARAMETER_LIST_LENGTH;
    if (data_length + 2 > burst->length || descriptors_length > wire_reader_left(&r))
        return SENSE_INVALID_FIELD_IN_PARAMETERS;
    unsigned n = descriptors_length / UNMAP_DESCRIPTOR_SIZE;
    uint64_t total = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t lba = wire_get_be64(&r);
        uint32_t count = wire_get_be32(&r);
        wire_skip(&r, 4);
        if (!scsi_in_bounds(lu, lba, count))
            return SENSE_LBA_OUT_OF_RANGE;
        total += count;
    }
    if (n > SCSI_MAX_UNMAP_DESCRIPTORS || total > SCSI_MAX_ZERO_BYTES / lu->block_size)
        return SENSE_INVALID_FIELD_IN_PARAMETERS;
    *ret_end = UNMAP_HEADER_SIZE + descriptors_length;
    return SENSE_NONE;
}

static void unmap_parameters(struct scsi_task *task, struct scsi_burst *burst)
{
    uint32_t end;
    enum scsi_sense sense = check_descriptors(task->nexus->lu, burst, &end);
    if (sense) {
        scsi_task_check(task, sense);
        scsi_burst_finish(burst);
        return;
    }
    burst->length = end;
    task->cursor = UNMAP_HEADER_SIZE;
    scsi_device_steps(burst, unmap_next);
}

void scsi_unmap(struct scsi_task *task)
{
    struct wire_reader cdb = wire_reader_of(task->cdb + 7, 2);
    uint16_t length = wire_get_be16(&cdb);
    if (task->cdb[1] & 0x01) /* ANCHOR */
        scsi_task_check(task, SENSE_INVALID_FIELD_IN_CDB);
    else if (length > 0 && length < UNMAP_HEADER_SIZE)
        scsi_task_check(task, SENSE_PARAMETER_LIST_LENGTH);
    else
        scsi_transfer_out(task, length, unmap_parameters);
}

/* Sets task->position and left, in bytes. 0 blocks, which could mean "to the end", are refused
 * (WSNZ): the end is further away than one command may reach on all but the smallest volumes. */
static enum scsi_sense check_same(struct scsi_task *task)
{
    const struct scsi_lu *lu = task->nexus->lu;
    struct scsi_range range = scsi_cdb_range(task->cdb);
    if (!scsi_in_bounds(lu, range.lba, range.count))
        return SENSE_LBA_OUT_OF_RANGE;
    if (range.count == 0 || range.count > SCSI_MAX_ZERO_BYTES / lu->block_size)
        return SENSE_INVALID_FIELD_IN_CDB;
    task->position = range.lba * lu->block_size;
    task->left = (uint64_t)range.count * lu->block_size;
    return SENSE_NONE;
}

/* Writes a buffer full of copies at task->position, and moves that on. */
static bool repeat_block(struct scsi_burst *burst)
{
    struct scsi_task *task = burst->task;
    burst->request.operation = BLOCK_WRITE;
    burst->request.offset = task->position;
    burst->request.length = MIN(task->left, BUFFER_MAX_SIZE);
    burst->request.data = burst->buffer->data;
    task->position += burst->request.length;
    task->left -= burst->request.length;
    return burst->request.length > 0;
}

static bool fill_with_copies(struct scsi_burst *burst, uint32_t block_size)
{
    struct buffer_pool *pool = burst->task->thread->buffers;
    struct buffer *copies = buffer_get(pool, BUFFER_MAX_SIZE);
    if (!copies)
        return false;
    for (size_t at = 0; at < BUFFER_MAX_SIZE; at += block_size)
        memcpy(copies->data + at, burst->buffer->data, block_size);
    buffer_unref(pool, burst->buffer);
    burst->buffer = copies;
    return true;
}

static bool is_zero(const uint8_t *data, size_t size)
{
    return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

static void same_block(struct scsi_task *task, struct scsi_burst *burst)
{
    uint32_t block_size = task->nexus->lu->block_size;
    if (is_zero(burst->buffer->data, block_size)) {
        scsi_device_steps(burst, zero_next);
    } else if (fill_with_copies(burst, block_size)) {
        scsi_device_steps(burst, repeat_block);
    } else {
        scsi_task_check(task, SENSE_INTERNAL_FAILURE);
        scsi_burst_finish(burst);
    }
}

void scsi_write_same(struct scsi_task *task)
{
    uint32_t block_size = task->nexus->lu->block_size;
    bool no_data = task->cdb[0] == SCSI_WRITE_SAME_16 && task->cdb[1] & 0x01; /* NDOB */
    bool anchor = task->cdb[1] & 0x10;
    bool unmap = task->cdb[1] & 0x08;
    bool protect = task->cdb[1] >> 5;
    enum scsi_sense sense = anchor || protect ? SENSE_INVALID_FIELD_IN_CDB : check_same(task);
    if (!sense && !no_data && task->expected_out != block_size)
        sense = SENSE_INVALID_FIELD_IN_CDB; /* one block of data, neither more nor less */
    if (unmap && task->nexus->lu->thick)
        scsi_task_check_field(task, 1);
    else if (sense)
        scsi_task_check(task, sense);
    else if (no_data)
        scsi_device_steps(scsi_device_burst(task), zero_next);
    else
        scsi_transfer_out(task, block_size, same_block);
}

/* --- GET LBA STATUS --- */

#define LBA_STATUS_HEADER_SIZE     8
#define LBA_STATUS_DESCRIPTOR_SIZE 16
/* Finding an extent may read metadata from the disk, and everybody on this thread waits for it. An
 * initiator asks again from where the answer ends (SBC-4 5.6.1). */
#define LBA_STATUS_MAX_DESCRIPTORS 2
#define LBA_STATUS_MAX_LOOKUPS     16

#define RTP 0x01 /* of the header: the report type was heeded */

enum { LBA_MAPPED = 0, LBA_DEALLOCATED = 1 };

enum report_type {
    REPORT_ALL_LBAS = 0x00,
    REPORT_NOT_MAPPED = 0x01, /* deallocated or anchored */
    REPORT_MAPPED = 0x02,
    REPORT_DEALLOCATED = 0x03,
    REPORT_ANCHORED = 0x04,          /* there are none */
    REPORT_UNRECOVERED_ERROR = 0x10, /* none is known of before it is read */
};

struct extent {
    uint64_t lba;
    uint32_t count;
    bool allocated;
};

/* The file below may have smaller blocks: one of ours is a hole only if all of it is. */
static struct extent extent_at(const struct scsi_lu *lu, uint64_t lba)
{
    uint64_t size = lu->block_size, left = lu->n_blocks - lba, bytes;
    bool allocated = lu->device->operations->is_allocated(lu->device, lba * size, &bytes);
    allocated |= bytes < size;
    uint64_t blocks = allocated ? (bytes + size - 1) / size : bytes / size;
    return (struct extent){lba, (uint32_t)MIN(blocks, MIN(left, UINT32_MAX)), allocated};
}

static void put_extent(struct wire_writer *w, const struct extent *extent)
{
    wire_put_be64(w, extent->lba);
    wire_put_be32(w, extent->count);
    wire_put_u8(w, extent->allocated ? LBA_MAPPED : LBA_DEALLOCATED);
    wire_put_zeros(w, 3);
}

static bool is_reported(enum report_type type, const struct extent *extent)
{
    switch (type) {
    case REPORT_ALL_LBAS:
        return true;
    case REPORT_NOT_MAPPED:
    case REPORT_DEALLOCATED:
        return !extent->allocated;
    case REPORT_MAPPED:
        return extent->allocated;
    default:
        return false;
    }
}

/* Lists the extents of this type from lba on, into at least one descriptor and as many as fit into
 * room bytes. False: it would take too long to find one. */
static bool list_extents(const struct scsi_lu *lu, uint64_t lba, enum report_type type,
                         uint32_t room, struct wire_writer *w)
{
    unsigned lookups = 0;
    do {
        struct extent extent = extent_at(lu, lba);
        if (is_reported(type, &extent))
            put_extent(w, &extent);
        lba += extent.count;
    } while (lba < lu->n_blocks && wire_writer_left(w) > 0 && wire_writer_used(w) < room &&
             ++lookups < LBA_STATUS_MAX_LOOKUPS);
    return lba == lu->n_blocks || wire_writer_used(w) > 0;
}

static void report_status(struct scsi_task *task, uint64_t lba, enum report_type type,
                          uint32_t allocation_length)
{
    const struct scsi_lu *lu = task->nexus->lu;
    uint8_t extents[LBA_STATUS_MAX_DESCRIPTORS * LBA_STATUS_DESCRIPTOR_SIZE];
    struct wire_writer list = wire_writer_of(extents, sizeof(extents)), w;
    uint32_t room =
        allocation_length > LBA_STATUS_HEADER_SIZE ? allocation_length - LBA_STATUS_HEADER_SIZE : 0;
    bool nowhere = type == REPORT_ANCHORED || type == REPORT_UNRECOVERED_ERROR;
    if (!nowhere && !list_extents(lu, lba, type, room, &list)) {
        type = REPORT_ALL_LBAS; /* what SBC-4 has RTP for: it is told of them all instead */
        (void)list_extents(lu, lba, type, room, &list);
    }
    if (!scsi_reply_begin(task, LBA_STATUS_HEADER_SIZE + sizeof(extents), &w))
        return;
    wire_put_be32(&w, (uint32_t)wire_writer_used(&list) + 4);
    wire_put_be32(&w, type == REPORT_ALL_LBAS ? 0 : RTP);
    wire_put_bytes(&w, extents, wire_writer_used(&list));
    scsi_reply_end(task, &w, allocation_length);
}

void scsi_get_lba_status(struct scsi_task *task)
{
    struct wire_reader cdb = wire_reader_of(task->cdb + 2, 13);
    uint64_t lba = wire_get_be64(&cdb);
    uint32_t allocation_length = wire_get_be32(&cdb);
    enum report_type type = wire_get_u8(&cdb);
    if (type > REPORT_ANCHORED && type != REPORT_UNRECOVERED_ERROR)
        scsi_task_check_field(task, 14);
    else if (lba >= task->nexus->lu->n_blocks)
        scsi_task_check(task, SENSE_LBA_OUT_OF_RANGE);
    else
        report_status(task, lba, type, allocation_length);
}
