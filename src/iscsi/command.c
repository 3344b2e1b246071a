/*
 * SCSI commands over iSCSI: the transport of scsi/task.h (RFC 7143 11.3, 11.4, 11.7). What the
 * initiator sends for them is data_out.c's.
 *
 * Data-In: a burst is cut into PDUs of the initiator's MaxRecvDataSegmentLength; all point into
 * the buffer that was read, and the last one of a task carries its status.
 */
#include "iscsi/remote.h"
#include "iscsi/target.h"

/* --- the tasks of a session --- */

static struct iscsi_task **bucket(struct iscsi_session *session, uint32_t itt)
{
    uint32_t mixed =
        itt ^ itt >> 4 ^ itt >> 16; /* Linux counts in the low bits, others elsewhere */
    return &session->buckets[mixed % ISCSI_TASK_BUCKETS];
}

struct iscsi_task *iscsi_task_find(struct iscsi_session *session, uint32_t itt)
{
    struct iscsi_task *task = *bucket(session, itt);
    while (task && task->itt != itt)
        task = task->next_in_bucket;
    return task;
}

static void link_task(struct iscsi_session *session, struct iscsi_task *task)
{
    struct iscsi_task **first = bucket(session, task->itt);
    task->next_in_bucket = *first;
    task->has_tag = true;
    *first = task;
    list_append(&session->tasks, &task->link);
    session->n_tasks++;
    session->n_open++;
}

/* From here on the initiator may use the tag for another command. */
static void free_tag(struct iscsi_session *session, struct iscsi_task *task)
{
    struct iscsi_task **at = bucket(session, task->itt);
    if (!task->has_tag)
        return;
    while (*at != task)
        at = &(*at)->next_in_bucket;
    *at = task->next_in_bucket;
    task->has_tag = false;
}

static void unlink_task(struct iscsi_session *session, struct iscsi_task *task)
{
    free_tag(session, task);
    list_remove(&task->link);
    session->n_tasks--;
    session->n_open -= !task->status_sent;
}

void iscsi_burst_moved(struct scsi_burst *burst, bool ok)
{
    struct iscsi_task *task = iscsi_task_of(burst->task);
    if (task->remote)
        iscsi_remote_burst_moved(task, burst, ok);
    else
        scsi_burst_moved(burst, ok);
}

bool iscsi_task_writes(const struct iscsi_task *task)
{
    return task->remote ? task->remote->writes : scsi_task_writes(&task->scsi);
}

/* --- Data-In --- */

/* Residual: what the command wanted to move against what the initiator expected. Returns the
 * flag to set. */
static uint8_t residual(const struct iscsi_task *task, uint32_t *ret_count)
{
    uint64_t wanted = task->scsi.data_length;
    uint64_t expected = task->expected_length;
    if (wanted < expected) {
        *ret_count = (uint32_t)(expected - wanted);
        return ISCSI_FLAG_DATA_UNDERFLOW;
    }
    *ret_count = (uint32_t)MIN(wanted - expected, UINT32_MAX);
    return wanted > expected ? ISCSI_FLAG_DATA_OVERFLOW : 0;
}

/* GOOD status may go with the last Data-In. Only without a residual: what is odd about a command
 * is told in a response of its own. */
static bool status_fits(const struct iscsi_task *task)
{
    uint32_t count;
    return !task->cancelled && residual(task, &count) == 0;
}

/* The task's place in the window is free from here on: no later PDU of it could tell. So is its
 * tag: the initiator may have this PDU long before we know that it has left. */
static void put_status(struct iscsi_task *task, struct iscsi_out *out)
{
    task->status_sent = true;
    free_tag(task->session, task);
    task->session->n_open--;
    out->header[BHS_FLAGS] |= ISCSI_FLAG_DATA_STATUS;
    out->header[BHS_STATUS] = SCSI_GOOD;
    iscsi_out_take_statsn(task->session->conn, out);
    iscsi_session_put_window(task->session, out->header);
}

/* One Data-In PDU with bytes [at, at + size) of the burst. False: the connection is gone. */
static bool queue_data_in(struct iscsi_task *task, struct scsi_burst *burst, uint32_t at,
                          uint32_t size)
{
    struct iscsi_conn *conn = task->session->conn;
    const struct iscsi_parameters *parameters = &task->session->parameters;
    struct iscsi_out *out = iscsi_out_new(conn, ISCSI_DATA_IN, task->itt);
    if (!out)
        return false;
    uint32_t end = at + size;
    bool last = end == burst->length;
    out->header[BHS_FLAGS] = 0;
    if (last || end % parameters->max_burst_length == 0)
        out->header[BHS_FLAGS] = ISCSI_FLAG_FINAL;
    bhs_put32(out->header, BHS_TTT, ISCSI_RESERVED_TAG);
    bhs_put32(out->header, BHS_DATASN, task->datasn++);
    bhs_put32(out->header, BHS_BUFFER_OFFSET, burst->offset + at);
    if (last && burst->is_last && status_fits(task)) {
        put_status(task, out);
    } else {
        iscsi_out_show_statsn(conn, out);
    }
    /* a buffer of another thread, or a view, is held by the burst alone, until the last PDU has
     * left */
    struct buffer *held = task->remote || !burst->buffer ? NULL : buffer_ref(burst->buffer);
    iscsi_out_set_data(out, scsi_burst_data(burst) + at, size, held);
    if (!burst->buffer && size >= ISCSI_FILE_OUTPUT_MIN) {
        out->file = burst->view.fd;
        out->file_offset = burst->view.offset + at;
    }
    out->burst = last ? burst : NULL;
    iscsi_conn_queue(conn, out);
    return true;
}

