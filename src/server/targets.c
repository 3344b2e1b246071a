#include "server/targets_internal.h"

#include "server/access.h"

#include <errno.h>
#include <semaphore.h>

/* Sessions of a volume, and logins on their way to one; for those who ask from other threads. */
struct volume_users {
    unsigned count;
    char last[256]; /* who came last: "iqn... from 10.0.0.7" */
};

/* --- who uses a volume --- */

void targets_add_user(struct targets *targets, uint64_t volume_id, const char *initiator,
                      const struct endpoint *peer)
{
    char address[ENDPOINT_TEXT_SIZE];
    pthread_mutex_lock(&targets->lock);
    struct volume_users *users = idmap_get(&targets->users, volume_id);
    if (!users && (users = calloc(1, sizeof(*users))) &&
        idmap_put(&targets->users, volume_id, users) < 0)
        free(take_ptr(users));
    if (users) {
        users->count++;
        snprintf(users->last, sizeof(users->last), "%.180s from %s", initiator,
                 endpoint_format_address(peer, address));
    }
    pthread_mutex_unlock(&targets->lock);
}

void targets_remove_user(struct targets *targets, uint64_t volume_id)
{
    pthread_mutex_lock(&targets->lock);
    struct volume_users *users = idmap_get(&targets->users, volume_id);
    if (users && --users->count == 0)
        free(idmap_remove(&targets->users, volume_id));
    pthread_mutex_unlock(&targets->lock);
}

bool targets_in_use(struct targets *targets, uint64_t volume_id, char peer[static 256])
{
    pthread_mutex_lock(&targets->lock);
    const struct volume_users *users = idmap_get(&targets->users, volume_id);
    if (users)
        str_copy(peer, 256, users->last);
    pthread_mutex_unlock(&targets->lock);
    return users != NULL;
}

struct shut_question {
    struct message message;
    struct targets *targets;
    struct io_thread *thread;
    uint64_t volume_id;
    bool shut; /* the answer */
    sem_t answered;
};

static void answer_shut(struct message *message)
{
    struct shut_question *q = container_of(message, struct shut_question, message);
    q->shut = open_volumes_is_shut(q->targets->volumes, q->thread, q->volume_id);
    sem_post(&q->answered);
}

bool targets_is_shut(struct targets *targets, uint64_t volume_id)
{
    struct shut_question q = {.message.run = answer_shut,
                              .targets = targets,
                              .thread = targets->threads[volume_id % targets->n_threads],
                              .volume_id = volume_id};
    sem_init(&q.answered, 0, 0);
    io_thread_post(q.thread, &q.message);
    while (sem_wait(&q.answered) < 0)
        ; /* EINTR */
    sem_destroy(&q.answered);
    return q.shut;
}

/* --- who may log in to what --- */

static enum iscsi_login_status no_volume(const char **ret_reason, const char *reason,
                                         enum iscsi_login_status status)
{
    *ret_reason = reason;
    return status;
}

static void admission_free(struct admission *a)
{
    for (size_t i = 0; i < a->n_volumes; i++)
        free(a->volumes[i].path);
    chap_credentials_free(a->chap);
    free(a);
}

bool admitted_volume_init(struct admitted_volume *a, unsigned lun, const struct catalog *catalog,
                          const struct catalog_volume *volume)
{
    a->lun = lun;
    a->path = strdup(volume->path);
    if (!a->path)
        return false;
    snprintf(a->target, sizeof(a->target), "%s:%s", catalog_base_iqn(catalog), volume->name);
    a->name = a->target + MIN(strlen(catalog_base_iqn(catalog)) + 1, strlen(a->target));
    a->spec = (struct volume_spec){
        .id = volume->id,
        .kind = volume->kind,
        .path = a->path,
        .target = a->target,
        .size = volume->size,
        .block_size = volume->block_size,
        .read_only = volume->read_only,
        .thick = volume->thick,
        .removable = volume->removable,
        .single_writer = !volume->shared && !volume->read_only,
    };
    memcpy(a->spec.serial, volume->serial, sizeof(a->spec.serial));
    return true;
}

/* False: no memory. */
static bool admit_volume(struct admission *admission, unsigned lun, const struct catalog *catalog,
                         const struct catalog_volume *volume)
{
    struct admitted_volume *a = &admission->volumes[admission->n_volumes];
    bool ok = admitted_volume_init(a, lun, catalog, volume);
    admission->n_volumes += ok;
    return ok;
}

