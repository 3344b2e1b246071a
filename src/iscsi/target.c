#include "iscsi/target.h"

#include <errno.h>

static void check_idle(struct io_deferred *deferred)
{
    struct iscsi_target *target = container_of(deferred, struct iscsi_target, idle_check);
    if (target->idle && iscsi_target_is_idle(target))
        target->idle(target);
}

void iscsi_target_check_idle(struct iscsi_target *target)
{
    io_thread_defer(target->thread, &target->idle_check);
}

struct iscsi_target *iscsi_target_new(struct io_thread *thread, const char *name,
                                      struct scsi_lu *lu, bool single_writer,
                                      void (*idle)(struct iscsi_target *target))
{
    struct iscsi_target *target = calloc(1, sizeof(*target));
    if (!target) {
        scsi_lu_free(lu);
        return NULL;
    }
    target->thread = thread;
    str_copy(target->name, sizeof(target->name), name);
    target->single_writer = single_writer;
    target->idle = idle;
    target->idle_check.run = check_idle;
    target->lun0 = (struct scsi_target_lun){.lun = 0, .lu = lu};
    target->scsi = (struct scsi_target){.name = target->name, .luns = &target->lun0, .n_luns = 1};
    list_init(&target->sessions);
    list_init(&target->remotes);
    list_init(&target->clears);
    list_init(&target->attaching);
    list_init(&target->task_management);
    return target;
}

void iscsi_target_free(struct iscsi_target *target)
{
    if (!target)
        return;
    io_deferred_cancel(&target->idle_check);
    scsi_lu_free(target->lun0.lu);
    free(target);
}

static struct iscsi_session *session_of(struct list *node)
{
    return container_of(node, struct iscsi_session, link);
}

void iscsi_target_close_sessions(struct iscsi_target *target, const char *reason)
{
    list_for_each(node, &target->sessions)
        iscsi_conn_close(session_of(node)->conn, reason);
    list_for_each(node, &target->attaching)
        iscsi_conn_close(container_of(node, struct iscsi_conn, attach_link), reason);
    list_for_each(node, &target->remotes)
        iscsi_lun_evict(container_of(node, struct iscsi_lun, remote_link), reason);
}

/* On its way out, and nothing of it can land on the medium any more. */
static bool is_harmless(const struct iscsi_session *session)
{
    return session->conn->state != ISCSI_CONN_FULL && !iscsi_session_may_write(session);
}

/* The session that this login replaces: same initiator port (name and ISID), 6.3.5. */
static struct iscsi_session *find_replaced(struct iscsi_target *target,
                                           const struct iscsi_login_identity *identity)
{
    struct iscsi_session *found = NULL;
    list_for_each(node, &target->sessions) {
        struct iscsi_session *session = session_of(node);
        if (str_eq(session->identity.initiator, identity->initiator) &&
            memcmp(session->identity.isid, identity->isid, sizeof(identity->isid)) == 0 &&
            (!found || is_harmless(found)))
            found = session;
    }
    return found;
}

static bool is_same_machine(struct iscsi_target *target, const struct iscsi_login_identity *a,
                            const struct iscsi_login_identity *b)
{
    return endpoint_same_host(&a->source, &b->source) ||
           (target->same_machine && target->same_machine(target, a, b));
}

/* A living session of another machine on a volume that is for one. */
static struct iscsi_session *find_rival(struct iscsi_target *target,
                                        const struct iscsi_login_identity *identity)
{
    if (!target->single_writer)
        return NULL;
    list_for_each(node, &target->sessions) {
        struct iscsi_session *session = session_of(node);
        if (session->conn->state == ISCSI_CONN_FULL &&
            !is_same_machine(target, &session->identity, identity))
            return session;
    }
    return NULL;
}

/* The same, of those that have it as a further LUN. Two machines with one name would meet at LUN 0
 * of their own target already. */
static bool has_remote_rival(const struct iscsi_target *target,
                             const struct iscsi_login_identity *identity)
{
    list_for_each(node, &target->remotes) {
        const struct iscsi_login_identity *other =
            &container_of(node, struct iscsi_lun, remote_link)->luns->identity;
        if (!endpoint_same_host(&other->source, &identity->source) &&
            !str_eq(other->initiator, identity->initiator))
            return true;
    }
    return false;
}

bool iscsi_target_has_rival(struct iscsi_target *target,
                            const struct iscsi_login_identity *identity)
{
    return target->single_writer &&
           (find_rival(target, identity) || has_remote_rival(target, identity));
}

bool iscsi_target_has_others(struct iscsi_target *target,
                             const struct iscsi_login_identity *identity)
{
    if (!target->single_writer)
        return false;
    list_for_each(node, &target->remotes) {
        const struct iscsi_lun *lun = container_of(node, struct iscsi_lun, remote_link);
        if (!is_same_machine(target, &lun->luns->identity, identity))
            return true;
    }
    return find_rival(target, identity) != NULL;
}

/* Is there a session on its way out that still has something to write on the disk? It must not land
 * on what the next one writes. */
static bool somebody_lingers(struct iscsi_target *target)
{
    if (!target->single_writer)
        return false;
    list_for_each(node, &target->sessions) {
        const struct iscsi_session *session = session_of(node);
        if (session->conn->state != ISCSI_CONN_FULL && !is_harmless(session))
            return true;
    }
    return false;
}

static bool tsih_is_free(struct iscsi_target *target, uint16_t tsih)
{
    list_for_each(node, &target->sessions)
        if (session_of(node)->tsih == tsih)
            return false;
    return tsih != 0;
}

static uint16_t new_tsih(struct iscsi_target *target)
{
    do
        target->last_tsih++;
    while (!tsih_is_free(target, target->last_tsih));
    return target->last_tsih;
}

