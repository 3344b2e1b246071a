#include "hooks/queue.h"

#include "core/detached.h"

#include <errno.h>

#define STACK_SIZE   (512 * KIB)
#define IDLE_SECONDS 5

void hook_queue_init(struct hook_queue *queue, unsigned max_threads, size_t max_jobs,
                     size_t max_of_one, bool in_order)
{
    pthread_condattr_t clock;
    *queue = (struct hook_queue){.max_threads = max_threads,
                                 .max_jobs = max_jobs,
                                 .max_of_one = max_of_one,
                                 .in_order = in_order};
    list_init(&queue->jobs);
    list_init(&queue->running);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->changed, &clock);
    pthread_condattr_destroy(&clock);
}

/* A thread's own, while it runs a job. */
struct turn {
    struct list link;
    uint64_t subject;
};

/* With the lock held. */
static size_t count_running(struct hook_queue *queue, uint64_t subject)
{
    size_t count = 0;
    list_for_each(p, &queue->running) {
        count += container_of(p, struct turn, link)->subject == subject;
    }
    return count;
}

static size_t count_waiting(struct hook_queue *queue, uint64_t subject)
{
    size_t count = 0;
    list_for_each(p, &queue->jobs) {
        count += container_of(p, struct hook_job, link)->subject == subject;
    }
    return count;
}

static bool may_run(struct hook_queue *queue, const struct hook_job *job)
{
    return !queue->in_order || !job->subject || count_running(queue, job->subject) == 0;
}

static bool has_room(struct hook_queue *queue, const struct hook_job *job)
{
    size_t of_one = count_running(queue, job->subject) + count_waiting(queue, job->subject);
    return queue->n_jobs < queue->max_jobs && (!job->subject || of_one < queue->max_of_one);
}

/* With the lock held: the first one that need not wait for one that runs. */
static struct hook_job *next_job(struct hook_queue *queue)
{
    list_for_each(p, &queue->jobs) {
        struct hook_job *job = container_of(p, struct hook_job, link);
        if (!may_run(queue, job))
            continue;
        list_remove(p);
        queue->n_jobs--;
        return job;
    }
    return NULL;
}

/* With the lock held. NULL: this thread is not needed. */
static struct hook_job *take(struct hook_queue *queue)
{
    struct timespec until;
    struct hook_job *job;
    int r = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_SECONDS;
    queue->n_idle++;
    while (!(job = next_job(queue)) && !queue->stopping && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&queue->changed, &queue->lock, &until);
    queue->n_idle--;
    return job;
}

/* With the lock held, which is left meanwhile. What waits for this job is then for this thread, if
 * for no other. */
static void run(struct hook_queue *queue, struct hook_job *job)
{
    struct turn turn = {.subject = job->subject};
    list_append(&queue->running, &turn.link);
    pthread_mutex_unlock(&queue->lock);
    job->run(job); /* and it is gone */
    pthread_mutex_lock(&queue->lock);
    list_remove(&turn.link);
}

static void *work(void *argument)
{
    struct hook_queue *queue = argument;
    struct hook_job *job;
    pthread_mutex_lock(&queue->lock);
    while ((job = take(queue)))
        run(queue, job);
    queue->n_threads--;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock); /* from here on it may be gone */
    return NULL;
}

/* With the lock held. */
static bool has_threads(struct hook_queue *queue)
{
    if (queue->n_idle <= queue->n_jobs && queue->n_threads < queue->max_threads) {
        queue->n_threads++;
        if (!detached_thread_start(work, queue, STACK_SIZE))
            queue->n_threads--;
    }
    return queue->n_threads > 0;
}

bool hook_queue_put(struct hook_queue *queue, struct hook_job *job)
{
    pthread_mutex_lock(&queue->lock);
    bool taken = !queue->stopping && has_room(queue, job) && has_threads(queue);
    if (taken) {
        list_append(&queue->jobs, &job->link);
        queue->n_jobs++;
        pthread_cond_signal(&queue->changed);
    }
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

void hook_queue_stop(struct hook_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->stopping = true;
    pthread_cond_broadcast(&queue->changed);
    while (queue->n_threads > 0)
        pthread_cond_wait(&queue->changed, &queue->lock);
    pthread_mutex_unlock(&queue->lock);
}

bool hook_queue_is_stopping(struct hook_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool stopping = queue->stopping;
    pthread_mutex_unlock(&queue->lock);
    return stopping;
}

void hook_queue_destroy(struct hook_queue *queue)
{
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
}
