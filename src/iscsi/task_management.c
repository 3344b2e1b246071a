/*
 * Task management functions (RFC 7143 11.5, 11.6): end tasks early, and answer when they are gone.
 *
 * What is on the disk cannot be called back; the answer waits for it, so that no write of an
 * aborted task lands after the answer.
 */
#include "iscsi/target.h"
#include "iscsi/task.h"

enum function {
    ABORT_TASK = 1,
    ABORT_TASK_SET = 2,
    CLEAR_ACA = 3,
    CLEAR_TASK_SET = 4,
    LOGICAL_UNIT_RESET = 5,
    TARGET_WARM_RESET = 6,
    TARGET_COLD_RESET = 7,
    TASK_REASSIGN = 8,
};

enum response {
    FUNCTION_COMPLETE = 0,
    TASK_DOES_NOT_EXIST = 1,
    LUN_DOES_NOT_EXIST = 2,
    REASSIGN_NOT_SUPPORTED = 4,
    FUNCTION_NOT_SUPPORTED = 5,
};

/* A function that waits for cancelled tasks to end. */
struct iscsi_task_management {
    struct list link;
    struct iscsi_session *session; /* to be answered */
    uint32_t itt;
    bool whole_target; /* wait for cancelled tasks of all sessions, not only of this one */
};

static void respond(struct iscsi_session *session, uint32_t itt, enum response response)
{
    struct iscsi_out *out = iscsi_out_new(session->conn, ISCSI_TASK_MANAGEMENT_RESPONSE, itt);
    if (!out)
        return;
    out->header[BHS_RESPONSE] = (uint8_t)response;
    iscsi_out_take_statsn(session->conn, out);
    iscsi_conn_queue(session->conn, out);
}

static bool has_cancelled(struct iscsi_session *session)
{
    list_for_each(node, &session->tasks)
        if (container_of(node, struct iscsi_task, link)->cancelled)
            return true;
    return false;
}

static bool must_wait(const struct iscsi_task_management *function)
{
    if (!function->whole_target)
        return has_cancelled(function->session);
    list_for_each(node, &function->session->target->sessions)
        if (has_cancelled(container_of(node, struct iscsi_session, link)))
            return true;
    return false;
}

void iscsi_target_task_ended(struct iscsi_target *target)
{
    list_for_each(node, &target->task_management) {
        struct iscsi_task_management *function =
            container_of(node, struct iscsi_task_management, link);
        struct iscsi_session *session = function->session;
        if (session->conn->state == ISCSI_CONN_FULL && must_wait(function))
            continue;
        list_remove(&function->link);
        if (session->conn->state == ISCSI_CONN_FULL)
            respond(session, function->itt, FUNCTION_COMPLETE);
        free(function);
    }
}

void iscsi_task_management_forget(struct iscsi_session *session)
{
    list_for_each(node, &session->target->task_management) {
        struct iscsi_task_management *function =
            container_of(node, struct iscsi_task_management, link);
        if (function->session == session) {
            list_remove(&function->link);
            free(function);
        }
    }
}

static void respond_when_gone(struct iscsi_session *session, uint32_t itt, bool whole_target)
{
    struct iscsi_task_management *function = calloc(1, sizeof(*function));
    if (!function) {
        iscsi_conn_close(session->conn, "out of memory");
        return;
    }
    *function = (struct iscsi_task_management){
        .session = session, .itt = itt, .whole_target = whole_target};
    list_append(&session->target->task_management, &function->link);
    iscsi_target_task_ended(session->target);
}

/* RFC 7143 11.5.1: a task that does not exist but whose CmdSN could still come counts as done. */
static void abort_task(struct iscsi_session *session, const struct iscsi_input *in)
{
    uint32_t itt = bhs_get32(in->bhs, BHS_ITT);
    struct iscsi_task *task = iscsi_task_find(session, bhs_get32(in->bhs, BHS_REFERENCED_TAG));
    if (!task) {
        uint32_t cmdsn = bhs_get32(in->bhs, BHS_REFCMDSN);
        bool in_window =
            serial_le(session->exp_cmdsn, cmdsn) && serial_lt(cmdsn, bhs_get32(in->bhs, BHS_CMDSN));
        respond(session, itt, in_window ? FUNCTION_COMPLETE : TASK_DOES_NOT_EXIST);
        return;
    }
    iscsi_task_cancel(task);
    respond_when_gone(session, itt, false);
}

static void abort_task_set(struct iscsi_session *session, uint32_t itt)
{
    iscsi_session_cancel_tasks(session);
    respond_when_gone(session, itt, false);
}

/* Every session's tasks, and whoever lost some is told by a unit attention (SAM-5 6.3.3, 6.3.5). */
static void clear_everywhere(struct iscsi_session *session, uint32_t itt, enum scsi_sense attention,
                             bool tell_all)
{
    struct iscsi_target *target = session->target;
    list_for_each(node, &target->sessions) {
        struct iscsi_session *other = container_of(node, struct iscsi_session, link);
        bool had_tasks = other->n_tasks > 0;
        iscsi_session_cancel_tasks(other);
        if (other != session && (tell_all || had_tasks))
            scsi_nexus_establish_unit_attention(&other->nexus, attention);
    }
    if (tell_all)
        scsi_nexus_establish_unit_attention(&session->nexus, attention);
    respond_when_gone(session, itt, true);
}

void iscsi_task_management_pdu(struct iscsi_session *session, const struct iscsi_input *in)
{
    enum function function = in->bhs[BHS_FLAGS] & 0x7f;
    uint32_t itt = bhs_get32(in->bhs, BHS_ITT);
    bool names_lun = function != TARGET_WARM_RESET && function != TARGET_COLD_RESET;
    if (names_lun && function != TASK_REASSIGN && bhs_get64(in->bhs, BHS_LUN) != 0) {
        respond(session, itt, LUN_DOES_NOT_EXIST);
        return;
    }
    switch (function) {
    case ABORT_TASK:
        abort_task(session, in);
        break;
    case ABORT_TASK_SET:
        abort_task_set(session, itt);
        break;
    case CLEAR_TASK_SET:
        clear_everywhere(session, itt, SENSE_COMMANDS_CLEARED, false);
        break;
    case LOGICAL_UNIT_RESET:
        clear_everywhere(session, itt, SENSE_LU_RESET, true);
        break;
    case TARGET_WARM_RESET:
    case TARGET_COLD_RESET:
        clear_everywhere(session, itt, SENSE_RESET, true);
        break;
    case TASK_REASSIGN:
        respond(session, itt, REASSIGN_NOT_SUPPORTED);
        break;
    case CLEAR_ACA:
    default:
        respond(session, itt, FUNCTION_NOT_SUPPORTED);
        break;
    }
}
