/* What holds the bytes of a volume, by its kind. */
#pragma once

#include "block/block.h"
#include "registry/catalog.h"

struct volume_spec {
    uint64_t id; /* it belongs to thread (id modulo number of threads) */
    enum volume_kind kind;
    const char *path;
    const char *target;  /* iSCSI name */
    uint64_t size;       /* bytes */
    uint32_t block_size; /* bytes */
    bool read_only;
    bool thick;
    bool removable;
    bool single_writer;
    bool changes_at_boot; /* an overlay, asked for by the node whose disk it is */
    uint8_t serial[16];
};

/* Opens it for `thread`; may block, and may be called on another one. */
int volume_device_open(struct io_thread *thread, const struct volume_spec *spec,
                       struct block_device **ret_device, struct error *ret_error) MUST_CHECK;
/* Where an operator finds what is wrong with a device of this kind: half a sentence. */
const char *volume_device_advice(enum volume_kind kind);
