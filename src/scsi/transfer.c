/*
 * Moving data between device and initiator.
 *
 * A task's data moves in bursts of up to 256 KiB, two at a time, so that the disk works on one
 * while the network works on the other and no command, however large, needs more than 512 KiB.
 * advance() is the only place that begins bursts and that completes a task; whatever finishes a
 * step calls it. Steps may finish inside the call that started them, so advance() may be called
 * while it runs: it then only notes that there is more to look at.
 *
 * Copies: none here. System calls: none here (the ring's, the socket's).
 */
#include "scsi/command.h"

#include <errno.h>

static void advance(struct scsi_task *task);

static void release(struct scsi_burst *burst)
{
    buffer_unref(burst->task->thread->buffers, burst->buffer);
    burst->buffer = NULL;
    block_view_release(&burst->view);
    buffer_unref(burst->task->thread->buffers, take_ptr(burst->beside));
    burst->state = BURST_IDLE;
}

static void read_done(struct block_request *request, int result)
{
    struct scsi_burst *burst = container_of(request, struct scsi_burst, request);
    struct scsi_task *task = burst->task;
    scsi_lu_request_ended(task->nexus->lu);
    if (result < 0) {
        release(burst);
        scsi_task_check_errno(task, result, SENSE_MEDIUM_READ_ERROR);
        return;
    }
    burst->state = BURST_READY;
    advance(task);
}

static void read_into(struct scsi_burst *burst, struct buffer *buffer)
{
    struct scsi_task *task = burst->task;
    burst->buffer = buffer;
    burst->state = BURST_ON_DISK;
    burst->request = (struct block_request){
        .operation = BLOCK_READ,
        .offset = task->position + burst->offset,
        .length = burst->length,
        .data = buffer->data,
        .done = read_done,
    };
    scsi_lu_submit(task->nexus->lu, &burst->request);
}

/* Its turn in the queue for buffers has come. */
static void buffer_ready(struct buffer_waiter *waiter, struct buffer *buffer)
{
    struct scsi_burst *burst = container_of(waiter, struct scsi_burst, waiter);
    if (buffer) {
        read_into(burst, buffer);
    } else {
        burst->state = BURST_IDLE;
        scsi_task_check(burst->task, SENSE_INTERNAL_FAILURE);
    }
}

static void begin_read(struct scsi_burst *burst)
{
    struct scsi_task *task = burst->task;
    if (task->takes_views && scsi_lu_view(task->nexus->lu, task->position + burst->offset,
                                          burst->length, &burst->view)) {
        burst->state = BURST_READY; /* advance() is what calls this, and sends it next */
        return;
    }
    burst->state = BURST_WAITING;
    burst->waiter.size = burst->length;
    burst->waiter.ready = buffer_ready;
    struct buffer *buffer = buffer_get_or_wait(task->thread->buffers, task->share, &burst->waiter);
    if (buffer)
        read_into(burst, buffer);
}

static void begin_receive(struct scsi_burst *burst)
{
    burst->state = BURST_MOVING;
    burst->task->transport->receive(burst->task, burst);
}

static void begin_bursts(struct scsi_task *task)
{
    for (size_t i = 0; i < SCSI_BURSTS; i++) {
        struct scsi_burst *burst = &task->bursts[i];
        if (burst->state != BURST_IDLE || task->begun == task->length || task->failed)
            continue;
        burst->task = task;
        burst->offset = task->begun;
        burst->length = (uint32_t)MIN(task->length - task->begun, BUFFER_MAX_SIZE);
        task->begun += burst->length;
        if (task->is_read)
            begin_read(burst);
        else
            begin_receive(burst);
    }
}

/* Hands what was read to the transport, in order. */
static void send_ready(struct scsi_task *task)
{
    for (size_t i = 0; i < SCSI_BURSTS; i++) {
        struct scsi_burst *burst = &task->bursts[i];
        if (burst->state != BURST_READY || (burst->offset != task->passed && !task->failed))
            continue;
        if (task->failed) {
            release(burst);
            continue;
        }
        task->passed += burst->length;
        burst->is_last = task->passed == task->length;
        burst->state = BURST_MOVING;
        task->again = true; /* the other one may be next in order */
        task->transport->send(task, burst);
    }
}

