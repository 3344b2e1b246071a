/*
 * The files behind images and volumes: imports, copies, removal, and what a killed daemon left.
 *
 * All of it happens under the state directory: `images/NAME/VERSION.raw` (read-only once it is
 * complete; VERSION.boot beside it is boot_file.h's), `volumes/NAME.raw` and `entries/SHA-256`
 * (entry.c). The registry says what
 * is there: each file is announced in it before its first byte (state creating or importing), is
 * written under `.tmp`, made durable, renamed, and only then declared ready. What is found
 * announced but not ready at start is removed.
 *
 * What takes long is a job that its caller drives (storage_job_step), so that progress can be
 * shown, and that is undone when it is freed before it is finished. At most STORAGE_MAX_COPIES
 * copy at the same time; the others wait. Everything here blocks on disks: for admin threads.
 */
#pragma once

#include "registry/registry.h"

#define STORAGE_MAX_COPIES 2

struct storage;

/* What an NBD server says. */
struct storage_export {
    uint64_t size;        /* bytes */
    uint64_t min_request; /* what offsets and lengths are multiples of, bytes */
    bool read_only;
    bool can_flush;
};

struct storage_reader; /* of whoever sets open_reader */

struct storage_settings {
    const char *directory; /* the state directory; must exist */
    struct registry *registry;
    struct catalog_slot *catalog;
    uint64_t warm_limit; /* bytes that storage_image_warm() may read; 0: see warm_limit() */
    /* Is a session open on this volume, or a login to it under way? If so, says with whom
     * ("iqn... from 10.0.0.7"). Called on an admin thread, after the catalog in force has stopped
     * letting anybody in. NULL: never. */
    bool (*in_use)(void *context, uint64_t volume_id, char peer[static 256]);
    /* Asks the NBD server of a URI what it exports there. Blocks. NULL: nobody makes such volumes.
     */
    int (*probe_nbd)(void *context, const char *uri, struct storage_export *ret_export,
                     struct error *ret_error);
    /* Nobody else: from its return until release(), nobody logs in to the volume, and nobody has
     * it open. Called on an admin thread. force: whoever uses it is thrown out first; else -EBUSY
     * with who that is. -EBUSY, too, while somebody else has claimed it. NULL: nobody ever uses a
     * volume. */
    int (*claim)(void *context, uint64_t volume_id, const char *volume, bool force,
                 struct error *ret_error);
    void (*release)(void *context, uint64_t volume_id);
    /* Is a volume closed, so that its files are nobody's? NULL: it always is. */
    bool (*is_shut)(void *context, uint64_t volume_id);
    /* If somebody has the volume open: has him go on with what it consists of now. */
    int (*reopen)(void *context, uint64_t volume_id, struct error *ret_error);
    /* Something went wrong that nobody waits for. May be NULL. */
    void (*tell)(void *context, const struct error *error);
    /* Has change() called, on whatever thread, while the volume has no device open; whoever uses it
     * (in_use) waits for that. Nobody logs in to it meanwhile. NULL: change() is called at once. */
    int (*exchange)(void *context, uint64_t volume_id, const char *volume,
                    int (*change)(void *argument, bool in_use, struct error *ret_error),
                    void *argument, struct error *ret_error);
    /* Opens a volume that another server has, to read it while nobody here uses it; read() gives 0
     * or a negative errno. Both block. NULL: no such volume can be read. */
    int (*open_reader)(void *context, uint64_t volume_id, struct storage_reader **ret_reader,
                       struct error *ret_error);
    int (*read)(void *context, struct storage_reader *reader, uint64_t offset, uint8_t *data,
                size_t size);
    void (*close_reader)(void *context, struct storage_reader *reader);
    void *context;
};

/* Makes the directories and clears what a killed daemon left behind. Strings are copied. */
int storage_open(const struct storage_settings *settings, struct storage **ret_storage,
                 struct error *ret_error) MUST_CHECK;
/* No job may be left. NULL: no-op. */
void storage_close(struct storage *storage);

