/*
 * The contract between SCSI and whatever holds the bytes of a volume.
 *
 * A device belongs to one I/O thread, and only that thread calls it. Requests on overlapping
 * ranges may be carried out in any order; who needs an order waits for done().
 *
 * Durability: a write is done when it survives the death of this process (it is in the page cache
 * or further down). It is durable, surviving power loss, when a later flush is done, or when it
 * carried BLOCK_FUA. A device whose flush failed once has failed for good: a later success would
 * prove nothing about the writes before (the kernel has dropped them), so everything from then on
 * fails with -EIO. The kernel tells of it once; whoever opens the same bytes again has to remember
 * it, and sets `failed` before the first request.
 */
#pragma once

#include "block/mapping.h"
#include "block/reads.h"
#include "core/error.h"
#include "core/list.h"
#include "io/thread.h"

enum block_operation {
    BLOCK_READ,         /* into data; reads never written ranges as zeroes */
    BLOCK_WRITE,        /* from data */
    BLOCK_WRITE_ZEROES, /* reads as zeroes afterwards; gives space back if it can and may */
    BLOCK_FLUSH,        /* all writes done before this was submitted become durable */
};

#define BLOCK_FUA 1u /* of BLOCK_WRITE and BLOCK_WRITE_ZEROES: durable when done */

struct block_request {
    enum block_operation operation;
    unsigned flags;
    uint64_t offset; /* bytes; offset + length is within the device */
    uint64_t length; /* bytes; of READ and WRITE at most BUFFER_MAX_SIZE */
    uint8_t *data;
    /* result: 0 or a negative errno (-ENOSPC: no room; -EIO: anything else is wrong). May be
     * called before block_submit() returns. */
    void (*done)(struct block_request *request, int result);

    /* private to the device */
    struct block_device *device;
    struct io_op op;
    struct list link;  /* waits for its turn, or shares a flush */
    uint64_t progress; /* bytes of length that are done */
    uint8_t step;
};

struct block_device {
    const struct block_operations *operations;
    uint64_t size; /* bytes */
    bool read_only;
    bool thick;  /* space is never given back */
    bool failed; /* see above */
    /* What is read of it is noted here, for as long as somebody wants to know; else NULL. Of raw
     * files alone; not owned. Set on its thread, see block_overlay_note_base_reads(). */
    struct block_reads *reads;
    /* Whoever opened it is told of each request that the system below failed, with what it said
     * (a negative errno); BLOCK_FLUSH: the device has failed. May be NULL. */
    void (*on_error)(struct block_device *device, enum block_operation operation, int result);
    void *context; /* of whoever opened it */
};

struct block_operations {
    void (*submit)(struct block_device *device, struct block_request *request);
    /* Whether the byte at offset has space of its own (or is a hole), and for how many bytes, at
     * least one, the same holds; the end of the device at most. Never waits for data. */
    bool (*is_allocated)(struct block_device *device, uint64_t offset, uint64_t *ret_length);
    /* A range whose bytes never change and are in memory now: where. length is not 0. False: it is
     * to be read. NULL: no range is ever such. The view may outlive the device. */
    bool (*view)(struct block_device *device, uint64_t offset, uint64_t length,
                 struct block_view *ret_view);
    /* No request may be under way. Frees the device. May take long (closing a block device writes
     * what is cached of it): any thread may do it. */
    void (*close)(struct block_device *device);
};

static inline void block_submit(struct block_device *device, struct block_request *request)
{
    request->device = device;
    device->operations->submit(device, request);
}

static inline bool block_view(struct block_device *device, uint64_t offset, uint64_t length,
                              struct block_view *ret_view)
{
    return device->operations->view && device->operations->view(device, offset, length, ret_view);
}

static inline void block_close(struct block_device *device)
{
    if (device)
        device->operations->close(device);
}