static bool is_idle(const struct scsi_task *task)
{
    for (size_t i = 0; i < SCSI_BURSTS; i++)
        if (task->bursts[i].state != BURST_IDLE)
            return false;
    return task->failed || task->begun == task->length;
}

static void advance(struct scsi_task *task)
{
    task->again = true;
    if (task->advancing)
        return;
    task->advancing = true;
    while (task->again) {
        task->again = false;
        begin_bursts(task);
        send_ready(task);
    }
    task->advancing = false;
    if (!is_idle(task))
        return;
    if (task->nexus)
        scsi_task_set_leave(&task->nexus->lu->tasks, task);
    task->transport->complete(task);
}

void scsi_burst_moved(struct scsi_burst *burst, bool ok)
{
    struct scsi_task *task = burst->task;
    task->failed |= !ok;
    if (task->is_read || task->failed) {
        release(burst);
        advance(task);
        return;
    }
    burst->state = BURST_ON_DISK;
    task->process(task, burst);
}

void scsi_burst_finish(struct scsi_burst *burst)
{
    struct scsi_task *task = burst->task;
    scsi_range_release(&task->nexus->lu->ranges, &burst->claim);
    release(burst);
    advance(task);
}

void scsi_task_good(struct scsi_task *task)
{
    task->length = task->begun;
    advance(task);
}

static void fail_with(struct scsi_task *task, const struct scsi_sense_data *data)
{
    if (!task->failed) {
        task->failed = true;
        task->status = SCSI_CHECK_CONDITION;
        task->sense_size = scsi_sense_fill(task->sense, data, task->descriptor_sense);
    }
}

static void fail(struct scsi_task *task, enum scsi_sense sense)
{
    struct scsi_sense_data data = scsi_sense_of(sense);
    fail_with(task, &data);
}

void scsi_task_check(struct scsi_task *task, enum scsi_sense sense)
{
    fail(task, sense);
    advance(task);
}

void scsi_task_check_at(struct scsi_task *task, enum scsi_sense sense, uint32_t information)
{
    fail_with(task, &(struct scsi_sense_data){
                        .code = sense, .has_information = true, .information = information});
    advance(task);
}

void scsi_task_check_field(struct scsi_task *task, uint8_t cdb_field)
{
    fail_with(task, &(struct scsi_sense_data){.code = SENSE_INVALID_FIELD_IN_CDB,
                                              .cdb_field = cdb_field});
    advance(task);
}

void scsi_task_conflict(struct scsi_task *task)
{
    if (!task->failed) {
        task->failed = true;
        task->status = SCSI_RESERVATION_CONFLICT;
    }
    advance(task);
}

void scsi_task_check_parameter(struct scsi_task *task, enum scsi_sense sense, uint16_t field)
{
    fail_with(task, &(struct scsi_sense_data){
                        .code = sense, .in_parameters = true, .parameter_field = field});
    advance(task);
}

void scsi_task_check_with(struct scsi_task *task, const struct scsi_sense_data *data)
{
    fail_with(task, data);
    advance(task);
}

/* One that was not started does not know the format yet; only the LU's own thread may look. */
void scsi_task_fail(struct scsi_task *task, enum scsi_sense sense)
{
    const struct scsi_lu *lu = task->nexus ? task->nexus->lu : NULL;
    if (!task->command && lu && lu->thread == task->thread)
        task->descriptor_sense = lu->mode.descriptor_sense;
    scsi_task_check(task, sense);
}

void scsi_task_check_errno(struct scsi_task *task, int result, enum scsi_sense otherwise)
{
    scsi_task_check(task, result == -ENOSPC ? SENSE_NO_SPACE : otherwise);
}

bool scsi_task_writes(const struct scsi_task *task)
{
    return task->command && task->command->flags & (SCSI_CMD_WRITES | SCSI_CMD_CHANGES_LU);
}

