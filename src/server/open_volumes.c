#include "server/open_volumes.h"

#include <errno.h>

#include "core/detached.h"
#include "core/log.h"
#include "server/open_volumes_internal.h"
#include "server/same_node.h"
#include "server/volume_overlay.h"

/* What goes wrong with a volume is logged once in this time, or when it is something else. */
#define LOG_INTERVAL (60 * USEC_PER_SEC)

static void open_volume(struct volume *volume);
static void kept_long_enough(struct io_timer *timer);

/* The name behind the base: that is how people know it. */
static const char *short_name(const struct volume *volume)
{
    const char *colon = strrchr(volume->spec.target, ':');
    return colon ? colon + 1 : volume->spec.target;
}

/* --- jobs: what may block, on a thread of its own --- */

static void finish_job(struct volume *volume)
{
    struct open_volumes *owner = volume->owner;
    io_thread_post(volume->thread, &volume->done);
    pthread_mutex_lock(&owner->lock);
    owner->n_jobs--;
    pthread_cond_signal(&owner->changed);
    pthread_mutex_unlock(&owner->lock);
}

/* It may have grown since somebody was admitted to it. */
static void refresh_size(struct volume *volume)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(volume->owner->catalog);
    const struct catalog_volume *now = catalog_volume_by_id(catalog, volume->spec.id);
    if (now)
        volume->spec.size = now->size;
}

int open_volumes_open_device(struct volume *volume)
{
    refresh_size(volume);
    const struct overlay_opening overlay = {.thread = volume->thread,
                                            .volume_id = volume->spec.id,
                                            .name = short_name(volume),
                                            .boots = volume->opens_at_boot,
                                            .registry = volume->owner->registry,
                                            .storage = volume->owner->storage,
                                            .catalog = volume->owner->catalog};
    return volume->spec.kind == VOLUME_OVERLAY
               ? volume_overlay_open(&overlay, &volume->device, &volume->error)
               : volume_device_open(volume->thread, &volume->spec, &volume->device, &volume->error);
}

static void leave_place(struct volume *volume)
{
    space_place_put(take_ptr(volume->place));
}

/* A device of somebody else's has its own idea of being thin. */
static void find_place(struct volume *volume)
{
    const struct volume_spec *spec = &volume->spec;
    struct space_watch *space = volume->owner->space;
    leave_place(volume);
    if (!space || spec->thick)
        return;
    if (spec->kind == VOLUME_OVERLAY)
        volume->place = space_watch_home(space);
    else if (spec->kind == VOLUME_FILE)
        volume->place = space_watch_get(space, spec->path);
}

static void open_device(struct volume *volume)
{
    if (open_volumes_open_device(volume) < 0)
        volume->device = NULL;
    else if (volume->opens_at_boot) /* and it is what it is to be at this boot */
        boot_recorder_begin(volume->owner->recorder, volume->spec.id);
    if (volume->device && !volume->reservations && volume->owner->registry &&
        reservation_store_load(&volume->store, &volume->reservations, &volume->error) < 0)
        block_close(take_ptr(volume->device));
    if (volume->device)
        find_place(volume);
}

static void close_device(struct volume *volume)
{
    block_close(take_ptr(volume->device));
    leave_place(volume);
}

static void *job_main(void *arg)
{
    struct volume *volume = arg;
    if (volume->state == OPENING)
        open_device(volume);
    else if (volume->state == CLOSING)
        close_device(volume);
    else
        open_volumes_run_exchange(volume);
    finish_job(volume);
    return NULL;
}

bool open_volumes_start_job(struct volume *volume, enum openness job,
                            void (*done)(struct message *message))
{
    struct open_volumes *owner = volume->owner;
    volume->state = job;
    volume->done.run = done;
    pthread_mutex_lock(&owner->lock);
    bool started = !owner->draining && detached_thread_start(job_main, volume, 0);
    owner->n_jobs += started;
    pthread_mutex_unlock(&owner->lock);
    return started;
}

