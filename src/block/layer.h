/*
 * The files of a layer: opening, loading and settling them. Everything here may block.
 */
#pragma once

#include "block/block_map.h"
#include "block/layer_format.h"
#include "block/overlay.h"

#include <limits.h>

#define LAYER_PATH_SIZE (PATH_MAX + 8)

struct layer_files {
    int data, map, log; /* -1: not open */
};

#define LAYER_NO_FILES ((struct layer_files){-1, -1, -1})

/* What was read of a layer, and from then on its state. */
struct layer {
    struct layer_header header; /* in_use: also if a slot of the header is damaged */
    struct block_map map;       /* durable bits and those of the log; these are dirty */
    uint8_t boot_id[LAYER_ID_SIZE];
    bool logged;        /* the log is of the running kernel... */
    uint64_t epoch;     /* ...of this epoch... */
    uint64_t n_entries; /* ...and has so many entries */
    bool lost;          /* see block_overlay_open() */
};

/* path with the suffix ("data", "map", "log") behind it. -ENAMETOOLONG. */
int layer_path(const char *path, const char *suffix, char ret_path[static LAYER_PATH_SIZE],
               struct error *ret_error) MUST_CHECK;
int layer_files_open(const char *path, bool read_only, struct layer_files *ret_files,
                     struct error *ret_error) MUST_CHECK;
void layer_files_close(struct layer_files *files);

/* What layer_load() is to find. */
struct layer_expected {
    const uint8_t *id;
    const uint8_t *below_id; /* NULL: anything */
    uint64_t size;           /* the least that it must have, bytes */
    const uint8_t *boot_id;  /* of the running kernel */
    bool read_only;          /* nothing is written to the files */
};

/* The newest header; checked. */
int layer_read_header(int map_fd, const char *path, const struct layer_expected *expected,
                      struct layer_header *ret_header, struct error *ret_error) MUST_CHECK;
/* Reads header, map and log. If it is to be written to, what is no valid entry is cut from the log.
 * path is for messages. */
int layer_load(const struct layer_files *files, const char *path,
               const struct layer_expected *expected, struct layer *ret_layer,
               struct error *ret_error) MUST_CHECK;
void layer_free(struct layer *layer);

/* Writes the header as it is now, with the next sequence number, durable. */
int layer_write_header(int map_fd, struct layer_header *header) MUST_CHECK;
/* Makes all bits durable; what is in .data is durable already. */
int layer_sync_map(int map_fd, struct block_map *map) MUST_CHECK;
/* The device is closed: all becomes durable and the header says so. If it cannot be written, it is
 * as if this process had been killed. If the disk does not take what is written, or `failed`, the
 * log is made worthless: the layer is then as if power had been lost. */
void layer_settle(const char *path, struct layer *layer, bool failed);

/* The id of what is below the layer i of the stack. */
const uint8_t *overlay_spec_below(const struct overlay_spec *spec, size_t i);