void scsi_task_abort(struct scsi_task *task)
{
    task->aborted = true;
    task->failed = true;
    for (size_t i = 0; i < SCSI_BURSTS; i++) {
        struct scsi_burst *burst = &task->bursts[i];
        if (burst->state == BURST_WAITING) {
            buffer_cancel_wait(&burst->waiter);
            burst->state = BURST_IDLE;
        } else if (burst->state == BURST_HELD_BACK) {
            scsi_range_release(&task->nexus->lu->ranges, &burst->claim);
            release(burst);
        }
    }
    advance(task);
}

bool scsi_reply_begin(struct scsi_task *task, uint32_t size, struct wire_writer *ret_writer)
{
    struct scsi_burst *burst = &task->bursts[0];
    burst->task = task;
    burst->buffer = buffer_get(task->thread->buffers, size);
    if (!burst->buffer) {
        scsi_task_check(task, SENSE_INTERNAL_FAILURE);
        return false;
    }
    memset(burst->buffer->data, 0, size);
    *ret_writer = wire_writer_of(burst->buffer->data, size);
    return true;
}

void scsi_reply_end(struct scsi_task *task, const struct wire_writer *writer,
                    uint32_t allocation_length)
{
    struct scsi_burst *burst = &task->bursts[0];
    task->is_read = true;
    task->data_length = MIN(wire_writer_used(writer), allocation_length);
    task->length = (uint32_t)MIN(task->data_length, task->expected_in);
    if (task->length == 0) {
        release(burst);
        advance(task);
        return;
    }
    burst->offset = 0;
    burst->length = task->length;
    burst->state = BURST_READY;
    task->begun = task->length;
    advance(task);
}

void scsi_transfer_read(struct scsi_task *task, uint64_t position, uint64_t length)
{
    task->is_read = true;
    task->position = position;
    task->data_length = length;
    task->length = (uint32_t)MIN(length, task->expected_in);
    advance(task);
}

void scsi_transfer_out(struct scsi_task *task, uint64_t length,
                       void (*process)(struct scsi_task *task, struct scsi_burst *burst))
{
    task->data_length = length;
    task->length = (uint32_t)MIN(length, task->expected_out);
    task->process = process;
    advance(task);
}

struct scsi_burst *scsi_device_burst(struct scsi_task *task)
{
    struct scsi_burst *burst = &task->bursts[0];
    burst->task = task;
    burst->state = BURST_ON_DISK;
    burst->request = (struct block_request){0};
    return burst;
}

/* Only data-out comes here; what is read for it (to compare) fails differently. */
static void note_result(struct scsi_burst *burst, int result)
{
    bool read = burst->request.operation == BLOCK_READ;
    if (result == -ENOSPC)
        fail(burst->task, SENSE_NO_SPACE);
    else if (result < 0)
        fail(burst->task, read ? SENSE_MEDIUM_READ_ERROR : SENSE_MEDIUM_WRITE_ERROR);
}

static void request_done(struct block_request *request, int result)
{
    struct scsi_burst *burst = container_of(request, struct scsi_burst, request);
    scsi_lu_request_ended(burst->task->nexus->lu);
    note_result(burst, result);
    scsi_burst_finish(burst);
}

static void submit(struct scsi_burst *burst)
{
    burst->state = BURST_ON_DISK;
    scsi_lu_submit(burst->task->nexus->lu, &burst->request);
}

/* Its bytes are free; it may have become pointless meanwhile. */
static void submit_claimed(struct scsi_range_claim *claim)
{
    struct scsi_burst *burst = container_of(claim, struct scsi_burst, claim);
    if (burst->task->failed)
        scsi_burst_finish(burst);
    else
        submit(burst);
}

static bool writes(const struct block_request *request)
{
    return request->operation == BLOCK_WRITE || request->operation == BLOCK_WRITE_ZEROES;
}

/* False: it waits for its turn. */
static bool claim(struct scsi_burst *burst, uint64_t position, uint64_t length, bool exclusive,
                  void (*ready)(struct scsi_range_claim *claim))
{
    burst->claim = (struct scsi_range_claim){
        .begin = position, .end = position + length, .exclusive = exclusive, .ready = ready};
    bool claimed = scsi_range_claim(&burst->task->nexus->lu->ranges, &burst->claim);
    if (!claimed)
        burst->state = BURST_HELD_BACK;
    return claimed;
}

