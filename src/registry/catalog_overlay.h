/*
 * What the catalog knows of an overlay: its layers, what is at the bottom of them, its snapshots,
 * and what becomes of it at the next boot. Part of registry/catalog.h.
 */
#pragma once

#include "core/arena.h"

#define CATALOG_IDENTITY_SIZE 16

/* What was written to an overlay between two snapshots. */
struct catalog_layer {
    uint64_t id;
    uint8_t identity[CATALOG_IDENTITY_SIZE];
    uint64_t size;    /* bytes */
    bool made;        /* its files are there; else nothing was ever written to it */
    const char *path; /* of its files, but for their suffixes */
};

/* An image version at the bottom. */
struct catalog_base {
    uint64_t version_id; /* of the image version; 0: there is none, and zeroes are read */
    const char *image;   /* "debian12@3" */
    const char *path;
    uint64_t size; /* bytes */
    uint8_t identity[CATALOG_IDENTITY_SIZE];
};

struct catalog_snapshot {
    const char *name;
    uint64_t created_at; /* usec since 1970 */
    size_t n_layers;
    const struct catalog_layer *layers; /* its own one first */
    struct catalog_base base;
};

/* What is done to it when its node boots the next time. */
enum overlay_change {
    OVERLAY_NO_CHANGE,
    OVERLAY_RESET,    /* back to its image */
    OVERLAY_ROLLBACK, /* to a snapshot */
    OVERLAY_REBASE,   /* to another version of an image; what it was stays as a snapshot */
};

/* It is one of its snapshots for one boot, or is to become that (registry/trials.c). */
struct catalog_trial {
    uint64_t boot_id;     /* the boot that is to have `snapshot` */
    const char *snapshot; /* NULL: none */
    const char *running;  /* the snapshot that it is now; NULL: it is none */
    const char *kept;     /* the snapshot of what it was before, and is again at the next boot */
};

struct catalog_overlay {
    size_t n_layers;                    /* at least one */
    const struct catalog_layer *layers; /* the top, which is written to, first */
    struct catalog_base base;
    size_t n_snapshots;
    const struct catalog_snapshot *snapshots; /* the oldest first */
    bool follows;   /* a reset takes the latest version of its image, not the one that it has */
    bool ephemeral; /* reset at each boot of its node */
    enum overlay_change staged;
    const char *staged_argument;       /* the snapshot, or "debian12@3"; NULL: none */
    const struct catalog_trial *trial; /* NULL: none */
};

/* NULL: it has none of this name. */
const struct catalog_snapshot *catalog_overlay_snapshot(const struct catalog_overlay *overlay,
                                                        const char *name);
/* How those are called that are there for a copy only, and go with that: with the time behind it,
 * in so many digits. */
#define CATALOG_TEMPORARY        "copying-"
#define CATALOG_TEMPORARY_DIGITS 16
/* Is it one of them? */
bool catalog_snapshot_is_temporary(const char *name);

const char *overlay_change_name(enum overlay_change change);
/* NULL is OVERLAY_NO_CHANGE. -EINVAL: there is no such word. */
int overlay_change_parse(const char *name, enum overlay_change *ret_change) MUST_CHECK;

/* A copy of all of it in the arena. NULL: no memory. */
const struct catalog_overlay *catalog_overlay_copy(struct arena *arena,
                                                   const struct catalog_overlay *overlay);
