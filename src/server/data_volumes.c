#include "server/data_volumes.h"

#include "core/log.h"
#include "server/access.h"
#include "server/targets_internal.h"

/* Of the LUNs of a session, or of one to be. */
struct data_volumes {
    struct targets *targets;
    struct io_thread *thread;
    /* until LUN 0 is asked for */
    const struct admission *admission;
    struct iscsi_target_request *request;
    bool begins_anew;
};

static struct targets *targets_of(const struct iscsi_lun *lun)
{
    return ((const struct data_volumes *)lun->luns->context)->targets;
}

/* --- those who wait --- */

void data_volumes_wait_init(struct data_volumes_wait *wait, uint64_t volume_id)
{
    *wait = (struct data_volumes_wait){.volume_id = volume_id};
    pthread_mutex_init(&wait->lock, NULL);
    pthread_cond_init(&wait->changed, NULL);
}

void data_volumes_wait_end(struct data_volumes_wait *wait)
{
    pthread_mutex_lock(&wait->lock);
    while (wait->n_left > 0)
        pthread_cond_wait(&wait->changed, &wait->lock);
    pthread_mutex_unlock(&wait->lock);
    pthread_cond_destroy(&wait->changed);
    pthread_mutex_destroy(&wait->lock);
}

static void wait_for_one(struct data_volumes_wait *wait)
{
    pthread_mutex_lock(&wait->lock);
    wait->n_left++;
    pthread_mutex_unlock(&wait->lock);
}

/* Of those for whom it is being opened, if `was_left`. From here on *wait may be gone. reason: NULL
 * if the session has it. */
static void tell_waiting(struct data_volumes_wait *wait, bool was_left, const char *reason)
{
    pthread_mutex_lock(&wait->lock);
    if (reason)
        wait->reason = reason;
    else
        wait->n_have++;
    wait->n_left -= was_left;
    if (wait->n_left == 0)
        pthread_cond_signal(&wait->changed);
    pthread_mutex_unlock(&wait->lock);
}

/* --- opening --- */

/* On the thread of the data volume. */
static void open_data_volume(struct iscsi_lun *lun)
{
    const struct data_volumes *d = lun->luns->context;
    const struct admitted_volume *volume = lun->volume;
    bool begins_anew = d->begins_anew && !lun->attached;
    open_volumes_get(d->targets->volumes, lun->thread, &volume->spec,
                     begins_anew ? &lun->luns->identity : NULL, &lun->request);
}

/* It is the LUN's own, if it was attached to a session that had begun. */
static struct admitted_volume *own_volume(const struct iscsi_lun *lun)
{
    return (struct admitted_volume *)lun->volume;
}

static void attached(struct admitted_volume *volume, const char *reason)
{
    if (volume->wait)
        tell_waiting(volume->wait, true, reason);
    free(volume->path);
    free(volume);
}

/* The machine comes up without what cannot be opened: that may be what an administrator needs. */
static void data_volume_opened(struct iscsi_lun *lun)
{
    const struct admitted_volume *volume = lun->volume;
    const char *initiator = lun->luns->identity.initiator;
    if (!lun->connected)
        log_error("%s %s without LUN %u (%s): %s", initiator, lun->attached ? "goes on" : "logs in",
                  lun->number, volume->target, lun->reason);
    else if (lun->attached)
        log_info("%s has LUN %u (%s) from now on", initiator, lun->number, volume->target);
    if (lun->attached)
        attached(own_volume(lun), lun->connected ? NULL : lun->reason);
}

static void data_volumes_connected(struct iscsi_luns *luns)
{
    const struct data_volumes *d = luns->context;
    open_volumes_get(d->targets->volumes, d->thread, &d->admission->volumes[0].spec,
                     d->begins_anew ? &d->admission->identity : NULL, d->request);
}

static void data_volume_let_go(struct iscsi_lun *lun)
{
    targets_remove_user(targets_of(lun), lun->volume_id);
}

static void data_volumes_freed(struct iscsi_luns *luns)
{
    free(luns->context);
}

