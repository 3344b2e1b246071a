/*
 * Data that an initiator sends for its commands (RFC 7143 11.7, 11.8).
 *
 * Data-Out: the command set asks for bursts. The first is filled from immediate data, then from
 * unsolicited Data-Out PDUs; what is missing then is asked for by R2T. The bytes of Data-Out PDUs
 * go straight from the receive buffer to their place in the burst. If the LU belongs to another
 * thread, they may come before it asks: they go to a buffer that then becomes the first burst's.
 *
 * Data that does not come as it should (RFC 7143 7.7, 7.9, 11.4.7.2) costs the command, not the
 * session: what still comes for it is dropped, and when the initiator has sent all that it was
 * asked for the command ends with CHECK CONDITION.
 */
#include "iscsi/remote.h"

static void solicit(struct iscsi_task *task);

static void remove_wanted(struct iscsi_task *task, const struct scsi_burst *burst)
{
    size_t kept = 0;
    for (size_t i = 0; i < task->n_wanted; i++)
        if (task->wanted[i] != burst)
            task->wanted[kept++] = task->wanted[i];
    task->n_wanted = kept;
}

/* Asks for the next burst before this one goes to the disk: network and disk work side by side. */
static void burst_filled(struct iscsi_task *task, struct scsi_burst *burst)
{
    struct iscsi_input *in = &task->session->conn->in;
    remove_wanted(task, burst);
    if (in->task == task) { /* what comes in is behind its end */
        in->task = NULL;
        in->place = NULL;
    }
    task->session->record.counters.written_bytes += burst->length;
    solicit(task);
    iscsi_burst_moved(burst, true); /* may free the task */
}

bool iscsi_data_out_expect(struct iscsi_task *task)
{
    struct buffer_pool *pool = task->session->conn->thread->buffers;
    uint32_t room = MIN(task->scsi.expected_out, BUFFER_MAX_SIZE);
    if (room <= task->early_size)
        return true;
    struct buffer *buffer = buffer_get(pool, room);
    if (!buffer)
        return false;
    if (task->early)
        memcpy(buffer->data, task->early->data, task->early_size);
    buffer_unref(pool, task->early);
    task->early = buffer;
    task->early_room = room;
    return true;
}

/* The first burst begins with what has come before. */
static void take_early(struct iscsi_task *task, struct scsi_burst *burst)
{
    struct buffer_pool *pool = task->session->conn->thread->buffers;
    uint32_t size = MIN(task->early_size, burst->length);
    memcpy(burst->buffer->data, task->early->data, size);
    burst->received = size;
    buffer_unref(pool, take_ptr(task->early));
}

/* What has come before is all of the first burst, or has room for it: no copy. A PDU that is coming
 * in goes on to the same place. */
static void become_burst(struct iscsi_task *task, struct scsi_burst *burst)
{
    burst->buffer = take_ptr(task->early);
    burst->received = MIN(task->early_size, burst->length);
}

static void have_buffer(struct iscsi_task *task, struct scsi_burst *burst)
{
    if (burst->offset == 0 && task->early)
        take_early(task, burst);
    if (burst->received == burst->length)
        burst_filled(task, burst);
    else
        solicit(task);
}

static void waited_for_buffer(struct buffer_waiter *waiter, struct buffer *buffer)
{
    struct scsi_burst *burst = container_of(waiter, struct scsi_burst, waiter);
    struct iscsi_task *task = iscsi_task_of(burst->task);
    burst->buffer = buffer;
    if (buffer)
        have_buffer(task, burst);
    else
        iscsi_conn_close(task->session->conn, "out of memory");
}

void iscsi_data_out_receive(struct scsi_task *scsi, struct scsi_burst *burst)
{
    struct iscsi_task *task = iscsi_task_of(scsi);
    struct buffer_pool *pool = task->session->conn->thread->buffers;
    burst->buffer = NULL;
    burst->received = 0;
    if (task->cancelled) {
        iscsi_burst_moved(burst, false);
        return;
    }
    task->wanted[task->n_wanted++] = burst;
    bool first = burst->offset == 0;
    if (first && task->early && MAX(task->early_size, task->early_room) >= burst->length) {
        become_burst(task, burst);
        have_buffer(task, burst);
        return;
    }
    burst->waiter.size = burst->length;
    burst->waiter.ready = waited_for_buffer;
    if (first && (task->early || task->unsolicited_open))
        burst->buffer = buffer_get(pool, burst->length); /* its data is on the way already */
    else
        burst->buffer = buffer_get_or_wait(pool, &task->session->share, &burst->waiter);
    if (burst->buffer)
        have_buffer(task, burst);
    else if (!list_linked(&burst->waiter.link))
        iscsi_conn_close(task->session->conn, "out of memory");
}

