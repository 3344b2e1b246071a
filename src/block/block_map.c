#include "block/block_map.h"

#include <errno.h>

#define WORD_BITS   64
#define CHUNK_WORDS (BLOCK_MAP_CHUNK_BLOCKS / WORD_BITS)

struct block_map_chunk {
    uint64_t set[CHUNK_WORDS]; /* the block n is the bit n % 64 of the word n / 64 */
    uint64_t *dirty;           /* CHUNK_WORDS of them; NULL: none is */
    bool is_dirty, is_syncing;
};

int block_map_init(struct block_map *map, uint64_t n_blocks)
{
    size_t n = (size_t)((n_blocks + BLOCK_MAP_CHUNK_BLOCKS - 1) / BLOCK_MAP_CHUNK_BLOCKS);
    *map = (struct block_map){.n_blocks = n_blocks, .n_chunks = n};
    map->chunks = calloc(n, sizeof(struct block_map_chunk *));
    return map->chunks ? 0 : -ENOMEM;
}

void block_map_free(struct block_map *map)
{
    for (size_t i = 0; map->chunks && i < map->n_chunks; i++) {
        if (map->chunks[i])
            free(map->chunks[i]->dirty);
        free(map->chunks[i]);
    }
    free(map->chunks);
    *map = (struct block_map){0};
}

/* --- looking --- */

/* The bits of the word that `at` is in, from it on, turned so that 0 is what is looked for. */
static uint64_t word_at(const struct block_map_chunk *chunk, uint64_t at, bool set)
{
    uint64_t word = chunk->set[at % BLOCK_MAP_CHUNK_BLOCKS / WORD_BITS];
    return (set ? ~word : word) >> at % WORD_BITS;
}

/* From `at`, which has this state, to where it ends, within the chunk and before `end`. */
static uint64_t run_in_chunk(const struct block_map_chunk *chunk, uint64_t at, uint64_t end,
                             bool set)
{
    end = MIN(end, (at / BLOCK_MAP_CHUNK_BLOCKS + 1) * BLOCK_MAP_CHUNK_BLOCKS);
    if (!chunk)
        return set ? at : end;
    while (at < end) {
        uint64_t word = word_at(chunk, at, set);
        if (word) {
            at += (uint64_t)__builtin_ctzll(word);
            break;
        }
        at = (at / WORD_BITS + 1) * WORD_BITS;
    }
    return MIN(at, end);
}

bool block_map_run(const struct block_map *map, uint64_t first, uint64_t end, uint64_t *ret_end)
{
    const struct block_map_chunk *chunk = map->chunks[first / BLOCK_MAP_CHUNK_BLOCKS];
    bool set = chunk && word_at(chunk, first, false) & 1;
    uint64_t at = first, before;
    do {
        before = at;
        at = run_in_chunk(map->chunks[at / BLOCK_MAP_CHUNK_BLOCKS], at, end, set);
    } while (at < end && at > before && at % BLOCK_MAP_CHUNK_BLOCKS == 0);
    *ret_end = at;
    return set;
}

/* --- changing --- */

static struct block_map_chunk *need_chunk(struct block_map *map, size_t i)
{
    if (!map->chunks[i])
        map->chunks[i] = calloc(1, sizeof(struct block_map_chunk));
    return map->chunks[i];
}

int block_map_reserve(struct block_map *map, uint64_t first, uint64_t end)
{
    size_t last = (size_t)((end - 1) / BLOCK_MAP_CHUNK_BLOCKS);
    for (size_t i = (size_t)(first / BLOCK_MAP_CHUNK_BLOCKS); i <= last; i++) {
        struct block_map_chunk *chunk = need_chunk(map, i);
        if (!chunk)
            return -ENOMEM;
        if (!chunk->dirty)
            chunk->dirty = calloc(CHUNK_WORDS, sizeof(uint64_t));
        if (!chunk->dirty)
            return -ENOMEM;
    }
    return 0;
}

static void mark_dirty(struct block_map *map, struct block_map_chunk *chunk)
{
    map->n_dirty += !chunk->is_dirty;
    chunk->is_dirty = true;
}

/* Of the bits of one word. */
static void set_bits(struct block_map *map, struct block_map_chunk *chunk, size_t word,
                     uint64_t bits)
{
    uint64_t added = bits & ~chunk->set[word];
    if (!added)
        return;
    chunk->set[word] |= added;
    chunk->dirty[word] |= added;
    mark_dirty(map, chunk);
}

