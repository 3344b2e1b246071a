#include "hooks/queue.h"

#include "core/detached.h"

#include <errno.h>

#define STACK_SIZE   (512 * KIB)
#define IDLE_SECONDS 5

void hook_queue_init(struct hook_queue *queue, unsigned max_threads, size_t max_jobs)
{
    pthread_condattr_t clock;
    *queue = (struct hook_queue){.max_threads = max_threads, .max_jobs = max_jobs};
    list_init(&queue->jobs);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->changed, &clock);
    pthread_condattr_destroy(&clock);
}

/* With the lock held. NULL: this thread is not needed. */
static struct hook_job *take(struct hook_queue *queue)
{
    struct timespec until;
    int r = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_SECONDS;
    queue->n_idle++;
    while (list_empty(&queue->jobs) && !queue->stopping && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&queue->changed, &queue->lock, &until);
    queue->n_idle--;
    struct list *first = list_pop(&queue->jobs);
    queue->n_jobs -= first != NULL;
    return first ? container_of(first, struct hook_job, link) : NULL;
}

static void *work(void *argument)
{
    struct hook_queue *queue = argument;
    struct hook_job *job;
    pthread_mutex_lock(&queue->lock);
    while ((job = take(queue))) {
        pthread_mutex_unlock(&queue->lock);
        job->run(job);
        pthread_mutex_lock(&queue->lock);
    }
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
    bool taken = !queue->stopping && queue->n_jobs < queue->max_jobs && has_threads(queue);
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
