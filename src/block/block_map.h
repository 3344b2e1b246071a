/*
 * Which blocks of a volume a layer has: one bit each, in chunks that are made when they are first
 * needed; and which of the bits are dirty, that is, not yet durable.
 *
 * A round of making them durable takes all that are dirty when it begins (block_map_begin_sync);
 * those that come meanwhile belong to the next one. What it writes of a chunk is what is set and
 * not dirty (block_map_page).
 */
#pragma once

#include "core/util.h"

#define BLOCK_MAP_PAGE_SIZE    4096 /* bytes of the map that a chunk is */
#define BLOCK_MAP_CHUNK_BLOCKS ((uint64_t)8 * BLOCK_MAP_PAGE_SIZE)

struct block_map_chunk;

struct block_map {
    uint64_t n_blocks;
    size_t n_chunks;
    size_t n_dirty;   /* chunks with dirty bits */
    size_t n_syncing; /* chunks that the round has yet to write */
    struct block_map_chunk **chunks;
};

int block_map_init(struct block_map *map, uint64_t n_blocks) MUST_CHECK;
void block_map_free(struct block_map *map);

/* Whether the block `first` is set; *ret_end: up to where the same holds, `end` at most.
 * first < end <= n_blocks. */
bool block_map_run(const struct block_map *map, uint64_t first, uint64_t end, uint64_t *ret_end);

/* All of first..end-1 are set. */
static inline bool block_map_all_set(const struct block_map *map, uint64_t first, uint64_t end)
{
    uint64_t stop;
    return block_map_run(map, first, end, &stop) && stop == end;
}

static inline bool block_map_is_set(const struct block_map *map, uint64_t block)
{
    uint64_t stop;
    return block_map_run(map, block, block + 1, &stop);
}

/* Makes the memory that block_map_set() needs for these; it stays until block_map_trim(). -ENOMEM.
 */
int block_map_reserve(struct block_map *map, uint64_t first, uint64_t end) MUST_CHECK;
/* Sets them; those that were not become dirty. They are reserved. */
void block_map_set(struct block_map *map, uint64_t first, uint64_t end);
/* The durable bits of a chunk (8-bit bytes, the lowest bit first), as they come from the disk;
 * those behind the end of the volume are not heeded. -ENOMEM. */
int block_map_load(struct block_map *map, size_t chunk,
                   const uint8_t page[static BLOCK_MAP_PAGE_SIZE]) MUST_CHECK;

static inline bool block_map_is_dirty(const struct block_map *map)
{
    return map->n_dirty > 0;
}

/* Begins a round. */
void block_map_begin_sync(struct block_map *map);
/* The first chunk from `from` on that the round has yet to write; n_chunks: none. */
size_t block_map_next_sync(const struct block_map *map, size_t from);
bool block_map_is_syncing(const struct block_map *map, size_t chunk);
/* What to write of it. It counts as written now. */
void block_map_page(struct block_map *map, size_t chunk, uint8_t page[static BLOCK_MAP_PAGE_SIZE]);
/* It was not written after all: the bits of these chunks, and of all that the round has yet to
 * write, are dirty again, and the round is over. */
void block_map_abort_sync(struct block_map *map, size_t first_chunk, size_t n);
/* Gives back what is reserved and not used. Nobody may rely on a reservation. */
void block_map_trim(struct block_map *map);