/* With the data volumes, if it is a node that logs in to what it boots. */
static struct admission *admission_new(const struct catalog *catalog,
                                       const struct iscsi_login_identity *identity,
                                       const struct catalog_volume *volume)
{
    const struct catalog_node *node = catalog_node_by_initiator(catalog, identity->initiator);
    size_t n = node && node->volume_id == volume->id ? node->n_attachments : 0;
    struct admission *a = calloc(1, sizeof(*a) + (n + 1) * sizeof(a->volumes[0]));
    if (!a)
        return NULL;
    a->identity = *identity;
    const struct chap_credentials *chap = catalog_chap(catalog, identity->initiator, volume);
    a->chap = chap_credentials_copy(chap);
    a->node_id = node ? node->id : 0;
    bool ok = (!chap || a->chap) && admit_volume(a, 0, catalog, volume);
    a->volumes[0].spec.changes_at_boot =
        node && node->volume_id == volume->id && volume->overlay &&
        (volume->overlay->ephemeral || volume->overlay->staged != OVERLAY_NO_CHANGE ||
         volume->overlay->trial);
    for (size_t i = 0; ok && i < n; i++) {
        const struct catalog_attachment *data = &node->attachments[i];
        const struct catalog_volume *v = catalog_volume_by_id(catalog, data->volume_id);
        if (v && v->state == VOLUME_READY && !access_refusal(catalog, identity, v))
            ok = admit_volume(a, data->lun, catalog, v);
    }
    if (ok)
        return a;
    admission_free(a);
    return NULL;
}

/* Has anything changed about which volumes they name? */
static bool same_volumes(const struct admission *a, const struct admission *b)
{
    bool same = a->n_volumes == b->n_volumes;
    for (size_t i = 0; same && i < a->n_volumes; i++)
        same = a->volumes[i].spec.id == b->volumes[i].spec.id;
    return same;
}

static void release(void *context, void *admission)
{
    struct admission *a = admission;
    for (size_t i = 0; i < a->n_volumes; i++)
        targets_remove_user(context, a->volumes[i].spec.id);
    admission_free(a);
}

/* Nobody comes to what is being drained. 0301: an initiator that had a session tries again. */
static enum iscsi_login_status check_holds(void *context, const void *admission,
                                           const char **ret_reason)
{
    const struct targets *targets = context;
    const struct admission *a = admission;
    for (size_t i = 0; i < a->n_volumes; i++)
        if (holds_match(targets->holds, a->node_id, a->volumes[i].spec.id))
            return no_volume(ret_reason,
                             "its volume or node is being drained (to end that: nodisk session "
                             "release), or its volume is being changed",
                             ISCSI_LOGIN_UNAVAILABLE);
    return ISCSI_LOGIN_OK;
}

/* In the catalog of now. */
static enum iscsi_login_status check_volume(const struct catalog *catalog,
                                            const struct iscsi_login_identity *identity,
                                            const struct catalog_volume *volume,
                                            const char **ret_reason)
{
    if (!volume)
        return no_volume(ret_reason, "there is no such target; see `nodisk volume list`",
                         ISCSI_LOGIN_TARGET_NOT_FOUND);
    if (volume->elsewhere)
        return no_volume(ret_reason,
                         "this volume is a LUN of a target elsewhere; its node logs in there, and "
                         "nobody here",
                         ISCSI_LOGIN_TARGET_NOT_FOUND);
    if (!catalog_may_access(catalog, identity->initiator, volume))
        return no_volume(ret_reason,
                         "this initiator may not use this volume; give the volume to its node, or "
                         "allow the initiator",
                         ISCSI_LOGIN_NOT_AUTHORIZED);
    const char *refusal = access_refusal(catalog, identity, volume);
    if (refusal)
        return no_volume(ret_reason, refusal, ISCSI_LOGIN_NOT_AUTHORIZED);
    switch (volume->state) {
    case VOLUME_READY:
        return ISCSI_LOGIN_OK;
    case VOLUME_CREATING:
        return no_volume(ret_reason, "the volume is still being made", ISCSI_LOGIN_UNAVAILABLE);
    case VOLUME_REMOVING:
        return no_volume(ret_reason, "the volume is being removed", ISCSI_LOGIN_UNAVAILABLE);
    default:
        return no_volume(ret_reason, "making the volume has failed; remove it and make it again",
                         ISCSI_LOGIN_TARGET_ERROR);
    }
}

static enum iscsi_login_status admit_now(struct targets *targets,
                                         const struct iscsi_login_identity *identity,
                                         struct admission **ret_admission, const char **ret_reason)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(targets->catalog);
    const struct catalog_volume *volume = catalog_volume_by_target(catalog, identity->target);
    enum iscsi_login_status status = check_volume(catalog, identity, volume, ret_reason);
    if (status != ISCSI_LOGIN_OK)
        return status;
    struct admission *admission = admission_new(catalog, identity, volume);
    if (!admission)
        return no_volume(ret_reason, "out of memory", ISCSI_LOGIN_OUT_OF_RESOURCES);
    status = check_holds(targets, admission, ret_reason);
    if (status == ISCSI_LOGIN_OK)
        *ret_admission = admission;
    else
        admission_free(admission);
    return status;
}

