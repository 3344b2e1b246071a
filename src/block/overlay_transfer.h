/* Moving data between files of layers, a piece at a time. Private to copy and merge. */
#pragma once

#include "block/layer.h"

/* Where bytes are: a stretch that is data of one file, or zeroes. */
struct overlay_segment {
    int fd; /* -1: zeroes */
    uint64_t length;
};

/* From `offset` on, up to `end` at most; behind `size`, where the file ends for us, and in holes
 * there are zeroes. */
struct overlay_segment overlay_segment_in(int fd, uint64_t size, uint64_t offset, uint64_t end);

struct overlay_transfer {
    bool dense;   /* zeroes are written, too */
    bool by_hand; /* copy_file_range() does not work between these two */
    uint8_t *buffer;
    bool reading_failed; /* of the last error: it was the source */
};

/* Copies at most `length` bytes (> 0), to the same offset. Returns how many (0: try again), or a
 * negative errno. */
ssize_t overlay_transfer_piece(struct overlay_transfer *transfer, int from, int to, uint64_t offset,
                               uint64_t length) MUST_CHECK;
/* Writes zeroes there. */
int overlay_transfer_zeroes(struct overlay_transfer *transfer, int to, uint64_t offset,
                            uint64_t length) MUST_CHECK;
void overlay_transfer_end(struct overlay_transfer *transfer);
