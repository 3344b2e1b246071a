#include "server/targets.h"

#include <errno.h>
#include <pthread.h>

#include "core/idmap.h"
#include "server/open_volumes.h"

/* What a login was admitted to: a copy, so that no session keeps an old catalog alive. */
struct admission {
    struct volume_spec volume; /* its strings are those below */
    char target[IQN_MAX_LEN + 1];
    char *path;
};

/* Sessions of a volume, and logins on their way to one; for those who ask from other threads. */
struct volume_users {
    unsigned count;
    char last[256]; /* who came last: "iqn... from 10.0.0.7" */
};

struct targets {
    struct catalog_slot *catalog;
    unsigned n_threads;
    struct open_volumes *volumes;
    struct mailbox *control;
    targets_event *on_event;
    void *context;
    struct iscsi_portal_operations operations;
    struct redirect_list redirects;
    pthread_mutex_t lock; /* protects users */
    struct idmap users;   /* struct volume_users by volume id */
};

/* --- who uses a volume --- */

static void add_user(struct targets *targets, uint64_t volume_id, const char *initiator,
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

static void remove_user(struct targets *targets, uint64_t volume_id)
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

/* --- who may log in to what --- */

static enum iscsi_login_status no_volume(const char **ret_reason, const char *reason,
                                         enum iscsi_login_status status)
{
    *ret_reason = reason;
    return status;
}

static struct admission *admission_new(const struct catalog_volume *volume, const char *target)
{
    struct admission *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->path = strdup(volume->path);
    if (!a->path) {
        free(a);
        return NULL;
    }
    str_copy(a->target, sizeof(a->target), target);
    a->volume = (struct volume_spec){
        .id = volume->id,
        .path = a->path,
        .target = a->target,
        .size = volume->size,
        .block_size = volume->block_size,
        .read_only = volume->read_only,
        .single_writer = !volume->shared && !volume->read_only,
    };
    memcpy(a->volume.serial, volume->serial, sizeof(a->volume.serial));
    return a;
}

static void release(void *context, void *admission)
{
    struct admission *a = admission;
    remove_user(context, a->volume.id);
    free(a->path);
    free(a);
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
    if (!catalog_may_access(catalog, identity->initiator, volume))
        return no_volume(ret_reason,
                         "this initiator may not use this volume; give the volume to its node, or "
                         "allow the initiator",
                         ISCSI_LOGIN_NOT_AUTHORIZED);
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
    if (status != ISCSI_LOGIN_OK || !ret_admission)
        return status;
    *ret_admission = admission_new(volume, identity->target);
    return *ret_admission ? ISCSI_LOGIN_OK
                          : no_volume(ret_reason, "out of memory", ISCSI_LOGIN_OUT_OF_RESOURCES);
}

/* Looks twice: between the two the login becomes visible as a user of the volume, so that whoever
 * removes the volume either sees the user or is seen. */
static enum iscsi_login_status admit(void *context, const struct iscsi_login_identity *identity,
                                     void **ret_admission, const char **ret_reason)
{
    struct targets *targets = context;
    struct admission *admission;
    if (identity->discovery)
        return ISCSI_LOGIN_OK;
    enum iscsi_login_status status = admit_now(targets, identity, &admission, ret_reason);
    if (status != ISCSI_LOGIN_OK)
        return status;
    add_user(targets, admission->volume.id, identity->initiator, &identity->source);
    status = admit_now(targets, identity, NULL, ret_reason);
    if (status == ISCSI_LOGIN_OK)
        *ret_admission = admission;
    else
        release(targets, admission);
    return status;
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

static unsigned owner(void *context, const void *admission)
{
    const struct targets *targets = context;
    return (unsigned)(((const struct admission *)admission)->volume.id % targets->n_threads);
}

/* iPXE logs in when its machine has just been started. */
static void get_target(void *context, struct io_thread *thread, const void *admission,
                       const struct iscsi_login_traits *traits,
                       struct iscsi_target_request *request)
{
    const struct targets *targets = context;
    open_volumes_get(targets->volumes, thread, &((const struct admission *)admission)->volume,
                     traits->no_immediate_data, request);
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
            catalog_may_access(catalog, identity->initiator, &volumes[i]))
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
    if (event->counters)
        m->event.counters = *event->counters;
    mailbox_post(targets->control, &m->message);
}

static void on_portal_event(void *context, const struct iscsi_event *event)
{
    if (event->target) {
        uint64_t volume_id = open_volumes_id(event->target);
        if (event->kind == ISCSI_EVENT_LOGIN)
            add_user(context, volume_id, event->identity->initiator, event->peer);
        else
            remove_user(context, volume_id);
        if (event->orderly)
            open_volumes_logged_out(event->target);
    }
    post_event(context, event);
}

/* --- making and freeing --- */

int targets_new(struct catalog_slot *catalog, unsigned n_threads, struct mailbox *control,
                targets_event *on_event, void *context, struct targets **ret_targets,
                struct error *ret_error)
{
    struct targets *targets = calloc(1, sizeof(*targets));
    struct open_volumes *volumes = open_volumes_new(n_threads);
    if (!targets || !volumes) {
        free(targets);
        open_volumes_free(volumes);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    *targets = (struct targets){
        .catalog = catalog,
        .n_threads = n_threads,
        .volumes = volumes,
        .control = control,
        .on_event = on_event,
        .context = context,
        .operations = {.admit = admit,
                       .redirect = redirect,
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

void targets_drain(struct targets *targets)
{
    if (targets)
        open_volumes_drain(targets->volumes);
}

void targets_free(struct targets *targets)
{
    if (!targets)
        return;
    open_volumes_free(targets->volumes);
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
