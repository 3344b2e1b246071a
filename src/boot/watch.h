/*
 * Watching how far each node's boot has come: the contract between whoever follows the boots
 * (tracker.h) and whoever shows them.
 */
#pragma once

#include "boot/stage.h"
#include "core/facts.h"
#include "core/net.h"
#include "registry/catalog.h"

#include <jansson.h>

/* Somebody who watches. Belongs to the provider's list between subscribe and unsubscribe. */
struct stage_listener {
    struct stage_listener *next; /* for the provider's use */
    /* Takes one event as a JSON object on one line, such as
     *     {"event":"stage","node":"web1","stage":"script","at":1795412345678901,"detail":""}
     * Copies it and never blocks; any thread. NULL: it does not want that. */
    void (*event)(struct stage_listener *listener, const char *json_line);
    /* The same, for those who have no use for JSON; or NULL. */
    void (*reached)(struct stage_listener *listener, const struct catalog_node *node,
                    enum boot_stage stage);
};

/* How far each node's boot has come. All are called on any thread, several at once. */
struct stage_provider {
    /* A new JSON object: for each node that was seen booting since the daemon keeps books, its name
     * and an object with at least
     *     "stage" (text: the last one reached), "since" (usec since 1970 when it was reached),
     *     "detail" (of that stage),
     *     "started_at" (usec since 1970), "failures" (boots before it in a row that came to
     *     nothing), "stages": [{"stage", "at", "detail"}...]
     * Nodes that never booted are left out. NULL without memory. */
    json_t *(*snapshot)(void *context);
    /* The address that DHCP gave to this MAC last; 0: none that we know of. */
    uint32_t (*address_of)(void *context, struct mac_address mac);
    /* Boots of a node in a row that came to nothing, with the last one. NULL: nobody counts. */
    uint32_t (*failures)(void *context, uint64_t node_id);
    /* They do not matter any more. NULL: likewise. */
    void (*forget_failures)(void *context, uint64_t node_id);
    /* What a node has said of itself last; false: nothing. NULL: likewise. */
    bool (*facts)(void *context, uint64_t node_id, struct facts *ret_facts);
    /* What a hook has said that its last boot boots; false: none was asked. NULL: likewise. */
    bool (*said)(void *context, uint64_t node_id, struct boot_target *ret_target);
    /* From here on every event goes to the listener... */
    void (*subscribe)(void *context, struct stage_listener *listener);
    /* ... and after this returns, none does any more. */
    void (*unsubscribe)(void *context, struct stage_listener *listener);
    void *context;
};
