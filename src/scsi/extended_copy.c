/*
 * EXTENDED COPY (LID1): copies segments between the LUs of this target that the initiator may use
 * (SPC-4 6.4.3).
 *
 * A piece at a time: it is read into one buffer, and written from there, by requests to either LU
 * on whatever thread it is (lu_request.h). In between others have their turn, and an abort ends it
 * there. What a copy comes to is kept with the nexus (copy_record.h).
 */
#include "scsi/command.h"
#include "scsi/copy_list.h"
#include "scsi/lu_request.h"

#include <errno.h>

struct party {
    struct scsi_lu *lu;
    struct scsi_nexus *nexus;
    uint16_t field; /* the byte of the list at which it is named */
};

/* Why a segment cannot be copied, and which byte of the list has to do with it. */
struct fault {
    enum scsi_sense sense; /* SENSE_NONE: it can */
    uint16_t field;
};

struct copy {
    struct scsi_task *task;
    struct scsi_burst *burst; /* under way for as long as the copy is */
    struct scsi_copy_record *record;
    struct scsi_copy_list list;
    unsigned next_segment;
    /* of the one before that: */
    struct party source, destination;
    uint64_t from, to, length, left; /* bytes */
    struct scsi_lu_request request;
    bool running, again; /* see go_on() */
};

/* --- which LUs --- */

/* Is the designator one of those that VPD page 83 of the LU has? */
static bool is_named(const struct scsi_copy_cscd *cscd, const struct scsi_lu *lu)
{
    uint8_t page[SCSI_VPD_BODY_SIZE];
    struct wire_writer w = wire_writer_of(page, sizeof(page));
    scsi_write_identification(lu, &w);
    struct wire_reader r = wire_reader_of(page, wire_writer_used(&w));
    while (wire_reader_left(&r) > 0) {
        uint8_t code_set = wire_get_u8(&r) & 0x0f, type = wire_get_u8(&r) & 0x3f;
        wire_skip(&r, 1);
        uint8_t size = wire_get_u8(&r);
        const uint8_t *designator = wire_get_bytes(&r, size);
        if (code_set == cscd->code_set && type == cscd->designator_type &&
            size == cscd->designator_size && memcmp(designator, cscd->designator, size) == 0)
            return true;
    }
    return false;
}

static const struct scsi_target_lun *find_named(const struct scsi_target *target,
                                                const struct scsi_copy_cscd *cscd)
{
    for (size_t i = 0; i < target->n_luns; i++)
        if (is_named(cscd, target->luns[i].lu))
            return &target->luns[i];
    return NULL;
}

static struct party nobody(struct fault *ret_fault, enum scsi_sense sense, size_t field)
{
    *ret_fault = (struct fault){sense, (uint16_t)field};
    return (struct party){NULL};
}

/* id: a CSCD; id_field: where the list says so. Without an LU: *ret_fault says why. */
static struct party find_party(const struct copy *copy, uint16_t id, size_t id_field,
                               struct fault *ret_fault)
{
    const struct scsi_task *task = copy->task;
    if (id == SCSI_COPY_THIS_LU)
        return (struct party){task->nexus->lu, task->nexus, (uint16_t)id_field};
    if (id >= copy->list.n_cscds)
        return nobody(ret_fault, SENSE_COPY_TARGET_UNREACHABLE, id_field);
    const struct scsi_copy_cscd *cscd = &copy->list.cscds[id];
    size_t field = SCSI_COPY_HEADER_SIZE + (size_t)id * SCSI_COPY_CSCD_SIZE;
    const struct scsi_target_lun *lun = find_named(task->target, cscd);
    if (!lun)
        return nobody(ret_fault, SENSE_COPY_DEVICE_NOT_REACHABLE, field);
    if (cscd->block_size != lun->lu->block_size)
        return nobody(ret_fault, SENSE_COPY_WRONG_PARAMETERS, field + SCSI_COPY_AT_BLOCK_SIZE);
    struct scsi_nexus *nexus = lun->lu == task->nexus->lu ? task->nexus : lun->nexus;
    return (struct party){lun->lu, nexus, (uint16_t)field};
}

/* --- segments --- */