/* What writes claims its bytes first, unless they are claimed for all of its steps. */
static void claim_and_submit(struct scsi_burst *burst)
{
    const struct block_request *request = &burst->request;
    if (!writes(request) || scsi_range_claimed(&burst->claim) ||
        claim(burst, request->offset, request->length, false, submit_claimed))
        submit(burst);
}

void scsi_device_submit(struct scsi_burst *burst)
{
    burst->request.done = request_done;
    claim_and_submit(burst);
}

/* A request may be done inside block_submit(): the loop then goes on, instead of one call deeper
 * for each step. */
static void run_steps(struct scsi_burst *burst)
{
    burst->stepping = true;
    do {
        burst->stepped = false;
        if (burst->task->failed || !burst->step(burst)) {
            burst->stepping = false;
            scsi_burst_finish(burst);
            return;
        }
        claim_and_submit(burst);
    } while (burst->stepped);
    burst->stepping = false;
}

static void step_done(struct block_request *request, int result)
{
    struct scsi_burst *burst = container_of(request, struct scsi_burst, request);
    scsi_lu_request_ended(burst->task->nexus->lu);
    note_result(burst, result);
    if (!burst->claim.exclusive)
        scsi_range_release(&burst->task->nexus->lu->ranges, &burst->claim);
    burst->stepped = true;
    if (!burst->stepping)
        run_steps(burst);
}

void scsi_device_steps(struct scsi_burst *burst, bool (*step)(struct scsi_burst *burst))
{
    burst->request = (struct block_request){.done = step_done};
    burst->step = step;
    run_steps(burst);
}

static void run_steps_alone(struct scsi_range_claim *claim)
{
    struct scsi_burst *burst = container_of(claim, struct scsi_burst, claim);
    burst->state = BURST_ON_DISK;
    run_steps(burst);
}

void scsi_device_steps_alone(struct scsi_burst *burst, uint64_t position, uint64_t length,
                             bool (*step)(struct scsi_burst *burst))
{
    burst->request = (struct block_request){.done = step_done};
    burst->step = step;
    if (claim(burst, position, length, true, run_steps_alone))
        run_steps(burst);
}

static void run_alone(struct scsi_range_claim *claim)
{
    struct scsi_burst *burst = container_of(claim, struct scsi_burst, claim);
    burst->state = BURST_ON_DISK;
    burst->run(burst);
}

void scsi_burst_alone(struct scsi_burst *burst, uint64_t position, uint64_t length,
                      void (*run)(struct scsi_burst *burst))
{
    burst->run = run;
    if (claim(burst, position, length, true, run_alone))
        run(burst);
}

bool scsi_read_beside(struct scsi_burst *burst, uint64_t position, uint32_t length)
{
    struct scsi_task *task = burst->task;
    if (!burst->beside)
        burst->beside = buffer_get(task->thread->buffers, length);
    if (!burst->beside) {
        scsi_task_check(task, SENSE_INTERNAL_FAILURE);
        return false;
    }
    burst->request.operation = BLOCK_READ;
    burst->request.flags = 0;
    burst->request.offset = position;
    burst->request.length = length;
    burst->request.data = burst->beside->data;
    return true;
}

static void write_burst(struct scsi_task *task, struct scsi_burst *burst)
{
    bool fua = task->cdb[0] != SCSI_WRITE_6 && task->cdb[1] & 0x08;
    burst->request = (struct block_request){
        .operation = BLOCK_WRITE,
        .flags = fua ? BLOCK_FUA : 0,
        .offset = task->position + burst->offset,
        .length = burst->length,
        .data = burst->buffer->data,
    };
    scsi_device_submit(burst);
}

void scsi_transfer_blocks(struct scsi_task *task, uint64_t position, uint64_t length,
                          void (*process)(struct scsi_task *task, struct scsi_burst *burst))
{
    task->position = position;
    scsi_transfer_out(task, length, process);
}

void scsi_transfer_write(struct scsi_task *task, uint64_t position, uint64_t length)
{
    scsi_transfer_blocks(task, position, length, write_burst);
}
