/*
 * SCSI commands for an LU of another I/O thread.
 *
 * Such a command exists twice: `near`, the struct iscsi_task of the session's thread that command.c
 * works with as with any other, and `far`, a struct scsi_task that the command set runs on the LU's
 * thread. Neither thread touches the other's; what one has to tell is copied into a message, and
 * the message, embedded here, belongs to one side at a time. Messages between two threads arrive in
 * the order posted.
 *
 *   start   near to far, once           step[i]  far to near: move burst i; and back: it has moved
 *   abort   near to far, and back       ended    far to near, once: status and sense
 *                                       reported far to near, before `ended`: REPORT LUNS
 *
 * Buffers stay with the thread that made them. Data-in lies in a buffer of the LU's thread; PDUs
 * point into it without a reference, and it is given back there when `step` has come back. Data-out
 * lies in a buffer of the session's thread and is lent to the command set; it is given back here
 * when the same burst is asked for again or the task has ended.
 *
 * Cost of a command: a message to start it, one to end it, and two per burst of 256 KiB; each wakes
 * the other thread by one write() if its mailbox was empty, and is otherwise free of system calls.
 * Nothing is allocated but the task itself.
 */
#pragma once

#include "iscsi/lun.h"
#include "iscsi/task.h"

struct iscsi_remote_burst {
    struct message step;
    struct iscsi_remote *remote;
    unsigned index;
    /* copies of what the side that posts has to say */
    struct buffer *buffer;
    uint32_t offset, length;
    uint64_t data_length;
    bool is_last, is_read, ok;
    struct buffer
        lent; /* data-out: stands for the buffer of the session's thread, for ever in use */
};

struct iscsi_remote {
    struct list link; /* in lun->tasks */
    struct iscsi_task *task;
    struct iscsi_lun *lun;
    struct message start, abort, ended, reported;
    bool writes;                        /* its command changes the medium; never changes */
    atomic_bool cleared;                /* set by the LU's thread: somebody waits for its end */
    bool far_ended;                     /* the LU's thread's */
    bool near_ended, aborting, aborted; /* the session's thread's */
    struct scsi_task far;
    struct iscsi_remote_burst bursts[SCSI_BURSTS];
};

/* A task, zeroed, whose `remote` is for this LU. free() it. NULL: no memory. */
struct iscsi_task *iscsi_remote_task_new(struct iscsi_lun *lun);
/* As scsi_task_start(), scsi_burst_moved() and scsi_task_abort(), of a task that is remote. They
 * never call back before they return. A task with a data_error, aborted, ends with it. */
void iscsi_remote_start(struct iscsi_task *task);
void iscsi_remote_burst_moved(struct iscsi_task *task, struct scsi_burst *burst, bool ok);
void iscsi_remote_abort(struct iscsi_task *task);
