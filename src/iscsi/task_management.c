/*
 * Task management functions (RFC 7143 11.5, 11.6): end tasks early, and answer when they are gone.
 *
 * What is on the disk cannot be called back. The answer waits for what writes, so that nothing of
 * an aborted task lands on the medium after it; but for nothing else (a read, a network that does
 * not move): an initiator that is not answered soon takes harder measures.
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

/* Functions of a session that may wait; Linux has one at a time. */
#define MAX_WAITING 64

enum scope { OF_TASK, OF_SESSION, OF_TARGET };

/* A function that waits for cancelled tasks to end. */
struct iscsi_task_management {
    struct list link;
    struct iscsi_session *session; /* to be answered */
    uint32_t itt;
    enum scope scope;              /* which cancelled tasks it waits for */
    const struct iscsi_task *task; /* OF_TASK; only to be compared: it may be gone */
    bool ends_all;                 /* a cold reset: all connections are closed then */
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

/* Of the cancelled tasks of a session, does this one (NULL: does any) still write? */
static bool writes(const struct iscsi_session *session, const struct iscsi_task *only)
{
    list_for_each(node, &session->cancelled) {
        const struct iscsi_task *task = container_of(node, struct iscsi_task, link);
        if ((!only || task == only) && iscsi_task_writes(task))
            return true;
    }
    return false;
}

static bool must_wait(const struct iscsi_task_management *function)
{
    if (function->scope != OF_TARGET)
        return writes(function->session, function->task);
    list_for_each(node, &function->session->target->sessions)
        if (writes(container_of(node, struct iscsi_session, link), NULL))
            return true;
    return false;
}

/* RFC 7143 11.5.1: a cold reset ends every session. The answer still leaves. */
static void close_all(struct iscsi_target *target)
{
    list_for_each(node, &target->sessions)
        iscsi_conn_close_after_output(container_of(node, struct iscsi_session, link)->conn,
                                      "an initiator has asked for a cold reset of the target");
}

void iscsi_task_management_continue(struct iscsi_target *target)
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
        if (function->ends_all)
            close_all(target);
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

static unsigned count_waiting(const struct iscsi_session *session)
{
    unsigned n = 0;
    list_for_each(node, &session->target->task_management)
        n += container_of(node, struct iscsi_task_management, link)->session == session;
    return n;
}

static void respond_when_gone(struct iscsi_session *session, uint32_t itt, enum scope scope,
                              const struct iscsi_task *task, bool ends_all)
{
    if (count_waiting(session) >= MAX_WAITING) {
        iscsi_conn_violation(session->conn, "asks for too many task management functions at once");
        return;
    }
    struct iscsi_task_management *function = calloc(1, sizeof(*function));
    if (!function) {
        iscsi_conn_close(session->conn, "out of memory");
        return;
    }
    *function = (struct iscsi_task_management){
        .session = session, .itt = itt, .scope = scope, .task = task, .ends_all = ends_all};
    list_append(&session->target->task_management, &function->link);
    iscsi_task_management_continue(session->target);
}

/* Under way, or cancelled and not gone yet. */
static struct iscsi_task *find_task(struct iscsi_session *session, uint32_t itt)
{
    struct iscsi_task *task = iscsi_task_find(session, itt);
    list_for_each(node, &session->cancelled)
        if (!task && container_of(node, struct iscsi_task, link)->itt == itt)
            task = container_of(node, struct iscsi_task, link);
    return task;
}

/* RFC 7143 11.5.1: a task that does not exist but whose CmdSN could still come counts as done. */
static void abort_task(struct iscsi_session *session, const struct iscsi_input *in)
{
    uint32_t itt = bhs_get32(in->bhs, BHS_ITT);
    struct iscsi_task *task = find_task(session, bhs_get32(in->bhs, BHS_REFERENCED_TAG));
    if (!task) {
        uint32_t cmdsn = bhs_get32(in->bhs, BHS_REFCMDSN);
        bool in_window =
            serial_le(session->exp_cmdsn, cmdsn) && serial_lt(cmdsn, bhs_get32(in->bhs, BHS_CMDSN));
        if (in_window && cmdsn == session->exp_cmdsn)
            session->exp_cmdsn++; /* it counts as received: what comes with it is old */
        respond(session, itt, in_window ? FUNCTION_COMPLETE : TASK_DOES_NOT_EXIST);
        return;
    }
    iscsi_task_cancel(task);
    respond_when_gone(session, itt, OF_TASK, task, false);
}

static void abort_task_set(struct iscsi_session *session, uint32_t itt, int lun)
{
    iscsi_session_cancel_lun(session, lun);
    respond_when_gone(session, itt, OF_SESSION, NULL, false);
}

/* Every session's tasks, and whoever lost some is told by a unit attention (SAM-5 6.3.3, 6.3.5). */
static void clear_everywhere(struct iscsi_session *session, uint32_t itt, enum scsi_sense attention,
                             bool tell_all, bool cold)
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
    respond_when_gone(session, itt, OF_TARGET, NULL, cold);
}

void iscsi_task_management_pdu(struct iscsi_session *session, const struct iscsi_input *in)
{
    enum function function = in->bhs[BHS_FLAGS] & 0x7f;
    uint32_t itt = bhs_get32(in->bhs, BHS_ITT);
    bool names_lun = function != TARGET_WARM_RESET && function != TARGET_COLD_RESET;
    int lun = iscsi_lun_number(bhs_get64(in->bhs, BHS_LUN));
    if (names_lun && function != TASK_REASSIGN && lun != 0 &&
        !iscsi_luns_find(session->conn->luns, lun)) {
        respond(session, itt, LUN_DOES_NOT_EXIST);
        return;
    }
    switch (function) {
    case ABORT_TASK:
        abort_task(session, in);
        break;
    case ABORT_TASK_SET:
        abort_task_set(session, itt, lun);
        break;
    case CLEAR_TASK_SET:
        clear_everywhere(session, itt, SENSE_COMMANDS_CLEARED, false, false);
        break;
    case LOGICAL_UNIT_RESET:
        clear_everywhere(session, itt, SENSE_LU_RESET, true, false);
        break;
    case TARGET_WARM_RESET:
    case TARGET_COLD_RESET:
        clear_everywhere(session, itt, SENSE_RESET, true, function == TARGET_COLD_RESET);
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