/* --- errors --- */

void open_volumes_tell(struct volume *volume, const struct error *what)
{
    uint64_t now = clock_monotonic_usec();
    if (volume->told_at && now - volume->told_at < LOG_INTERVAL &&
        str_eq(volume->told.text, what->text))
        return;
    volume->told_at = now;
    volume->told = *what;
    log_error("volume %s: %s", short_name(volume), what->text);
}

static void on_error(struct block_device *device, enum block_operation operation, int result)
{
    struct volume *volume = device->context;
    const char *advice = result == -ENOSPC || result == -EDQUOT
                             ? "make room for it"
                             : volume_device_advice(volume->spec.kind);
    const char *path = volume->spec.path, *reason = strerror(-result);
    struct error error;
    if (operation == BLOCK_FLUSH) {
        volume->failed = true;
        error_set(&error, result,
                  "writes to %s are lost: %s; from now on it gives errors only: %s, then restart "
                  "its machine",
                  path, reason, advice);
    } else {
        error_set(&error, result, "cannot %s %s: %s; its machine gets an error: %s",
                  operation == BLOCK_READ ? "read" : "write to", path, reason, advice);
    }
    open_volumes_tell(volume, &error);
}

/* --- volumes --- */

static void free_volume(struct volume *volume)
{
    free((char *)volume->spec.path);
    free((char *)volume->spec.target);
    free(volume->reservations);
    block_close(volume->device);
    space_place_put(volume->place);
    free(volume);
}

static struct volume *volume_new(struct open_volumes *owner, struct io_thread *thread,
                                 const struct volume_spec *spec)
{
    struct volume *volume = calloc(1, sizeof(*volume));
    if (!volume)
        return NULL;
    volume->owner = owner;
    volume->store = (struct reservation_store){owner->registry, spec->id};
    volume->thread = thread;
    volume->spec = *spec;
    volume->spec.path = strdup(spec->path);
    volume->spec.target = strdup(spec->target);
    volume->keep.expired = kept_long_enough;
    list_init(&volume->waiting);
    if (!volume->spec.path || !volume->spec.target ||
        idmap_put(&owner->volumes[thread->index], spec->id, volume) < 0) {
        free_volume(volume);
        return NULL;
    }
    return volume;
}

/* It is shut: no longer needed, unless there is something to remember. */
static void forget(struct volume *volume)
{
    if (volume->failed || volume->told_at || volume->reservations)
        return;
    idmap_remove(&volume->owner->volumes[volume->thread->index], volume->spec.id);
    free_volume(volume);
}

void open_volumes_answer(struct volume *volume, const char *reason)
{
    struct list waiting;
    list_move(&waiting, &volume->waiting);
    volume->boots = false; /* who did has it, or has to try again */
    for (struct list *node; (node = list_pop(&waiting));) {
        struct iscsi_target_request *request =
            container_of(node, struct iscsi_target_request, link);
        request->done(request, volume->target, reason);
    }
}

static void is_closed(struct volume *volume)
{
    volume->state = SHUT;
    if (volume->spec.kind == VOLUME_OVERLAY)
        storage_tidy(volume->owner->storage);
    if (list_empty(&volume->waiting))
        forget(volume);
    else
        open_volume(volume);
}

static void closed(struct message *message)
{
    is_closed(container_of(message, struct volume, done));
}

static void keep_reservations(struct volume *volume, struct scsi_lu *lu)
{
    volume->reservations = scsi_lu_take_reservations(lu);
    if (scsi_reservations_untouched(volume->reservations))
        free(take_ptr(volume->reservations));
}

void open_volumes_attach_recorder(struct volume *volume)
{
    boot_recorder_attach(volume->owner->recorder, volume->spec.id, volume->thread,
                         volume->target->lun0.lu->device);
}

void open_volumes_detach_recorder(struct volume *volume)
{
    boot_recorder_detach(volume->owner->recorder, volume->spec.id);
}