/* --- jobs --- */

struct storage_job;

struct storage_progress {
    bool waiting;      /* for other copies to end */
    const char *stage; /* what is being done: "converting"; a constant */
    uint64_t done, total;
};

/* Works for about a quarter of a second. 1: there is more to do; 0: finished; or an error, after
 * which everything is undone and only storage_job_free() is allowed. */
int storage_job_step(struct storage_job *job, struct error *ret_error) MUST_CHECK;
struct storage_progress storage_job_progress(const struct storage_job *job);
/* Of an import: the version that it will be; of others: that which it is about. */
uint32_t storage_job_version(const struct storage_job *job);
/* Of a job that is not finished: undoes it. NULL: no-op. */
void storage_job_free(struct storage_job *job);

/* --- images --- */

struct storage_import {
    const char *path; /* a file or a block device, absolute: raw, a disk image, compressed */
    const char *name;
    size_t n_labels;
    const struct catalog_label *labels;
};
int storage_image_import(struct storage *storage, const struct storage_import *import,
                         struct storage_job **ret_job, struct error *ret_error) MUST_CHECK;
/* A job that reads the version (0: the latest) again and compares its checksum: -EBADMSG and a
 * sentence if it is another one. That of a version without one is recorded. */
int storage_image_verify(struct storage *storage, const char *name, uint32_t version,
                         struct storage_job **ret_job, struct error *ret_error) MUST_CHECK;
/* A job that reads what nodes read of the version (0: the latest) at boot, so that it is in memory.
 * -ENOENT: also if that is not known yet. */
int storage_image_warm(struct storage *storage, const char *name, uint32_t version,
                       struct storage_job **ret_job, struct error *ret_error) MUST_CHECK;
/* version 0: all of them. */
int storage_image_remove(struct storage *storage, const char *name, uint32_t version,
                         struct error *ret_error) MUST_CHECK;

/* --- files of boot entries that come from other servers (`entries/SHA-256`) --- */

/* A job that fetches the files of a new entry that have a URL, which stand for the `file` and
 * initrds, checks them and adds it. -EBADMSG: one has another checksum than it must have. */
int storage_entry_add(struct storage *storage, const struct registry_boot_entry *entry,
                      struct storage_job **ret_job, struct error *ret_error) MUST_CHECK;
/* A job that fetches them again; until all are there, the entry has those that it had. -EINVAL: it
 * has none from a URL. */
int storage_entry_fetch(struct storage *storage, const char *name, struct storage_job **ret_job,
                        struct error *ret_error) MUST_CHECK;
/* Removes what no entry names any more. */
void storage_entries_clean(struct storage *storage);

/* --- volumes --- */

enum storage_source {
    STORAGE_BLANK,   /* `size` bytes of zeroes */
    STORAGE_IMAGE,   /* a copy of `image`, `version` (0: the latest) */
    STORAGE_OVERLAY, /* layers over `image`, `version` (as above), or over nothing (NULL) */
    STORAGE_FILE,    /* the raw file `path`, used where it is */
    STORAGE_DEVICE,  /* the block device `path` */
    STORAGE_NBD,     /* the export of an NBD server whose URI is `path` */
    STORAGE_ISCSI, /* the LUN of a target elsewhere whose URI is `path`; nothing of it is served */
};

struct storage_volume {
    const char *name;
    enum storage_source source;
    uint64_t size;
    const char *image;
    uint32_t version;
    const char *path;
    bool follows, ephemeral; /* of an overlay, see struct catalog_overlay */
    uint32_t block_size;     /* 512 or 4096; 0: 512, or the device's own */
    bool read_only;
    bool thick;     /* takes its space at once, and shares it with nothing; of a device: says so */
    bool removable; /* who uses it can eject it */
    bool allow_any;
    const char *const *allow;
    size_t n_allow;
    const char *const *sources;
    size_t n_sources;
    const struct chap_credentials *chap; /* see registry_volume; or NULL */
};

