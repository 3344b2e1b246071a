/* What the files of this folder share. */
#pragma once

#include "storage/storage.h"

#include "storage/tidy.h"

#include <pthread.h>

#define STORAGE_MAX_SIZE ((uint64_t)1 << 56) /* of a volume; 64 PiB: far from any overflow */

struct storage {
    struct storage_settings settings;
    char layers[PATH_MAX];
    char images[PATH_MAX];
    char volumes[PATH_MAX];
    char entries[PATH_MAX];
    pthread_mutex_t lock; /* protects n_copying, n_fetching and what `entries` has */
    pthread_cond_t slot;  /* a copy has ended */
    unsigned n_copying;
    unsigned n_fetching;
    struct tidy tidy;
};

/* A new job that will copy `from` (taken over, also on failure) to path (by way of path.tmp), the
 * file of a volume. The row in the registry exists; on failure it says why. */
int fill_begin(struct storage *storage, int from, const char *from_name, const char *path,
               const char *volume, bool thick, struct storage_job **ret_job,
               struct error *ret_error) MUST_CHECK;

/* Makes the directory entry of path durable. */
int file_sync_directory(const char *path, struct error *ret_error) MUST_CHECK;
/* path with ".tmp" behind it, opened new and empty for writing. */
int file_create_tmp(const char *path, struct error *ret_error) MUST_CHECK;
/* A file without a name beside path, which goes when it is closed. -EOPNOTSUPP: the file system
 * knows no such files. */
int file_create_nameless(const char *path, struct error *ret_error) MUST_CHECK;
/* Makes it durable and gives it its name, which must be free (-EEXIST). */
int file_give_name(int fd, const char *path, mode_t mode, struct error *ret_error) MUST_CHECK;
/* Makes the .tmp file durable and gives it its name, which must be free (-EEXIST). fd is the .tmp
 * file. After a failure only that file is left. */
int file_publish(int fd, const char *path, mode_t mode, struct error *ret_error) MUST_CHECK;
/* The same, over what has that name. */
int file_replace(int fd, const char *path, mode_t mode, struct error *ret_error) MUST_CHECK;
/* Removes path.tmp and, if `also_final`, path. What is not there is fine. */
int file_remove(const char *path, bool also_final, struct error *ret_error);

/* Opens what an image is made from, a file or a device, of whatever format, and finds its size. */
int source_open(const char *path, uint64_t *ret_size, struct error *ret_error) MUST_CHECK;
/* Refuses a source that is a volume which somebody writes to: a copy of it would be torn. */
int source_check_idle(struct storage *storage, int fd, const char *path,
                      struct error *ret_error) MUST_CHECK;
/* What a volume in place needs to know of its file or device. block_size 0 is filled in. */
int source_check_file(struct storage *storage, const char *path, uint32_t *block_size,
                      uint64_t *ret_size, bool read_only, struct error *ret_error) MUST_CHECK;
int source_check_device(struct storage *storage, const char *path, uint32_t *block_size,
                        uint64_t *ret_size, bool read_only, struct error *ret_error) MUST_CHECK;

#define EXPORT_URI_SIZE 1024

/* Is it a URI of an NBD export that may be shown to anybody? Pure. */
int export_check_uri(const char *uri, struct error *ret_error) MUST_CHECK;
/* As source_check_device(), of an export of an NBD server. */
int export_check(struct storage *storage, const char *uri, uint32_t *block_size, uint64_t *ret_size,
                 bool read_only, struct error *ret_error) MUST_CHECK;

/* What a killed daemon left: announced in the registry but not ready, and stray .tmp files. */
int leftovers_clear(struct storage *storage, struct error *ret_error) MUST_CHECK;

/* overlay.c: the volume by its name. -ENOENT; -EOPNOTSUPP: it is no overlay. */
int overlay_find(struct storage *storage, const char *name, uint64_t *ret_id,
                 struct error *ret_error) MUST_CHECK;
/* The same; from here until overlay_release() it is the caller's alone. */
int overlay_claim(struct storage *storage, const char *name, bool force, uint64_t *ret_id,
                  struct error *ret_error) MUST_CHECK;
void overlay_release(struct storage *storage, uint64_t id);
int overlay_add_snapshot(struct storage *storage, const char *volume, const char *snapshot,
                         struct error *ret_error) MUST_CHECK;
/* Its layers become one with others in the background. */
int overlay_drop_snapshot(struct storage *storage, uint64_t id, const char *volume,
                          const char *snapshot, struct error *ret_error) MUST_CHECK;
/* Names of snapshots that are there for a copy, and go with it, or when the daemon is started. */
void snapshot_name_temporary(char name[static NAME_MAX_LEN + 1]);
/* A job that merges layers of the volume which no snapshot needs; -EBUSY: somebody has it open. */
int merge_begin(struct storage *storage, const char *volume, struct storage_job **ret_job,
                struct error *ret_error) MUST_CHECK;
/* Has change() called while the volume has no device open; see struct storage_settings. */
int overlay_exchange(struct storage *storage, uint64_t id, const char *name,
                     int (*change)(void *argument, bool in_use, struct error *ret_error),
                     void *argument, struct error *ret_error) MUST_CHECK;

/* Announces the next version of an image in the registry (image->directory is filled in) and makes
 * its .tmp file: a descriptor of it. On failure neither is there. */
int image_announce(struct storage *storage, struct registry_image *image, uint32_t *ret_version,
                   char ret_path[static PATH_MAX], struct error *ret_error) MUST_CHECK;
/* Undoes that. */
void image_withdraw(struct storage *storage, const char *name, uint32_t version, const char *path);
/* -ENOENT, in a sentence. version 0: any. */
int image_is_missing(const char *name, uint32_t version, struct error *ret_error);
