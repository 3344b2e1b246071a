#include "server/holds.h"

#include <errno.h>
#include <pthread.h>

struct holds {
    pthread_mutex_t lock; /* protects the rest */
    struct hold *entries;
    size_t count;
};

struct holds *holds_new(void)
{
    struct holds *holds = calloc(1, sizeof(*holds));
    if (holds)
        pthread_mutex_init(&holds->lock, NULL);
    return holds;
}

void holds_free(struct holds *holds)
{
    if (!holds)
        return;
    pthread_mutex_destroy(&holds->lock);
    free(holds->entries);
    free(holds);
}

/* With the lock. NULL: it is not held. */
static struct hold *find(const struct holds *holds, enum hold_kind kind, uint64_t id)
{
    for (size_t i = 0; i < holds->count; i++)
        if (holds->entries[i].kind == kind && holds->entries[i].id == id)
            return &holds->entries[i];
    return NULL;
}

static int add(struct holds *holds, enum hold_kind kind, uint64_t id)
{
    if (find(holds, kind, id))
        return kind == HOLD_CLAIM ? -EBUSY : 0;
    struct hold *grown = reallocarray(holds->entries, holds->count + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    holds->entries = grown;
    grown[holds->count++] = (struct hold){kind, id, clock_wall_usec()};
    return 0;
}

int holds_add(struct holds *holds, enum hold_kind kind, uint64_t id)
{
    pthread_mutex_lock(&holds->lock);
    int r = add(holds, kind, id);
    pthread_mutex_unlock(&holds->lock);
    return r;
}

bool holds_remove(struct holds *holds, enum hold_kind kind, uint64_t id)
{
    pthread_mutex_lock(&holds->lock);
    struct hold *found = find(holds, kind, id);
    if (found) {
        size_t at = (size_t)(found - holds->entries);
        memmove(found, found + 1, (--holds->count - at) * sizeof(*found));
    }
    pthread_mutex_unlock(&holds->lock);
    return found != NULL;
}

bool holds_match(struct holds *holds, uint64_t node_id, uint64_t volume_id)
{
    pthread_mutex_lock(&holds->lock);
    bool matches = find(holds, HOLD_ALL, 0) || find(holds, HOLD_VOLUME, volume_id) ||
                   find(holds, HOLD_CLAIM, volume_id) ||
                   (node_id && find(holds, HOLD_NODE, node_id));
    pthread_mutex_unlock(&holds->lock);
    return matches;
}

struct hold *holds_list(struct holds *holds, size_t *ret_count)
{
    pthread_mutex_lock(&holds->lock);
    struct hold *copy = calloc(holds->count + 1, sizeof(*copy));
    size_t n = 0;
    for (size_t i = 0; copy && i < holds->count; i++)
        if (holds->entries[i].kind != HOLD_CLAIM)
            copy[n++] = holds->entries[i];
    if (copy)
        *ret_count = n;
    pthread_mutex_unlock(&holds->lock);
    return copy;
}
