/* A hash table from 64-bit ids to pointers. Not thread-safe. */
#pragma once

#include "core/util.h"

struct idmap_slot {
    uint64_t id;
    void *value; /* NULL: free */
};

/* A zeroed struct is an empty map. */
struct idmap {
    struct idmap_slot *slots;
    size_t room; /* a power of two, or 0 */
    size_t count;
};

/* NULL if there is none. */
void *idmap_get(const struct idmap *map, uint64_t id);
/* value is not NULL; replaces what was there. -ENOMEM: nothing was changed. */
int idmap_put(struct idmap *map, uint64_t id, void *value) MUST_CHECK;
/* What was there, or NULL. */
void *idmap_remove(struct idmap *map, uint64_t id);
/* Any value of the map, or NULL if it is empty; for taking it apart. */
void *idmap_any(const struct idmap *map, uint64_t *ret_id);
/* The next value, of all in some order; *cursor is 0 at first. NULL: there are no more. The map
 * must not change meanwhile. */
void *idmap_next(const struct idmap *map, size_t *cursor);
void idmap_free(struct idmap *map);
