/*
 * What is in the .map and the .log of a layer. All integers are big-endian; checksums are CRC32C
 * of what stands before them. (.data is as large as the layer, and each block stands at its own
 * offset in it.)
 *
 * .map: two slots of a header, at 0 and 4096, written in turn: the one with the higher sequence
 * number counts, so that one which was torn in the middle takes nothing away. From 8192 on the
 * durable map: one bit per block, the lowest bit of a byte first. Bits are only ever set.
 *
 * .log: two slots of a header in the same manner, at 0 and 512; from 4096 on entries: ranges of
 * blocks that are in the layer, too. An entry's checksum includes the epoch of the header: what an
 * earlier epoch has left behind is none. The first that is invalid ends them.
 */
#pragma once

#include "core/wire.h"

#define LAYER_ID_SIZE    16
#define LAYER_BLOCK_SIZE ((uint64_t)4096)

#define LAYER_SLOT_SIZE 512 /* a header: one sector, the rest of the slot is zeroes */

#define LAYER_MAP_SLOTS_GAP 4096
#define LAYER_MAP_OFFSET    ((uint64_t)8192)

#define LAYER_LOG_SLOTS_GAP   512
#define LAYER_LOG_OFFSET      ((uint64_t)4096)
#define LAYER_ENTRY_SIZE      16
#define LAYER_LOG_MAX_ENTRIES ((uint64_t)65536)
#define LAYER_LOG_SIZE        (LAYER_LOG_OFFSET + LAYER_LOG_MAX_ENTRIES * LAYER_ENTRY_SIZE)

#define LAYER_MAX_SIZE ((uint64_t)1 << 56) /* bytes */

/* A map has its space from the beginning, up to so many bytes of it (of a layer of 2 TiB). */
#define LAYER_MAP_MAX_RESERVED ((uint64_t)64 << 20)

struct layer_header {
    uint64_t sequence; /* of the header: from 1 on */
    uint64_t size;     /* bytes, a multiple of 512 */
    uint8_t id[LAYER_ID_SIZE];
    uint8_t below_id[LAYER_ID_SIZE];  /* all zero: nothing is below */
    uint8_t merged_id[LAYER_ID_SIZE]; /* of a layer that was below; what it had is in this one */
    bool in_use; /* was written to; the durable map may lack what the log has */
};

struct layer_log_header {
    uint64_t epoch; /* from 1 on; also the sequence number of the slot */
    uint8_t id[LAYER_ID_SIZE];
    uint8_t boot_id[LAYER_ID_SIZE]; /* of the kernel whose page cache the entries are in */
};

struct layer_entry {
    uint64_t first; /* block */
    uint32_t count; /* at least one */
};

enum layer_slot {
    LAYER_SLOT_EMPTY,   /* zeroes */
    LAYER_SLOT_DAMAGED, /* torn, or not ours */
    LAYER_SLOT_UNKNOWN, /* of a version that we do not know */
    LAYER_SLOT_GOOD,
};

static inline uint64_t layer_blocks(uint64_t size)
{
    return (size + LAYER_BLOCK_SIZE - 1) / LAYER_BLOCK_SIZE;
}

/* Bytes of the .map of a layer of this size. */
static inline uint64_t layer_map_size(uint64_t size)
{
    return LAYER_MAP_OFFSET + (layer_blocks(size) + 8 * 4096 - 1) / (8 * 4096) * 4096;
}

/* Where in the file the slot with this number is. */
static inline uint64_t layer_header_offset(uint64_t sequence)
{
    return sequence % 2 * LAYER_MAP_SLOTS_GAP;
}

static inline uint64_t layer_log_header_offset(uint64_t epoch)
{
    return epoch % 2 * LAYER_LOG_SLOTS_GAP;
}

bool layer_id_is_zero(const uint8_t id[static LAYER_ID_SIZE]);
static inline bool layer_id_eq(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, LAYER_ID_SIZE) == 0;
}

void layer_header_encode(const struct layer_header *header, uint8_t slot[static LAYER_SLOT_SIZE]);
enum layer_slot layer_header_decode(const uint8_t slot[static LAYER_SLOT_SIZE],
                                    struct layer_header *ret_header);

void layer_log_header_encode(const struct layer_log_header *header,
                             uint8_t slot[static LAYER_SLOT_SIZE]);
enum layer_slot layer_log_header_decode(const uint8_t slot[static LAYER_SLOT_SIZE],
                                        struct layer_log_header *ret_header);

void layer_entry_encode(const struct layer_entry *entry, uint64_t epoch,
                        uint8_t bytes[static LAYER_ENTRY_SIZE]);
/* False: not an entry of this epoch, or not within so many blocks. */
bool layer_entry_decode(const uint8_t bytes[static LAYER_ENTRY_SIZE], uint64_t epoch,
                        uint64_t n_blocks, struct layer_entry *ret_entry);