/* NULL: no memory. */
static struct iscsi_luns *luns_new(struct targets *targets, struct io_thread *thread,
                                   const struct iscsi_login_identity *identity)
{
    struct data_volumes *d = calloc(1, sizeof(*d));
    struct iscsi_luns *luns = d ? iscsi_luns_new(thread) : NULL;
    if (!luns) {
        free(d);
        return NULL;
    }
    *d = (struct data_volumes){.targets = targets, .thread = thread};
    luns->identity = *identity;
    luns->open = open_data_volume;
    luns->opened = data_volume_opened;
    luns->connected = data_volumes_connected;
    luns->let_go = data_volume_let_go;
    luns->freed = data_volumes_freed;
    luns->context = d;
    return luns;
}

/* The volume is in use from now on. NULL: no memory. */
static struct iscsi_lun *add_lun(struct targets *targets, struct iscsi_luns *luns,
                                 const struct admitted_volume *volume)
{
    uint64_t id = volume->spec.id;
    struct iscsi_lun *lun =
        iscsi_luns_add(luns, volume->lun, targets->threads[id % targets->n_threads], id, volume);
    if (lun)
        targets_add_user(targets, id, luns->identity.initiator, &luns->identity.source);
    return lun;
}

/* --- logging in --- */

static void nobody_waits(void *context)
{
}

/* NULL: no memory. */
static struct iscsi_luns *luns_for(struct targets *targets, struct io_thread *thread,
                                   const struct admission *a)
{
    struct iscsi_luns *luns = luns_new(targets, thread, &a->identity);
    bool ok = luns != NULL;
    for (size_t i = 1; ok && i < a->n_volumes; i++)
        ok = add_lun(targets, luns, &a->volumes[i]) != NULL;
    if (ok || !luns)
        return luns;
    iscsi_luns_release(luns, nobody_waits, NULL); /* nothing is connected yet */
    return NULL;
}

void data_volumes_get(struct targets *targets, struct io_thread *thread, const struct admission *a,
                      bool begins_anew, struct iscsi_target_request *request)
{
    struct iscsi_luns *luns = luns_for(targets, thread, a);
    if (!luns) {
        request->done(request, NULL, "out of memory");
        return;
    }
    struct data_volumes *d = luns->context;
    d->admission = a;
    d->request = request;
    d->begins_anew = begins_anew;
    request->luns = luns;
    iscsi_luns_connect(luns);
}

/* --- attaching --- */

/* Connected or about to be; NULL: there is none. */
static struct iscsi_lun *find_lun(const struct iscsi_luns *luns, unsigned number)
{
    if (!luns)
        return NULL;
    list_for_each(node, &luns->all) {
        struct iscsi_lun *lun = container_of(node, struct iscsi_lun, link);
        if (lun->number == number)
            return lun;
    }
    return NULL;
}

/* Its node, if the session is one with what the node boots; else NULL. */
static const struct catalog_node *node_of(const struct catalog *catalog,
                                          const struct iscsi_session *session)
{
    const struct catalog_node *node =
        catalog_node_by_initiator(catalog, session->identity.initiator);
    bool boots = node && session->target && session->conn->state == ISCSI_CONN_FULL &&
                 node->volume_id == open_volumes_id(session->target);
    return boots ? node : NULL;
}

/* Is it still attached, in the catalog of now? */
static bool is_attached(struct targets *targets, const struct iscsi_session *session,
                        const struct admitted_volume *volume)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(targets->catalog);
    const struct catalog_node *node = node_of(catalog, session);
    const struct catalog_volume *v = catalog_volume_by_id(catalog, volume->spec.id);
    if (!node || !v || v->state != VOLUME_READY)
        return false;
    for (size_t i = 0; i < node->n_attachments; i++)
        if (node->attachments[i].lun == volume->lun &&
            node->attachments[i].volume_id == volume->spec.id)
            return true;
    return false;
}

/* NULL: the session may have it. */
static const char *refusal_of(struct targets *targets, const struct iscsi_session *session,
                              uint64_t volume_id)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(targets->catalog);
    const struct catalog_volume *v = catalog_volume_by_id(catalog, volume_id);
    return v ? access_refusal(catalog, &session->identity, v) : NULL;
}

