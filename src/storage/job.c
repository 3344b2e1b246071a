/*
 * A copy into the state directory, driven by its caller a quarter of a second at a time.
 *
 * There is no thread of its own: whoever waits for the result does the work, and whoever goes away
 * thereby stops it.
 */
#include "storage/copy.h"
#include "storage/private.h"

#include <errno.h>
#include <fcntl.h>

#define STEP_USEC (250 * 1000)

enum job_state {
    JOB_WAITING, /* for a slot */
    JOB_COPYING,
    JOB_PUBLISHING, /* durable already: what is left takes no time */
    JOB_FINISHED,
    JOB_FAILED,
};

struct storage_job {
    struct storage *storage;
    enum job_state state;
    bool has_slot;
    bool had_to_wait;
    char volume[NAME_MAX_LEN + 1]; /* that is filled, or "" */
    char image[NAME_MAX_LEN + 1];  /* that is imported, or "" */
    uint32_t version;
    char path[PATH_MAX];
    char from_name[PATH_MAX];
    int from, to;
    struct copy copy;
};

/* Undoes what the registry and the disk hold of it. `why` ends up with a node that has it. */
static void undo(struct storage_job *job, const char *why)
{
    struct error ignored;
    struct registry *registry = job->storage->settings.registry;
    file_remove(job->path, false, &ignored);
    if (job->volume[0])
        (void)!registry_volume_finish(registry, job->volume, why, &ignored);
    else
        (void)!registry_image_abandon(registry, job->image, job->version, &ignored);
}

static void release(struct storage_job *job)
{
    copy_end(&job->copy);
    if (job->from >= 0)
        close(job->from);
    if (job->to >= 0)
        close(job->to);
    job->from = job->to = -1;
    if (!job->has_slot)
        return;
    pthread_mutex_lock(&job->storage->lock);
    job->storage->n_copying--;
    pthread_cond_signal(&job->storage->slot);
    pthread_mutex_unlock(&job->storage->lock);
    job->has_slot = false;
}

static int fail(struct storage_job *job, const struct error *error)
{
    job->state = JOB_FAILED;
    release(job);
    undo(job, error->text);
    return error->code;
}

static void set_name(char *place, const char *name)
{
    str_copy(place, NAME_MAX_LEN + 1, name ? name : "");
}

int job_begin(struct storage *storage, int from, const char *from_name, const char *path,
              const char *volume, const char *image, uint32_t version, struct storage_job **ret_job,
              struct error *ret_error)
{
    struct storage_job *job = calloc(1, sizeof(*job));
    struct storage_job on_stack = {0}; /* without memory we still have to undo */
    struct storage_job *j = job ? job : &on_stack;
    j->storage = storage;
    j->from = from;
    j->to = -1;
    j->version = version;
    set_name(j->volume, volume);
    set_name(j->image, image);
    str_copy(j->path, sizeof(j->path), path);
    str_copy(j->from_name, sizeof(j->from_name), from_name);
    struct error error;
    if (!job)
        error_set(&error, -ENOMEM, "out of memory");
    else if ((j->to = file_create_tmp(path, &error)) >= 0) {
        off_t size = lseek(from, 0, SEEK_END); /* right for block devices, too */
        j->copy = (struct copy){.from = from,
                                .to = j->to,
                                .from_name = j->from_name,
                                .to_name = j->path,
                                .size = size < 0 ? 0 : (uint64_t)size};
        *ret_job = job;
        return 0;
    }
    fail(j, &error);
    free(job);
    *ret_error = error;
    return error.code;
}

void job_set_thick(struct storage_job *job)
{
    job->copy.thick = true;
}

/* True if this job may copy now; waits for a while if not. */
static bool get_slot(struct storage_job *job)
{
    struct storage *storage = job->storage;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += STEP_USEC * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&storage->lock);
    if (storage->n_copying >= STORAGE_MAX_COPIES)
        pthread_cond_timedwait(&storage->slot, &storage->lock, &until);
    if (storage->n_copying < STORAGE_MAX_COPIES) {
        storage->n_copying++;
        job->has_slot = true;
    }
    pthread_mutex_unlock(&storage->lock);
    return job->has_slot;
}

static int finish(struct storage_job *job, struct error *ret_error)
{
    struct registry *registry = job->storage->settings.registry;
    int r = file_publish(job->to, job->path, job->image[0] ? 0444 : 0600, ret_error);
    if (r < 0)
        return r;
    if (job->volume[0])
        r = registry_volume_finish(registry, job->volume, NULL, ret_error);
    else
        r = registry_image_finish(registry, job->image, job->version, job->copy.size, ret_error);
    if (r < 0) {
        struct error ignored;
        file_remove(job->path, true, &ignored);
        return r;
    }
    job->state = JOB_FINISHED;
    release(job);
    return 0;
}

static int begin_copying(struct storage_job *job, struct error *ret_error)
{
    job->had_to_wait = !get_slot(job);
    if (job->had_to_wait)
        return 1;
    job->state = JOB_COPYING;
    int r = copy_begin(&job->copy, ret_error);
    return r < 0 ? r : 1;
}

/* Making it durable may take long, so that there is one more chance to stop behind it. */
static int go_on_copying(struct storage_job *job, struct error *ret_error)
{
    int r = copy_step(&job->copy, STEP_USEC, ret_error);
    if (r != 0)
        return r;
    if (fsync(job->to) < 0)
        return error_set(ret_error, -errno, "%s cannot be written: %s", job->path, strerror(errno));
    job->state = JOB_PUBLISHING;
    return 1;
}

static int advance(struct storage_job *job, struct error *ret_error)
{
    switch (job->state) {
    case JOB_WAITING:
        return begin_copying(job, ret_error);
    case JOB_COPYING:
        return go_on_copying(job, ret_error);
    default:
        return finish(job, ret_error);
    }
}

int storage_job_step(struct storage_job *job, struct error *ret_error)
{
    int r = advance(job, ret_error);
    return r < 0 ? fail(job, ret_error) : r;
}

struct storage_progress storage_job_progress(const struct storage_job *job)
{
    return (struct storage_progress){
        .waiting = job->had_to_wait, .done = job->copy.done, .total = job->copy.size};
}

uint32_t storage_job_version(const struct storage_job *job)
{
    return job->version;
}

void storage_job_free(struct storage_job *job)
{
    if (!job)
        return;
    if (job->state < JOB_FINISHED) {
        release(job);
        undo(job, "the command that filled it was interrupted; remove it and create it again");
    }
    free(job);
}
