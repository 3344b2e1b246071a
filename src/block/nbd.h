/*
 * A volume that is an export of an NBD server, through libnbd.
 *
 * libnbd is linked, not loaded when it is first needed: its thirty functions are then checked by
 * the compiler and its absence by the package manager; what it costs a daemon without NBD volumes
 * are some pages that nobody touches.
 */
#pragma once

#include "block/block.h"

#define BLOCK_NBD_READ_ONLY 1u
#define BLOCK_NBD_THICK     2u

/* What a server says of an export. */
struct nbd_export {
    uint64_t size;        /* bytes */
    uint64_t min_request; /* what offsets and lengths are multiples of; bytes, a power of two */
    uint64_t max_request; /* of a read or a write; bytes */
    bool read_only;
    bool can_flush;
    bool can_fua;
    bool can_zero;
};

/* Connects once, within a bounded time, and asks. Blocks. */
int block_nbd_probe(const char *uri, struct nbd_export *ret_export,
                    struct error *ret_error) MUST_CHECK;

struct nbd_settings {
    const char *uri;     /* copied */
    uint64_t size;       /* bytes; an export that is smaller is refused */
    uint32_t block_size; /* bytes; an export that takes only larger ones is refused */
    unsigned how; /* BLOCK_NBD_...; an export that cannot be written and flushed is read-only */
    uint64_t patience; /* usec for which requests wait for a server that is away; 0: the usual */
};

/* Opens it for `thread`; blocks as the probe does, and may be called on another thread. */
int block_nbd_open(struct io_thread *thread, const struct nbd_settings *settings,
                   struct block_device **ret_device, struct error *ret_error) MUST_CHECK;
