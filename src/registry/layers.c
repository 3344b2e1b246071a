/*
 * Layers and snapshots of overlays.
 *
 * Every change of what an overlay is made of is one transaction here: a new, empty layer on top of
 * another one or of an image version, and a name for the old one or not. Layers that neither the
 * top nor a snapshot needs any more are marked; their files are removed after that, and then their
 * rows. The files of a new layer are made when it is first opened. So there is nothing on disk that
 * a crash could leave half-done.
 */
#include "registry/overlay_row.h"

#include <errno.h>
#include <sys/random.h>

struct layer_operation {
    struct operation operation;
    const char *volume, *snapshot, *image;
    uint32_t version;
    const struct registry_overlay_change *change;
    enum overlay_change staged;
    const char *argument;
    int64_t id, lower_id;
    uint64_t size;
    bool below_top;
    bool changed;                /* result */
    char kept[NAME_MAX_LEN + 1]; /* result */
};

const char *path_of_layer(const struct db *db, int64_t layer_id, char path[static PATH_MAX])
{
    char stored[40];
    snprintf(stored, sizeof(stored), "layers/%lld", (long long)layer_id);
    return path_from_store(db, stored, path);
}

/* --- finding --- */

/* The image version at the bottom of a layer, or 0. */
static int find_base(struct db *db, int64_t layer_id, int64_t *ret_id, struct error *ret_error)
{
    *ret_id = 0;
    return db_lookup(db,
                     "WITH RECURSIVE stack(id, below_id, base) AS ("
                     " SELECT id, below_id, image_version_id FROM layers WHERE id = ?"
                     " UNION ALL SELECT l.id, l.below_id, l.image_version_id"
                     " FROM layers l JOIN stack s ON l.id = s.below_id)"
                     " SELECT base FROM stack WHERE base IS NOT NULL",
                     DB_VALUES(db_int(layer_id)), ret_id, ret_error);
}

int registry_no_overlay(const char *volume, struct error *ret_error)
{
    return error_set(
        ret_error, -EOPNOTSUPP,
        "volume '%s' is no overlay: there is no layer that what is written could go to, "
        "so that what it was is gone; for snapshots and ways back make an image of it, "
        "and a volume over that: nodisk volume commit %s IMAGE, nodisk volume create "
        "NAME --image IMAGE",
        volume, volume);
}

