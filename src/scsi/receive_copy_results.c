/* RECEIVE COPY RESULTS: what came of an EXTENDED COPY, and what one may ask for (SPC-4 6.24). */
#include "scsi/command.h"
#include "scsi/copy_list.h"

#define DETAILS_SENSE_AT 60

/* COPY MANAGER STATUS, by the state of a record. */
static const uint8_t manager_status[] = {
    [SCSI_COPY_RUNS] = 0, [SCSI_COPY_ENDED] = 1, [SCSI_COPY_FAILED] = 2};

static uint32_t allocation_length(const struct scsi_task *task)
{
    struct wire_reader r = wire_reader_of(task->cdb + 10, 4);
    return wire_get_be32(&r);
}

/* NULL: there is no such copy, and the task was ended. */
static const struct scsi_copy_record *get_record(struct scsi_task *task)
{
    const struct scsi_copy_record *record =
        scsi_copy_record_find(&task->nexus->copies, task->cdb[2]);
    if (!record)
        scsi_task_check_field(task, 2);
    return record;
}

/* TRANSFER COUNT UNITS: 0 are bytes, and each step is 1024 of the one before. */
static void put_count(struct wire_writer *w, uint64_t bytes)
{
    uint8_t units = 0;
    for (; bytes > UINT32_MAX; bytes /= KIB)
        units++;
    wire_put_u8(w, units);
    wire_put_be32(w, (uint32_t)bytes);
}

void scsi_receive_copy_status(struct scsi_task *task)
{
    const struct scsi_copy_record *record = get_record(task);
    struct wire_writer w;
    if (!record || !scsi_reply_begin(task, 12, &w))
        return;
    wire_put_be32(&w, 8);
    wire_put_u8(&w, manager_status[record->state]); /* HDD is 0: no data is held */
    wire_put_be16(&w, record->segments);
    put_count(&w, record->bytes);
    scsi_reply_end(task, &w, allocation_length(task));
}

/* No segment that there is leaves data for the initiator. */
void scsi_receive_copy_data(struct scsi_task *task)
{
    struct wire_writer w;
    if (!get_record(task) || !scsi_reply_begin(task, 4, &w))
        return;
    wire_put_be32(&w, 0);
    scsi_reply_end(task, &w, allocation_length(task));
}

void scsi_receive_copy_failure(struct scsi_task *task)
{
    const struct scsi_copy_record *record = get_record(task);
    struct wire_writer w;
    if (!record || !scsi_reply_begin(task, DETAILS_SENSE_AT + SCSI_SENSE_MAX_SIZE, &w))
        return;
    if (record->state == SCSI_COPY_FAILED) {
        wire_put_be32(&w, DETAILS_SENSE_AT - 4U + record->sense_size);
        wire_put_zeros(&w, 52);
        wire_put_u8(&w, SCSI_CHECK_CONDITION);
        wire_put_u8(&w, 0);
        wire_put_be16(&w, record->sense_size);
        wire_put_bytes(&w, record->sense, record->sense_size);
    } else {
        wire_put_be32(&w, 0);
    }
    scsi_reply_end(task, &w, allocation_length(task));
}

void scsi_receive_copy_parameters(struct scsi_task *task)
{
    static const uint8_t types[] = {SCSI_COPY_BLOCKS, SCSI_COPY_BYTES, SCSI_COPY_CSCD};
    struct wire_writer w;
    if (!scsi_reply_begin(task, 44 + sizeof(types), &w))
        return;
    wire_put_be32(&w, 40 + sizeof(types));
    wire_put_be32(&w, 0x01000000); /* SNLID: a copy need not have a list identifier */
    wire_put_be16(&w, SCSI_COPY_MAX_CSCDS);
    wire_put_be16(&w, SCSI_COPY_MAX_SEGMENTS);
    wire_put_be32(&w, SCSI_COPY_MAX_LIST);
    wire_put_be32(&w, SCSI_COPY_MAX_SEGMENT_SIZE);
    wire_put_zeros(&w, 12);             /* neither inline nor held data, nor streams */
    wire_put_be32(&w, SCSI_MAX_COPIES); /* two reserved bytes; in all, of a nexus */
    wire_put_u8(&w, SCSI_MAX_COPIES);
    wire_put_zeros(&w, 6); /* granularities: bytes */
    wire_put_u8(&w, sizeof(types));
    wire_put_bytes(&w, types, sizeof(types));
    scsi_reply_end(task, &w, allocation_length(task));
}

/* --- VPD page 8F (SPC-4 7.8.17): descriptors, each of a multiple of four bytes --- */

static void put_commands(struct wire_writer *w)
{
    static const uint8_t commands[] = {SCSI_EXTENDED_COPY,
                                       1,
                                       SCSI_EXTENDED_COPY_LID1,
                                       SCSI_RECEIVE_COPY_RESULTS,
                                       4,
                                       SCSI_COPY_STATUS,
                                       SCSI_COPY_RECEIVE_DATA,
                                       SCSI_COPY_OPERATING_PARAMETERS,
                                       SCSI_COPY_FAILED_SEGMENT_DETAILS};
    wire_put_be16(w, 0x0001);
    wire_put_be16(w, 12);
    wire_put_u8(w, sizeof(commands));
    wire_put_bytes(w, commands, sizeof(commands));
    wire_put_zeros(w, 2);
}

static void put_parameters(struct wire_writer *w)
{
    wire_put_be16(w, 0x0004);
    wire_put_be16(w, 28);
    wire_put_be32(w, 0);
    wire_put_be16(w, SCSI_COPY_MAX_CSCDS);
    wire_put_be16(w, SCSI_COPY_MAX_SEGMENTS);
    wire_put_be32(w, SCSI_COPY_MAX_LIST);
    wire_put_zeros(w, 16); /* no inline data */
}

static void put_descriptors(struct wire_writer *w)
{
    static const uint8_t types[] = {SCSI_COPY_BLOCKS, SCSI_COPY_BYTES, SCSI_COPY_CSCD};
    wire_put_be16(w, 0x0008);
    wire_put_be16(w, 4);
    wire_put_u8(w, sizeof(types));
    wire_put_bytes(w, types, sizeof(types));
}

/* Those that are none of the list. */
static void put_cscd_ids(struct wire_writer *w)
{
    wire_put_be16(w, 0x000c);
    wire_put_be16(w, 4);
    wire_put_be16(w, 2);
    wire_put_be16(w, SCSI_COPY_THIS_LU);
}

static void put_operations(struct wire_writer *w)
{
    wire_put_be16(w, 0x8001);
    wire_put_be16(w, 32);
    wire_put_be32(w, SCSI_MAX_COPIES);
    wire_put_be32(w, SCSI_MAX_COPIES);
    wire_put_be32(w, SCSI_COPY_MAX_SEGMENT_SIZE);
    wire_put_zeros(w, 20); /* granularities: bytes */
}

void scsi_write_third_party_copy(const struct scsi_lu *lu, struct wire_writer *w)
{
    put_commands(w);
    put_parameters(w);
    put_descriptors(w);
    put_cscd_ids(w);
    put_operations(w);
}
