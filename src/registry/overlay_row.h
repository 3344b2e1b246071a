/*
 * What overlays consist of, as the transaction under way sees it: for layers.c, and for what
 * happens to them at the boot of their node (overlay_boot.c, trials.c). Inside this folder only.
 */
#pragma once

#include "registry/operation.h"

/* An overlay as its row has it. */
struct overlay_row {
    int64_t id, layer_id, base_id; /* base: image version at the bottom; 0: none */
    uint64_t size;
    bool follows;
};

/* -ENOENT, -EOPNOTSUPP: it is no overlay; -EBUSY: it is not ready. ret_row->id is set if there is
 * such a volume. */
int overlay_row_find(struct db *db, const char *volume, struct overlay_row *ret_row,
                     struct error *ret_error) MUST_CHECK;
/* -ENOENT */
int overlay_row_find_snapshot(struct db *db, const struct overlay_row *row, const char *volume,
                              const char *snapshot, int64_t *ret_layer_id,
                              struct error *ret_error) MUST_CHECK;
/* -EMLINK: another layer on this one would be too many. */
int overlay_row_check_depth(struct db *db, int64_t below_id, struct error *ret_error) MUST_CHECK;
/* A name for its top, which has to get another layer above it. */
int overlay_row_keep(struct db *db, const struct overlay_row *row, const char *name,
                     struct error *ret_error) MUST_CHECK;
/* A name that no snapshot of it has: "before-WHAT SUFFIX" (without the space), if need be with a
 * number behind it. */
int overlay_row_name_before(struct db *db, const struct overlay_row *row, const char *what,
                            const char *suffix, char name[static NAME_MAX_LEN + 1],
                            struct error *ret_error) MUST_CHECK;
/* Marks those layers that neither the top nor a snapshot stands on. */
int overlay_row_mark_unneeded(struct db *db, int64_t volume_id, struct error *ret_error) MUST_CHECK;
/* If the top is empty and was never opened, and nothing else needs the layer below it, that is the
 * top. 1: it is now. */
int overlay_row_drop_top(struct db *db, const struct overlay_row *row,
                         struct error *ret_error) MUST_CHECK;
/* As registry_overlay_change(). */
int overlay_row_change(struct db *db, const struct overlay_row *row, const char *volume,
                       enum overlay_change change, const char *argument,
                       char kept[static NAME_MAX_LEN + 1], struct error *ret_error) MUST_CHECK;

/* --- boots from snapshots (trials.c) --- */

/* What the disk of a node is to be at a boot, as struct registry_claim has it. */
int trial_choose(struct db *db, int64_t node_id, int64_t boot_id, const char *snapshot,
                 int64_t *ret_volume_id, struct error *ret_error) MUST_CHECK;
/* At the beginning of a boot: 1: the disk is now what it is to be at this boot, and nothing else is
 * to be done to it; 0: it is what it was without a trial, and if begun->trial_ended, `row` is not
 * true any more. */
int trial_begin_boot(struct db *db, const struct overlay_row *row, const char *volume, int64_t boot,
                     struct registry_overlay_begun *begun, struct error *ret_error) MUST_CHECK;
/* The operator has decided what the disk is: if one was under way, what was kept for its end stays
 * as a snapshot. */
int trial_forget(struct db *db, int64_t volume_id, struct error *ret_error) MUST_CHECK;
/* -EBUSY: this snapshot is what the disk is to be again. */
int trial_check_kept(struct db *db, int64_t volume_id, const char *volume, const char *snapshot,
                     struct error *ret_error) MUST_CHECK;
