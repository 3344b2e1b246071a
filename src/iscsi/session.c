#include "iscsi/session.h"

#include <errno.h>

#include "iscsi/remote.h"
#include "iscsi/target.h"

static uint32_t queue_depth(const struct iscsi_session *session)
{
    uint32_t depth = session->conn->limits->queue_depth;
    if (buffer_pool_scarce(session->conn->thread->buffers))
        return MIN(depth, ISCSI_QUEUE_DEPTH_SCARCE);
    return depth;
}

/* The window: as many commands as may still come. MaxCmdSN never goes back (RFC 7143 4.2.2.1). */
static void update_window(struct iscsi_session *session)
{
    uint32_t depth = queue_depth(session);
    uint32_t room = session->n_open < depth ? depth - session->n_open : 0;
    uint32_t max = session->exp_cmdsn + room - 1;
    if (serial_lt(session->max_cmdsn, max))
        session->max_cmdsn = max;
}

void iscsi_session_put_window(struct iscsi_session *session, uint8_t bhs[static ISCSI_BHS_SIZE])
{
    if (!session)
        return;
    update_window(session);
    bhs_put32(bhs, BHS_EXPCMDSN, session->exp_cmdsn);
    bhs_put32(bhs, BHS_MAXCMDSN, session->max_cmdsn);
}

static void dispose(struct iscsi_session *session)
{
    if (session->target) {
        iscsi_task_management_forget(session);
        scsi_nexus_disconnect(&session->nexus);
        list_remove(&session->link);
    }
    iscsi_text_reply_free(session->text_reply);
    buffer_share_clear(&session->share);
    free(session);
}

struct scsi_nexus_id iscsi_nexus_id(const struct iscsi_login_identity *identity)
{
    struct scsi_nexus_id id = {0};
    str_copy(id.initiator.name, sizeof(id.initiator.name), identity->initiator);
    memcpy(id.initiator.isid, identity->isid, sizeof(id.initiator.isid));
    str_copy(id.target, sizeof(id.target), identity->target);
    return id;
}

int iscsi_session_start(struct iscsi_conn *conn, struct iscsi_target *target, uint16_t tsih)
{
    const struct iscsi_login *login = conn->login;
    struct iscsi_session *session = calloc(1, sizeof(*session));
    if (!session)
        return -ENOMEM;
    session->target = target;
    session->conn = conn;
    session->identity = login->identity;
    session->traits = login->traits;
    session->parameters = login->parameters;
    session->tsih = tsih;
    session->exp_cmdsn = login->cmdsn;
    session->max_cmdsn = login->cmdsn - 1;
    list_init(&session->tasks);
    list_init(&session->cancelled);
    buffer_share_init(&session->share);
    session->record.since = clock_wall_usec();
    update_window(session);
    session->granted_cmdsn = session->max_cmdsn; /* with the login response */
    if (target) {
        list_append(&target->sessions, &session->link);
        struct scsi_nexus_id id = iscsi_nexus_id(&session->identity);
        scsi_nexus_connect(&session->nexus, target->lun0.lu, &id, &iscsi_session_nexus_operations);
        session->scsi = &target->scsi;
    }
    int r = conn->luns ? iscsi_luns_begin(conn->luns, session) : 0;
    if (r >= 0)
        r = iscsi_conn_start_session(conn, session);
    if (r < 0)
        dispose(session);
    return r;
}

void iscsi_session_sending(struct iscsi_session *session, const uint8_t bhs[static ISCSI_BHS_SIZE])
{
    session->granted_cmdsn = bhs_get32(bhs, BHS_MAXCMDSN);
}

void iscsi_session_answered(struct iscsi_session *session)
{
    session->n_unnumbered -= session->n_unnumbered > 0;
}

static void free_if_done(struct iscsi_session *session);

static void luns_released(void *context)
{
    struct iscsi_session *session = context;
    session->releasing = false;
    free_if_done(session);
}

static void free_if_done(struct iscsi_session *session)
{
    struct iscsi_target *target = session->target;
    struct iscsi_conn *conn = session->conn;
    if (!session->ending || session->n_tasks > 0 || session->n_away > 0 || session->releasing)
        return;
    if (conn->luns) {
        session->releasing = true;
        iscsi_luns_release(take_ptr(conn->luns), luns_released, session);
        return;
    }
    dispose(session);
    conn->session = NULL;
    conn->operations->released(conn);
    if (target)
        iscsi_target_session_ended(target);
}

void iscsi_session_cancel_tasks(struct iscsi_session *session)
{
    while (!list_empty(&session->tasks)) /* each may be gone at once, or change lists */
        iscsi_task_cancel(container_of(session->tasks.next, struct iscsi_task, link));
}

