#include "block/reads.h"

struct block_reads *block_reads_new(uint64_t size, unsigned shift)
{
    uint64_t n_pieces = (size + (UINT64_C(1) << shift) - 1) >> shift;
    struct block_reads *reads =
        calloc(1, sizeof(*reads) + (n_pieces + 63) / 64 * sizeof(reads->bits[0]));
    if (!reads)
        return NULL;
    reads->shift = shift;
    reads->n_pieces = n_pieces;
    return reads;
}

void block_reads_note(struct block_reads *reads, uint64_t offset, uint64_t length)
{
    if (length == 0)
        return;
    uint64_t last = (offset + length - 1) >> reads->shift;
    for (uint64_t piece = offset >> reads->shift; piece <= last; piece++)
        reads->bits[piece / 64] |= UINT64_C(1) << piece % 64;
}
