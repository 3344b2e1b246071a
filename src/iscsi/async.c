#include "iscsi/async.h"

#include "iscsi/session.h"

/* RFC 7143 11.9: the fields of the message that no other PDU has. */
enum field {
    BHS_ASYNC_EVENT = 36,
    BHS_PARAMETER2 = 40,
    BHS_PARAMETER3 = 42,
};

/* False: it was not sent, and the connection may be closed. */
static bool send_event(struct iscsi_session *session, enum iscsi_async_event event,
                       uint16_t parameter2, uint16_t parameter3)
{
    struct iscsi_conn *conn = session->conn;
    if (!iscsi_session_bears_messages(session))
        return false;
    struct iscsi_out *out = iscsi_out_new(conn, ISCSI_ASYNC_MESSAGE, ISCSI_RESERVED_TAG);
    if (!out)
        return false;
    iscsi_out_take_statsn(conn, out);
    out->header[BHS_ASYNC_EVENT] = (uint8_t)event;
    bhs_put16(out->header, (enum iscsi_field)BHS_PARAMETER2, parameter2);
    bhs_put16(out->header, (enum iscsi_field)BHS_PARAMETER3, parameter3);
    iscsi_conn_queue(conn, out);
    return true;
}

/* It may come back after the time that was agreed. */
static void send_away(struct io_timer *timer)
{
    struct iscsi_session *session = container_of(timer, struct iscsi_session, leave);
    struct iscsi_conn *conn = session->conn;
    if (conn->state != ISCSI_CONN_FULL)
        return; /* it is going already */
    uint16_t wait = (uint16_t)session->parameters.default_time2wait;
    if (send_event(session, ISCSI_ASYNC_SESSION_DROPPED, wait, 0)) {
        iscsi_session_cancel_tasks(session);
        iscsi_conn_close_after_output(conn, session->leave_reason);
    } else {
        iscsi_conn_close(conn, session->leave_reason);
    }
}

bool iscsi_session_ask_to_leave(struct iscsi_session *session, uint16_t seconds, const char *reason)
{
    struct io_thread *thread = session->conn->thread;
    uint64_t usec = seconds * USEC_PER_SEC;
    if (session->conn->state != ISCSI_CONN_FULL)
        return false;
    session->leave_reason = reason;
    session->leave.expired = send_away;
    if (!list_linked(&session->leave.link) ||
        session->leave.deadline > clock_monotonic_usec() + usec)
        io_timer_start(thread, &session->leave, usec);
    return send_event(session, ISCSI_ASYNC_LOGOUT_REQUEST, 0, seconds);
}

void iscsi_session_let_stay(struct iscsi_session *session)
{
    io_timer_stop(&session->leave);
}
