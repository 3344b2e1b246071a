/*
 * Copy-on-write volumes: a stack of layers over an image version, or over nothing.
 *
 * A layer has what was written to it, in 4 KiB blocks; what it does not have is read from below:
 * the next layer, at the bottom a raw file, and zeroes past the end of that or where there is none.
 * Only the top is written to; the layers below it are frozen. A layer is never smaller than what is
 * below it. The files are described in block/layer_format.h, the order of writes in overlay.c.
 *
 * All of this but the requests to the device may block.
 */
#pragma once

#include "block/block.h"

#define BLOCK_LAYER_ID_SIZE 16

/* Its files are path.data, path.map and path.log. */
struct overlay_layer {
    const char *path;
    uint8_t id[BLOCK_LAYER_ID_SIZE];
};

struct overlay_spec {
    const struct overlay_layer *layers; /* the top first */
    size_t n_layers;                    /* >= 1 */
    const char *base_path;              /* the raw file at the bottom; NULL: zeroes */
    uint64_t base_size;                 /* bytes */
    uint8_t base_id[BLOCK_LAYER_ID_SIZE];
    uint64_t size;                        /* of the volume, bytes; at most the top's */
    uint8_t boot_id[BLOCK_LAYER_ID_SIZE]; /* of the running kernel: overlay_boot_id() */
    bool read_only;                       /* the top is frozen, too */
};

/* What tells this run of the kernel from all others. */
int overlay_boot_id(uint8_t ret_id[static BLOCK_LAYER_ID_SIZE], struct error *ret_error) MUST_CHECK;

/* Makes the files of an empty layer, durable; replaces what is there under that path. below_id: of
 * the layer or the raw file below; all zero: nothing is. size: bytes, a multiple of 512. */
int overlay_create(const char *path, const uint8_t id[static BLOCK_LAYER_ID_SIZE],
                   const uint8_t below_id[static BLOCK_LAYER_ID_SIZE], uint64_t size,
                   struct error *ret_error) MUST_CHECK;

/* Opens the whole stack as one device for `thread`; may be called on any other. The spec is not
 * needed afterwards. *ret_lost: power was lost (or the disk has dropped writes) while the top was
 * written to: what was acknowledged but not flushed is gone, and a machine that has been running
 * since before that must not go on with it. It is told until the top was written to or closed. */
int block_overlay_open(struct io_thread *thread, const struct overlay_spec *spec,
                       struct block_device **ret_device, bool *ret_lost,
                       struct error *ret_error) MUST_CHECK;

/* On its thread: from now on, what is read of the raw file at the bottom is noted in `reads`, which
 * is as large as that, and stays the caller's; NULL: no more. Of a device of block_overlay_open();
 * nothing happens if there is no file at the bottom. */
void block_overlay_note_base_reads(struct block_device *device, struct block_reads *reads);

/* Would opening it tell that? Changes nothing, so that whoever refuses to open it then can ask
 * again. */
int overlay_is_lost(const struct overlay_spec *spec, bool *ret_lost,
                    struct error *ret_error) MUST_CHECK;

/* The layer gets larger; no device may be open on it. Durable. */
int overlay_grow(const char *path, const uint8_t id[static BLOCK_LAYER_ID_SIZE], uint64_t size,
                 struct error *ret_error) MUST_CHECK;
/* Removes the files, durably; what is not there is fine. */
int overlay_remove(const char *path, struct error *ret_error) MUST_CHECK;
/* Bytes that the three files take on disk. */
uint64_t overlay_used(const char *path);

/*
 * Copies what a stack reads as into a file, sparse, a bounded piece at a time, so that whoever
 * drives it can show progress and stop. No device may be open for writing on the stack.
 */
struct overlay_copy {
    /* set by the caller */
    int to;              /* not owned; a new, empty file */
    const char *to_name; /* for messages; must stay */
    /* may be read by the caller */
    uint64_t done;   /* bytes, holes included */
    uint64_t total;  /* bytes: the size of the volume */
    uint64_t needed; /* bytes that are no holes */

    /* private */
    struct overlay_files *files;
};

/* The spec is not needed afterwards; its read_only is not looked at: nothing is written to the
 * layers. Gives `to` its size. Checks for room: -ENOSPC with the figures if there is none. */
int overlay_copy_begin(struct overlay_copy *copy, const struct overlay_spec *spec,
                       struct error *ret_error) MUST_CHECK;
/* Works for at most about `budget` microseconds. 1: there is more to do; 0: everything is copied
 * (not yet durable: fsync). */
int overlay_copy_step(struct overlay_copy *copy, uint64_t budget,
                      struct error *ret_error) MUST_CHECK;
/* Also after a failed begin. `to` stays open. */
void overlay_copy_end(struct overlay_copy *copy);

/*
 * Folds a frozen layer into the one above it, so that it is no longer needed. No device may be
 * open on the upper one. Whatever happens on the way, the stack reads the same with and without
 * another try; after overlay_merge_commit() it does so with and without the lower layer.
 *
 *   overlay_merge_begin(), overlay_merge_step() until 0, overlay_merge_commit(); then the registry
 *   is told that what is below the lower layer is below the upper one; then the lower one is
 * removed
 */
struct overlay_merge {
    /* may be read by the caller */
    uint64_t done;  /* bytes of the volume that were looked at */
    uint64_t total; /* bytes */

    /* private */
    struct overlay_merge_state *state;
};

int overlay_merge_begin(struct overlay_merge *merge, const struct overlay_layer *upper,
                        const struct overlay_layer *lower,
                        const uint8_t boot_id[static BLOCK_LAYER_ID_SIZE],
                        struct error *ret_error) MUST_CHECK;
/* As overlay_copy_step(). */
int overlay_merge_step(struct overlay_merge *merge, uint64_t budget,
                       struct error *ret_error) MUST_CHECK;
/* Makes it durable. From here on the upper layer can be opened over what is below the lower one,
 * and still over the lower one, too. */
int overlay_merge_commit(struct overlay_merge *merge, struct error *ret_error) MUST_CHECK;
void overlay_merge_end(struct overlay_merge *merge);
