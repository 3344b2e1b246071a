/*
 * The certificate of [https]: read at start and at each reload, and told of in the log when it ends
 * soon, or has ended. On the control thread.
 */
#pragma once

#include "http/certificate.h"
#include "server/https_config.h"

#include <systemd/sd-event.h>

struct https {
    struct certificate_slot *certificates; /* NULL: no HTTPS */
    char name[NODE_HTTPS_NAME_MAX + 1];    /* these as they were at start */
    char priorities[sizeof(((struct https_config *)0)->priorities)];
    enum node_https_need need;
    sd_event_source *timer;
    enum https_told { HTTPS_TOLD_NOTHING, HTTPS_TOLD_SOON, HTTPS_TOLD_ENDED } told;
};

/* What the configuration names; NULL: nothing. Also says if its priorities cannot be had. */
int https_read(const struct https_config *config, struct certificate **ret_certificate,
               struct error *ret_error) MUST_CHECK;

/* Without a certificate it stays empty. */
int https_start(struct https *https, const struct https_config *config, sd_event *loop,
                struct error *ret_error) MUST_CHECK;
/* The one that counts from now on, for connections that come. NULL: as before. */
void https_set(struct https *https, struct certificate *certificate);
void https_stop(struct https *https);