int overlay_row_find(struct db *db, const char *volume, struct overlay_row *ret_row,
                     struct error *ret_error)
{
    sqlite3_stmt *rows =
        db_start(db, "SELECT id, layer_id, size, follows, state FROM volumes WHERE name = ?",
                 DB_VALUES(db_text(volume)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r == 0)
        return error_set(ret_error, -ENOENT, "there is no volume '%s'; see: nodisk volume list",
                         volume);
    if (r < 0)
        return r;
    *ret_row = (struct overlay_row){.id = sqlite3_column_int64(rows, 0),
                                    .layer_id = sqlite3_column_int64(rows, 1),
                                    .size = (uint64_t)sqlite3_column_int64(rows, 2),
                                    .follows = sqlite3_column_int(rows, 3) != 0};
    bool ready = str_eq(db_column_text(rows, 4), "ready");
    db_end(rows);
    if (!ret_row->layer_id)
        return registry_no_overlay(volume, ret_error);
    if (!ready)
        return error_set(ret_error, -EBUSY, "volume '%s' is not ready; see: nodisk volume show %s",
                         volume, volume);
    r = find_base(db, ret_row->layer_id, &ret_row->base_id, ret_error);
    return r < 0 ? r : 0;
}

/* The one that an operation is about, and which it changes. */
static int find_overlay(struct db *db, struct layer_operation *o, struct overlay_row *ret_row,
                        struct error *ret_error)
{
    int r = overlay_row_find(db, o->volume, ret_row, ret_error);
    if (ret_row->id)
        o->operation.changed.volume_id = ret_row->id;
    return r;
}

int overlay_row_find_snapshot(struct db *db, const struct overlay_row *row, const char *volume,
                              const char *snapshot, int64_t *ret_layer_id, struct error *ret_error)
{
    int r = db_lookup(db, "SELECT layer_id FROM snapshots WHERE volume_id = ? AND name = ?",
                      DB_VALUES(db_int(row->id), db_text(snapshot)), ret_layer_id, ret_error);
    if (r == 0)
        return error_set(ret_error, -ENOENT,
                         "volume '%s' has no snapshot '%.64s'; see: nodisk volume snapshot list %s",
                         volume, snapshot, volume);
    return r < 0 ? r : 0;
}

/* A version of an image, by its number, or the latest (0), and its size. */
static int find_version(struct db *db, const char *image, uint32_t version, int64_t *ret_id,
                        uint64_t *ret_size, struct error *ret_error)
{
    sqlite3_stmt *rows =
        db_start(db,
                 "SELECT v.id, v.size FROM image_versions v JOIN images i ON i.id = v.image_id"
                 " WHERE i.name = ?1 AND v.state = 'ready' AND ?2 IN (0, v.version)"
                 " ORDER BY v.version DESC LIMIT 1",
                 DB_VALUES(db_text(image), db_int(version)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r < 0)
        return r;
    if (r == 0 && version)
        return error_set(ret_error, -ENOENT, "there is no image '%s@%u'; see: nodisk image list",
                         image, version);
    if (r == 0)
        return error_set(ret_error, -ENOENT, "there is no image '%s'; see: nodisk image list",
                         image);
    *ret_id = sqlite3_column_int64(rows, 0);
    *ret_size = (uint64_t)sqlite3_column_int64(rows, 1);
    db_end(rows);
    return 0;
}

/* "debian12@3", or "debian12" for the latest. */
static int find_reference(struct db *db, const char *reference, int64_t *ret_id, uint64_t *ret_size,
                          struct error *ret_error)
{
    char name[NAME_MAX_LEN + 1];
    const char *at = strchrnul(reference, '@');
    snprintf(name, sizeof(name), "%.*s", (int)MIN((size_t)(at - reference), sizeof(name) - 1),
             reference);
    return find_version(db, name, *at ? (uint32_t)strtoul(at + 1, NULL, 10) : 0, ret_id, ret_size,
                        ret_error);
}

/* The version that a reset takes: that which it has, or the latest of the same image. */
static int find_reset_base(struct db *db, const struct overlay_row *row, int64_t *ret_id,
                           uint64_t *ret_size, struct error *ret_error)
{
    *ret_id = row->base_id;
    *ret_size = 0;
    if (!row->follows || !row->base_id)
        return 0;
    sqlite3_stmt *rows =
        db_start(db,
                 "SELECT id, size FROM image_versions WHERE state = 'ready' AND image_id ="
                 " (SELECT image_id FROM image_versions WHERE id = ?)"
                 " ORDER BY version DESC LIMIT 1",
                 DB_VALUES(db_int(row->base_id)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r <= 0)
        return r;
    *ret_id = sqlite3_column_int64(rows, 0);
    *ret_size = (uint64_t)sqlite3_column_int64(rows, 1);
    db_end(rows);
    return 0;
}

/* --- the pieces of a change --- */

int overlay_row_check_depth(struct db *db, int64_t below_id, struct error *ret_error)
{
    int64_t depth = 0;
    int r = db_lookup(db,
                      "WITH RECURSIVE stack(id, depth) AS (SELECT ?, 1 UNION ALL"
                      " SELECT l.below_id, s.depth + 1 FROM layers l JOIN stack s ON l.id = s.id"
                      " WHERE l.below_id IS NOT NULL) SELECT max(depth) FROM stack",
                      DB_VALUES(db_int(below_id)), &depth, ret_error);
    if (r >= 0 && depth >= REGISTRY_MAX_LAYERS)
        return error_set(ret_error, -EMLINK,
                         "it has %d layers already, one on the other; delete a snapshot first",
                         REGISTRY_MAX_LAYERS);
    return r < 0 ? r : 0;
}

static int insert_layer(struct db *db, int64_t volume_id, int64_t below_id,
                        int64_t image_version_id, uint64_t size, struct error *ret_error)
{
    uint8_t identity[CATALOG_IDENTITY_SIZE];
    if (getrandom(identity, sizeof(identity), 0) != sizeof(identity))
        return error_set(ret_error, -EIO, "the system has no random numbers");
    return db_change(db,
                     "INSERT INTO layers (identity, volume_id, below_id, image_version_id, size,"
                     " state, created_at) VALUES (?, ?, ?, ?, ?, 'new', ?)",
                     DB_VALUES(db_blob(identity, sizeof(identity)), db_int(volume_id),
                               db_id((uint64_t)below_id), db_id((uint64_t)image_version_id),
                               db_int((int64_t)size), db_int((int64_t)clock_wall_usec())),
                     ret_error);
}

static int set_top(struct db *db, int64_t volume_id, int64_t layer_id, uint64_t size,
                   struct error *ret_error)
{
    char path[40];
    snprintf(path, sizeof(path), "layers/%lld", (long long)layer_id);
    int r = db_change(
        db, "UPDATE volumes SET layer_id = ?, size = ?, path = ? WHERE id = ?",
        DB_VALUES(db_int(layer_id), db_int((int64_t)size), db_text(path), db_int(volume_id)),
        ret_error);
    return r < 0 ? r : 0;
}

int overlay_put_top(struct db *db, int64_t volume_id, int64_t below_id, int64_t image_version_id,
                    uint64_t size, struct error *ret_error)
{
    int r = below_id ? overlay_row_check_depth(db, below_id, ret_error) : 0;
    if (r >= 0)
        r = insert_layer(db, volume_id, below_id, image_version_id, size, ret_error);
    return r < 0 ? r
                 : set_top(db, volume_id, sqlite3_last_insert_rowid(db->handle), size, ret_error);
}

/* Those that neither the top nor a snapshot stands on. */
int overlay_row_mark_unneeded(struct db *db, int64_t volume_id, struct error *ret_error)
{
    int r = db_change(db,
                      "UPDATE layers SET state = 'removing', image_version_id = NULL WHERE "
                      "volume_id = ?1 AND id NOT IN ("
                      "WITH RECURSIVE needed(id) AS ("
                      " SELECT layer_id FROM volumes WHERE id = ?1 AND layer_id IS NOT NULL UNION"
                      " SELECT layer_id FROM snapshots WHERE volume_id = ?1 UNION"
                      " SELECT l.below_id FROM layers l JOIN needed n ON n.id = l.id"
                      " WHERE l.below_id IS NOT NULL) SELECT id FROM needed)",
                      DB_VALUES(db_int(volume_id)), ret_error);
    return r < 0 ? r : 0;
}

int overlay_row_keep(struct db *db, const struct overlay_row *row, const char *name,
                     struct error *ret_error)
{
    int r = db_change(db,
                      "INSERT INTO snapshots (volume_id, name, layer_id, created_at)"
                      " VALUES (?, ?, ?, ?)",
                      DB_VALUES(db_int(row->id), db_text(name), db_int(row->layer_id),
                                db_int((int64_t)clock_wall_usec())),
                      ret_error);
    return r < 0 ? r : 0;
}

/* It never gets smaller, since what is on it would be cut off. */
static int reset_to(struct db *db, const struct overlay_row *row, int64_t base_id, uint64_t size,
                    struct error *ret_error)
{
    int r = overlay_put_top(db, row->id, 0, base_id, MAX(size, row->size), ret_error);
    return r < 0 ? r : overlay_row_mark_unneeded(db, row->id, ret_error);
}

static int do_reset(struct db *db, const struct overlay_row *row, struct error *ret_error)
{
    int64_t base_id = 0;
    uint64_t size = 0;
    int r = find_reset_base(db, row, &base_id, &size, ret_error);
    return r < 0 ? r : reset_to(db, row, base_id, size, ret_error);
}

static int do_rollback(struct db *db, const struct overlay_row *row, const char *volume,
                       const char *snapshot, struct error *ret_error)
{
    int64_t layer_id = 0;
    int r = overlay_row_find_snapshot(db, row, volume, snapshot, &layer_id, ret_error);
    if (r >= 0)
        r = overlay_put_top(db, row->id, layer_id, 0, row->size, ret_error);
    return r < 0 ? r : overlay_row_mark_unneeded(db, row->id, ret_error);
}

int overlay_row_name_before(struct db *db, const struct overlay_row *row, const char *what,
                            const char *suffix, char name[static NAME_MAX_LEN + 1],
                            struct error *ret_error)
{
    int64_t found;
    int r = 1;
    for (unsigned i = 1; r > 0; i++) {
        char end[48];
        snprintf(end, sizeof(end), i > 1 ? "%.30s-%u" : "%.30s", suffix, i);
        int room = NAME_MAX_LEN - (int)strlen("before-") - (int)strlen(end);
        snprintf(name, NAME_MAX_LEN + 1, "before-%.*s%s", room, what, end);
        r = db_lookup(db, "SELECT 1 FROM snapshots WHERE volume_id = ? AND name = ?",
                      DB_VALUES(db_int(row->id), db_text(name)), &found, ret_error);
    }
    return r;
}

/* "before-debian12-2" */
static int name_before(struct db *db, const struct overlay_row *row, int64_t version_id,
                       char name[static NAME_MAX_LEN + 1], struct error *ret_error)
{
    char image[NAME_MAX_LEN + 1], suffix[32];
    int64_t version = 0;
    int r = find_holder(db,
                        "SELECT i.name FROM images i JOIN image_versions v ON v.image_id = i.id"
                        " WHERE v.id = ?",
                        DB_VALUES(db_int(version_id)), image, ret_error);
    if (r >= 0)
        r = db_lookup(db, "SELECT version FROM image_versions WHERE id = ?",
                      DB_VALUES(db_int(version_id)), &version, ret_error);
    snprintf(suffix, sizeof(suffix), "-%lld", (long long)version);
    return r < 0 ? r : overlay_row_name_before(db, row, image, suffix, name, ret_error);
}

static int do_rebase(struct db *db, const struct overlay_row *row, const char *reference,
                     char kept[static NAME_MAX_LEN + 1], struct error *ret_error)
{
    int64_t base_id = 0;
    uint64_t size = 0;
    int r = find_reference(db, reference, &base_id, &size, ret_error);
    if (r >= 0)
        r = name_before(db, row, base_id, kept, ret_error);
    if (r >= 0)
        r = overlay_row_keep(db, row, kept, ret_error);
    return r < 0 ? r : reset_to(db, row, base_id, size, ret_error);
}

/* --- changes of an overlay --- */

static int run(struct registry *registry, struct layer_operation *o, struct error *ret_error)
{
    o->operation.changes_catalog = true;
    return operation_run(registry, &o->operation, ret_error);
}

/* A machine that runs, even if it has no session at the moment, has the old disk in mind. */
static int fence(struct db *db, const struct overlay_row *row, struct error *ret_error)
{
    return db_change(db,
                     "UPDATE volumes SET fence_boot = coalesce((SELECT max(b.id) FROM boots b"
                     " JOIN nodes n ON n.id = b.node_id WHERE n.volume_id = volumes.id OR n.id IN"
                     " (SELECT node_id FROM attachments WHERE volume_id = volumes.id)), 0)"
                     " WHERE id = ?",
                     DB_VALUES(db_int(row->id)), ret_error);
}

int overlay_row_change(struct db *db, const struct overlay_row *row, const char *volume,
                       enum overlay_change change, const char *argument,
                       char kept[static NAME_MAX_LEN + 1], struct error *ret_error)
{
    int r = fence(db, row, ret_error);
    if (r >= 0)
        r = trial_forget(db, row->id, ret_error);
    if (r < 0)
        return r;
    switch (change) {
    case OVERLAY_RESET:
        return do_reset(db, row, ret_error);
    case OVERLAY_ROLLBACK:
        return do_rollback(db, row, volume, argument, ret_error);
    default:
        return do_rebase(db, row, argument, kept, ret_error);
    }
}

static int apply_change(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct layer_operation *o = container_of(operation, struct layer_operation, operation);
    struct overlay_row row = {0};
    int r = find_overlay(db, o, &row, ret_error);
    return r < 0 ? r
                 : overlay_row_change(db, &row, o->volume, o->staged, o->argument, o->kept,
                                      ret_error);
}

int registry_overlay_change(struct registry *registry, const char *volume,
                            enum overlay_change change, const char *argument,
                            char kept[static NAME_MAX_LEN + 1], struct error *ret_error)
{
    struct layer_operation o = {.operation = {.apply = apply_change},
                                .volume = volume,
                                .staged = change,
                                .argument = argument};
    int r = run(registry, &o, ret_error);
    if (r >= 0)
        str_copy(kept, NAME_MAX_LEN + 1, o.kept);
    return r;
}

/* What cannot be done is refused now and not at the node's next boot. */
static int check_staged(struct db *db, const struct overlay_row *row,
                        const struct layer_operation *o, struct error *ret_error)
{
    int64_t id = 0, boots = 0;
    uint64_t size;
    int r = 0;
    if (o->staged == OVERLAY_ROLLBACK)
        r = overlay_row_find_snapshot(db, row, o->volume, o->argument, &id, ret_error);
    else if (o->staged == OVERLAY_REBASE)
        r = find_reference(db, o->argument, &id, &size, ret_error);
    if (r >= 0 && o->staged != OVERLAY_NO_CHANGE)
        r = db_lookup(db, "SELECT count(*) FROM nodes WHERE volume_id = ?",
                      DB_VALUES(db_int(row->id)), &boots, ret_error);
    if (r >= 0 && o->staged != OVERLAY_NO_CHANGE && boots == 0)
        return error_set(ret_error, -EINVAL,
                         "volume '%s' is the disk of no node, so that there is no next boot of it",
                         o->volume);
    return r;
}

static int apply_stage(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct layer_operation *o = container_of(operation, struct layer_operation, operation);
    struct overlay_row row = {0};
    int r = find_overlay(db, o, &row, ret_error);
    if (r >= 0)
        r = check_staged(db, &row, o, ret_error);
    if (r >= 0)
        r = db_change(db, "UPDATE volumes SET staged = ?, staged_argument = ? WHERE id = ?",
                      DB_VALUES(db_text(overlay_change_name(o->staged)), db_text(o->argument),
                                db_int(row.id)),
                      ret_error);
    return r < 0 ? r : 0;
}

int registry_overlay_stage(struct registry *registry, const char *volume,
                           enum overlay_change change, const char *argument,
                           struct error *ret_error)
{
    struct layer_operation o = {.operation = {.apply = apply_stage},
                                .volume = volume,
                                .staged = change,
                                .argument = change == OVERLAY_RESET ? NULL : argument};
    return run(registry, &o, ret_error);
}

static int apply_settings(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct layer_operation *o = container_of(operation, struct layer_operation, operation);
    struct overlay_row row = {0};
    int r = find_overlay(db, o, &row, ret_error);
    if (r >= 0 && o->change->set_follows)
        r = db_change(db, "UPDATE volumes SET follows = ? WHERE id = ?",
                      DB_VALUES(db_int(o->change->follows), db_int(row.id)), ret_error);
    if (r >= 0 && o->change->set_ephemeral)
        r = db_change(db, "UPDATE volumes SET ephemeral = ? WHERE id = ?",
                      DB_VALUES(db_int(o->change->ephemeral), db_int(row.id)), ret_error);
    return r < 0 ? r : 0;
}

int registry_overlay_set(struct registry *registry, const char *volume,
                         const struct registry_overlay_change *change, struct error *ret_error)
{
    struct layer_operation o = {
        .operation = {.apply = apply_settings}, .volume = volume, .change = change};
    return run(registry, &o, ret_error);
}

/* --- snapshots --- */

static int apply_snapshot_add(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct layer_operation *o = container_of(operation, struct layer_operation, operation);
    struct overlay_row row = {0};
    int64_t found;
    int r = find_overlay(db, o, &row, ret_error);
    if (r >= 0)
        r = db_lookup(db, "SELECT 1 FROM snapshots WHERE volume_id = ? AND name = ?",
                      DB_VALUES(db_int(row.id), db_text(o->snapshot)), &found, ret_error);
    if (r > 0)
        return error_set(ret_error, -EEXIST,
                         "volume '%s' has a snapshot '%s' already; take another name", o->volume,
                         o->snapshot);
    if (r >= 0)
        r = overlay_row_keep(db, &row, o->snapshot, ret_error);
    if (r >= 0)
        r = overlay_put_top(db, row.id, row.layer_id, 0, row.size, ret_error);
    return r;
}

int registry_snapshot_add(struct registry *registry, const char *volume, const char *snapshot,
                          struct error *ret_error)
{
    struct layer_operation o = {
        .operation = {.apply = apply_snapshot_add}, .volume = volume, .snapshot = snapshot};
    if (!name_is_object(snapshot))
        return error_set(ret_error, -EINVAL,
                         "'%.80s' cannot be a snapshot's name: use lower case letters, digits, . "
                         "and -, at most %d",
                         snapshot, NAME_MAX_LEN);
    return run(registry, &o, ret_error);
}

static int apply_snapshot_remove(struct db *db, struct operation *operation,
                                 struct error *ret_error)
{
    struct layer_operation *o = container_of(operation, struct layer_operation, operation);
    struct overlay_row row = {0};
    int64_t layer_id = 0, staged;
    int r = find_overlay(db, o, &row, ret_error);
    if (r >= 0)
        r = overlay_row_find_snapshot(db, &row, o->volume, o->snapshot, &layer_id, ret_error);
    if (r >= 0)
        r = db_lookup(
            db,
            "SELECT 1 FROM volumes WHERE id = ? AND staged = 'rollback' AND staged_argument = ?",
            DB_VALUES(db_int(row.id), db_text(o->snapshot)), &staged, ret_error);
    if (r > 0)
        return error_set(ret_error, -EBUSY,
                         "volume '%s' is to be rolled back to '%s' at its node's next boot; call "
                         "that off first: nodisk volume unstage %s",
                         o->volume, o->snapshot, o->volume);
    if (r >= 0)
        r = trial_check_kept(db, row.id, o->volume, o->snapshot, ret_error);
    if (r >= 0)
        r = db_change(db, "DELETE FROM snapshots WHERE layer_id = ?", DB_VALUES(db_int(layer_id)),
                      ret_error);
    return r < 0 ? r : overlay_row_mark_unneeded(db, row.id, ret_error);
}

int registry_snapshot_remove(struct registry *registry, const char *volume, const char *snapshot,
                             struct error *ret_error)
{
    struct layer_operation o = {
        .operation = {.apply = apply_snapshot_remove}, .volume = volume, .snapshot = snapshot};
    return run(registry, &o, ret_error);
}

/* The layer above it was never opened: there is nothing in it. */
static int apply_take_back(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct layer_operation *o = container_of(operation, struct layer_operation, operation);
    struct overlay_row row = {0};
    int64_t layer_id = 0, found;
    int r = find_overlay(db, o, &row, ret_error);
    if (r >= 0)
        r = overlay_row_find_snapshot(db, &row, o->volume, o->snapshot, &layer_id, ret_error);
    if (r < 0)
        return r;
    r = db_lookup(db, "SELECT 1 FROM layers WHERE id = ? AND below_id = ? AND state = 'new'",
                  DB_VALUES(db_int(row.layer_id), db_int(layer_id)), &found, ret_error);
    if (r == 0)
        return error_set(ret_error, -EBUSY, "volume '%s' has been opened since then", o->volume);
    if (r >= 0)
        r = db_change(db, "DELETE FROM snapshots WHERE layer_id = ?", DB_VALUES(db_int(layer_id)),
                      ret_error);
    if (r >= 0)
        r = set_top(db, row.id, layer_id, row.size, ret_error);
    return r < 0 ? r : overlay_row_mark_unneeded(db, row.id, ret_error);
}

int registry_snapshot_take_back(struct registry *registry, const char *volume, const char *snapshot,
                                struct error *ret_error)
{
    struct layer_operation o = {
        .operation = {.apply = apply_take_back}, .volume = volume, .snapshot = snapshot};
    return run(registry, &o, ret_error);
}

/* --- layers --- */

/* The volume that a layer is of. */
static int find_volume(struct db *db, struct layer_operation *o, struct error *ret_error)
{
    return db_lookup(db, "SELECT volume_id FROM layers WHERE id = ?", DB_VALUES(db_int(o->id)),
                     &o->operation.changed.volume_id, ret_error);
}

static int apply_made(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct layer_operation *o = container_of(operation, struct layer_operation, operation);
    int r = find_volume(db, o, ret_error);
    if (r >= 0)
        r = db_change(db, "UPDATE layers SET state = 'made' WHERE id = ? AND state = 'new'",
                      DB_VALUES(db_int(o->id)), ret_error);
    return r < 0 ? r : 0;
}

int registry_layer_made(struct registry *registry, uint64_t layer_id, struct error *ret_error)
{
    struct layer_operation o = {.operation = {.apply = apply_made}, .id = (int64_t)layer_id};
    return run(registry, &o, ret_error);
}

/* A layer that no snapshot has, with the only one above it. One whose merge was begun comes first,
 * also after a crash: what the header of the upper one says is true of that merge only. */
static int apply_begin_merge(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct layer_operation *o = container_of(operation, struct layer_operation, operation);
    struct overlay_row row = {0};
    int r = find_overlay(db, o, &row, ret_error);
    if (r < 0)
        return r;
    sqlite3_stmt *rows =
        db_start(db,
                 "SELECT l.id, max(u.id) FROM layers l JOIN layers u ON u.below_id = l.id"
                 " WHERE l.volume_id = ? AND l.state = 'made'"
                 " AND l.id NOT IN (SELECT layer_id FROM snapshots)"
                 " GROUP BY l.id HAVING count(*) = 1 AND max(u.state) = 'made' AND max(u.id) <> ?"
                 " ORDER BY l.merging DESC, l.id LIMIT 1",
                 DB_VALUES(db_int(row.id), db_int(o->below_top ? row.layer_id : 0)), ret_error);
    if (!rows)
        return ret_error->code;
    r = db_next(db, rows, ret_error);
    if (r <= 0)
        return r;
    o->lower_id = sqlite3_column_int64(rows, 0);
    o->id = sqlite3_column_int64(rows, 1);
    db_end(rows);
    r = db_change(db, "UPDATE layers SET merging = 1 WHERE id = ?", DB_VALUES(db_int(o->lower_id)),
                  ret_error);
    return r < 0 ? r : 0;
}

int registry_layer_begin_merge(struct registry *registry, const char *volume, bool below_top,
                               uint64_t *ret_upper_id, uint64_t *ret_lower_id,
                               struct error *ret_error)
{
    struct layer_operation o = {
        .operation = {.apply = apply_begin_merge}, .volume = volume, .below_top = below_top};
    int r = operation_run(registry, &o.operation, ret_error);
    if (r < 0)
        return r;
    *ret_upper_id = (uint64_t)o.id;
    *ret_lower_id = (uint64_t)o.lower_id;
    return o.lower_id != 0;
}

/* The layer below the top, if the top is empty and nothing else needs the one below it. */
static int find_below_empty(struct db *db, const struct overlay_row *row, int64_t *ret_id,
                            struct error *ret_error)
{
    return db_lookup(db,
                     "SELECT b.id FROM layers t JOIN layers b ON b.id = t.below_id"
                     " WHERE t.id = ? AND t.state = 'new' AND t.size = b.size"
                     " AND b.state <> 'removing' AND b.id NOT IN (SELECT layer_id FROM snapshots)"
                     " AND (SELECT count(*) FROM layers WHERE below_id = b.id) = 1",
                     DB_VALUES(db_int(row->layer_id)), ret_id, ret_error);
}

int overlay_row_drop_top(struct db *db, const struct overlay_row *row, struct error *ret_error)
{
    int64_t below_id = 0;
    char path[40];
    int r = find_below_empty(db, row, &below_id, ret_error);
    if (r <= 0)
        return r;
    snprintf(path, sizeof(path), "layers/%lld", (long long)below_id);
    r = db_change(db, "UPDATE volumes SET layer_id = ?, path = ? WHERE id = ?",
                  DB_VALUES(db_int(below_id), db_text(path), db_int(row->id)), ret_error);
    if (r >= 0) /* files of it may be there, if a daemon was killed while it made them */
        r = db_change(db, "UPDATE layers SET state = 'removing', below_id = NULL WHERE id = ?",
                      DB_VALUES(db_int(row->layer_id)), ret_error);
    return r < 0 ? r : 1;
}

static int apply_drop_top(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct layer_operation *o = container_of(operation, struct layer_operation, operation);
    struct overlay_row row = {0};
    int r = find_overlay(db, o, &row, ret_error);
    if (r >= 0)
        r = overlay_row_drop_top(db, &row, ret_error);
    o->changed = r > 0;
    return r < 0 ? r : 0;
}

int registry_overlay_drop_top(struct registry *registry, const char *volume,
                              struct error *ret_error)
{
    struct layer_operation o = {.operation = {.apply = apply_drop_top}, .volume = volume};
    int r = run(registry, &o, ret_error);
    return r < 0 ? r : o.changed;
}

static int apply_merged(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct layer_operation *o = container_of(operation, struct layer_operation, operation);
    int r = find_volume(db, o, ret_error);
    if (r >= 0)
        r = db_change(db,
                      "UPDATE layers SET (below_id, image_version_id) ="
                      " (SELECT below_id, image_version_id FROM layers WHERE id = ?2)"
                      " WHERE id = ?1 AND below_id = ?2",
                      DB_VALUES(db_int(o->id), db_int(o->lower_id)), ret_error);
    if (r > 0)
        r = db_change(db,
                      "UPDATE layers SET state = 'removing', image_version_id = NULL WHERE id = ?",
                      DB_VALUES(db_int(o->lower_id)), ret_error);
    return r < 0 ? r : 0;
}

int registry_layer_merged(struct registry *registry, uint64_t upper_id, uint64_t lower_id,
                          struct error *ret_error)
{
    struct layer_operation o = {.operation = {.apply = apply_merged},
                                .id = (int64_t)upper_id,
                                .lower_id = (int64_t)lower_id};
    return run(registry, &o, ret_error);
}

static int apply_forget(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct layer_operation *o = container_of(operation, struct layer_operation, operation);
    int r =
        db_change(db, "UPDATE layers SET below_id = NULL WHERE below_id = ? AND state = 'removing'",
                  DB_VALUES(db_int(o->id)), ret_error);
    if (r >= 0)
        r = db_change(db, "DELETE FROM layers WHERE id = ? AND state = 'removing'",
                      DB_VALUES(db_int(o->id)), ret_error);
    return r < 0 ? r : 0;
}

int registry_layer_forget(struct registry *registry, uint64_t layer_id, struct error *ret_error)
{
    struct layer_operation o = {.operation = {.apply = apply_forget}, .id = (int64_t)layer_id};
    return operation_run(registry, &o.operation, ret_error);
}

static int apply_drop(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct layer_operation *o = container_of(operation, struct layer_operation, operation);
    int64_t id = 0;
    int r = find_named(db, "SELECT id FROM volumes WHERE name = ? AND state = 'removing'", "volume",
                       o->volume, &id, ret_error);
    operation->changed.volume_id = r >= 0 ? id : 0;
    if (r >= 0)
        r = db_change(db, "UPDATE volumes SET layer_id = NULL WHERE id = ?", DB_VALUES(db_int(id)),
                      ret_error);
    if (r >= 0)
        r = db_change(db, "DELETE FROM snapshots WHERE volume_id = ?", DB_VALUES(db_int(id)),
                      ret_error);
    return r < 0 ? r : overlay_row_mark_unneeded(db, id, ret_error);
}

int registry_overlay_drop(struct registry *registry, const char *volume, struct error *ret_error)
{
    struct layer_operation o = {.operation = {.apply = apply_drop}, .volume = volume};
    return run(registry, &o, ret_error);
}

static int apply_grow(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct layer_operation *o = container_of(operation, struct layer_operation, operation);
    int r = db_lookup(db, "SELECT id FROM volumes WHERE name = ?", DB_VALUES(db_text(o->volume)),
                      &operation->changed.volume_id, ret_error);
    if (r >= 0)
        r = db_change(db, "UPDATE volumes SET size = ? WHERE name = ? AND size <= ?1",
                      DB_VALUES(db_int((int64_t)o->size), db_text(o->volume)), ret_error);
    if (r > 0)
        r = db_change(db,
                      "UPDATE layers SET size = ?"
                      " WHERE id = (SELECT layer_id FROM volumes WHERE name = ?)",
                      DB_VALUES(db_int((int64_t)o->size), db_text(o->volume)), ret_error);
    return r < 0 ? r : 0;
}

int registry_volume_grow(struct registry *registry, const char *volume, uint64_t size,
                         struct error *ret_error)
{
    struct layer_operation o = {.operation = {.apply = apply_grow}, .volume = volume, .size = size};
    return run(registry, &o, ret_error);
}

/* --- layers on their way out --- */

struct removing_operation {
    struct operation operation;
    struct registry_layer *found;
    size_t count;
};

static int list_removing(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct removing_operation *o = container_of(operation, struct removing_operation, operation);
    sqlite3_stmt *rows = db_start(db, "SELECT id FROM layers WHERE state = 'removing' ORDER BY id",
                                  DB_NO_VALUES, ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        struct registry_layer *grown = reallocarray(o->found, o->count + 1, sizeof(*o->found));
        if (!grown) {
            db_end(rows);
            return error_set(ret_error, -ENOMEM, "out of memory");
        }
        o->found = grown;
        struct registry_layer *l = &grown[o->count++];
        l->id = (uint64_t)sqlite3_column_int64(rows, 0);
        path_of_layer(db, (int64_t)l->id, l->path);
    }
    return r;
}

int registry_layer_list_removing(struct registry *registry, struct registry_layer **ret_layers,
                                 size_t *ret_count, struct error *ret_error)
{
    struct removing_operation o = {.operation = {.apply = list_removing, .reads_only = true}};
    int r = operation_run(registry, &o.operation, ret_error);
    if (r < 0) {
        free(o.found);
        return r;
    }
    *ret_layers = o.found;
    *ret_count = o.count;
    return 0;
}