static void cancel_those(struct iscsi_session *session,
                         bool (*concerns)(const struct iscsi_task *task, const void *context),
                         const void *context)
{
    struct list *node = session->tasks.next;
    while (node != &session->tasks) {
        struct iscsi_task *task = container_of(node, struct iscsi_task, link);
        node = node->next;
        if (concerns(task, context)) {
            iscsi_task_cancel(task);    /* may also end others that waited for its buffers: */
            node = session->tasks.next; /* begin again */
        }
    }
}

struct on_lun {
    int number;
    const struct scsi_task *except;
};

static bool is_on_lun(const struct iscsi_task *task, const void *context)
{
    const struct on_lun *those = context;
    const struct scsi_task *run = task->remote ? &task->remote->far : &task->scsi;
    return run != those->except && iscsi_lun_number(task->lun) == those->number;
}

void iscsi_session_cancel_lun(struct iscsi_session *session, int number,
                              const struct scsi_task *except)
{
    cancel_those(session, is_on_lun, &(struct on_lun){number, except});
}

static bool was_cleared(const struct iscsi_task *task, const void *lun)
{
    return task->remote && task->remote->lun == lun && task->remote->cleared;
}

void iscsi_session_cancel_cleared(struct iscsi_session *session, const struct iscsi_lun *lun)
{
    cancel_those(session, was_cleared, lun);
}

static bool any_writes(const struct list *tasks)
{
    list_for_each(node, tasks)
        if (iscsi_task_writes(container_of(node, struct iscsi_task, link)))
            return true;
    return false;
}

bool iscsi_session_cancelled_writes(const struct iscsi_session *session)
{
    return any_writes(&session->cancelled);
}

bool iscsi_session_may_write(const struct iscsi_session *session)
{
    return any_writes(&session->tasks) || any_writes(&session->cancelled);
}

/* I_T nexus loss: what it had reserved is free, before anybody can know. */
static void lose_nexuses(struct iscsi_session *session)
{
    if (session->target)
        scsi_nexus_lose(&session->nexus);
    iscsi_luns_lose(session->conn->luns);
}

void iscsi_session_end(struct iscsi_session *session)
{
    lose_nexuses(session);
    io_timer_stop(&session->leave);
    iscsi_session_cancel_tasks(session);
    session->ending = true;
    free_if_done(session);
}

void iscsi_session_task_ended(struct iscsi_session *session)
{
    struct iscsi_target *target = session->target;
    free_if_done(session);
    if (target)
        iscsi_target_task_ended(target);
}

/* --- PDUs --- */

static bool is_immediate(const struct iscsi_input *in)
{
    return in->bhs[BHS_OPCODE] & ISCSI_IMMEDIATE;
}

/* Does a request with this opcode take part in command numbering? */
static bool is_numbered(uint8_t opcode)
{
    return opcode == ISCSI_SCSI_COMMAND || opcode == ISCSI_TASK_MANAGEMENT ||
           opcode == ISCSI_TEXT || opcode == ISCSI_LOGOUT || opcode == ISCSI_NOP_OUT;
}

enum numbering { NUMBER_RIGHT, NUMBER_IGNORE, NUMBER_BROKEN };

/* RFC 7143 4.2.2.1: outside of the window it is silently ignored. Inside, one connection delivers
 * in order, so that a gap can never be filled.
 *
 * The window is the one that was sent, not the one that waits to be: so nobody who does not read
 * our answers can have more than a window of them queued here. */
static enum numbering check_cmdsn(const struct iscsi_session *session, const struct iscsi_input *in)
{
    uint32_t cmdsn = bhs_get32(in->bhs, BHS_CMDSN);
    if (is_immediate(in))
        return NUMBER_RIGHT;
    if (serial_lt(cmdsn, session->exp_cmdsn) || serial_lt(session->granted_cmdsn, cmdsn))
        return NUMBER_IGNORE;
    return cmdsn == session->exp_cmdsn ? NUMBER_RIGHT : NUMBER_BROKEN;
}

/* Where the data of a NOP-Out (to be echoed) or a Text request goes. */
static void keep_data(struct iscsi_session *session, struct iscsi_input *in)
{
    if (in->data_size == 0)
        return;
    in->buffer = buffer_get(session->conn->thread->buffers, in->data_size);
    if (in->buffer)
        in->place = in->buffer->data;
    else
        iscsi_conn_close(session->conn, "out of memory");
}

void iscsi_session_header(struct iscsi_session *session, struct iscsi_input *in)
{
    uint8_t opcode = bhs_opcode(in->bhs);
    if (is_numbered(opcode) && check_cmdsn(session, in) != NUMBER_RIGHT)
        return; /* its data goes nowhere; iscsi_session_pdu() deals with it */
    switch (opcode) {
    case ISCSI_SCSI_COMMAND:
        if (session->target)
            iscsi_command_header(session, in);
        break;
    case ISCSI_DATA_OUT:
        iscsi_data_out_header(session, in);
        break;
    case ISCSI_NOP_OUT:
    case ISCSI_TEXT:
        keep_data(session, in);
        break;
    default:
        break;
    }
}

