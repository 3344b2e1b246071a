/*
 * The task set of an LU: which command may begin when (SAM-5 8).
 *
 * One for all nexuses (TST 000b). A command with the SIMPLE attribute begins at once, in any order
 * with others of its kind (QAM 0001b), unless an older ORDERED one or one with HEAD OF QUEUE is in
 * the set; an ORDERED one waits for everything older; HEAD OF QUEUE waits for nothing. A command
 * that waits is dormant, and has no effect on anything yet.
 *
 * Cost: a command that need not wait counts one up and one down. All of it happens on the LU's
 * thread.
 */
#pragma once

#include "io/thread.h"

struct scsi_task;

struct scsi_task_set {
    struct io_thread *thread;
    unsigned n_enabled;  /* commands that have begun and not ended */
    unsigned n_heads;    /* of those, with HEAD OF QUEUE */
    bool has_ordered;    /* one of those is ORDERED */
    struct list dormant; /* struct scsi_task_place, oldest first */
    struct io_deferred serve;
};

/* Where a command is; zeroed at first. Embedded in struct scsi_task. */
struct scsi_task_place {
    struct list link; /* while it is dormant */
    enum { TASK_OUTSIDE, TASK_DORMANT, TASK_ENABLED } state;
};

void scsi_task_set_init(struct scsi_task_set *set, struct io_thread *thread);
/* A command has come. True: it may begin. False: it is dormant, and scsi_task_enabled() will be
 * called, never inside another call. */
bool scsi_task_set_enter(struct scsi_task_set *set, struct scsi_task *task) MUST_CHECK;
/* A command has ended, or will never begin. No-op for one that is in no set. */
void scsi_task_set_leave(struct scsi_task_set *set, struct scsi_task *task);
