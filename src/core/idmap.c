#include "core/idmap.h"

#include <errno.h>

#define FIRST_ROOM 16

static size_t home_of(const struct idmap *map, uint64_t id)
{
    id ^= id >> 33;
    id *= UINT64_C(0xff51afd7ed558ccd);
    id ^= id >> 33;
    return (size_t)id & (map->room - 1);
}

static struct idmap_slot *find(const struct idmap *map, uint64_t id)
{
    if (map->room == 0)
        return NULL;
    for (size_t i = home_of(map, id);; i = (i + 1) & (map->room - 1)) {
        struct idmap_slot *slot = &map->slots[i];
        if (!slot->value || slot->id == id)
            return slot;
    }
}

static int grow(struct idmap *map)
{
    struct idmap larger = {.room = map->room ? map->room * 2 : FIRST_ROOM, .count = map->count};
    larger.slots = calloc(larger.room, sizeof(*larger.slots));
    if (!larger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < map->room; i++)
        if (map->slots[i].value)
            *find(&larger, map->slots[i].id) = map->slots[i];
    free(map->slots);
    *map = larger;
    return 0;
}

void *idmap_get(const struct idmap *map, uint64_t id)
{
    struct idmap_slot *slot = find(map, id);
    return slot ? slot->value : NULL;
}

int idmap_put(struct idmap *map, uint64_t id, void *value)
{
    if (map->count >= map->room / 2 && !idmap_get(map, id)) {
        int r = grow(map);
        if (r < 0)
            return r;
    }
    struct idmap_slot *slot = find(map, id);
    map->count += slot->value == NULL;
    *slot = (struct idmap_slot){.id = id, .value = value};
    return 0;
}

/* Moves those behind a freed slot up that would not be found any more. */
static void close_gap(struct idmap *map, size_t gap)
{
    size_t mask = map->room - 1;
    for (size_t i = (gap + 1) & mask; map->slots[i].value; i = (i + 1) & mask) {
        size_t home = home_of(map, map->slots[i].id);
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            map->slots[gap] = map->slots[i];
            map->slots[i].value = NULL;
            gap = i;
        }
    }
}

void *idmap_remove(struct idmap *map, uint64_t id)
{
    struct idmap_slot *slot = find(map, id);
    if (!slot || !slot->value)
        return NULL;
    void *value = slot->value;
    slot->value = NULL;
    map->count--;
    close_gap(map, (size_t)(slot - map->slots));
    return value;
}

void *idmap_any(const struct idmap *map, uint64_t *ret_id)
{
    for (size_t i = 0; map->count > 0 && i < map->room; i++) {
        if (map->slots[i].value) {
            *ret_id = map->slots[i].id;
            return map->slots[i].value;
        }
    }
    return NULL;
}

void *idmap_next(const struct idmap *map, size_t *cursor)
{
    while (*cursor < map->room) {
        void *value = map->slots[(*cursor)++].value;
        if (value)
            return value;
    }
    return NULL;
}

void idmap_free(struct idmap *map)
{
    free(map->slots);
    *map = (struct idmap){0};
}
