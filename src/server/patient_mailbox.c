#include "server/patient_mailbox.h"

#include <sys/epoll.h>

#define PATIENCE_USEC 5000

/* Enabled: the timer, or else the descriptor. */
static int gather(struct patient_mailbox *patient, bool gathers)
{
    int r = sd_event_source_set_enabled(patient->readable, gathers ? SD_EVENT_OFF : SD_EVENT_ON);
    if (r >= 0 && gathers)
        r = sd_event_source_set_time_relative(patient->timer, PATIENCE_USEC);
    if (r >= 0)
        r = sd_event_source_set_enabled(patient->timer, gathers ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
    return r;
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct patient_mailbox *patient = userdata;
    mailbox_run(&patient->mailbox);
    return gather(patient, true);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct patient_mailbox *patient = userdata;
    return gather(patient, mailbox_run(&patient->mailbox) > 0);
}

int patient_mailbox_open(struct patient_mailbox *patient, sd_event *loop)
{
    int r = mailbox_open(&patient->mailbox);
    if (r >= 0)
        r = sd_event_add_io(loop, &patient->readable, patient->mailbox.fd, EPOLLIN, on_readable,
                            patient);
    if (r >= 0)
        r = sd_event_add_time(loop, &patient->timer, CLOCK_MONOTONIC, 0, 1, on_timer, patient);
    if (r >= 0)
        r = sd_event_source_set_enabled(patient->timer, SD_EVENT_OFF);
    return r;
}

void patient_mailbox_close(struct patient_mailbox *patient)
{
    if (patient->mailbox.fd < 0)
        return;
    mailbox_run(&patient->mailbox);
    patient->readable = sd_event_source_disable_unref(patient->readable);
    patient->timer = sd_event_source_disable_unref(patient->timer);
    mailbox_close(&patient->mailbox);
}