static void nop_out(struct iscsi_session *session, struct iscsi_input *in)
{
    struct iscsi_conn *conn = session->conn;
    uint32_t itt = bhs_get32(in->bhs, BHS_ITT);
    if (itt == ISCSI_RESERVED_TAG)
        return; /* an answer to a ping of ours */
    session->pings = true;
    struct iscsi_out *out = iscsi_out_new(conn, ISCSI_NOP_IN, itt);
    if (!out)
        return;
    bhs_put64(out->header, BHS_LUN, bhs_get64(in->bhs, BHS_LUN));
    bhs_put32(out->header, BHS_TTT, ISCSI_RESERVED_TAG);
    iscsi_out_take_statsn(conn, out);
    struct buffer *echo = take_ptr(in->buffer);
    if (echo) {
        uint32_t size = MIN(in->data_size, session->parameters.max_send_segment_length);
        iscsi_out_set_data(out, echo->data, size, echo);
    }
    iscsi_conn_queue(conn, out);
}

uint32_t iscsi_session_new_ttt(struct iscsi_session *session)
{
    if (session->next_ttt == ISCSI_RESERVED_TAG)
        session->next_ttt = 0;
    return session->next_ttt++;
}

bool iscsi_session_bears_messages(const struct iscsi_session *session)
{
    return session->pings && !session->traits.firmware && session->conn->state == ISCSI_CONN_FULL;
}

bool iscsi_session_ping(struct iscsi_session *session)
{
    struct iscsi_conn *conn = session->conn;
    if (!iscsi_session_bears_messages(session))
        return false;
    struct iscsi_out *out = iscsi_out_new(conn, ISCSI_NOP_IN, ISCSI_RESERVED_TAG);
    if (!out)
        return false;
    bhs_put32(out->header, BHS_TTT, iscsi_session_new_ttt(session));
    iscsi_out_show_statsn(conn, out);
    iscsi_conn_queue(conn, out);
    return true;
}

enum logout_reason { LOGOUT_SESSION, LOGOUT_CONNECTION, LOGOUT_RECOVERY };
enum logout_response { LOGOUT_OK, LOGOUT_NO_CID, LOGOUT_NO_RECOVERY };

static void logout(struct iscsi_session *session, const struct iscsi_input *in)
{
    struct iscsi_conn *conn = session->conn;
    uint8_t reason = in->bhs[BHS_FLAGS] & 0x7f;
    enum logout_response response = LOGOUT_OK;
    if (reason == LOGOUT_RECOVERY)
        response = LOGOUT_NO_RECOVERY;
    else if (reason == LOGOUT_CONNECTION && bhs_get16(in->bhs, BHS_CID) != session->identity.cid)
        response = LOGOUT_NO_CID;
    if (reason > LOGOUT_RECOVERY) {
        iscsi_session_reject(session, in, ISCSI_REJECT_INVALID_FIELD);
        return;
    }
    struct iscsi_out *out = iscsi_out_new(conn, ISCSI_LOGOUT_RESPONSE, bhs_get32(in->bhs, BHS_ITT));
    if (!out)
        return;
    out->header[BHS_RESPONSE] = (uint8_t)response;
    iscsi_out_take_statsn(conn, out);
    iscsi_conn_queue(conn, out);
    if (response != LOGOUT_OK)
        return;
    conn->orderly = true;
    lose_nexuses(session);
    iscsi_session_cancel_tasks(session); /* RFC 7143 11.14: it is over for all of them */
    iscsi_conn_close_after_output(conn, "logged out");
}

static const char *words_of_reject(enum iscsi_reject reason)
{
    switch (reason) {
    case ISCSI_REJECT_DATA_DIGEST:
        return "data came damaged: its digest does not fit";
    case ISCSI_REJECT_SNACK:
        return "a SNACK was rejected: nothing is sent a second time";
    case ISCSI_REJECT_PROTOCOL:
        return "a request was rejected: it has no place there";
    case ISCSI_REJECT_NOT_SUPPORTED:
        return "a request was rejected: it is not supported";
    case ISCSI_REJECT_TOO_MANY_IMMEDIATE:
        return "a request was rejected: too many immediate ones at once";
    case ISCSI_REJECT_INVALID_FIELD:
        return "a request was rejected: a field of it is invalid";
    }
    return "a request was rejected";
}

/* Reject (11.17) with the header that is at fault. Never to firmware: its receiver does not know
 * the PDU and gives the session up, which closing does as well. */