static void start_closing(struct volume *volume)
{
    if (open_volumes_start_job(volume, CLOSING, closed))
        return;
    close_device(volume);
    is_closed(volume);
}

/* A machine that boots logs in several times, with pauses, and to open an overlay costs more than
 * all the rest of a login. Whatever else is to be done with the volume closes it first; one that
 * has failed is mended by being opened anew, once its initiator has let go of it. */
static bool may_be_kept(const struct volume *volume)
{
    return volume->spec.kind == VOLUME_OVERLAY && !volume->failed && !volume->device->failed &&
           !volume->anew && !volume->owner->keeps_nothing[volume->thread->index];
}

void open_volumes_keep_no_longer(struct volume *volume)
{
    if (volume->state != KEPT)
        return;
    io_timer_stop(&volume->keep);
    start_closing(volume);
}

static void kept_long_enough(struct io_timer *timer)
{
    open_volumes_keep_no_longer(container_of(timer, struct volume, keep));
}

static void target_idle(struct iscsi_target *target)
{
    struct volume *volume = target->context;
    if (volume->state != OPEN || volume->n_reads > 0)
        return; /* its device is being exchanged, or read; it is asked again after that */
    open_volumes_detach_recorder(volume);
    volume->device = scsi_lu_take_device(target->lun0.lu);
    keep_reservations(volume, target->lun0.lu);
    iscsi_target_free(take_ptr(volume->target));
    if (!may_be_kept(volume)) {
        start_closing(volume);
        return;
    }
    volume->state = KEPT;
    io_timer_start(volume->thread, &volume->keep, KEEP_USEC);
}

void open_volumes_adopt(struct volume *volume, struct block_device *device)
{
    device->failed = volume->failed;
    device->on_error = on_error;
    device->context = volume;
}

/* As the registry has the node now. */
static bool same_machine(struct iscsi_target *target, const struct iscsi_login_identity *a,
                         const struct iscsi_login_identity *b)
{
    const struct volume *volume = target->context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(volume->owner->catalog);
    return catalog && same_node(catalog, a, b);
}

static struct iscsi_target *make_target(struct volume *volume)
{
    const struct volume_spec *spec = &volume->spec;
    struct block_device *device = take_ptr(volume->device);
    if (volume->opens_anew)
        volume->failed = false;
    open_volumes_adopt(volume, device);
    struct scsi_lu *lu = scsi_lu_new(volume->thread, device, spec->block_size, spec->serial);
    if (lu) {
        lu->removable = spec->removable;
        scsi_lu_set_space(lu, volume->place ? space_place_space(volume->place) : NULL);
    }
    struct iscsi_target *target =
        lu ? iscsi_target_new(volume->thread, spec->target, lu, spec->single_writer, target_idle)
           : NULL;
    if (target) {
        target->context = volume;
        target->same_machine = same_machine;
    }
    if (target && volume->owner->registry)
        reservation_store_attach(&volume->store, lu);
    if (target && volume->reservations)
        scsi_lu_set_reservations(lu, take_ptr(volume->reservations));
    else if (!target)
        error_set(&volume->error, -ENOMEM, "out of memory");
    return target;
}

static void is_opened(struct volume *volume)
{
    volume->target = volume->device ? make_target(volume) : NULL;
    volume->state = volume->target ? OPEN : SHUT;
    if (volume->target) {
        volume->told_at = 0;
        open_volumes_attach_recorder(volume);
        if (!volume->anew) /* or a machine has begun to boot meanwhile: once more, for its sake */
            open_volumes_answer(volume, NULL);
        iscsi_target_check_idle(volume->target); /* those who asked may have gone away */
        return;
    }
    volume->anew = volume->anew || volume->opens_anew;
    open_volumes_tell(volume, &volume->error);
    open_volumes_answer(volume, "its volume cannot be opened; the daemon's log tells why");
    forget(volume);
}

