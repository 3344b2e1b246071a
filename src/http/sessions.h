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

/* All may wait for I/O threads; called on any other thread, several at once. */
struct session_provider {
    /* A new array, ordered by id; in_full: with all that is known of each. -ENOENT: there is no
     * such session, node or volume; -ENOMEM. */
    int (*list)(void *context, const struct session_filter *filter, bool in_full,
                json_t **ret_sessions, struct error *ret_error);
    void *context;
};
