/*
 * Which parts of a device were read: a bit for each piece of it. Belongs to one thread at a time,
 * that of the device for as long as the device notes into it.
 */
#pragma once

#include "core/util.h"

struct block_reads {
    unsigned shift;    /* a piece has 1 << shift bytes; the last one of a device may have fewer */
    uint64_t n_pieces; /* of the device */
    uint64_t bits[];
};

/* Nothing was read. size: of the device, bytes. NULL without memory; free() it. */
struct block_reads *block_reads_new(uint64_t size, unsigned shift);
/* offset + length is within the device. */
void block_reads_note(struct block_reads *reads, uint64_t offset, uint64_t length);

static inline bool block_reads_has(const struct block_reads *reads, uint64_t piece)
{
    return reads->bits[piece / 64] >> piece % 64 & 1;
}
