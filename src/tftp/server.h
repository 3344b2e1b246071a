/*
 * The TFTP server: a thread of its own with its own loop, so that a slow disk holds up nothing
 * but loaders. Read requests only.
 *
 * What happens is told to another thread by messages (core/mailbox.h).
 */
#pragma once

#include "core/counter.h"
#include "core/error.h"
#include "core/mailbox.h"
#include "core/net.h"

#define TFTP_MAX_TRANSFERS            1024
#define TFTP_MAX_TRANSFERS_PER_CLIENT 256
#define TFTP_MAX_LISTEN               8
#define TFTP_EVENT_FILE_SIZE          128

enum tftp_event_kind {
    TFTP_EVENT_STARTED,  /* the first block goes out; not told of mere questions for the size */
    TFTP_EVENT_FINISHED, /* the last block was acknowledged */
    TFTP_EVENT_FAILED,   /* after it was started; `failure` says why */
};

struct tftp_event {
    enum tftp_event_kind kind;
    struct endpoint peer;
    char file[TFTP_EVENT_FILE_SIZE]; /* its name inside the directory, cut if longer */
    uint64_t bytes;                  /* that arrived for certain */
    uint64_t size;                   /* of the file */
    uint64_t started_at;             /* usec since 1970 */
    uint64_t at;                     /* likewise */
    char failure[128];
};

struct tftp_counters {
    struct counter requests;
    struct counter started, finished, failed, aborted; /* transfers; aborted: by the client */
    struct counter bytes;                              /* of finished transfers */
    struct counter malformed, refused;                 /* requests */
    struct counter busy;   /* requests left unanswered: too many transfers */
    struct counter active; /* now */
};

struct tftp_settings {
    const struct endpoint *listen;
    size_t n_listen;
    const char *directory;
    /* Called on the thread that owns the mailbox, also for events that were on their way when the
     * server stopped. NULL: nobody cares. */
    void (*event)(void *context, const struct tftp_event *event);
    void *context;
    struct mailbox *mailbox;
    struct tftp_counters *counters; /* counted up, not owned */
};

struct tftp_server;

/* Binds, then starts the thread. The settings are copied. */
int tftp_server_start(const struct tftp_settings *settings, struct tftp_server **ret_server,
                      struct error *ret_error) MUST_CHECK;
/* Breaks off what is under way. Events that were posted may still be in the mailbox. NULL: no-op.
 */
void tftp_server_stop(struct tftp_server *server);

/* Serves from this directory from now on; transfers under way go on. */
int tftp_server_set_directory(struct tftp_server *server, const char *path,
                              struct error *ret_error) MUST_CHECK;
