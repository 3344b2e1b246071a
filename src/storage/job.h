/* What kinds of job there are is said in the files that make them; this is what they share. */
#pragma once

#include "storage/private.h"

enum job_state {
    JOB_WAITING, /* for a slot */
    JOB_RUNNING,
    JOB_PUBLISHING, /* durable already: what is left takes no time */
    JOB_FINISHED,
    JOB_FAILED,
};

/* Each is the first member of a kind's own struct, which came from malloc(). */
struct storage_job {
    const struct job_kind *kind;
    struct storage *storage;
    enum job_state state;
    bool has_slot;
    bool had_to_wait;
    uint32_t version; /* of the image that it is about; 0: it is about none */
};

struct job_kind {
    /* 0, or an error */
    int (*begin)(struct storage_job *job, struct error *ret_error);
    /* for about `budget` microseconds. 1: there is more to do; 0: done, and durable */
    int (*step)(struct storage_job *job, uint64_t budget, struct error *ret_error);
    /* makes the result known; takes no time */
    int (*publish)(struct storage_job *job, struct error *ret_error);
    /* done, total and stage */
    struct storage_progress (*progress)(const struct storage_job *job);
    /* lets go of what begin() and step() hold; may come more than once */
    void (*release)(struct storage_job *job);
    /* after release(): undoes what the registry and the disk hold of it. why: a sentence */
    void (*undo)(struct storage_job *job, const char *why);
};