/* There is no memory for the next PDU, and the connection is closed. What is queued of a buffer of
 * another thread, or of a view, may be on its way: then the burst ends when that is dropped. */
static void give_up(struct iscsi_task *task, struct scsi_burst *burst, bool has_queued)
{
    if ((task->remote || !burst->buffer) && has_queued)
        task->session->conn->out_last->burst = burst;
    else
        iscsi_burst_moved(burst, false);
}

static void send_burst(struct scsi_task *scsi, struct scsi_burst *burst)
{
    struct iscsi_task *task = iscsi_task_of(scsi);
    const struct iscsi_parameters *parameters = &task->session->parameters;
    if (task->cancelled || task->session->conn->state != ISCSI_CONN_FULL) {
        iscsi_burst_moved(burst, false);
        return;
    }
    task->session->record.counters.read_bytes += burst->length;
    for (uint32_t at = 0; at < burst->length;) {
        uint32_t to_boundary = parameters->max_burst_length - at % parameters->max_burst_length;
        uint32_t size = MIN(burst->length - at, parameters->max_send_segment_length);
        size = MIN(size, to_boundary);
        if (!queue_data_in(task, burst, at, size)) {
            give_up(task, burst, at > 0);
            return;
        }
        at += size;
    }
}

/* --- the end of a task --- */

static void queue_response(struct iscsi_task *task)
{
    struct iscsi_session *session = task->session;
    struct iscsi_conn *conn = session->conn;
    const struct scsi_task *scsi = &task->scsi;
    struct iscsi_out *out = iscsi_out_new(conn, ISCSI_SCSI_RESPONSE, task->itt);
    if (!out)
        return;
    uint32_t count;
    out->header[BHS_FLAGS] |= residual(task, &count);
    out->header[BHS_STATUS] = scsi->status;
    iscsi_out_take_statsn(conn, out);
    bhs_put32(out->header, BHS_EXPDATASN, task->datasn + task->r2tsn);
    bhs_put32(out->header, BHS_RESIDUAL, count);
    if (scsi->sense_size > 0) {
        struct buffer *buffer = buffer_get(conn->thread->buffers, 2U + scsi->sense_size);
        if (buffer) {
            buffer->data[0] = 0;
            buffer->data[1] = scsi->sense_size;
            memcpy(buffer->data + 2, scsi->sense, scsi->sense_size);
            iscsi_out_set_data(out, buffer->data, 2U + scsi->sense_size, buffer);
        }
    }
    iscsi_conn_queue(conn, out);
}

static void record_end(const struct iscsi_task *task)
{
    struct iscsi_session *session = task->session;
    struct iscsi_record *record = &session->record;
    record->counters.round_trips += session->n_tasks == 0;
    iscsi_record_latency(record, io_thread_now(session->conn->thread) - task->began);
    if (task->scsi.sense_size > 0)
        iscsi_record_sense(record, task->scsi.cdb[0], task->scsi.sense, task->scsi.sense_size);
}

/* The target of a further LUN of this thread, whose functions may wait for a cancelled task. */
static struct iscsi_target *target_that_waits(const struct iscsi_task *task)
{
    struct iscsi_luns *luns = task->session->conn->luns;
    if (!task->cancelled || task->remote || !luns)
        return NULL;
    struct iscsi_lun *lun = iscsi_luns_find(luns, iscsi_lun_number(task->lun));
    return lun && lun->thread == luns->thread ? lun->target : NULL;
}

static void complete_task(struct scsi_task *scsi)
{
    struct iscsi_task *task = iscsi_task_of(scsi);
    struct iscsi_session *session = task->session;
    struct iscsi_conn *conn = session->conn;
    struct iscsi_target *waits = target_that_waits(task);
    unlink_task(session, task); /* first: the window in the response grants its place again */
    if (!task->cancelled)
        record_end(task);
    if (conn->in.task == task) {
        conn->in.task = NULL;
        conn->in.place = NULL;
    }
    if (!task->cancelled && !task->status_sent && conn->state == ISCSI_CONN_FULL)
        queue_response(task);
    buffer_unref(conn->thread->buffers, task->early);
    free(task);
    if (waits)
        iscsi_target_lun_task_ended(waits);
    iscsi_session_task_ended(session);
}

static void luns_reported(struct scsi_task *scsi)
{
    iscsi_luns_reported(iscsi_task_of(scsi)->session, scsi->target);
}

