#include "server/targets.h"

#include <errno.h>
#include <pthread.h>

#include "block/file.h"
#include "core/idmap.h"
#include "core/log.h"

/* What a login was admitted to: a copy, so that no session keeps an old catalog alive. */
struct admission {
    uint64_t volume_id;
    uint64_t size;
    uint32_t block_size;
    bool read_only;
    bool single_writer;
    uint8_t serial[16];
    char target[IQN_MAX_LEN + 1];
    char *path;
};

/* A target that is open on a thread. */
struct open_target {
    struct targets *targets;
    unsigned thread; /* index */
    uint64_t volume_id;
    struct iscsi_target *target;
};

/* Sessions of a volume, and logins on their way to one; for those who ask from other threads. */
struct volume_users {
    unsigned count;
    char last[256]; /* who came last: "iqn... from 10.0.0.7" */
};

struct targets {
    struct catalog_slot *catalog;
    unsigned n_threads;
    struct idmap
        *open; /* struct open_target by volume id; a map for each thread, touched by it alone */
    struct mailbox *control;
    targets_event *on_event;
    void *context;
    struct iscsi_portal_operations operations;
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
    a->volume_id = volume->id;
    a->size = volume->size;
    a->block_size = volume->block_size;
    a->read_only = volume->read_only;
    a->single_writer = !volume->shared && !volume->read_only;
    memcpy(a->serial, volume->serial, sizeof(a->serial));
    str_copy(a->target, sizeof(a->target), target);
    return a;
}

static void release(void *context, void *admission)
{
    struct admission *a = admission;
    remove_user(context, a->volume_id);
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
    add_user(targets, admission->volume_id, identity->initiator, &identity->source);
    status = admit_now(targets, identity, NULL, ret_reason);
    if (status == ISCSI_LOGIN_OK)
        *ret_admission = admission;
    else
        release(targets, admission);
    return status;
}

static unsigned owner(void *context, const void *admission)
{
    const struct targets *targets = context;
    return (unsigned)(((const struct admission *)admission)->volume_id % targets->n_threads);
}

static void close_open_target(struct open_target *open)
{
    idmap_remove(&open->targets->open[open->thread], open->volume_id);
    iscsi_target_free(open->target);
    free(open);
}

static void target_idle(struct iscsi_target *target)
{
    close_open_target(target->context);
}

static struct iscsi_target *make_target(struct io_thread *thread, const struct admission *a,
                                        struct error *ret_error)
{
    struct block_device *device;
    if (block_file_open(thread, a->path, a->size, a->read_only, &device, ret_error) < 0)
        return NULL;
    struct scsi_lu *lu = scsi_lu_new(thread, device, a->block_size, a->serial);
    struct iscsi_target *target =
        lu ? iscsi_target_new(thread, a->target, lu, a->single_writer, target_idle) : NULL;
    if (!target)
        error_set(ret_error, -ENOMEM, "out of memory");
    return target;
}

/* A target for the table, open; NULL: *ret_error tells why not. */
static struct open_target *open_volume(struct targets *targets, struct io_thread *thread,
                                       const struct admission *a, struct error *ret_error)
{
    struct open_target *open = calloc(1, sizeof(*open));
    struct iscsi_target *target = open ? make_target(thread, a, ret_error) : NULL;
    if (!target) {
        free(open);
        return NULL;
    }
    target->context = open;
    *open = (struct open_target){
        .targets = targets, .thread = thread->index, .volume_id = a->volume_id, .target = target};
    if (idmap_put(&targets->open[thread->index], a->volume_id, open) < 0) {
        error_set(ret_error, -ENOMEM, "out of memory");
        close_open_target(open);
        return NULL;
    }
    return open;
}

static struct iscsi_target *find_or_open(void *context, struct io_thread *thread,
                                         const void *admission, const char **ret_reason)
{
    struct targets *targets = context;
    const struct admission *a = admission;
    struct error error = {.text = "out of memory"};
    struct open_target *open = idmap_get(&targets->open[thread->index], a->volume_id);
    if (!open)
        open = open_volume(targets, thread, a, &error);
    if (!open) {
        log_error("target %s: %s", a->target, error.text);
        *ret_reason = "its volume cannot be opened; the daemon's log tells why";
        return NULL;
    }
    return open->target;
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
        const struct open_target *open = event->target->context;
        if (event->kind == ISCSI_EVENT_LOGIN)
            add_user(context, open->volume_id, event->identity->initiator, event->peer);
        else
            remove_user(context, open->volume_id);
    }
    post_event(context, event);
}

/* --- making and freeing --- */

int targets_new(struct catalog_slot *catalog, unsigned n_threads, struct mailbox *control,
                targets_event *on_event, void *context, struct targets **ret_targets,
                struct error *ret_error)
{
    struct targets *targets = calloc(1, sizeof(*targets));
    struct idmap *open = calloc(n_threads, sizeof(*open));
    if (!targets || !open) {
        free(targets);
        free(open);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    *targets = (struct targets){
        .catalog = catalog,
        .n_threads = n_threads,
        .open = open,
        .control = control,
        .on_event = on_event,
        .context = context,
        .operations = {.admit = admit,
                       .release = release,
                       .owner = owner,
                       .target = find_or_open,
                       .list_targets = list_targets,
                       .event = on_portal_event,
                       .context = targets},
    };
    pthread_mutex_init(&targets->lock, NULL);
    *ret_targets = targets;
    return 0;
}

void targets_free(struct targets *targets)
{
    if (!targets)
        return;
    uint64_t id;
    for (unsigned i = 0; i < targets->n_threads; i++) {
        for (struct open_target *open; (open = idmap_any(&targets->open[i], &id));)
            close_open_target(open);
        idmap_free(&targets->open[i]);
    }
    while (idmap_any(&targets->users, &id))
        free(idmap_remove(&targets->users, id));
    idmap_free(&targets->users);
    pthread_mutex_destroy(&targets->lock);
    free(targets->open);
    free(targets);
}

const struct iscsi_portal_operations *targets_operations(const struct targets *targets)
{
    return &targets->operations;
}