static void opened(struct message *message)
{
    is_opened(container_of(message, struct volume, done));
}

static void open_volume(struct volume *volume)
{
    volume->opens_at_boot = volume->boots;
    volume->opens_anew = volume->anew;
    volume->boots = volume->anew = false;
    if (open_volumes_start_job(volume, OPENING, opened))
        return;
    open_device(volume);
    is_opened(volume);
}

/* --- what others ask for --- */

/* Whoever uses the failed device has lost; it is opened anew for the one who has not. So is an
 * overlay that may have to become another one. */
static void begin_anew(struct volume *volume, bool changes)
{
    volume->boots = true;
    if (!volume->failed && !changes)
        return;
    volume->anew = true;
    if (volume->target)
        iscsi_target_close_sessions(volume->target,
                                    volume->failed ? "its volume has failed, and is opened anew"
                                                   : "its machine boots anew");
}

/* A clone begins nothing: it is refused when it is to have a session. */
static bool begins(struct volume *volume, const struct iscsi_login_identity *booting)
{
    if (volume->target && iscsi_target_has_others(volume->target, booting))
        return false;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(volume->owner->catalog);
    return beginning_login(&volume->beginning, catalog, volume->target, booting,
                           clock_monotonic_usec());
}

/* The machine has been started anew while its volume is open. */
static void record_boot(struct volume *volume)
{
    boot_recorder_begin(volume->owner->recorder, volume->spec.id);
    open_volumes_attach_recorder(volume);
}

static bool is_same(const struct volume_spec *a, const struct volume_spec *b)
{
    return a->size == b->size && a->block_size == b->block_size && a->read_only == b->read_only &&
           a->thick == b->thick && a->removable == b->removable &&
           a->single_writer == b->single_writer && str_eq(a->target, b->target) &&
           memcmp(a->serial, b->serial, sizeof(a->serial)) == 0;
}

/* While no job looks at it. False: no memory. */
static bool renew_spec(struct volume *volume, const struct volume_spec *spec)
{
    char *path = strdup(spec->path), *target = strdup(spec->target);
    if (!path || !target) {
        free(path);
        free(target);
        return false;
    }
    free((char *)volume->spec.path);
    free((char *)volume->spec.target);
    volume->spec = *spec;
    volume->spec.path = path;
    volume->spec.target = target;
    return true;
}

/* Somebody comes back to a device that was kept. Whose machine boots has it opened anew: what its
 * disk is may change then; so has whoever finds that the volume is not what it was. */
static void use_kept(struct volume *volume, const struct volume_spec *spec)
{
    bool same = is_same(&volume->spec, spec);
    if (!same && !renew_spec(volume, spec)) {
        open_volumes_answer(volume, "out of memory");
        return;
    }
    if (volume->boots || volume->anew || !same) {
        open_volumes_keep_no_longer(volume);
        return;
    }
    io_timer_stop(&volume->keep);
    volume->opens_at_boot = volume->opens_anew = false;
    is_opened(volume);
}

void open_volumes_get(struct open_volumes *volumes, struct io_thread *thread,
                      const struct volume_spec *spec, const struct iscsi_login_identity *booting,
                      struct iscsi_target_request *request)
{
    struct volume *volume = idmap_get(&volumes->volumes[thread->index], spec->id);
    if (!volume)
        volume = volume_new(volumes, thread, spec);
    if (!volume) {
        request->done(request, NULL, "out of memory");
        return;
    }
    bool begins_anew = booting && begins(volume, booting);
    if (begins_anew)
        begin_anew(volume, spec->changes_at_boot);
    if (volume->state == OPEN && !volume->anew) {
        volume->boots = false; /* it boots from what is open: nothing was to be done */
        if (begins_anew)
            record_boot(volume);
        request->done(request, volume->target, NULL);
        return;
    }
    list_append(&volume->waiting, &request->link);
    if (volume->state == SHUT)
        open_volume(volume);
    else if (volume->state == KEPT)
        use_kept(volume, spec);
}