void iscsi_task_cancel(struct iscsi_task *task)
{
    struct iscsi_conn *conn = task->session->conn;
    if (task->cancelled)
        return;
    task->cancelled = true;
    free_tag(task->session, task);
    list_remove(&task->link);
    list_append(&task->session->cancelled, &task->link);
    if (conn->in.task == task) {
        conn->in.task = NULL;
        conn->in.place = NULL;
    }
    bool waits = task->n_wanted > 0; /* if so, it cannot end inside scsi_task_abort() */
    if (task->remote)
        iscsi_remote_abort(task);
    else
        scsi_task_abort(&task->scsi);
    if (waits)
        iscsi_data_out_give_up(task);
}

/* --- the command --- */

static const struct scsi_transport transport = {
    .send = send_burst,
    .receive = iscsi_data_out_receive,
    .complete = complete_task,
    .luns_reported = luns_reported,
};

/* What is wrong with the data that comes with a command; SENSE_NONE: nothing. */
static enum scsi_sense immediate_data_error(const struct iscsi_session *session,
                                            const struct iscsi_input *in)
{
    const struct iscsi_parameters *parameters = &session->parameters;
    if (in->data_size > 0 && !parameters->immediate_data)
        return SENSE_UNEXPECTED_UNSOLICITED_DATA;
    if (in->data_size > parameters->first_burst_length)
        return SENSE_INCORRECT_AMOUNT_OF_DATA;
    return SENSE_NONE;
}

/* Immediate data goes to a buffer of its own, which becomes the first burst if it is all of it. */
void iscsi_command_header(struct iscsi_session *session, struct iscsi_input *in)
{
    if (in->data_size == 0)
        return;
    if (immediate_data_error(session, in))
        return; /* it goes nowhere */
    in->buffer = buffer_get(session->conn->thread->buffers, in->data_size);
    if (in->buffer)
        in->place = in->buffer->data;
    else
        iscsi_conn_close(session->conn, "out of memory");
}

/* NULL: no memory. */
static struct iscsi_task *new_task(struct iscsi_session *session, struct iscsi_input *in)
{
    uint64_t wire = bhs_get64(in->bhs, BHS_LUN);
    int number = wire == 0 ? 0 : iscsi_lun_number(wire);
    struct iscsi_lun *lun = number == 0 ? NULL : iscsi_luns_find(session->conn->luns, number);
    bool remote = lun && lun->thread != session->conn->thread;
    struct iscsi_task *task = remote ? iscsi_remote_task_new(lun) : calloc(1, sizeof(*task));
    if (!task)
        return NULL;
    uint8_t flags = in->bhs[BHS_FLAGS];
    task->session = session;
    task->began = io_thread_now(session->conn->thread);
    task->itt = bhs_get32(in->bhs, BHS_ITT);
    task->cmdsn = bhs_get32(in->bhs, BHS_CMDSN);
    task->lun = wire;
    task->expected_length = bhs_get32(in->bhs, BHS_EXPECTED_LENGTH);
    task->early = take_ptr(in->buffer);
    task->early_size = task->unsolicited_offset = in->data_size;
    task->unsolicited_open = flags & ISCSI_FLAG_WRITE && !(flags & ISCSI_FLAG_FINAL);
    task->data_error = immediate_data_error(session, in);

    struct scsi_task *scsi = &task->scsi;
    scsi->transport = &transport;
    scsi->target = session->scsi;
    scsi->nexus = number == 0 ? &session->nexus : lun ? &lun->nexus : NULL;
    scsi->thread = session->conn->thread;
    scsi->share = &session->share;
    scsi->takes_views = !remote && !session->conn->data_digest;
    memcpy(scsi->cdb, in->bhs + BHS_CDB, SCSI_CDB_SIZE);
    scsi->attribute = flags & ISCSI_FLAG_ATTRIBUTE;
    if (flags & ISCSI_FLAG_WRITE)
        scsi->expected_out = task->expected_length;
    else if (flags & ISCSI_FLAG_READ)
        scsi->expected_in = task->expected_length;
    if (!remote || !task->unsolicited_open || task->data_error || iscsi_data_out_expect(task))
        return task;
    buffer_unref(scsi->thread->buffers, task->early);
    free(task);
    return NULL;
}

void iscsi_command_pdu(struct iscsi_session *session, struct iscsi_input *in)
{
    if (iscsi_task_find(session, bhs_get32(in->bhs, BHS_ITT))) {
        iscsi_conn_violation(session->conn, "a command with the tag of another one under way");
        return;
    }
    struct iscsi_task *task = new_task(session, in);
    if (!task) {
        iscsi_conn_close(session->conn, "out of memory");
        return;
    }
    session->record.counters.commands++;
    link_task(session, task);
    if (task->data_error) {
        task->remote = NULL; /* it is never started, here or there */
        iscsi_data_out_fail_if_all_came(task);
    } else if (task->remote)
        iscsi_remote_start(task);
    else
        scsi_task_start(&task->scsi);
}