/* Looks twice: between the two the login becomes visible as a user of the volumes, so that whoever
 * removes or detaches one either sees the user or is seen. */
static enum iscsi_login_status admit(void *context, const struct iscsi_login_identity *identity,
                                     void **ret_admission, const char **ret_reason)
{
    struct targets *targets = context;
    struct admission *admission, *again = NULL;
    if (identity->discovery)
        return ISCSI_LOGIN_OK;
    enum iscsi_login_status status = admit_now(targets, identity, &admission, ret_reason);
    if (status != ISCSI_LOGIN_OK)
        return status;
    for (size_t i = 0; i < admission->n_volumes; i++)
        targets_add_user(targets, admission->volumes[i].spec.id, identity->initiator,
                         &identity->source);
    status = admit_now(targets, identity, &again, ret_reason);
    if (status == ISCSI_LOGIN_OK && !same_volumes(admission, again))
        status =
            no_volume(ret_reason, "its volumes have just been changed", ISCSI_LOGIN_UNAVAILABLE);
    if (again)
        admission_free(again);
    if (status == ISCSI_LOGIN_OK)
        *ret_admission = admission;
    else
        release(targets, admission);
    return status;
}

static const struct chap_credentials *credentials(void *context, const void *admission)
{
    const struct targets *targets = context;
    return admission ? ((const struct admission *)admission)->chap : &targets->discovery_chap;
}

/* So that an initiator shows its disk by the name that we give it. */
static const char *alias(void *context, const void *admission)
{
    return ((const struct admission *)admission)->volumes[0].name;
}

/* What nodisk.conf says; read-only once the portal runs. */
static bool redirect(void *context, const struct iscsi_login_identity *identity,
                     struct endpoint *ret_portal)
{
    const struct targets *targets = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(targets->catalog);
    for (size_t i = 0; i < targets->redirects.count; i++) {
        char target[IQN_MAX_LEN + NAME_MAX_LEN + 2];
        snprintf(target, sizeof(target), "%s:%s", catalog_base_iqn(catalog),
                 targets->redirects.entries[i].volume);
        if (str_eq(target, identity->target)) {
            *ret_portal = targets->redirects.entries[i].portal;
            return true;
        }
    }
    return false;
}

void targets_set_redirects(struct targets *targets, const struct redirect_list *redirects)
{
    targets->redirects = *redirects;
}

void targets_set_discovery_chap(struct targets *targets, const struct chap_credentials *chap)
{
    targets->discovery_chap = *chap;
}

void targets_set_boot_recorder(struct targets *targets, struct boot_recorder *recorder)
{
    open_volumes_set_boot_recorder(targets->volumes, recorder);
}

static unsigned owner(void *context, const void *admission)
{
    const struct targets *targets = context;
    return (unsigned)(((const struct admission *)admission)->volumes[0].spec.id %
                      targets->n_threads);
}

/* iPXE logs in when its machine has just been started. */
static void get_target(void *context, struct io_thread *thread, const void *admission,
                       const struct iscsi_login_traits *traits,
                       struct iscsi_target_request *request)
{
    struct targets *targets = context;
    const struct admission *a = admission;
    if (a->n_volumes > 1)
        data_volumes_get(targets, thread, a, traits->firmware, request);
    else
        open_volumes_get(targets->volumes, thread, &a->volumes[0].spec,
                         traits->firmware ? &a->identity : NULL, request);
}

static void list_targets(void *context, struct iscsi_conn *conn,
                         const struct iscsi_login_identity *identity, const char *only,
                         void (*add)(struct iscsi_conn *conn, const char *target))
{
    struct targets *targets = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(targets->catalog);
    size_t n;
    const struct catalog_volume *volumes = catalog_volumes(catalog, &n);
    for (size_t i = 0; i < n; i++) {
        char target[IQN_MAX_LEN + NAME_MAX_LEN + 2];
        snprintf(target, sizeof(target), "%s:%s", catalog_base_iqn(catalog), volumes[i].name);
        if ((!only || str_eq(only, target)) &&
            catalog_may_access(catalog, identity->initiator, &volumes[i]) &&
            !access_refusal(catalog, identity, &volumes[i]))
            add(conn, target);
    }
}

/* --- events, from an I/O thread to the control thread --- */

struct event_message {
    struct message message;
    targets_event *on_event; /* copied: the message may outlive the targets */
    void *context;
    struct session_event event;
    char initiator[IQN_MAX_LEN + 1];
    char target[IQN_MAX_LEN + 1];
};

static void deliver(struct message *message)
{
    struct event_message *m = container_of(message, struct event_message, message);
    m->on_event(m->context, &m->event);
    free(m);
}