static void queue_r2t(struct iscsi_task *task, const struct iscsi_r2t *r2t)
{
    struct iscsi_conn *conn = task->session->conn;
    struct iscsi_out *out = iscsi_out_new(conn, ISCSI_R2T, task->itt);
    if (!out)
        return;
    bhs_put64(out->header, BHS_LUN, task->lun);
    bhs_put32(out->header, BHS_TTT, r2t->ttt);
    iscsi_out_show_statsn(conn, out);
    bhs_put32(out->header, BHS_R2TSN, task->r2tsn++);
    bhs_put32(out->header, BHS_BUFFER_OFFSET, r2t->offset);
    bhs_put32(out->header, BHS_DESIRED_LENGTH, r2t->end - r2t->offset);
    iscsi_conn_queue(conn, out);
}

static struct iscsi_r2t *r2t_of_burst(struct iscsi_task *task, const struct scsi_burst *burst)
{
    for (size_t i = 0; i < SCSI_BURSTS; i++)
        if (task->r2ts[i].burst == burst)
            return &task->r2ts[i];
    return NULL;
}

static unsigned open_r2ts(const struct iscsi_task *task)
{
    unsigned n = 0;
    for (size_t i = 0; i < SCSI_BURSTS; i++)
        n += task->r2ts[i].burst != NULL;
    return n;
}

/* Asks for what the wanted bursts lack, as far as MaxOutstandingR2T allows. */
static void solicit(struct iscsi_task *task)
{
    struct iscsi_session *session = task->session;
    if (task->unsolicited_open || task->data_error)
        return; /* wait for the end of what comes by itself */
    for (size_t i = 0; i < task->n_wanted; i++) {
        struct scsi_burst *burst = task->wanted[i];
        if (!burst->buffer || open_r2ts(task) >= session->parameters.max_outstanding_r2t)
            return; /* in order: those behind it wait, too */
        if (r2t_of_burst(task, burst))
            continue;
        struct iscsi_r2t *r2t = r2t_of_burst(task, NULL);
        uint32_t left = burst->length - burst->received;
        uint32_t offset = burst->offset + burst->received;
        *r2t = (struct iscsi_r2t){
            .burst = burst,
            .ttt = iscsi_session_new_ttt(session),
            .offset = offset,
            .end = offset + MIN(left, session->parameters.max_burst_length),
        };
        queue_r2t(task, r2t);
    }
}

void iscsi_data_out_give_up(struct iscsi_task *task)
{
    struct scsi_burst *wanted[SCSI_BURSTS];
    size_t n = task->n_wanted;
    memcpy(wanted, task->wanted, sizeof(wanted));
    task->n_wanted = 0;
    memset(task->r2ts, 0, sizeof(task->r2ts));
    for (size_t i = 0; i < n; i++) {
        buffer_cancel_wait(&wanted[i]->waiter);
        iscsi_burst_moved(wanted[i], false); /* the last one may free the task */
    }
}

static struct iscsi_r2t *r2t_by_ttt(struct iscsi_task *task, uint32_t ttt)
{
    for (size_t i = 0; i < SCSI_BURSTS; i++)
        if (task->r2ts[i].burst && task->r2ts[i].ttt == ttt)
            return &task->r2ts[i];
    return NULL;
}

static void spoil(struct iscsi_task *task, enum scsi_sense sense)
{
    if (!task->data_error)
        task->data_error = sense;
}

void iscsi_data_out_fail_if_all_came(struct iscsi_task *task)
{
    bool waits = task->n_wanted > 0; /* if so, it cannot end inside scsi_task_fail() */
    if (task->unsolicited_open || open_r2ts(task) > 0)
        return;
    if (task->remote)
        iscsi_remote_abort(task); /* and fails here when that is done */
    else
        scsi_task_fail(&task->scsi, task->data_error);
    if (waits)
        iscsi_data_out_give_up(task);
}

/* A Data-Out that goes nowhere, but may be the last of its sequence. */
static void spoiled_pdu(struct iscsi_task *task, const struct iscsi_input *in)
{
    uint32_t ttt = bhs_get32(in->bhs, BHS_TTT);
    struct iscsi_r2t *r2t = ttt == ISCSI_RESERVED_TAG ? NULL : r2t_by_ttt(task, ttt);
    if (in->bhs[BHS_FLAGS] & ISCSI_FLAG_FINAL) {
        if (ttt == ISCSI_RESERVED_TAG)
            task->unsolicited_open = false;
        else if (r2t)
            r2t->burst = NULL;
    }
    iscsi_data_out_fail_if_all_came(task);
}

/* NULL: right, or it costs the command only; else what is wrong with this Data-Out. */
static const char *solicited_header(struct iscsi_task *task, struct iscsi_input *in)
{
    struct iscsi_r2t *r2t = r2t_by_ttt(task, bhs_get32(in->bhs, BHS_TTT));
    if (!r2t)
        return NULL; /* of a burst that was given up: let it pass */
    if (bhs_get32(in->bhs, BHS_DATASN) != r2t->datasn) {
        spoil(task, SENSE_PROTOCOL_SERVICE_CRC_ERROR);
        return NULL;
    }
    if (bhs_get32(in->bhs, BHS_BUFFER_OFFSET) != r2t->offset)
        return "Data-Out that was not asked for";
    if (in->data_size > r2t->end - r2t->offset) {
        spoil(task, SENSE_INCORRECT_AMOUNT_OF_DATA);
        return NULL;
    }
    in->place = r2t->burst->buffer->data + (r2t->offset - r2t->burst->offset);
    in->task = task;
    return NULL;
}

