/*
 * Work for a few threads, which are made when there is some and end when there is none: who puts it
 * here never waits.
 */
#pragma once

#include "core/list.h"

#include <pthread.h>

struct hook_job {
    struct list link;
    uint64_t subject;                  /* the machine that it is about; 0: none */
    void (*run)(struct hook_job *job); /* on a thread of the queue, once */
};

struct hook_queue {
    pthread_mutex_t lock; /* protects all below */
    pthread_cond_t changed;
    struct list jobs, running;
    size_t n_jobs, max_jobs, max_of_one; /* of one subject, with those that run */
    bool in_order;                       /* those of one subject run one after the other */
    unsigned n_threads, n_idle, max_threads;
    bool stopping;
};

void hook_queue_init(struct hook_queue *queue, unsigned max_threads, size_t max_jobs,
                     size_t max_of_one, bool in_order);
/* The job is the queue's until it runs. False: it is full, has enough of this subject, is being
 * stopped, or there are no threads to be had. */
bool hook_queue_put(struct hook_queue *queue, struct hook_job *job) MUST_CHECK;
/* Takes no more, and waits until all that it has has run. */
void hook_queue_stop(struct hook_queue *queue);
bool hook_queue_is_stopping(struct hook_queue *queue);
/* After it was stopped. */
void hook_queue_destroy(struct hook_queue *queue);
