/* The iSCSI sessions: the contract between whoever has them and the API that shows them. */
#pragma once

#include "core/error.h"

#include <jansson.h>

/* Which sessions: one, those of a node, those that have a volume (as LUN 0 or further disk), or
 * all. */
struct session_filter {
    uint64_t id;        /* 0: not given */
    const char *node;   /* NULL: likewise */
    const char *volume; /* NULL: likewise */
};

/* What a drain has found. */
struct session_drain {
    unsigned sessions; /* there are so many */
    unsigned asked;    /* of which so many bear to be asked to leave */
};

/* What has become of a volume that was attached to a node. */
struct session_attach {
    unsigned sessions;  /* so many have it */
    const char *reason; /* why another one has it not; or NULL */
};

/* All may wait for I/O threads; called on any other thread, several at once. */
struct session_provider {
    /* A new array, ordered by id; in_full: with all that is known of each. -ENOENT: there is no
     * such session, node or volume; -ENOMEM. */
    int (*list)(void *context, const struct session_filter *filter, bool in_full,
                json_t **ret_sessions, struct error *ret_error);
    /* Ends them at once; their initiators may come back. -ENOENT as above. */
    int (*end)(void *context, const struct session_filter *filter, unsigned *ret_count,
               struct error *ret_error);
    /* Refuses new logins from now on (to a volume, of a node, or all), asks the sessions that there
     * are to leave, and ends those that are still there after so many seconds (1..65535). */
    int (*drain)(void *context, const struct session_filter *filter, unsigned seconds,
                 struct session_drain *ret_drain, struct error *ret_error);
    /* Ends that. -ENOENT: it is not being drained, or there is no such node or volume. */
    int (*release)(void *context, const struct session_filter *filter, struct error *ret_error);
    /* A volume was attached to a node: waits until the sessions of what it boots have it, too.
     * -ENOENT: there is no such node or volume (any more); -ENOMEM. */
    int (*attach)(void *context, const char *node, const char *volume,
                  struct session_attach *ret_attach, struct error *ret_error);
    /* A new array of what is being drained; NULL without memory. */
    json_t *(*holds)(void *context);
    void *context;
};
