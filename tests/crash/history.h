/*
 * What each sector of a volume may show, from what was written to it and what was said of that. A
 * sector's content is a number, repeated; 0: zeroes.
 */
#pragma once

#include "core/util.h"

#define HISTORY_SECTOR  512
#define HISTORY_SECTORS 395 /* of the volume */
#define HISTORY_DEPTH   24

struct history_sector {
    uint64_t begin;   /* the number of contents[0], counted from the beginning of time */
    unsigned n;       /* contents, in order; at least one */
    uint64_t told;    /* the number of the last one that was acknowledged */
    uint64_t durable; /* of the last one that was flushed */
    uint32_t contents[HISTORY_DEPTH];
};

struct history {
    struct history_sector sectors[HISTORY_SECTORS];
};

static inline bool history_is_full(const struct history_sector *sector)
{
    return sector->n == HISTORY_DEPTH;
}

/* It may show this from now on. Returns its number. */
static inline uint64_t history_add(struct history_sector *sector, uint32_t content)
{
    sector->contents[sector->n] = content;
    return sector->begin + sector->n++;
}

static inline void history_flushed(struct history_sector *sector, uint64_t number)
{
    sector->durable = MAX(sector->durable, number);
}

/* Forgets what nobody may see any more. */
static inline void history_compact(struct history_sector *sector)
{
    unsigned gone = (unsigned)(sector->durable - sector->begin);
    sector->begin = sector->durable;
    sector->n -= gone;
    memmove(sector->contents, sector->contents + gone, sector->n * sizeof(sector->contents[0]));
}

/* The number of the newest content that is this one, not before `from`; false: it may not be. */
static inline bool history_find(const struct history_sector *sector, uint64_t from,
                                uint32_t content, uint64_t *ret_number)
{
    for (unsigned i = sector->n; i-- > 0 && sector->begin + i >= from;) {
        if (sector->contents[i] != content)
            continue;
        *ret_number = sector->begin + i;
        return true;
    }
    return false;
}

static inline void history_set(struct history_sector *sector, uint32_t content)
{
    *sector = (struct history_sector){.n = 1, .contents = {content}};
}

static inline void sector_fill(uint8_t *bytes, uint32_t content)
{
    for (size_t i = 0; i < HISTORY_SECTOR; i += sizeof(content))
        memcpy(bytes + i, &content, sizeof(content));
}

/* False: it is not the same all over. */
static inline bool sector_content(const uint8_t *bytes, uint32_t *ret_content)
{
    memcpy(ret_content, bytes, sizeof(*ret_content));
    return memcmp(bytes, bytes + sizeof(*ret_content), HISTORY_SECTOR - sizeof(*ret_content)) == 0;
}
