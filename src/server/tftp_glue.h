/* The TFTP server in the daemon: its settings from the configuration. */
#pragma once

#include "core/mailbox.h"
#include "server/config.h"
#include "tftp/server.h"

struct tftp_glue;

struct tftp_glue_settings {
    struct mailbox *mailbox; /* of the thread that `event` is to run on */
    /* A transfer starts, ends or fails. NULL: nobody cares. */
    void (*event)(void *context, const struct tftp_event *event);
    void *context;
};

/* Whether there are the loaders that are wanted, loaders_set() has seen. */
int tftp_glue_start(const struct tftp_glue_settings *settings, const struct config *config,
                    struct tftp_glue **ret_glue, struct error *ret_error) MUST_CHECK;
/* Takes another directory and other loaders; other listen addresses need a restart (told). */
int tftp_glue_reload(struct tftp_glue *glue, const struct config *config,
                     struct error *ret_error) MUST_CHECK;
/* NULL: no-op. Run the mailbox once more afterwards. */
void tftp_glue_stop(struct tftp_glue *glue);

/* Lives as long as it; any thread may read it. */
const struct tftp_counters *tftp_glue_counters(const struct tftp_glue *glue);
