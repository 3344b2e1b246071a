/*
 * What takes long, driven by its caller a quarter of a second at a time.
 *
 * There is no thread of its own: whoever waits for the result does the work, and whoever goes away
 * thereby stops it.
 */
#include "storage/job.h"

#include <errno.h>

#define STEP_USEC (250 * 1000)

static void release(struct storage_job *job)
{
    job->kind->release(job);
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
    job->kind->undo(job, error->text);
    return error->code;
}

/* True if this job may go on; waits for a while if not. */
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

static int begin(struct storage_job *job, struct error *ret_error)
{
    job->had_to_wait = !get_slot(job);
    if (job->had_to_wait)
        return 1;
    job->state = JOB_RUNNING;
    int r = job->kind->begin(job, ret_error);
    return r < 0 ? r : 1;
}

/* Making it durable may take long, so that there is one more chance to stop behind it. */
static int go_on(struct storage_job *job, struct error *ret_error)
{
    int r = job->kind->step(job, STEP_USEC, ret_error);
    if (r != 0)
        return r;
    job->state = JOB_PUBLISHING;
    return 1;
}

static int publish(struct storage_job *job, struct error *ret_error)
{
    int r = job->kind->publish(job, ret_error);
    if (r < 0)
        return r;
    job->state = JOB_FINISHED;
    release(job);
    return 0;
}

static int advance(struct storage_job *job, struct error *ret_error)
{
    switch (job->state) {
    case JOB_WAITING:
        return begin(job, ret_error);
    case JOB_RUNNING:
        return go_on(job, ret_error);
    default:
        return publish(job, ret_error);
    }
}

int storage_job_step(struct storage_job *job, struct error *ret_error)
{
    int r = advance(job, ret_error);
    return r < 0 ? fail(job, ret_error) : r;
}

struct storage_progress storage_job_progress(const struct storage_job *job)
{
    struct storage_progress progress = job->kind->progress(job);
    progress.waiting = job->had_to_wait;
    return progress;
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
        job->kind->undo(
            job, "the command that filled it was interrupted; remove it and create it again");
    }
    free(job);
}
