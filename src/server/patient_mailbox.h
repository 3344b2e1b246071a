/*
 * A mailbox of the control thread for what need not be known at once.
 *
 * The first message is run when it comes. After that, messages gather for 5 ms, as they do in the
 * log, and so on until those pass without any: when much happens at once (logins, after a loss of
 * power), a wake-up of the thread is for many of them. With little to do it is a mailbox like any
 * other.
 */
#pragma once

#include "core/mailbox.h"

#include <systemd/sd-event.h>

struct patient_mailbox {
    struct mailbox mailbox; /* to post to */
    /* Private: */
    sd_event_source *readable, *timer;
};

/* loop: of its owner. mailbox.fd was -1 before. 0, or a negative errno. */
int patient_mailbox_open(struct patient_mailbox *patient, sd_event *loop) MUST_CHECK;
/* Runs what is still there; nobody posts any more. No-op if it was not opened. */
void patient_mailbox_close(struct patient_mailbox *patient);
