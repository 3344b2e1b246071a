/* Opens overlays: as the registry has them now, and at the boot of a node as it is to be then. */
#pragma once

#include "block/block.h"
#include "registry/registry.h"
#include "storage/storage.h"

struct overlay_opening {
    struct io_thread *thread; /* that the device is for */
    uint64_t volume_id;
    const char *name; /* for the log */
    bool boots;       /* its node begins to boot: what is staged takes effect */
    struct registry *registry;
    struct storage *storage; /* which folds layers; or NULL */
    struct catalog_slot *catalog;
};

/* May block. -ESTALE: power was lost while its node was running, which has to be started anew. */
int volume_overlay_open(const struct overlay_opening *opening, struct block_device **ret_device,
                        struct error *ret_error) MUST_CHECK;
