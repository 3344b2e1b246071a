/*
 * What a volume reads as, to be copied into a file.
 *
 * An overlay is read from a snapshot, which nobody writes to any more, so that a node may go on
 * meanwhile; without the name of one a snapshot is taken for it, and removed afterwards. Of all
 * others there is one state only: nobody may use such a volume meanwhile, unless nobody can write
 * to it.
 */
#pragma once

#include "block/overlay.h"
#include "storage/copy.h"
#include "storage/private.h"
#include "storage/stack.h"

struct fold_source {
    /* may be read by others */
    char volume[NAME_MAX_LEN + 1];
    uint64_t done, total; /* bytes, holes included */
    uint64_t needed;      /* bytes that the copy takes on disk, from fold_source_begin() on */
    int fd;               /* of a file or device that is all of it; -1: there is none */

    /* private */
    struct storage *storage;
    const struct fold_source_kind *kind;
    uint64_t id;
    bool claimed, own_snapshot;
    char snapshot[NAME_MAX_LEN + 1];
    char path[PATH_MAX];
    int to;
    const char *to_name;
    struct overlay_copy overlay;
    struct copy copy;
    struct storage_reader *reader;
    uint8_t *buffer;
};

/* snapshot: or NULL. Zeroed before; whatever it says, fold_source_release() and
 * fold_source_forget() it. -EBUSY: somebody uses it, and it cannot be read meanwhile. */
int fold_source_prepare(struct fold_source *source, struct storage *storage, const char *volume,
                        const char *snapshot, struct error *ret_error) MUST_CHECK;
/* to: a new, empty file (not owned); to_name must stay. Checks for room. */
int fold_source_begin(struct fold_source *source, int to, const char *to_name,
                      struct error *ret_error) MUST_CHECK;
/* Works for about `budget` microseconds. 1: there is more to do; 0: everything is copied (not yet
 * durable). */
int fold_source_step(struct fold_source *source, uint64_t budget,
                     struct error *ret_error) MUST_CHECK;
/* Lets go of its files, and of the volume; may come more than once. */
void fold_source_release(struct fold_source *source);
/* Removes the snapshot that was taken for it. */
void fold_source_forget(struct fold_source *source);
