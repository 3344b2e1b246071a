/*
 * Task management functions (RFC 7143 11.5, 11.6): end tasks early, and answer when they are gone.
 *
 * What is on the disk cannot be called back. The answer waits for what writes, so that nothing of
 * an aborted task lands on the medium after it; but for nothing else (a read, a network that does
 * not move): an initiator that is not answered soon takes harder measures.
 */
#include "iscsi/remote.h"
#include "iscsi/target.h"

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

    /* On a further LUN: what is done on that LU's thread. */
    struct iscsi_lun *lun; /* NULL: nothing */
    bool away;             /* it is there */
    bool silent;           /* a part of a target reset, which answers for it */
    enum scsi_sense attention;
    bool tell_all;
    struct message message;
    struct list clear_link; /* in the clears of that LU's target */
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

/* The session that an LU's thread may look at, since it is its own; else NULL. */
static struct iscsi_session *own_session(const struct iscsi_lun *lun)
{
    const struct iscsi_luns *luns = lun->luns;
    return luns->thread == lun->thread && luns->conn ? luns->conn->session : NULL;
}

static bool lun_writes(const struct iscsi_lun *lun)
{
    const struct iscsi_session *session = own_session(lun);
    if (session && iscsi_session_cancelled_writes(session))
        return true;
    list_for_each(node, &lun->tasks) {
        const struct iscsi_remote *remote = container_of(node, struct iscsi_remote, link);
        if (remote->cleared && remote->writes)
            return true;
    }
    return false;
}

/* Does anything that was cancelled on LUN 0 of a target still write? On its thread. */
static bool target_writes(const struct iscsi_target *target)
{
    list_for_each(node, &target->sessions)
        if (writes(container_of(node, struct iscsi_session, link), NULL))
            return true;
    list_for_each(node, &target->remotes)
        if (lun_writes(container_of(node, struct iscsi_lun, remote_link)))
            return true;
    return false;
}

static bool must_wait(const struct iscsi_task_management *function)
{
    if (function->away)
        return true;
    if (function->scope != OF_TARGET)
        return writes(function->session, function->task);
    return function->session->n_away > 0 || target_writes(function->session->target);
}

/* RFC 7143 11.5.1: a cold reset ends every session. The answer still leaves. */
static void close_all(struct iscsi_target *target)
{
    list_for_each(node, &target->sessions)
        iscsi_conn_close_after_output(container_of(node, struct iscsi_session, link)->conn,
                                      "an initiator has asked for a cold reset of the target");
}

/* Those of other threads are sent back when nothing is left to wait for. */
static void continue_clears(struct iscsi_target *target);