/* *ret_job: NULL if it is ready at once. */
int storage_volume_create(struct storage *storage, const struct storage_volume *volume,
                          struct storage_job **ret_job, struct error *ret_error) MUST_CHECK;
/* Is a session open on it, or a login under way? Says with whom. */
bool storage_volume_in_use(struct storage *storage, uint64_t volume_id, char peer[static 256]);
/* Refused while a node (other than except_node, or NULL) uses it or a session is open. The file
 * goes only if it is ours. */
int storage_volume_remove(struct storage *storage, const char *name, const char *except_node,
                          struct error *ret_error) MUST_CHECK;

/* --- overlays (overlay.c) ---
 *
 * All refuse (-EBUSY) while somebody has the volume open, unless `force`, which ends his session
 * first; and -EOPNOTSUPP a volume that is no overlay. */

/* See registry_overlay_change(). kept: the snapshot of what was before a rebase, else "". */
int storage_overlay_change(struct storage *storage, const char *volume, enum overlay_change change,
                           const char *argument, bool force, char kept[static NAME_MAX_LEN + 1],
                           struct error *ret_error) MUST_CHECK;

/* Takes a snapshot, also while the volume is in use. */
int storage_snapshot_add(struct storage *storage, const char *volume, const char *snapshot,
                         struct error *ret_error) MUST_CHECK;
/* The job (NULL: there is none) folds what was written to it into what stands on it. While somebody
 * has the volume open only the name goes at once; the rest does in the background. */
int storage_snapshot_remove(struct storage *storage, const char *volume, const char *snapshot,
                            struct storage_job **ret_job, struct error *ret_error) MUST_CHECK;
/* What a volume reads as, in a file. One that is no overlay must not be in use, unless it is
 * read-only. */
struct storage_fold {
    const char *volume;
    const char *snapshot; /* NULL: as it is now, also while it is in use */
    const char *image;    /* of which it is to be the next version; or NULL */
    size_t n_labels;
    const struct catalog_label *labels; /* of that */
    const char *path;                   /* or a new file, absolute */
    const char *format;                 /* of that: "raw" (also NULL), "qcow2" */
    bool compress;                      /* a qcow2 */
};

int storage_volume_fold(struct storage *storage, const struct storage_fold *what,
                        struct storage_job **ret_job, struct error *ret_error) MUST_CHECK;
/* Any volume of ours, or a file in place; also while it is in use. -EINVAL: it would get smaller.
 */
int storage_volume_grow(struct storage *storage, const char *name, uint64_t size,
                        struct error *ret_error) MUST_CHECK;
/* Bytes on disk that are the volume's alone; 0: that cannot be told. */
uint64_t storage_volume_used(const struct catalog_volume *volume);

/* --- layers that nobody needs any more (tidy.c) --- */

/* From now on until storage_tidy_stop() a thread folds them into what stands on them. */
int storage_tidy_start(struct storage *storage, struct error *ret_error) MUST_CHECK;
/* Before what the settings refer to is gone. NULL, or not started: no-op. */
void storage_tidy_stop(struct storage *storage);
/* Something has become possible: a volume was closed. Any thread. NULL: no-op. */
void storage_tidy(struct storage *storage);
/* From here until storage_resume() nothing is folded that belongs to this volume: for whoever opens
 * its files. Waits for what is under way to stop, which does not take long. Not for I/O threads.
 * NULL: no-op. */
void storage_pause(struct storage *storage, uint64_t volume_id);
void storage_resume(struct storage *storage, uint64_t volume_id);

/* --- nodes with a disk of their own --- */

/* The node gets an overlay over the image, named like it. version 0: the latest, and each reset
 * takes the latest then. */
int storage_node_add(struct storage *storage, const struct registry_node *node, const char *image,
                     uint32_t version, struct error *ret_error) MUST_CHECK;
int storage_node_set(struct storage *storage, const char *name,
                     const struct registry_node_change *change, const char *image, uint32_t version,
                     struct error *ret_error) MUST_CHECK;