/* The byte at which `length` bytes of the LU begin; false: they are not all within it. */
static bool find_place(const struct scsi_lu *lu, uint64_t lba, uint16_t offset, uint64_t length,
                       uint64_t *ret_position)
{
    if (lba > lu->n_blocks)
        return false;
    uint64_t position = lba * lu->block_size + offset, size = lu->n_blocks * lu->block_size;
    *ret_position = position;
    return position <= size && length <= size - position;
}

static struct fault fault_in(const struct scsi_copy_segment *segment, enum scsi_sense sense,
                             enum scsi_copy_field field)
{
    return (struct fault){sense, (uint16_t)(segment->at + field)};
}

static struct fault begin_segment(struct copy *copy, const struct scsi_copy_segment *segment)
{
    struct fault fault = {SENSE_NONE};
    copy->length = 0;
    copy->source = find_party(copy, segment->source, segment->at + SCSI_COPY_AT_SOURCE, &fault);
    if (!copy->source.lu)
        return fault;
    copy->destination =
        find_party(copy, segment->destination, segment->at + SCSI_COPY_AT_DESTINATION, &fault);
    if (!copy->destination.lu)
        return fault;
    const struct scsi_lu *source = copy->source.lu, *destination = copy->destination.lu;
    uint64_t length = segment->count;
    if (segment->type == SCSI_COPY_BLOCKS) {
        length *= segment->counts_destination ? destination->block_size : source->block_size;
        if (length % source->block_size || length % destination->block_size)
            return fault_in(segment, SENSE_COPY_INEXACT_SEGMENT, SCSI_COPY_AT_BLOCKS);
    }
    if (!find_place(source, segment->source_lba, segment->source_offset, length, &copy->from))
        return fault_in(segment, SENSE_COPY_ABORTED, SCSI_COPY_AT_SOURCE_LBA);
    if (!find_place(destination, segment->destination_lba, segment->destination_offset, length,
                    &copy->to))
        return fault_in(segment, SENSE_COPY_ABORTED, SCSI_COPY_AT_DESTINATION_LBA);
    copy->length = copy->left = length;
    return fault;
}

/* --- the copy itself --- */

static void go_on(struct copy *copy);

/* SPC-4 5.17.7.4: which segment it was, where it is wrong or which LU was at fault, and, if
 * something of it was written, how many blocks of the destination are left. */
static void fail(struct copy *copy, struct fault fault)
{
    struct scsi_task *task = copy->task;
    if (task->failed) /* it was aborted meanwhile */
        return;
    struct scsi_sense_data data = {.code = fault.sense,
                                   .in_parameters = true,
                                   .parameter_field = fault.field,
                                   .has_segment = true,
                                   .segment = (uint16_t)(copy->next_segment - 1)};
    if (copy->left < copy->length) {
        uint32_t block_size = copy->destination.lu->block_size;
        data.has_information = true;
        data.information = (uint32_t)((copy->left + block_size - 1) / block_size);
    }
    scsi_task_check_with(task, &data); /* it goes on until the burst is finished */
    copy->record->state = SCSI_COPY_FAILED;
    copy->record->sense_size = task->sense_size;
    memcpy(copy->record->sense, task->sense, task->sense_size);
}

static struct fault fault_of(const struct party *party, int result)
{
    enum scsi_sense sense =
        result == -ENOMEDIUM ? SENSE_COPY_DEVICE_NOT_REACHABLE : SENSE_COPY_DEVICE_FAILED;
    return (struct fault){sense, party->field};
}

static struct copy *copy_of(struct scsi_lu_request *request)
{
    return container_of(request, struct copy, request);
}

/* A piece of the segment, from or to position on. */
static void submit(struct copy *copy, const struct party *party, enum block_operation operation,
                   uint64_t position, void (*done)(struct scsi_lu_request *request, int result))
{
    struct scsi_lu_request *r = &copy->request;
    *r = (struct scsi_lu_request){
        .lu = party->lu, .nexus = party->nexus, .thread = copy->task->thread, .done = done};
    r->request.operation = operation;
    r->request.offset = position;
    r->request.length = MIN(copy->left, BUFFER_MAX_SIZE);
    r->request.data = copy->burst->beside->data;
    scsi_lu_request_submit(r);
}

static void was_written(struct scsi_lu_request *request, int result)
{
    struct copy *copy = copy_of(request);
    uint64_t length = request->request.length;
    if (result < 0) {
        fail(copy, fault_of(&copy->destination, result));
    } else {
        copy->from += length;
        copy->to += length;
        copy->left -= length;
        copy->record->bytes += length;
    }
    go_on(copy);
}

