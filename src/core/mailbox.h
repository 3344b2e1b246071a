/*
 * Messages to a thread: any thread posts, the owner runs them in the order posted.
 *
 * The descriptor becomes readable when there is something to run, so that an sd-event loop or an
 * io_uring can wait for it. Posting takes no lock and costs a system call only when the mailbox
 * was empty.
 */
#pragma once

#include "core/util.h"

#include <stdatomic.h>

/* Embedded in what is sent; belongs to the receiver from mailbox_post() on. */
struct message {
    struct message *next;
    void (*run)(struct message *message);
};

struct mailbox {
    int fd; /* eventfd */
    _Atomic(struct message *) newest;
};

int mailbox_open(struct mailbox *mailbox) MUST_CHECK;
/* What was not run yet is dropped: stop the senders and drain first. */
void mailbox_close(struct mailbox *mailbox);

void mailbox_post(struct mailbox *mailbox, struct message *message);

/* Owner only. Runs everything posted so far; returns how many. */
size_t mailbox_run(struct mailbox *mailbox);
