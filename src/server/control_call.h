/*
 * Something that another thread has the control thread do, and waits for. What is asked is on the
 * heap and belongs to both: a control thread that stops does not run its mailbox in time, and who
 * waits then goes away first.
 */
#pragma once

#include "core/error.h"
#include "core/mailbox.h"

#include <semaphore.h>
#include <stdatomic.h>

/* The first member of what is asked, which comes from malloc() and goes with free(). */
struct control_call {
    struct message message;
    atomic_uint references;
    sem_t done;
    void (*run)(struct control_call *call);
};

/* Has run() called on the thread that the mailbox leads to, and waits. -EAGAIN: it is stopping, and
 * nothing of what run() does may be read. The caller lets go of it in any case. */
int control_call_run(struct control_call *call, struct mailbox *mailbox,
                     void (*run)(struct control_call *call), struct error *ret_error) MUST_CHECK;
void control_call_unref(struct control_call *call);