void iscsi_task_management_continue(struct iscsi_target *target)
{
    continue_clears(target);
    list_for_each(node, &target->task_management) {
        struct iscsi_task_management *function =
            container_of(node, struct iscsi_task_management, link);
        struct iscsi_session *session = function->session;
        if (function->away || (session->conn->state == ISCSI_CONN_FULL && must_wait(function)))
            continue;
        list_remove(&function->link);
        if (session->conn->state == ISCSI_CONN_FULL && !function->silent)
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
    list_for_each(node, &session->target->task_management) {
        const struct iscsi_task_management *function =
            container_of(node, struct iscsi_task_management, link);
        n += function->session == session && !function->silent;
    }
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
    iscsi_session_cancel_lun(session, lun, NULL);
    respond_when_gone(session, itt, OF_SESSION, NULL, false);
}

/* --- on the thread of an LU --- */

/* The tasks that a session of another target has on LUN 0 of this one, but for `except` (or NULL).
 * Returns whether there are any. */
static bool clear_remote(struct iscsi_lun *lun, const struct scsi_task *except)
{
    struct iscsi_session *session = own_session(lun);
    bool had_tasks = !list_empty(&lun->tasks) || (session && session->n_tasks > 0);
    list_for_each(node, &lun->tasks) {
        struct iscsi_remote *remote = container_of(node, struct iscsi_remote, link);
        if (&remote->far != except)
            remote->cleared = true;
    }
    if (session)
        iscsi_session_cancel_lun(session, (int)lun->number, except);
    else if (had_tasks)
        iscsi_lun_clear(lun);
    return had_tasks;
}

/* Every session's tasks on LUN 0 of a target, and whoever lost some is told by a unit attention
 * (SAM-5 6.3.3, 6.3.5). by: the nexus that asks for it. */
static void clear_lu(struct iscsi_target *target, const struct scsi_nexus *by,
                     enum scsi_sense attention, bool tell_all)
{
    if (tell_all) /* it is a reset */
        scsi_lu_reset(target->lun0.lu);
    list_for_each(node, &target->sessions) {
        struct iscsi_session *session = container_of(node, struct iscsi_session, link);
        bool had_tasks = session->n_tasks > 0;
        iscsi_session_cancel_lun(session, 0, NULL);
        if (tell_all || (had_tasks && &session->nexus != by))
            scsi_nexus_establish_unit_attention(&session->nexus, attention);
    }
    list_for_each(node, &target->remotes) {
        struct iscsi_lun *lun = container_of(node, struct iscsi_lun, remote_link);
        bool had_tasks = clear_remote(lun, NULL);
        if (tell_all || (had_tasks && &lun->nexus != by))
            scsi_nexus_establish_unit_attention(&lun->nexus, attention);
    }
}

/* --- PREEMPT AND ABORT --- */

static struct iscsi_session *session_of(const struct scsi_nexus *nexus)
{
    return container_of(nexus, struct iscsi_session, nexus);
}

static struct iscsi_lun *lun_of(const struct scsi_nexus *nexus)
{
    return container_of(nexus, struct iscsi_lun, nexus);
}

static void abort_session(struct scsi_nexus *nexus, const struct scsi_task *except)
{
    iscsi_session_cancel_lun(session_of(nexus), 0, except);
}

static bool session_lingers(const struct scsi_nexus *nexus)
{
    return writes(session_of(nexus), NULL);
}

static void abort_lun(struct scsi_nexus *nexus, const struct scsi_task *except)
{
    (void)clear_remote(lun_of(nexus), except);
}

static bool lun_lingers(const struct scsi_nexus *nexus)
{
    return lun_writes(lun_of(nexus));
}

const struct scsi_nexus_operations iscsi_session_nexus_operations = {abort_session,
                                                                     session_lingers};
const struct scsi_nexus_operations iscsi_lun_nexus_operations = {abort_lun, lun_lingers};

/* --- coming back from there --- */

static void come_back(struct message *message)
{
    struct iscsi_task_management *function =
        container_of(message, struct iscsi_task_management, message);
    struct iscsi_session *session = function->session;
    function->away = false;
    session->n_away--;
    iscsi_session_task_ended(session); /* goes on with this function, or with its end */
}

static void continue_clears(struct iscsi_target *target)
{
    if (list_empty(&target->clears) || target_writes(target))
        return;
    for (struct list *node; (node = list_pop(&target->clears));) {
        struct iscsi_task_management *function =
            container_of(node, struct iscsi_task_management, clear_link);
        function->message.run = come_back;
        io_thread_post(function->lun->luns->thread, &function->message);
    }
}

static void clear_there(struct message *message)
{
    struct iscsi_task_management *function =
        container_of(message, struct iscsi_task_management, message);
    struct iscsi_target *target = function->lun->target;
    clear_lu(target, &function->lun->nexus, function->attention, function->tell_all);
    list_append(&target->clears, &function->clear_link);
    continue_clears(target);
}

/* --- on the thread of the session --- */

/* silent: for a function that follows, and answers. False: no memory, or too many. */
static bool clear_lun(struct iscsi_session *session, uint32_t itt, struct iscsi_lun *lun,
                      enum scsi_sense attention, bool tell_all, bool silent)
{
    if (!silent && count_waiting(session) >= MAX_WAITING) {
        iscsi_conn_violation(session->conn, "asks for too many task management functions at once");
        return false;
    }
    struct iscsi_task_management *function = calloc(1, sizeof(*function));
    if (!function) {
        iscsi_conn_close(session->conn, "out of memory");
        return false;
    }
    *function = (struct iscsi_task_management){.session = session,
                                               .itt = itt,
                                               .scope = OF_SESSION,
                                               .lun = lun,
                                               .away = true,
                                               .silent = silent,
                                               .attention = attention,
                                               .tell_all = tell_all,
                                               .message.run = clear_there};
    session->n_away++;
    list_append(&session->target->task_management, &function->link);
    iscsi_session_cancel_lun(session, (int)lun->number, NULL);
    io_thread_post(lun->thread, &function->message);
    return true;
}

/* CLEAR TASK SET, LOGICAL UNIT RESET. lun: NULL for LUN 0. */
static void clear_one(struct iscsi_session *session, uint32_t itt, struct iscsi_lun *lun,
                      enum scsi_sense attention, bool tell_all)
{
    if (lun) {
        (void)clear_lun(session, itt, lun, attention, tell_all, false);
        return;
    }
    clear_lu(session->target, &session->nexus, attention, tell_all);
    respond_when_gone(session, itt, OF_TARGET, NULL, false);
}

/* TARGET WARM RESET, TARGET COLD RESET: every LUN. */
static void reset_target(struct iscsi_session *session, uint32_t itt, bool cold)
{
    struct iscsi_luns *luns = session->conn->luns;
    if (session->n_away > 2 * MAX_WAITING) {
        iscsi_conn_violation(session->conn, "asks for too many task management functions at once");
        return;
    }
    for (int i = 0; i < ISCSI_LUNS; i++) {
        struct iscsi_lun *lun = iscsi_luns_find(luns, i);
        if (lun && !clear_lun(session, itt, lun, SENSE_RESET, true, true))
            return;
    }
    clear_lu(session->target, &session->nexus, SENSE_RESET, true);
    respond_when_gone(session, itt, OF_TARGET, NULL, cold);
}

void iscsi_task_management_pdu(struct iscsi_session *session, const struct iscsi_input *in)
{
    enum function function = in->bhs[BHS_FLAGS] & 0x7f;
    uint32_t itt = bhs_get32(in->bhs, BHS_ITT);
    bool names_lun = function != TARGET_WARM_RESET && function != TARGET_COLD_RESET;
    int number = iscsi_lun_number(bhs_get64(in->bhs, BHS_LUN));
    struct iscsi_lun *lun = iscsi_luns_find(session->conn->luns, number);
    if (names_lun && function != TASK_REASSIGN && number != 0 && !lun) {
        respond(session, itt, LUN_DOES_NOT_EXIST);
        return;
    }
    switch (function) {
    case ABORT_TASK:
        abort_task(session, in);
        break;
    case ABORT_TASK_SET:
        abort_task_set(session, itt, number);
        break;
    case CLEAR_TASK_SET:
        clear_one(session, itt, lun, SENSE_COMMANDS_CLEARED, false);
        break;
    case LOGICAL_UNIT_RESET:
        clear_one(session, itt, lun, SENSE_LU_RESET, true);
        break;
    case TARGET_WARM_RESET:
    case TARGET_COLD_RESET:
        reset_target(session, itt, function == TARGET_COLD_RESET);
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