void open_volumes_logged_out(const struct iscsi_target *target)
{
    struct volume *volume = target->context;
    if (target->sessions.next == target->sessions.prev) /* it was the last one */
        volume->failed = false;
}

bool open_volumes_is_shut(struct open_volumes *volumes, const struct io_thread *thread, uint64_t id)
{
    struct volume *volume = idmap_get(&volumes->volumes[thread->index], id);
    if (volume)
        open_volumes_keep_no_longer(volume);
    volume = idmap_get(&volumes->volumes[thread->index], id); /* or it is forgotten */
    return !volume || volume->state == SHUT;
}

void open_volumes_keep_nothing(struct open_volumes *volumes, const struct io_thread *thread)
{
    const struct idmap *map = &volumes->volumes[thread->index];
    size_t cursor = 0, count = map->count;
    struct volume *volume;
    volumes->keeps_nothing[thread->index] = true;
    while ((volume = idmap_next(map, &cursor))) {
        open_volumes_keep_no_longer(volume);
        if (map->count != count) /* there was no thread for it, so it is gone already */
            cursor = 0;
        count = map->count;
    }
}

void open_volumes_look_at_space(struct open_volumes *volumes, const struct io_thread *thread)
{
    size_t cursor = 0;
    const struct volume *volume;
    while ((volume = idmap_next(&volumes->volumes[thread->index], &cursor)))
        if (volume->target)
            scsi_lu_look_at_space(volume->target->lun0.lu);
}

uint64_t open_volumes_id(const struct iscsi_target *target)
{
    return ((const struct volume *)target->context)->spec.id;
}

/* --- making and freeing --- */

struct open_volumes *open_volumes_new(unsigned n_threads, struct registry *registry,
                                      struct storage *storage, struct catalog_slot *catalog,
                                      struct space_watch *space)
{
    struct open_volumes *volumes = calloc(1, sizeof(*volumes));
    if (!volumes)
        return NULL;
    volumes->volumes = calloc(n_threads, sizeof(*volumes->volumes));
    volumes->keeps_nothing = calloc(n_threads, sizeof(*volumes->keeps_nothing));
    if (!volumes->volumes || !volumes->keeps_nothing) {
        free(volumes->volumes);
        free(volumes->keeps_nothing);
        free(volumes);
        return NULL;
    }
    volumes->n_threads = n_threads;
    volumes->registry = registry;
    volumes->storage = storage;
    volumes->catalog = catalog;
    volumes->space = space;
    pthread_mutex_init(&volumes->lock, NULL);
    pthread_cond_init(&volumes->changed, NULL);
    return volumes;
}

void open_volumes_set_boot_recorder(struct open_volumes *volumes, struct boot_recorder *recorder)
{
    volumes->recorder = recorder;
}

void open_volumes_drain(struct open_volumes *volumes)
{
    if (!volumes)
        return;
    pthread_mutex_lock(&volumes->lock);
    volumes->draining = true;
    while (volumes->n_jobs > 0)
        pthread_cond_wait(&volumes->changed, &volumes->lock);
    pthread_mutex_unlock(&volumes->lock);
}

void open_volumes_free(struct open_volumes *volumes)
{
    if (!volumes)
        return;
    uint64_t id;
    for (unsigned i = 0; i < volumes->n_threads; i++) {
        for (struct volume *volume; (volume = idmap_any(&volumes->volumes[i], &id));) {
            idmap_remove(&volumes->volumes[i], id);
            iscsi_target_free(volume->target);
            free_volume(volume);
        }
        idmap_free(&volumes->volumes[i]);
    }
    pthread_mutex_destroy(&volumes->lock);
    pthread_cond_destroy(&volumes->changed);
    free(volumes->volumes);
    free(volumes->keeps_nothing);
    free(volumes);
}