void block_map_set(struct block_map *map, uint64_t first, uint64_t end)
{
    for (uint64_t at = first, stop; at < end; at = stop) {
        stop = MIN((at / WORD_BITS + 1) * WORD_BITS, end);
        uint64_t bits = stop - at == WORD_BITS ? UINT64_MAX : ((uint64_t)1 << (stop - at)) - 1;
        set_bits(map, map->chunks[at / BLOCK_MAP_CHUNK_BLOCKS],
                 (size_t)(at % BLOCK_MAP_CHUNK_BLOCKS / WORD_BITS), bits << at % WORD_BITS);
    }
}

/* --- on disk --- */

static uint64_t get_word(const uint8_t *bytes)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++)
        word |= (uint64_t)bytes[i] << i * 8;
    return word;
}

static void put_word(uint8_t *bytes, uint64_t word)
{
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(word >> i * 8);
}

/* The bits of a word that are blocks of the volume. */
static uint64_t valid_bits(const struct block_map *map, size_t chunk, size_t word)
{
    uint64_t first = chunk * BLOCK_MAP_CHUNK_BLOCKS + word * WORD_BITS;
    if (first >= map->n_blocks)
        return 0;
    uint64_t left = map->n_blocks - first;
    return left >= WORD_BITS ? UINT64_MAX : ((uint64_t)1 << left) - 1;
}

int block_map_load(struct block_map *map, size_t chunk,
                   const uint8_t page[static BLOCK_MAP_PAGE_SIZE])
{
    struct block_map_chunk *c = need_chunk(map, chunk);
    if (!c)
        return -ENOMEM;
    for (size_t i = 0; i < CHUNK_WORDS; i++)
        c->set[i] |= get_word(page + i * 8) & valid_bits(map, chunk, i);
    return 0;
}

/* --- rounds --- */

void block_map_begin_sync(struct block_map *map)
{
    for (size_t i = 0; i < map->n_chunks && map->n_dirty > 0; i++) {
        struct block_map_chunk *chunk = map->chunks[i];
        if (!chunk || !chunk->is_dirty)
            continue;
        memset(chunk->dirty, 0, CHUNK_WORDS * sizeof(uint64_t));
        chunk->is_dirty = false;
        chunk->is_syncing = true;
        map->n_dirty--;
        map->n_syncing++;
    }
}

bool block_map_is_syncing(const struct block_map *map, size_t chunk)
{
    return map->chunks[chunk] && map->chunks[chunk]->is_syncing;
}

size_t block_map_next_sync(const struct block_map *map, size_t from)
{
    if (map->n_syncing == 0)
        return map->n_chunks;
    while (from < map->n_chunks && !block_map_is_syncing(map, from))
        from++;
    return from;
}

void block_map_page(struct block_map *map, size_t chunk, uint8_t page[static BLOCK_MAP_PAGE_SIZE])
{
    struct block_map_chunk *c = map->chunks[chunk];
    for (size_t i = 0; i < CHUNK_WORDS; i++)
        put_word(page + i * 8, c->set[i] & ~(c->dirty ? c->dirty[i] : 0));
    map->n_syncing -= c->is_syncing;
    c->is_syncing = false;
}

/* Which of its bits are durable is not known here: writing one again does no harm. */
static void dirty_again(struct block_map *map, struct block_map_chunk *chunk)
{
    memcpy(chunk->dirty, chunk->set, CHUNK_WORDS * sizeof(uint64_t));
    mark_dirty(map, chunk);
    map->n_syncing -= chunk->is_syncing;
    chunk->is_syncing = false;
}

void block_map_abort_sync(struct block_map *map, size_t first_chunk, size_t n)
{
    for (size_t i = first_chunk; i < first_chunk + n; i++)
        dirty_again(map, map->chunks[i]);
    for (size_t i = 0; map->n_syncing > 0 && i < map->n_chunks; i++)
        if (block_map_is_syncing(map, i))
            dirty_again(map, map->chunks[i]);
}

void block_map_trim(struct block_map *map)
{
    for (size_t i = 0; i < map->n_chunks; i++)
        if (map->chunks[i] && !map->chunks[i]->is_dirty && !map->chunks[i]->is_syncing)
            free(take_ptr(map->chunks[i]->dirty));
}
