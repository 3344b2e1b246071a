/*
 * A disk as those see it who look up what is on it: bytes that somebody else reads for them, and a
 * bound on how often, since what is on it may lead round in circles. Whoever wrote the disk is not
 * trusted.
 */
#pragma once

#include "core/error.h"

#define BOOT_DISK_MAX_READ ((size_t)(64 * KIB))

struct boot_disk {
    /* size: at most BOOT_DISK_MAX_READ, within the disk. 0 or a negative errno. */
    int (*read)(void *context, uint64_t offset, uint8_t *data, size_t size);
    void *context;
    uint64_t size;       /* bytes */
    uint32_t block_size; /* logical block, bytes; divides size */
    unsigned budget;     /* reads that are left */
};

/* -EBADMSG: not within the disk. -E2BIG: too many reads. */
int boot_disk_read(struct boot_disk *disk, uint64_t offset, uint8_t *data, size_t size,
                   struct error *ret_error) MUST_CHECK;
