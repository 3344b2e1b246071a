/*
 * Boots from a snapshot: for one boot, the disk of a node is a new, empty layer over a snapshot of
 * it. What it was stays as a snapshot of its own until then, and is the disk again at the next
 * boot; what was written meanwhile is gone then. So a choice in a menu loses nothing of the disk,
 * and makes no more of it than one layer and one name, however often somebody chooses.
 *
 * What a boot is to have is written down when it is decided (trial_choose(), before the machine is
 * told), and comes true at the first login of its firmware, while nobody has the volume open. Each
 * is one transaction: a daemon that dies has done all of it or nothing.
 */
#include "registry/overlay_row.h"

#include <errno.h>

struct trial {
    int64_t boot;                    /* that is to have it */
    char snapshot[NAME_MAX_LEN + 1]; /* which; "": none */
    int64_t running_boot;            /* that has it now; 0: none */
    char running[NAME_MAX_LEN + 1], kept[NAME_MAX_LEN + 1];
};

/* 1: there is one. */
static int read_trial(struct db *db, int64_t volume_id, struct trial *ret_trial,
                      struct error *ret_error)
{
    sqlite3_stmt *rows = db_start(db,
                                  "SELECT boot_id, coalesce(snapshot, ''), running_boot_id,"
                                  " coalesce(running, ''), coalesce(kept, '')"
                                  " FROM volume_trials WHERE volume_id = ?",
                                  DB_VALUES(db_int(volume_id)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r <= 0)
        return r;
    ret_trial->boot = sqlite3_column_int64(rows, 0);
    str_copy(ret_trial->snapshot, sizeof(ret_trial->snapshot), db_column_text(rows, 1));
    ret_trial->running_boot = sqlite3_column_int64(rows, 2);
    str_copy(ret_trial->running, sizeof(ret_trial->running), db_column_text(rows, 3));
    str_copy(ret_trial->kept, sizeof(ret_trial->kept), db_column_text(rows, 4));
    db_end(rows);
    return 1;
}

int trial_forget(struct db *db, int64_t volume_id, struct error *ret_error)
{
    int r = db_change(db, "DELETE FROM volume_trials WHERE volume_id = ?",
                      DB_VALUES(db_int(volume_id)), ret_error);
    return r < 0 ? r : 0;
}

int trial_check_kept(struct db *db, int64_t volume_id, const char *volume, const char *snapshot,
                     struct error *ret_error)
{
    int64_t found;
    int r = db_lookup(db, "SELECT 1 FROM volume_trials WHERE volume_id = ? AND kept = ?",
                      DB_VALUES(db_int(volume_id), db_text(snapshot)), &found, ret_error);
    if (r > 0)
        return error_set(ret_error, -EBUSY,
                         "volume '%s' is booted from another snapshot, and '%s' is what it was "
                         "before, and is again at its node's next boot; to stay with what it is "
                         "now, take a snapshot of that and roll back to it: nodisk volume snapshot",
                         volume, snapshot);
    return r;
}

/* --- at the beginning of a boot --- */

/* The layer that it was is the top again, if nothing else stands on it and it is still as large. */
static int end_trial(struct db *db, struct overlay_row *row, const char *volume,
                     const struct trial *trial, struct error *ret_error)
{
    int64_t layer_id = 0;
    int r = overlay_row_find_snapshot(db, row, volume, trial->kept, &layer_id, ret_error);
    if (r >= 0)
        r = overlay_put_top(db, row->id, layer_id, 0, row->size, ret_error);
    if (r >= 0)
        r = db_change(db, "DELETE FROM snapshots WHERE layer_id = ?", DB_VALUES(db_int(layer_id)),
                      ret_error);
    if (r >= 0)
        r = overlay_row_find(db, volume, row, ret_error);
    if (r >= 0)
        r = overlay_row_drop_top(db, row, ret_error);
    if (r >= 0)
        r = overlay_row_mark_unneeded(db, row->id, ret_error);
    if (r >= 0)
        r = trial_forget(db, row->id, ret_error);
    return r;
}

/* Can both layers get another one on top, that which is tried and that which it comes back to?
 * While one is under way, the latter has its room already. */
static int check_room(struct db *db, const struct overlay_row *row, const struct trial *trial,
                      int64_t layer_id, struct error *ret_error)
{
    int r = overlay_row_check_depth(db, layer_id, ret_error);
    return r < 0 || trial->running_boot ? r : overlay_row_check_depth(db, row->layer_id, ret_error);
}

/* What it is without a trial gets a name, if it has none yet. */
static int keep(struct db *db, const struct overlay_row *row, const struct trial *trial,
                char kept[static NAME_MAX_LEN + 1], struct error *ret_error)
{
    if (trial->running_boot) {
        str_copy(kept, NAME_MAX_LEN + 1, trial->kept);
        return 0;
    }
    int r = overlay_row_name_before(db, row, trial->snapshot, "", kept, ret_error);
    return r < 0 ? r : overlay_row_keep(db, row, kept, ret_error);
}

static int start_trial(struct db *db, const struct overlay_row *row, int64_t layer_id,
                       const struct trial *trial, int64_t boot,
                       struct registry_overlay_begun *begun, struct error *ret_error)
{
    int r = keep(db, row, trial, begun->kept, ret_error);
    if (r >= 0)
        r = overlay_put_top(db, row->id, layer_id, 0, row->size, ret_error);
    if (r >= 0)
        r = overlay_row_mark_unneeded(db, row->id, ret_error);
    if (r >= 0)
        r = db_change(db,
                      "UPDATE volume_trials SET running_boot_id = ?, running = snapshot, kept = ?"
                      " WHERE volume_id = ?",
                      DB_VALUES(db_int(boot), db_text(begun->kept), db_int(row->id)), ret_error);
    if (r >= 0) /* of an ephemeral one: this boot has no other reset */
        r = db_change(db, "UPDATE volumes SET changed_boot = ? WHERE id = ?",
                      DB_VALUES(db_int(boot), db_int(row->id)), ret_error);
    if (r < 0)
        return r;
    begun->trial_begun = true;
    str_copy(begun->snapshot, sizeof(begun->snapshot), trial->snapshot);
    return 1;
}

/* The snapshot may have gone since it was chosen. */
static bool can_start(struct db *db, const struct overlay_row *row, const char *volume,
                      const struct trial *trial, int64_t *ret_layer_id)
{
    struct error why;
    return overlay_row_find_snapshot(db, row, volume, trial->snapshot, ret_layer_id, &why) >= 0 &&
           check_room(db, row, trial, *ret_layer_id, &why) >= 0;
}

int trial_begin_boot(struct db *db, const struct overlay_row *row, const char *volume, int64_t boot,
                     struct registry_overlay_begun *begun, struct error *ret_error)
{
    struct trial trial = {.boot = 0};
    struct overlay_row now = *row;
    int64_t layer_id = 0;
    int r = read_trial(db, row->id, &trial, ret_error);
    if (r <= 0)
        return r;
    bool wanted = trial.boot == boot && trial.snapshot[0];
    if (wanted && trial.running_boot == boot && str_eq(trial.running, trial.snapshot))
        return 1; /* it has it already: firmware logs in again */
    if (wanted && can_start(db, row, volume, &trial, &layer_id))
        return start_trial(db, row, layer_id, &trial, boot, begun, ret_error);
    if (!trial.running_boot)
        return trial_forget(db, row->id, ret_error);
    r = end_trial(db, &now, volume, &trial, ret_error);
    begun->trial_ended = r >= 0;
    return r;
}

/* --- what a boot is to have --- */

/* Of a disk that several machines have, nobody may change for the others what it is. */
static int check_alone(struct db *db, const struct overlay_row *row, const char *volume,
                       struct error *ret_error)
{
    int64_t nodes = 0;
    int r = db_lookup(db, "SELECT count(*) FROM nodes WHERE volume_id = ?",
                      DB_VALUES(db_int(row->id)), &nodes, ret_error);
    if (r >= 0 && nodes != 1)
        return error_set(ret_error, -EINVAL,
                         "volume '%s' is the disk of several nodes: none of them boots from a "
                         "snapshot of it",
                         volume);
    return r < 0 ? r : 0;
}

static int check_choice(struct db *db, const struct overlay_row *row, const char *volume,
                        const char *snapshot, struct error *ret_error)
{
    struct trial trial = {.boot = 0};
    int64_t layer_id = 0;
    int r = overlay_row_find_snapshot(db, row, volume, snapshot, &layer_id, ret_error);
    if (r >= 0)
        r = check_alone(db, row, volume, ret_error);
    if (r >= 0)
        r = read_trial(db, row->id, &trial, ret_error);
    return r < 0 ? r : check_room(db, row, &trial, layer_id, ret_error);
}

static int choose(struct db *db, int64_t boot_id, const char *volume, const char *snapshot,
                  struct error *ret_error)
{
    struct overlay_row row = {0};
    int r = overlay_row_find(db, volume, &row, ret_error);
    if (r >= 0)
        r = check_choice(db, &row, volume, snapshot, ret_error);
    if (r >= 0)
        r = db_change(db,
                      "INSERT INTO volume_trials (volume_id, boot_id, snapshot) VALUES (?, ?, ?)"
                      " ON CONFLICT (volume_id) DO UPDATE SET boot_id = excluded.boot_id,"
                      " snapshot = excluded.snapshot",
                      DB_VALUES(db_int(row.id), db_int(boot_id), db_text(snapshot)), ret_error);
    return r < 0 ? r : 0;
}

static int choose_none(struct db *db, int64_t boot_id, const char *volume, struct error *ret_error)
{
    int r = db_change(db,
                      "UPDATE volume_trials SET snapshot = NULL WHERE boot_id = ? AND volume_id ="
                      " (SELECT id FROM volumes WHERE name = ?)",
                      DB_VALUES(db_int(boot_id), db_text(volume)), ret_error);
    return r < 0 ? r : 0;
}

int trial_choose(struct db *db, int64_t node_id, int64_t boot_id, const char *snapshot,
                 int64_t *ret_volume_id, struct error *ret_error)
{
    char volume[NAME_MAX_LEN + 1];
    int r = db_lookup(db, "SELECT volume_id FROM nodes WHERE id = ?", DB_VALUES(db_int(node_id)),
                      ret_volume_id, ret_error);
    if (r >= 0)
        r = find_holder(db, "SELECT name FROM volumes WHERE id = ?",
                        DB_VALUES(db_int(*ret_volume_id)), volume, ret_error);
    if (r <= 0)
        return r; /* it has no disk any more: who asks looks at the catalog again */
    return snapshot[0] ? choose(db, boot_id, volume, snapshot, ret_error)
                       : choose_none(db, boot_id, volume, ret_error);
}