/* Where unsolicited data goes; NULL: nowhere. Who sends more than the command moves is told so by
 * the residual; what is still missing in the end is asked for. */
static uint8_t *unsolicited_place(struct iscsi_task *task, uint32_t offset, uint32_t size)
{
    struct scsi_burst *burst = task->n_wanted > 0 ? task->wanted[0] : NULL;
    if (!burst && task->early) { /* the command set has not asked yet */
        bool fits = offset == task->early_size && offset + size <= task->early_room;
        return fits ? task->early->data + offset : NULL;
    }
    if (!burst || burst->offset != 0 || !burst->buffer)
        return NULL;
    bool fits = offset == burst->received && size <= burst->length - offset;
    return fits ? burst->buffer->data + offset : NULL;
}

static const char *unsolicited_header(struct iscsi_task *task, struct iscsi_input *in)
{
    const struct iscsi_parameters *parameters = &task->session->parameters;
    uint32_t offset = bhs_get32(in->bhs, BHS_BUFFER_OFFSET);
    if (!task->unsolicited_open)
        spoil(task, SENSE_UNEXPECTED_UNSOLICITED_DATA);
    else if (bhs_get32(in->bhs, BHS_DATASN) != task->unsolicited_datasn)
        spoil(task, SENSE_PROTOCOL_SERVICE_CRC_ERROR);
    else if (in->data_size > parameters->first_burst_length ||
             offset > parameters->first_burst_length - in->data_size)
        spoil(task, SENSE_INCORRECT_AMOUNT_OF_DATA);
    if (task->data_error)
        return NULL;
    if (offset != task->unsolicited_offset)
        return "unsolicited data out of order";
    in->place = unsolicited_place(task, offset, in->data_size);
    in->task = in->place ? task : NULL;
    return NULL;
}

void iscsi_data_out_header(struct iscsi_session *session, struct iscsi_input *in)
{
    struct iscsi_task *task = iscsi_task_find(session, bhs_get32(in->bhs, BHS_ITT));
    if (!task || task->data_error)
        return; /* of a command that has ended already, or that is about to fail: let it pass */
    const char *wrong = bhs_get32(in->bhs, BHS_TTT) == ISCSI_RESERVED_TAG
                            ? unsolicited_header(task, in)
                            : solicited_header(task, in);
    if (wrong)
        iscsi_conn_violation(session->conn, wrong);
}

static void unsolicited_pdu(struct iscsi_task *task, const struct iscsi_input *in)
{
    task->unsolicited_datasn++;
    task->unsolicited_offset += in->data_size;
    if (in->bhs[BHS_FLAGS] & ISCSI_FLAG_FINAL)
        task->unsolicited_open = false;
    if (in->place && task->early) { /* still not asked for */
        task->early_size += in->data_size;
    } else if (in->place) { /* then it went to the first burst */
        struct scsi_burst *burst = task->wanted[0];
        burst->received = MIN(burst->received + in->data_size, burst->length);
        if (burst->received == burst->length) {
            burst_filled(task, burst);
            return;
        }
    }
    solicit(task);
}

static void solicited_pdu(struct iscsi_task *task, const struct iscsi_input *in)
{
    struct iscsi_r2t *r2t = r2t_by_ttt(task, bhs_get32(in->bhs, BHS_TTT));
    if (!r2t || !in->place)
        return;
    struct scsi_burst *burst = r2t->burst;
    r2t->offset += in->data_size;
    r2t->datasn++;
    burst->received += in->data_size;
    bool final = in->bhs[BHS_FLAGS] & ISCSI_FLAG_FINAL;
    if (r2t->offset == r2t->end)
        r2t->burst = NULL;
    if (final != (r2t->burst == NULL)) {
        r2t->burst = final ? NULL : burst;
        spoil(task, SENSE_INCORRECT_AMOUNT_OF_DATA);
        iscsi_data_out_fail_if_all_came(task);
    } else if (burst->received == burst->length)
        burst_filled(task, burst);
    else
        solicit(task);
}

void iscsi_data_out_pdu(struct iscsi_session *session, struct iscsi_input *in)
{
    struct iscsi_task *task = iscsi_task_find(session, bhs_get32(in->bhs, BHS_ITT));
    if (!task)
        return;
    if (task->data_error)
        spoiled_pdu(task, in);
    else if (bhs_get32(in->bhs, BHS_TTT) == ISCSI_RESERVED_TAG)
        unsolicited_pdu(task, in);
    else
        solicited_pdu(task, in);
}

void iscsi_data_out_damaged(struct iscsi_session *session, struct iscsi_input *in)
{
    struct iscsi_task *task = iscsi_task_find(session, bhs_get32(in->bhs, BHS_ITT));
    if (!task)
        return;
    spoil(task, SENSE_PROTOCOL_SERVICE_CRC_ERROR);
    spoiled_pdu(task, in);
}
