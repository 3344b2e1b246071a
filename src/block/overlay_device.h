/*
 * One layer over what is below it, as a device. Private to the overlay's files and their tests;
 * who opens volumes uses block/overlay.h. See overlay.c.
 */
#pragma once

#include "block/layer.h"

/* What it is made of. The devices are owned; data is as large as the layer. Of a frozen layer only
 * data and below are used. */
struct overlay_parts {
    struct block_device *data, *map, *log;
    struct block_device *below; /* NULL: nothing, which reads as zeroes */
    const char *path;           /* copied; NULL: nothing is settled when it is closed */
    bool read_only;
};

/* Takes the layer and the devices over, unless it fails (NULL: no memory). size: of the volume,
 * bytes; at most the layer's. */
struct block_device *overlay_device_new(struct layer *layer, const struct overlay_parts *parts,
                                        uint64_t size);
/* The same over simulated files: entries that fit into the log before it begins anew. */
void overlay_device_set_log_limit(struct block_device *device, uint64_t n_entries);

/* --- private --- */

/* A request that is not just handed on. */
struct overlay_op {
    struct list link; /* in the order of coming, while it may write to blocks; or among the free */
    struct list turn; /* waits for the log, a flush, or the first write */
    struct overlay *overlay;
    struct block_request *request; /* NULL: of the overlay's own */
    uint64_t first, end;           /* blocks that it touches */
    unsigned n_blockers;           /* earlier ones that it waits for */
    bool started;
    bool adds; /* blocks that are not in the layer yet */
    uint8_t edge;
    uint8_t *fill;            /* a block, made when first needed */
    struct block_request sub; /* what is under way for it */
    void (*flushed)(struct overlay_op *op, int result);
    unsigned n_parts; /* of a read, under way */
    int result;
};

/* A run of a read. */
struct overlay_part {
    struct list link; /* among the free */
    struct overlay_op *op;
    struct block_request request;
};

/* The log: one append at a time; what comes meanwhile shares the next one. */
struct overlay_log {
    struct list waiting;   /* struct overlay_op.turn: wait for an append... */
    struct list appending; /* ...are in the one that is under way */
    bool busy;             /* appends or begins anew */
    bool broken;           /* an append has failed: what is on the disk is not known */
    uint64_t max_entries;
    uint64_t n_taken;       /* entries in the append that is under way */
    uint8_t *entries;       /* ...and they */
    struct overlay_op *own; /* makes all durable, for the log to begin anew */
    struct block_request request;
    uint8_t slot[LAYER_SLOT_SIZE];
};

/* Rounds of making all durable that is done: one at a time; who comes meanwhile shares the next. */
struct overlay_flush {
    struct list waiting;                /* struct overlay_op.turn */
    struct list flushing;               /* those of the round */
    bool map_is_ahead;                  /* pages of it may be written and not durable */
    uint8_t slots[2 * LAYER_SLOT_SIZE]; /* what makes the log worthless */
    size_t first_page, n_pages;         /* what of the map is being written */
    uint8_t *pages;
    struct block_request request;
};

/* What happens once before the first write. */
struct overlay_begin {
    bool done, busy;
    struct list waiting; /* struct overlay_op.turn */
    struct block_request request;
    struct layer_header header;
    uint8_t slot[LAYER_SLOT_SIZE];
};

struct overlay {
    struct block_device device;
    struct overlay_parts parts;
    struct layer layer;
    uint64_t below_size; /* 0: there is nothing */
    struct list writing; /* struct overlay_op.link */
    bool starting;
    struct list free_ops, free_parts;
    struct overlay_begin begin;
    struct overlay_log log;
    struct overlay_flush flush;
};

static inline struct overlay *overlay_of(struct block_device *device)
{
    return container_of(device, struct overlay, device);
}

/* It has failed, or one of the devices has, which is the same. */
bool overlay_failed(struct overlay *overlay);
/* A flush has not been done. */
void overlay_fail(struct overlay *overlay);

/* NULL without memory. */
struct overlay_op *overlay_op_new(struct overlay *overlay, struct block_request *request);
void overlay_op_free(struct overlay_op *op);
/* A request of the overlay's own to one of its devices. */
void overlay_submit(struct block_device *device, struct block_request *request,
                    enum block_operation operation, uint64_t offset, uint64_t length,
                    uint8_t *data);

/* overlay_begin.c: op->flushed is called when the layer may be written to, or with an error. */
void overlay_begin_want(struct overlay_op *op);

/* overlay_log.c: the blocks of op are in the layer from now on; calls op->flushed when the log
 * says so, or with an error. They are reserved in the map. */
void overlay_log_want(struct overlay_op *op);
/* After an append that failed, blocks may be in the log that are not in the map. */
static inline bool overlay_log_is_exact(const struct overlay *overlay)
{
    return !overlay->log.broken;
}
/* What was acknowledged but not flushed may be lost: two slots, to be written to the log's, say
 * that it is no kernel's. */
void overlay_log_encode_worthless(const struct overlay *overlay,
                                  uint8_t slots[static 2 * LAYER_SLOT_SIZE]);
int overlay_log_init(struct overlay *overlay) MUST_CHECK;
void overlay_log_clear(struct overlay *overlay);

/* overlay_flush.c: op->flushed is called when all that was done before this call is durable. */
void overlay_flush_want(struct overlay_op *op);
void overlay_flush_init(struct overlay *overlay);
void overlay_flush_clear(struct overlay *overlay);

/* overlay_read.c, overlay_write.c: READ; WRITE and WRITE_ZEROES */
void overlay_read(struct overlay *overlay, struct block_request *request);
void overlay_write(struct overlay *overlay, struct block_request *request);
