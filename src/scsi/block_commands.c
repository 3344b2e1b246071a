/* Commands that read, write and describe the blocks of an LU (SBC-4). */
#include "scsi/command.h"

/* Protection information is not supported: RDPROTECT, WRPROTECT and VRPROTECT must be zero. */
static bool asks_for_protection(const struct scsi_task *task)
{
    return scsi_cdb_size(task->cdb[0]) != 6 && task->cdb[1] >> 5;
}

bool scsi_get_range(struct scsi_task *task, struct scsi_range *ret_range)
{
    struct scsi_range range = scsi_cdb_range(task->cdb);
    if (asks_for_protection(task)) {
        scsi_task_check(task, SENSE_INVALID_FIELD_IN_CDB);
        return false;
    }
    if (!scsi_in_bounds(task->nexus->lu, range.lba, range.count)) {
        scsi_task_check(task, SENSE_LBA_OUT_OF_RANGE);
        return false;
    }
    *ret_range = range;
    return true;
}

void scsi_read(struct scsi_task *task)
{
    struct scsi_range range;
    uint64_t size = task->nexus->lu->block_size;
    if (scsi_get_range(task, &range))
        scsi_transfer_read(task, range.lba * size, range.count * size);
}

void scsi_write(struct scsi_task *task)
{
    struct scsi_range range;
    uint64_t size = task->nexus->lu->block_size;
    if (scsi_get_range(task, &range))
        scsi_transfer_write(task, range.lba * size, range.count * size);
}

/* The whole device, whatever range is asked for; with IMMED, too: the answer then comes late,
 * which is allowed, but never before the data is durable. */
void scsi_synchronize_cache(struct scsi_task *task)
{
    struct scsi_range range = scsi_cdb_range(task->cdb);
    if (!scsi_in_bounds(task->nexus->lu, range.lba, range.count)) {
        scsi_task_check(task, SENSE_LBA_OUT_OF_RANGE);
        return;
    }
    struct scsi_burst *burst = scsi_device_burst(task);
    burst->request.operation = BLOCK_FLUSH;
    scsi_device_submit(burst);
}

/* A hint that is not taken: what is cached, and for how long, is for the kernel to say. GOOD says
 * that not all of the range came into a cache, CONDITION MET would say that it did (SBC-3). 0
 * blocks mean "to the end". */
void scsi_pre_fetch(struct scsi_task *task)
{
    struct scsi_range range = scsi_cdb_range(task->cdb);
    if (scsi_in_bounds(task->nexus->lu, range.lba, range.count))
        scsi_task_good(task);
    else
        scsi_task_check(task, SENSE_LBA_OUT_OF_RANGE);
}

void scsi_test_unit_ready(struct scsi_task *task)
{
    scsi_task_good(task);
}

/* The default self-test looks whether the device has failed. There are no other self-tests and no
 * diagnostic pages (SPC-4). */
void scsi_send_diagnostic(struct scsi_task *task)
{
    bool self_test = task->cdb[1] & 0x04;
    uint8_t self_test_code = task->cdb[1] >> 5;
    bool has_parameters = task->cdb[3] | task->cdb[4];
    if (self_test_code || has_parameters)
        scsi_task_check(task, SENSE_INVALID_FIELD_IN_CDB);
    else if (self_test && task->nexus->lu->device->failed)
        scsi_task_check(task, SENSE_SELF_TEST_FAILED);
    else
        scsi_task_good(task);
}

void scsi_read_capacity_10(struct scsi_task *task)
{
    const struct scsi_lu *lu = task->nexus->lu;
    struct wire_writer w;
    if (!(task->cdb[8] & 0x01) && (task->cdb[2] | task->cdb[3] | task->cdb[4] | task->cdb[5])) {
        scsi_task_check(task, SENSE_INVALID_FIELD_IN_CDB); /* an LBA without PMI */
        return;
    }
    if (!scsi_reply_begin(task, 8, &w))
        return;
    wire_put_be32(&w, (uint32_t)MIN(lu->n_blocks - 1, UINT32_MAX));
    wire_put_be32(&w, lu->block_size);
    scsi_reply_end(task, &w, 8);
}

void scsi_read_capacity_16(struct scsi_task *task)
{
    const struct scsi_lu *lu = task->nexus->lu;
    struct wire_reader cdb = wire_reader_of(task->cdb + 10, 4);
    struct wire_writer w;
    if (!scsi_reply_begin(task, 32, &w))
        return;
    wire_put_be64(&w, lu->n_blocks - 1);
    wire_put_be32(&w, lu->block_size);
    wire_put_u8(&w, 0);                                /* no protection information */
    wire_put_u8(&w, lu->block_size == 512 ? 0x03 : 0); /* 2^3 logical blocks per physical one */
    wire_put_be16(&w, lu->thick ? 0 : 0xc000);         /* LBPME, LBPRZ: thin, holes read as zero */
    wire_put_zeros(&w, 16);
    scsi_reply_end(task, &w, wire_get_be32(&cdb));
}

#define LAST_DEFECT_FORMAT 0x05 /* 6 is a vendor's own, 7 is reserved */

/* The list is empty in every format, from any descriptor on. options: REQ_PLIST, REQ_GLIST and
 * DEFECT LIST FORMAT; the answer says PLISTV, GLISTV and the format in the same bits. */
static void read_defect_data(struct scsi_task *task, uint8_t options, uint32_t header_size,
                             uint32_t allocation_length)
{
    struct wire_writer w;
    if ((options & 0x07) > LAST_DEFECT_FORMAT) {
        scsi_task_check(task, SENSE_INVALID_FIELD_IN_CDB);
        return;
    }
    if (!scsi_reply_begin(task, header_size, &w))
        return;
    wire_put_u8(&w, 0);
    wire_put_u8(&w, options & 0x1f);
    wire_put_zeros(&w, header_size - 2);
    scsi_reply_end(task, &w, allocation_length);
}

void scsi_read_defect_data_10(struct scsi_task *task)
{
    struct wire_reader r = wire_reader_of(task->cdb + 7, 2);
    read_defect_data(task, task->cdb[2], 4, wire_get_be16(&r));
}

void scsi_read_defect_data_12(struct scsi_task *task)
{
    struct wire_reader r = wire_reader_of(task->cdb + 6, 4);
    read_defect_data(task, task->cdb[1], 8, wire_get_be32(&r));
}
