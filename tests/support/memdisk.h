/*
 * A block device in memory for tests: whatever the daemon's own device would do late or badly is
 * done here on command. Requests wait until memdisk_run(), unless `immediate`.
 */
#pragma once

#include "block/block.h"

/* A stretch of the device that has space of its own, or is a hole, up to `end`. */
struct memdisk_extent {
    uint64_t end;
    bool allocated;
};

struct memdisk {
    struct block_device device;
    uint8_t *data;
    bool immediate;      /* done inside block_submit() */
    int fail_with;       /* every request from now on fails with this errno (negative)... */
    unsigned fail_after; /* ...but for so many */
    const struct memdisk_extent *extents; /* in order; everything behind them is allocated */
    size_t n_extents;
    unsigned reads, writes, flushes, zeroes; /* requests carried out */
    unsigned fua;                            /* writes among them that had to be durable */
    struct memdisk_pending *pending;
    unsigned n_pending;
};

struct memdisk *memdisk_new(uint64_t size);
/* Carries out what waits, the newest first if `reverse`; returns how many. */
unsigned memdisk_run(struct memdisk *disk, bool reverse);
/* The same for one alone; false if none waits. */
bool memdisk_run_one(struct memdisk *disk, bool newest);
/* The same for this request; false if it does not wait. */
bool memdisk_finish(struct memdisk *disk, const struct block_request *request);