void iscsi_session_reject(struct iscsi_session *session, const struct iscsi_input *in,
                          enum iscsi_reject reason)
{
    struct iscsi_conn *conn = session->conn;
    struct buffer *buffer = buffer_get(conn->thread->buffers, ISCSI_BHS_SIZE);
    if (session->traits.firmware || !buffer) {
        buffer_unref(conn->thread->buffers, buffer);
        iscsi_conn_violation(conn, "sent a request that is not supported");
        return;
    }
    struct iscsi_out *out = iscsi_out_new(conn, ISCSI_REJECT, ISCSI_RESERVED_TAG);
    if (!out) {
        buffer_unref(conn->thread->buffers, buffer);
        return;
    }
    iscsi_record_error(&session->record, words_of_reject(reason));
    out->header[BHS_RESPONSE] = (uint8_t)reason;
    iscsi_out_take_statsn(conn, out);
    memcpy(buffer->data, in->bhs, ISCSI_BHS_SIZE);
    iscsi_out_set_data(out, buffer->data, ISCSI_BHS_SIZE, buffer);
    iscsi_conn_queue(conn, out);
}

static void dispatch(struct iscsi_session *session, struct iscsi_input *in)
{
    switch (bhs_opcode(in->bhs)) {
    case ISCSI_SCSI_COMMAND:
        if (session->target)
            iscsi_command_pdu(session, in);
        else
            iscsi_session_reject(session, in,
                                 ISCSI_REJECT_PROTOCOL); /* discovery: RFC 7143 7.4.3 */
        break;
    case ISCSI_DATA_OUT:
        iscsi_data_out_pdu(session, in);
        break;
    case ISCSI_NOP_OUT:
        nop_out(session, in);
        break;
    case ISCSI_TASK_MANAGEMENT:
        if (session->target)
            iscsi_task_management_pdu(session, in);
        else
            iscsi_session_reject(session, in, ISCSI_REJECT_PROTOCOL);
        break;
    case ISCSI_TEXT:
        iscsi_text_request_pdu(session, in);
        break;
    case ISCSI_LOGOUT:
        logout(session, in);
        break;
    case ISCSI_LOGIN:
        iscsi_conn_violation(session->conn, "login request after the login");
        break;
    case ISCSI_SNACK:
        iscsi_session_reject(session, in, ISCSI_REJECT_SNACK);
        break;
    default:
        iscsi_session_reject(session, in, ISCSI_REJECT_NOT_SUPPORTED);
        break;
    }
}

/* Counts a request that no window holds back; false: it is one too many. */
static bool count_unnumbered(struct iscsi_session *session)
{
    if (++session->n_unnumbered <= ISCSI_MAX_UNNUMBERED && session->n_tasks <= ISCSI_MAX_TASKS)
        return true;
    iscsi_conn_violation(session->conn, "sends requests without reading the answers");
    return false;
}

void iscsi_session_damaged_pdu(struct iscsi_session *session, struct iscsi_input *in)
{
    if (bhs_opcode(in->bhs) != ISCSI_DATA_OUT || session->traits.firmware) {
        /* A lost command is a gap in the numbering, which only a new session can fill. */
        iscsi_conn_violation(session->conn, "data digest error");
        return;
    }
    if (!count_unnumbered(session))
        return;
    iscsi_session_reject(session, in, ISCSI_REJECT_DATA_DIGEST);
    iscsi_data_out_damaged(session, in);
}

/* Is it a request that is answered, and that no window holds back? */
static bool is_unnumbered(const struct iscsi_input *in)
{
    uint8_t opcode = bhs_opcode(in->bhs);
    bool only_acknowledges =
        opcode == ISCSI_NOP_OUT && bhs_get32(in->bhs, BHS_ITT) == ISCSI_RESERVED_TAG;
    if (opcode == ISCSI_DATA_OUT || only_acknowledges)
        return false;
    return !is_numbered(opcode) || is_immediate(in);
}

void iscsi_session_pdu(struct iscsi_session *session, struct iscsi_input *in)
{
    if (is_unnumbered(in) && !count_unnumbered(session))
        return;
    if (is_numbered(bhs_opcode(in->bhs))) {
        switch (check_cmdsn(session, in)) {
        case NUMBER_IGNORE:
            return;
        case NUMBER_BROKEN:
            iscsi_conn_violation(session->conn, "left out a CmdSN");
            return;
        case NUMBER_RIGHT:
            if (!is_immediate(in))
                session->exp_cmdsn++;
        }
    }
    if (is_unnumbered(in) && is_immediate(in) && session->n_unnumbered > ISCSI_MAX_IMMEDIATE)
        iscsi_session_reject(session, in, ISCSI_REJECT_TOO_MANY_IMMEDIATE);
    else
        dispatch(session, in);
}