/* RFC 7143 6.3.5, 6.3.6. */
static bool check_tsih(struct iscsi_conn *conn, const struct iscsi_session *replaced)
{
    const struct iscsi_login_identity *identity = &conn->login->identity;
    if (identity->tsih == 0 || (!replaced && conn->replaces))
        return true;
    if (!replaced || replaced->tsih != identity->tsih) {
        iscsi_conn_refuse(conn, ISCSI_LOGIN_NO_SESSION, "asks for a session that does not exist");
        return false;
    }
    if (replaced->identity.cid != identity->cid) {
        iscsi_conn_refuse(conn, ISCSI_LOGIN_TOO_MANY_CONNECTIONS,
                          "asks for a second connection in a session");
        return false;
    }
    conn->replaces = true;
    return true;
}

static unsigned count_living(const struct iscsi_target *target)
{
    unsigned n = 0;
    list_for_each(node, &target->sessions)
        n += session_of(node)->conn->state == ISCSI_CONN_FULL;
    return n;
}

/* For one session more; false if it was refused. */
static bool check_room(const struct iscsi_target *target, struct iscsi_conn *conn)
{
    uint32_t most = conn->limits->sessions_per_target;
    if (most > 0 && count_living(target) >= most) {
        iscsi_conn_refuse(conn, ISCSI_LOGIN_OUT_OF_RESOURCES,
                          "the volume has as many sessions as max-sessions-per-volume in "
                          "nodisk.conf allows");
        return false;
    }
    if (conn->operations->has_room(conn))
        return true;
    iscsi_conn_refuse(conn, ISCSI_LOGIN_OUT_OF_RESOURCES,
                      "there are as many sessions as max-sessions in nodisk.conf allows");
    return false;
}

/* Refuses what is not admitted any more; false if it did. */
static bool check_admission(struct iscsi_conn *conn)
{
    const char *reason = "refused";
    enum iscsi_login_status status = conn->operations->check(conn, &reason);
    if (status == ISCSI_LOGIN_OK)
        return true;
    iscsi_conn_refuse(conn, status, reason);
    return false;
}

/* Refuses what must not have a session now; false if it did. */
static bool check_rules(struct iscsi_target *target, struct iscsi_conn *conn,
                        const struct iscsi_session *replaced)
{
    if (!check_admission(conn))
        return false;
    struct iscsi_session *rival = find_rival(target, &conn->login->identity);
    if (rival) {
        rival->conn->operations->probe(rival->conn);
        conn->rival = &rival->identity.source;
        iscsi_conn_refuse(conn, ISCSI_LOGIN_UNAVAILABLE,
                          "its disk is in use from another address (two machines with one "
                          "identity?); if that machine is gone, this clears within seconds");
        conn->rival = NULL;
        return false;
    }
    if (target->single_writer && has_remote_rival(target, &conn->login->identity)) {
        iscsi_conn_refuse(conn, ISCSI_LOGIN_UNAVAILABLE,
                          "its disk is in use by the node that it is attached to");
        return false;
    }
    return check_tsih(conn, replaced) && (replaced || check_room(target, conn));
}

static void start_session(struct iscsi_target *target, struct iscsi_conn *conn)
{
    uint16_t tsih = conn->login->identity.tsih;
    if (!target)
        tsih = 1;
    else if (!tsih_is_free(target, tsih))
        tsih = new_tsih(target);
    if (iscsi_session_start(conn, target, tsih) < 0)
        iscsi_conn_refuse(conn, ISCSI_LOGIN_OUT_OF_RESOURCES, "out of memory");
}

static void attach(struct iscsi_target *target, struct iscsi_conn *conn)
{
    struct iscsi_session *replaced = find_replaced(target, &conn->login->identity);
    if (!check_rules(target, conn, replaced))
        return;
    if (replaced)
        iscsi_conn_close(replaced->conn, "replaced by a new login of the same initiator");
    bool waits = replaced && (!is_harmless(replaced) || conn->replaces);
    if (waits || somebody_lingers(target))
        list_append(&target->attaching, &conn->attach_link);
    else
        start_session(target, conn);
}

void iscsi_target_attach(struct iscsi_target *target, struct iscsi_conn *conn)
{
    attach(target, conn);
}

void iscsi_discovery_attach(struct iscsi_conn *conn)
{
    if (!conn->operations->has_room(conn))
        iscsi_conn_refuse(conn, ISCSI_LOGIN_OUT_OF_RESOURCES,
                          "there are as many sessions as max-sessions in nodisk.conf allows");
    else
        start_session(NULL, conn);
}

bool iscsi_target_stop_waiting(struct iscsi_conn *conn)
{
    if (!list_linked(&conn->attach_link))
        return false;
    iscsi_conn_refuse(conn, ISCSI_LOGIN_UNAVAILABLE,
                      "what its last session wrote is still on its way to the disk");
    return true;
}

/* Lets those try again that waited; each may find that it has to wait for another one. */
static void attach_waiting(struct iscsi_target *target)
{
    struct list waiting;
    list_move(&waiting, &target->attaching);
    for (struct list *node; (node = list_pop(&waiting));)
        attach(target, container_of(node, struct iscsi_conn, attach_link));
}

void iscsi_target_lun_task_ended(struct iscsi_target *target)
{
    iscsi_task_management_continue(target);
    scsi_lu_tasks_ended(target->lun0.lu);
}

void iscsi_target_task_ended(struct iscsi_target *target)
{
    iscsi_target_lun_task_ended(target);
    if (!list_empty(&target->attaching))
        attach_waiting(target);
}

void iscsi_target_session_ended(struct iscsi_target *target)
{
    iscsi_target_task_ended(target);
    iscsi_target_check_idle(target);
}
