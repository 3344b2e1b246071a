/*
 * Copies a disk image into a new file, sparse, a bounded piece at a time, so that whoever drives
 * it can show progress and stop.
 *
 * What the file system can do best is used: sharing the blocks (FICLONE), else only the data
 * between the holes (SEEK_DATA, copy_file_range), else reading and writing, where blocks of zeroes
 * become holes.
 */
#pragma once

#include "core/error.h"

struct copy {
    /* set by the caller */
    int from, to;                    /* not owned; `to` is a new, empty file */
    const char *from_name, *to_name; /* for messages */
    uint64_t size;                   /* bytes to copy */
    bool thick;                      /* takes all of the space, and shares none */
    /* may be read by the caller */
    uint64_t done; /* bytes, holes included */

    /* private */
    uint64_t data_end; /* of the stretch of data that `done` is in */
    bool by_hand;      /* copy_file_range() does not work between these two */
    uint8_t *buffer;
};

/* Bytes that a copy of fd needs on disk: what is allocated of a file, all of a device. */
int copy_needed_space(int fd, uint64_t size, uint64_t *ret_bytes) MUST_CHECK;

/* Checks that there is room for the copy; -ENOSPC with the figures if not. Gives `to` its size (and
 * all of its space, if it is thick), and is done at once (done == size) where blocks can be shared.
 */
int copy_begin(struct copy *copy, struct error *ret_error) MUST_CHECK;
/* Works for at most about `budget` microseconds. 1: there is more to do; 0: everything is copied
 * (not yet durable: fsync). */
int copy_step(struct copy *copy, uint64_t budget, struct error *ret_error) MUST_CHECK;
/* Frees what copy_begin() took; the descriptors stay open. */
void copy_end(struct copy *copy);
