/*
 * What is held: volumes and nodes that nobody may log in to, or with, for now. Any thread; a lock
 * that is taken once or twice for each login, and never for a command. Held until it is released,
 * or the daemon ends.
 */
#pragma once

#include "core/util.h"

struct holds;

enum hold_kind {
    HOLD_ALL,
    HOLD_NODE,
    HOLD_VOLUME,
    HOLD_CLAIM, /* of a volume: somebody changes what it consists of */
};

struct hold {
    enum hold_kind kind;
    uint64_t id;    /* of the node or volume; HOLD_ALL: 0 */
    uint64_t since; /* usec since 1970 */
};

/* NULL without memory. */
struct holds *holds_new(void);
/* NULL: no-op. */
void holds_free(struct holds *holds);

/* Of all but HOLD_CLAIM: what is held already stays so; of that: -EBUSY. From its return on
 * holds_match() sees it. -ENOMEM. */
int holds_add(struct holds *holds, enum hold_kind kind, uint64_t id) MUST_CHECK;
/* False: it was not held. */
bool holds_remove(struct holds *holds, enum hold_kind kind, uint64_t id);
/* Is this node (0: none) held, or this volume, or everything? */
bool holds_match(struct holds *holds, uint64_t node_id, uint64_t volume_id);
/* A copy of all but HOLD_CLAIM, oldest first; free() it. NULL: no memory. */
struct hold *holds_list(struct holds *holds, size_t *ret_count);
