#include "server/open_volumes.h"

#include <errno.h>
#include <pthread.h>

#include "core/idmap.h"
#include "core/log.h"
#include "server/reservation_store.h"

/* What goes wrong with a volume is logged once in this time, or when it is something else. */
#define LOG_INTERVAL (60 * USEC_PER_SEC)

struct open_volumes {
    struct idmap *volumes; /* struct volume by id; a map for each thread, touched by it alone */
    unsigned n_threads;
    struct registry *registry; /* or NULL */
    pthread_mutex_t lock;      /* protects all below */
    pthread_cond_t changed;
    unsigned n_jobs; /* threads that open or close */
    bool draining;
};

enum openness { SHUT, OPENING, OPEN, CLOSING };

/* A volume, from the first login on; kept after the last session only if there is something to
 * remember: that it has failed, or its persistent reservations, which outlive sessions. */
struct volume {
    struct open_volumes *owner;
    struct io_thread *thread;
    struct volume_spec spec; /* its strings are owned */
    enum openness state;
    struct iscsi_target *target; /* while OPEN */
    struct list waiting;         /* struct iscsi_target_request */
    bool failed;                 /* see the header */
    bool anew;                   /* ... but whoever opens it next begins anew */
    uint64_t told_at;            /* clock_monotonic_usec(); 0: nothing was wrong */
    struct error told;
    struct reservation_store store;

    /* What the job works on; handed to it by its start, and back by `done`. */
    struct block_device *device;
    struct scsi_reservations *reservations; /* while not OPEN; NULL: there are none */
    struct error error;
    struct message done;
};

static void open_volume(struct volume *volume);

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

static void open_device(struct volume *volume)
{
    if (volume_device_open(volume->thread, &volume->spec, &volume->device, &volume->error) < 0)
        volume->device = NULL;
    if (volume->device && !volume->reservations && volume->owner->registry &&
        reservation_store_load(&volume->store, &volume->reservations, &volume->error) < 0)
        block_close(take_ptr(volume->device));
}

static void close_device(struct volume *volume)
{
    block_close(take_ptr(volume->device));
}

static void *job_main(void *arg)
{
    struct volume *volume = arg;
    if (volume->state == OPENING)
        open_device(volume);
    else
        close_device(volume);
    finish_job(volume);
    return NULL;
}

static bool start_thread(struct volume *volume)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int r = pthread_create(&thread, &attributes, job_main, volume);
    pthread_attr_destroy(&attributes);
    return r == 0;
}

/* False: there is no thread to spare; the caller does it, since late is better than never. */
static bool start_job(struct volume *volume, enum openness job,
                      void (*done)(struct message *message))
{
    struct open_volumes *owner = volume->owner;
    volume->state = job;
    volume->done.run = done;
    pthread_mutex_lock(&owner->lock);
    bool started = !owner->draining && start_thread(volume);
    owner->n_jobs += started;
    pthread_mutex_unlock(&owner->lock);
    return started;
}

/* --- errors --- */

/* The name behind the base: that is how people know it. */
static const char *short_name(const struct volume *volume)
{
    const char *colon = strrchr(volume->spec.target, ':');
    return colon ? colon + 1 : volume->spec.target;
}

static void tell(struct volume *volume, const struct error *what)
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
    tell(volume, &error);
}

/* --- volumes --- */

static void free_volume(struct volume *volume)
{
    free((char *)volume->spec.path);
    free((char *)volume->spec.target);
    free(volume->reservations);
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

static void answer(struct volume *volume, const char *reason)
{
    struct list waiting;
    list_move(&waiting, &volume->waiting);
    for (struct list *node; (node = list_pop(&waiting));) {
        struct iscsi_target_request *request =
            container_of(node, struct iscsi_target_request, link);
        request->done(request, volume->target, reason);
    }
}

static void is_closed(struct volume *volume)
{
    volume->state = SHUT;
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

static void target_idle(struct iscsi_target *target)
{
    struct volume *volume = target->context;
    volume->device = scsi_lu_take_device(target->lun0.lu);
    keep_reservations(volume, target->lun0.lu);
    iscsi_target_free(take_ptr(volume->target));
    if (start_job(volume, CLOSING, closed))
        return;
    close_device(volume);
    is_closed(volume);
}

static struct iscsi_target *make_target(struct volume *volume)
{
    const struct volume_spec *spec = &volume->spec;
    struct block_device *device = take_ptr(volume->device);
    if (volume->anew)
        volume->failed = volume->anew = false;
    device->failed = volume->failed;
    device->on_error = on_error;
    device->context = volume;
    struct scsi_lu *lu = scsi_lu_new(volume->thread, device, spec->block_size, spec->serial);
    if (lu)
        lu->removable = spec->removable;
    struct iscsi_target *target =
        lu ? iscsi_target_new(volume->thread, spec->target, lu, spec->single_writer, target_idle)
           : NULL;
    if (target)
        target->context = volume;
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
        answer(volume, NULL);
        iscsi_target_check_idle(volume->target); /* those who asked may have gone away */
        return;
    }
    tell(volume, &volume->error);
    answer(volume, "its volume cannot be opened; the daemon's log tells why");
    forget(volume);
}

static void opened(struct message *message)
{
    is_opened(container_of(message, struct volume, done));
}

static void open_volume(struct volume *volume)
{
    if (start_job(volume, OPENING, opened))
        return;
    open_device(volume);
    is_opened(volume);
}

/* --- what others ask for --- */

/* Whoever uses the failed device has lost; it is opened anew for the one who has not. */
static void begin_anew(struct volume *volume)
{
    if (!volume->failed)
        return;
    volume->anew = true;
    if (volume->target)
        iscsi_target_close_sessions(volume->target, "its volume has failed, and is opened anew");
}

void open_volumes_get(struct open_volumes *volumes, struct io_thread *thread,
                      const struct volume_spec *spec, bool begins_anew,
                      struct iscsi_target_request *request)
{
    struct volume *volume = idmap_get(&volumes->volumes[thread->index], spec->id);
    if (!volume)
        volume = volume_new(volumes, thread, spec);
    if (!volume) {
        request->done(request, NULL, "out of memory");
        return;
    }
    if (begins_anew)
        begin_anew(volume);
    if (volume->state == OPEN && !volume->anew) {
        request->done(request, volume->target, NULL);
        return;
    }
    list_append(&volume->waiting, &request->link);
    if (volume->state == SHUT)
        open_volume(volume);
}

void open_volumes_logged_out(const struct iscsi_target *target)
{
    struct volume *volume = target->context;
    if (target->sessions.next == target->sessions.prev) /* it was the last one */
        volume->failed = false;
}

uint64_t open_volumes_id(const struct iscsi_target *target)
{
    return ((const struct volume *)target->context)->spec.id;
}

/* --- making and freeing --- */

struct open_volumes *open_volumes_new(unsigned n_threads, struct registry *registry)
{
    struct open_volumes *volumes = calloc(1, sizeof(*volumes));
    if (!volumes)
        return NULL;
    volumes->volumes = calloc(n_threads, sizeof(*volumes->volumes));
    if (!volumes->volumes) {
        free(volumes);
        return NULL;
    }
    volumes->n_threads = n_threads;
    volumes->registry = registry;
    pthread_mutex_init(&volumes->lock, NULL);
    pthread_cond_init(&volumes->changed, NULL);
    return volumes;
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
    free(volumes);
}