/* NULL: no memory. */
static struct admitted_volume *volume_of(const struct catalog *catalog,
                                         const struct catalog_attachment *attachment,
                                         struct data_volumes_wait *wait)
{
    const struct catalog_volume *v = catalog_volume_by_id(catalog, attachment->volume_id);
    struct admitted_volume *volume = calloc(1, sizeof(*volume));
    if (!volume || !admitted_volume_init(volume, attachment->lun, catalog, v)) {
        free(volume);
        return NULL;
    }
    volume->wait = wait;
    return volume;
}

/* The LUNs of the session, if need be new ones; NULL: no memory. */
static struct iscsi_luns *luns_of(struct targets *targets, struct iscsi_session *session)
{
    struct iscsi_conn *conn = session->conn;
    if (conn->luns)
        return conn->luns;
    struct iscsi_luns *luns = luns_new(targets, conn->thread, &session->identity);
    if (!luns)
        return NULL;
    luns->conn = conn;
    if (iscsi_luns_begin(luns, session) < 0) {
        iscsi_luns_release(luns, nobody_waits, NULL);
        return NULL;
    }
    conn->luns = luns;
    return luns;
}

/* Uses the volume first and then looks whether it is still attached, so that whoever removes or
 * detaches it either sees the user or is seen. NULL: it is on its way, and volume was taken over.
 */
static const char *start(struct targets *targets, struct iscsi_session *session, uint64_t node_id,
                         struct admitted_volume *volume)
{
    uint64_t id = volume->spec.id;
    const char *reason = refusal_of(targets, session, id);
    targets_add_user(targets, id, session->identity.initiator, &session->identity.source);
    if (!is_attached(targets, session, volume))
        reason = "it has been detached again";
    else if (holds_match(targets->holds, node_id, id))
        reason = "it is being drained; to end that: nodisk session release";
    struct iscsi_luns *luns = reason ? NULL : luns_of(targets, session);
    struct iscsi_lun *lun = luns ? add_lun(targets, luns, volume) : NULL;
    targets_remove_user(targets, id); /* the LUN is one */
    if (lun)
        iscsi_luns_attach(lun);
    return lun ? NULL : reason ? reason : "out of memory";
}

static void attach(struct targets *targets, struct iscsi_session *session, uint64_t node_id,
                   const struct catalog *catalog, const struct catalog_attachment *attachment,
                   struct data_volumes_wait *wait)
{
    struct admitted_volume *volume = volume_of(catalog, attachment, wait);
    if (wait)
        wait_for_one(wait);
    const char *reason = volume ? start(targets, session, node_id, volume) : "out of memory";
    if (!reason)
        return;
    log_error("%s goes on without LUN %u: %s", session->identity.initiator, attachment->lun,
              reason);
    if (volume)
        attached(volume, reason);
    else if (wait)
        tell_waiting(wait, true, reason);
}

/* The session has had it since its login; or it has just been looked after. */
static void wait_for_lun(const struct iscsi_lun *lun, struct data_volumes_wait *wait)
{
    if (lun->volume_id != wait->volume_id) {
        tell_waiting(wait, false,
                     "its session has another volume as this LUN until it logs in again");
    } else if (lun->connected) {
        tell_waiting(wait, false, NULL);
    } else if (!own_volume(lun)->wait) {
        wait_for_one(wait);
        own_volume(lun)->wait = wait;
    }
}

void data_volumes_update(struct targets *targets, struct iscsi_session *session,
                         struct data_volumes_wait *wait)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(targets->catalog);
    const struct catalog_node *node = node_of(catalog, session);
    for (size_t i = 0; node && i < node->n_attachments; i++) {
        const struct catalog_attachment *a = &node->attachments[i];
        const struct catalog_volume *v = catalog_volume_by_id(catalog, a->volume_id);
        struct data_volumes_wait *waits = wait && wait->volume_id == a->volume_id ? wait : NULL;
        struct iscsi_lun *lun = find_lun(session->conn->luns, a->lun);
        if (!lun && v && v->state == VOLUME_READY)
            attach(targets, session, node->id, catalog, a, waits);
        else if (lun && waits)
            wait_for_lun(lun, waits);
    }
}