static void post_event(struct targets *targets, const struct iscsi_event *event)
{
    struct event_message *m = calloc(1, sizeof(*m));
    if (!m)
        return; /* it is only told later, by what follows it */
    m->message.run = deliver;
    m->on_event = targets->on_event;
    m->context = targets->context;
    m->event = (struct session_event){.kind = event->kind,
                                      .initiator = m->initiator,
                                      .target = m->target,
                                      .peer = *event->peer,
                                      .status = event->status,
                                      .reason = event->reason,
                                      .had_session = event->counters != NULL,
                                      .violated = event->violated,
                                      .at = clock_wall_usec()};
    if (event->identity) {
        str_copy(m->initiator, sizeof(m->initiator), event->identity->initiator);
        str_copy(m->target, sizeof(m->target), event->identity->target);
        m->event.traits = *event->traits;
    }
    if (event->rival) {
        m->event.has_rival = true;
        m->event.rival = *event->rival;
    }
    if (event->counters)
        m->event.counters = *event->counters;
    mailbox_post(targets->control, &m->message);
}

static void on_portal_event(void *context, const struct iscsi_event *event)
{
    if (event->target) {
        uint64_t volume_id = open_volumes_id(event->target);
        if (event->kind == ISCSI_EVENT_LOGIN)
            targets_add_user(context, volume_id, event->identity->initiator, event->peer);
        else
            targets_remove_user(context, volume_id);
        if (event->orderly)
            open_volumes_logged_out(event->target);
    }
    post_event(context, event);
    if (event->session)
        data_volumes_update(context, event->session, NULL); /* what came during its login */
}

/* --- making and freeing --- */

int targets_new(struct catalog_slot *catalog, struct registry *registry, struct storage *storage,
                struct space_watch *space, struct io_thread *const *threads, unsigned n_threads,
                struct mailbox *control, targets_event *on_event, void *context,
                struct targets **ret_targets, struct error *ret_error)
{
    struct targets *targets = calloc(1, sizeof(*targets));
    struct open_volumes *volumes = open_volumes_new(n_threads, registry, storage, catalog, space);
    struct holds *holds = holds_new();
    struct space_news *news =
        space && volumes ? space_news_start(space, volumes, threads, n_threads) : NULL;
    if (!targets || !volumes || !holds || (space && !news)) {
        space_news_stop(news);
        space_news_free(news);
        free(targets);
        holds_free(holds);
        open_volumes_free(volumes);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    *targets = (struct targets){
        .catalog = catalog,
        .threads = threads,
        .n_threads = n_threads,
        .volumes = volumes,
        .news = news,
        .holds = holds,
        .control = control,
        .on_event = on_event,
        .context = context,
        .operations = {.admit = admit,
                       .credentials = credentials,
                       .alias = alias,
                       .redirect = redirect,
                       .check = check_holds,
                       .release = release,
                       .owner = owner,
                       .target = get_target,
                       .list_targets = list_targets,
                       .event = on_portal_event,
                       .context = targets},
    };
    pthread_mutex_init(&targets->lock, NULL);
    *ret_targets = targets;
    return 0;
}

struct keep_nothing {
    struct message message;
    struct targets *targets;
    struct io_thread *thread;
    sem_t done;
};

static void keep_nothing_there(struct message *message)
{
    struct keep_nothing *k = container_of(message, struct keep_nothing, message);
    open_volumes_keep_nothing(k->targets->volumes, k->thread);
    sem_post(&k->done);
}

static void keep_nothing(struct targets *targets, struct io_thread *thread)
{
    struct keep_nothing k = {
        .message.run = keep_nothing_there, .targets = targets, .thread = thread};
    sem_init(&k.done, 0, 0);
    io_thread_post(thread, &k.message);
    while (sem_wait(&k.done) < 0)
        ; /* EINTR */
    sem_destroy(&k.done);
}

void targets_drain(struct targets *targets)
{
    if (!targets)
        return;
    space_news_stop(targets->news);
    for (unsigned i = 0; i < targets->n_threads; i++)
        keep_nothing(targets, targets->threads[i]);
    open_volumes_drain(targets->volumes);
}

void targets_free(struct targets *targets)
{
    if (!targets)
        return;
    space_news_free(targets->news);
    open_volumes_free(targets->volumes);
    chap_credentials_wipe(&targets->discovery_chap);
    holds_free(targets->holds);
    uint64_t id;
    while (idmap_any(&targets->users, &id))
        free(idmap_remove(&targets->users, id));
    idmap_free(&targets->users);
    pthread_mutex_destroy(&targets->lock);
    free(targets);
}

const struct iscsi_portal_operations *targets_operations(const struct targets *targets)
{
    return &targets->operations;
}

struct holds *targets_holds(struct targets *targets)
{
    return targets->holds;
}
