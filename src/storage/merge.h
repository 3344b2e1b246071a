/*
 * Folds layers that no snapshot needs any more into those above them. Whenever it is stopped, the
 * volume reads the same, and the next one goes on with it.
 */
#pragma once

#include "block/overlay.h"
#include "storage/private.h"

struct merge {
    /* set by the caller; the rest is zero */
    struct storage *storage;
    char volume[NAME_MAX_LEN + 1];
    uint64_t volume_id;
    bool below_top; /* somebody has it open: only what nobody writes to */
    /* may be read by the caller */
    unsigned folded; /* so many layers are gone */

    /* private */
    uint64_t upper_id, lower_id; /* that are being merged; 0: none */
    bool merging;
    struct overlay_merge merge;
};

/* Works for about `budget` microseconds. 1: there is more to do; 0: there is not. -ESTALE: the
 * volume has been changed meanwhile. */
int merge_step(struct merge *merge, uint64_t budget, struct error *ret_error) MUST_CHECK;
void merge_end(struct merge *merge);