static void was_read(struct scsi_lu_request *request, int result)
{
    struct copy *copy = copy_of(request);
    if (result < 0)
        fail(copy, fault_of(&copy->source, result));
    if (copy->task->failed)
        go_on(copy);
    else
        submit(copy, &copy->destination, BLOCK_WRITE, copy->to, was_written);
}

/* False: there is nothing left to do. */
static bool begin_piece(struct copy *copy)
{
    if (copy->task->failed)
        return false;
    while (copy->left == 0) {
        copy->record->segments = (uint16_t)copy->next_segment;
        if (copy->next_segment == copy->list.n_segments)
            return false;
        struct fault fault = begin_segment(copy, &copy->list.segments[copy->next_segment++]);
        if (fault.sense) {
            fail(copy, fault);
            return false;
        }
    }
    submit(copy, &copy->source, BLOCK_READ, copy->from, was_read);
    return true;
}

static void finish(struct copy *copy)
{
    struct scsi_burst *burst = copy->burst;
    struct scsi_copy_record *record = copy->record;
    if (copy->list.usage != SCSI_COPY_KEEP ||
        (record->state == SCSI_COPY_RUNS && copy->task->failed)) /* aborted */
        record->state = SCSI_COPY_NONE;
    else if (record->state == SCSI_COPY_RUNS)
        record->state = SCSI_COPY_ENDED;
    free(copy);
    scsi_burst_finish(burst);
}

/* A request may be done inside its submission: the loop then goes on, instead of one call deeper
 * for each piece. */
static void go_on(struct copy *copy)
{
    copy->again = true;
    if (copy->running)
        return;
    copy->running = true;
    while (copy->again) {
        copy->again = false;
        if (!begin_piece(copy)) {
            finish(copy);
            return;
        }
    }
    copy->running = false;
}

/* --- the command --- */

/* NULL: *ret_sense says why not. */
static struct copy *copy_new(struct scsi_task *task, struct scsi_burst *burst,
                             const struct scsi_copy_list *list, enum scsi_sense *ret_sense)
{
    struct scsi_copy_records *records = &task->nexus->copies;
    bool anonymous = list->usage == SCSI_COPY_ANONYMOUS;
    const struct scsi_copy_record *same =
        anonymous ? NULL : scsi_copy_record_find(records, list->id);
    if (same && same->state == SCSI_COPY_RUNS) {
        *ret_sense = SENSE_OPERATION_IN_PROGRESS;
        return NULL;
    }
    struct copy *copy = calloc(1, sizeof(*copy));
    burst->beside = buffer_get(task->thread->buffers, BUFFER_MAX_SIZE);
    struct scsi_copy_record *record =
        copy && burst->beside ? scsi_copy_record_new(records, anonymous, list->id) : NULL;
    if (!record) {
        free(copy);
        *ret_sense = SENSE_INSUFFICIENT_RESOURCES;
        return NULL;
    }
    copy->task = task;
    copy->burst = burst;
    copy->record = record;
    copy->list = *list;
    return copy;
}

static void refuse(struct scsi_task *task, enum scsi_sense sense, int field)
{
    if (field < 0)
        scsi_task_check(task, sense);
    else
        scsi_task_check_parameter(task, sense, (uint16_t)field);
}

static void process_list(struct scsi_task *task, struct scsi_burst *burst)
{
    struct scsi_copy_list list;
    int field;
    enum scsi_sense sense = scsi_copy_list_parse(burst->buffer->data, burst->length, &list, &field);
    struct copy *copy = sense ? NULL : copy_new(task, burst, &list, &sense);
    if (copy) {
        go_on(copy);
    } else {
        refuse(task, sense, field);
        scsi_burst_finish(burst);
    }
}

void scsi_extended_copy(struct scsi_task *task)
{
    struct wire_reader r = wire_reader_of(task->cdb + 10, 4);
    uint32_t length = wire_get_be32(&r);
    if (length == 0)
        scsi_task_good(task);
    else if (MIN(length, task->expected_out) < SCSI_COPY_HEADER_SIZE ||
             length > SCSI_COPY_HEADER_SIZE + SCSI_COPY_MAX_LIST)
        scsi_task_check(task, SENSE_PARAMETER_LIST_LENGTH);
    else
        scsi_transfer_out(task, length, process_list);
}
