/* What happens to an overlay when its node begins to boot: the end or the beginning of a boot from
 * a snapshot (trials.c), what was staged, the reset of an ephemeral one. One transaction. */
#include "registry/overlay_row.h"

#include <errno.h>

struct begin_operation {
    struct operation operation;
    int64_t id;
    enum overlay_change staged;
    bool ephemeral, has_trial;
    char name[NAME_MAX_LEN + 1];
    char argument[NAME_MAX_LEN + 16];
    int64_t boot, changed_boot;
    struct registry_overlay_begun begun; /* result */
};

static int find(struct db *db, struct begin_operation *o, struct error *ret_error)
{
    sqlite3_stmt *rows = db_start(
        db,
        "SELECT name, staged, staged_argument, ephemeral, changed_boot,"
        " (SELECT max(b.id) FROM boots b JOIN nodes n ON n.id = b.node_id"
        "  WHERE n.volume_id = volumes.id),"
        " id IN (SELECT volume_id FROM volume_trials) FROM volumes WHERE id = ? AND state = 'ready'"
        " AND layer_id IS NOT NULL",
        DB_VALUES(db_int(o->id)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r <= 0)
        return r;
    str_copy(o->name, sizeof(o->name), db_column_text(rows, 0));
    str_copy(o->argument, sizeof(o->argument), db_column_text(rows, 2));
    (void)!overlay_change_parse(db_column_text_or_null(rows, 1), &o->staged);
    o->ephemeral = sqlite3_column_int(rows, 3) != 0;
    o->changed_boot = sqlite3_column_int64(rows, 4);
    o->boot = sqlite3_column_int64(rows, 5);
    o->has_trial = sqlite3_column_int(rows, 6) != 0;
    db_end(rows);
    return 1;
}

/* Of the disk that it has without a trial. */
static int change(struct db *db, struct begin_operation *o, const struct overlay_row *row,
                  struct error *ret_error)
{
    char kept[NAME_MAX_LEN + 1];
    bool due = o->boot > o->changed_boot || o->begun.trial_ended;
    if (o->staged == OVERLAY_NO_CHANGE && o->ephemeral && due)
        o->staged = OVERLAY_RESET;
    if (o->staged == OVERLAY_NO_CHANGE)
        return 0;
    o->begun.change = o->staged;
    int r = overlay_row_change(db, row, o->name, o->staged, o->argument, kept, ret_error);
    if (r < 0)
        return r;
    return db_change(db,
                     "UPDATE volumes SET staged = NULL, staged_argument = NULL, changed_boot = ?"
                     " WHERE id = ?",
                     DB_VALUES(db_int(o->boot), db_int(o->id)), ret_error);
}

static int begin(struct db *db, struct begin_operation *o, struct error *ret_error)
{
    struct overlay_row row = {0};
    int r = overlay_row_find(db, o->name, &row, ret_error);
    if (r >= 0)
        r = trial_begin_boot(db, &row, o->name, o->boot, &o->begun, ret_error);
    if (r == 0 && o->begun.trial_ended)
        r = overlay_row_find(db, o->name, &row, ret_error);
    return r == 0 ? change(db, o, &row, ret_error) : r;
}

static int apply(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct begin_operation *o = container_of(operation, struct begin_operation, operation);
    operation->changed.volume_id = o->id;
    int r = find(db, o, ret_error);
    if (r > 0)
        r = begin(db, o, ret_error);
    operation->changes_catalog = o->begun.change != OVERLAY_NO_CHANGE || o->has_trial;
    if (r >= 0) /* from here on its machine knows the disk as it is */
        r = db_change(db, "UPDATE volumes SET fence_boot = 0 WHERE id = ? AND fence_boot <> 0",
                      DB_VALUES(db_int(o->id)), ret_error);
    return r < 0 ? r : 0;
}

int registry_overlay_begin_boot(struct registry *registry, uint64_t volume_id,
                                struct registry_overlay_begun *ret_begun, struct error *ret_error)
{
    struct begin_operation o = {.operation = {.apply = apply}, .id = (int64_t)volume_id};
    int r = operation_run(registry, &o.operation, ret_error);
    if (r >= 0)
        *ret_begun = o.begun;
    return r;
}
