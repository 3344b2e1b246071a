/* Reads the layers and snapshots of an overlay into the catalog. */
#include "registry/operation.h"

#include <errno.h>

#define MAX_LAYERS REGISTRY_MAX_LAYERS

/* A row of the table. */
struct row {
    struct catalog_layer layer;
    int64_t below_id, image_version_id; /* 0: none */
};

struct rows {
    struct overlay_loader *loader;
    struct arena *arena; /* the loader's */
    const char *volume;
    struct row *list;
    size_t count, room;
};

static int damaged(struct db *db, const char *volume, const char *what, struct error *ret_error)
{
    return error_set(ret_error, -EUCLEAN,
                     "the registry %s is damaged: volume '%.64s' has %s; restore it from a backup",
                     db->path, volume, what);
}

static int no_memory(struct error *ret_error)
{
    return error_set(ret_error, -ENOMEM, "out of memory");
}

static int read_identity(struct db *db, sqlite3_stmt *row, int column, const char *volume,
                         uint8_t ret_identity[static CATALOG_IDENTITY_SIZE],
                         struct error *ret_error)
{
    const void *identity = sqlite3_column_blob(row, column);
    if (!identity || sqlite3_column_bytes(row, column) != CATALOG_IDENTITY_SIZE)
        return damaged(db, volume, "a layer or image without an identity", ret_error);
    memcpy(ret_identity, identity, CATALOG_IDENTITY_SIZE);
    return 0;
}

/* The next free place. NULL: no memory. */
static struct row *add_row(struct rows *rows)
{
    if (rows->count == rows->room) {
        size_t room = rows->room ? rows->room * 2 : 8;
        struct row *grown = arena_alloc(rows->arena, room * sizeof(*grown));
        if (!grown)
            return NULL;
        if (rows->count > 0)
            memcpy(grown, rows->list, rows->count * sizeof(*grown));
        rows->list = grown;
        rows->room = room;
    }
    return &rows->list[rows->count++];
}

static int read_row(struct db *db, sqlite3_stmt *from, struct rows *rows, struct error *ret_error)
{
    char path[PATH_MAX];
    struct row *row = add_row(rows);
    if (!row)
        return no_memory(ret_error);
    *row = (struct row){
        .layer = {.id = (uint64_t)sqlite3_column_int64(from, 0),
                  .size = (uint64_t)sqlite3_column_int64(from, 4),
                  .made = str_eq(db_column_text(from, 5), "made")},
        .below_id = sqlite3_column_int64(from, 2),
        .image_version_id = sqlite3_column_int64(from, 3),
    };
    row->layer.path = arena_strdup(rows->arena, path_of_layer(db, (int64_t)row->layer.id, path));
    if (!row->layer.path)
        return no_memory(ret_error);
    return read_identity(db, from, 1, rows->volume, row->layer.identity, ret_error);
}

static int read_rows(struct db *db, int64_t volume_id, struct rows *rows, struct error *ret_error)
{
    sqlite3_stmt *from =
        db_start(db,
                 "SELECT id, identity, below_id, image_version_id, size, state FROM layers"
                 " WHERE volume_id = ? AND state <> 'removing' ORDER BY id",
                 DB_VALUES(db_int(volume_id)), ret_error);
    if (!from)
        return ret_error->code;
    int r;
    while ((r = db_next(db, from, ret_error)) > 0) {
        r = read_row(db, from, rows, ret_error);
        if (r < 0) {
            db_end(from);
            return r;
        }
    }
    return r;
}

static const struct row *find_row(const struct rows *rows, int64_t id)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->list[i].layer.id == (uint64_t)id)
            return &rows->list[i];
    return NULL;
}

static int read_base(struct db *db, const struct rows *rows, int64_t version_id,
                     struct catalog_base *ret_base, struct error *ret_error)
{
    /* a thousand volumes stand on one image */
    if (rows->loader->base.version_id == (uint64_t)version_id) {
        *ret_base = rows->loader->base;
        return 0;
    }
    char path[PATH_MAX], image[NAME_MAX_LEN + 16];
    sqlite3_stmt *from =
        db_start(db,
                 "SELECT i.name, v.version, v.path, v.size, v.identity FROM image_versions v"
                 " JOIN images i ON i.id = v.image_id WHERE v.id = ?",
                 DB_VALUES(db_int(version_id)), ret_error);
    if (!from)
        return ret_error->code;
    int r = db_next(db, from, ret_error);
    if (r <= 0)
        return r < 0 ? r : damaged(db, rows->volume, "a layer over no image", ret_error);
    snprintf(image, sizeof(image), "%.64s@%lld", db_column_text(from, 0),
             sqlite3_column_int64(from, 1));
    *ret_base = (struct catalog_base){
        .version_id = (uint64_t)version_id,
        .image = arena_strdup(rows->arena, image),
        .path = arena_strdup(rows->arena, path_from_store(db, db_column_text(from, 2), path)),
        .size = (uint64_t)sqlite3_column_int64(from, 3),
    };
    r = read_identity(db, from, 4, rows->volume, ret_base->identity, ret_error);
    db_end(from);
    if (r < 0 || !ret_base->image || !ret_base->path)
        return r < 0 ? r : no_memory(ret_error);
    rows->loader->base = *ret_base;
    return 0;
}

/* From a layer down to the bottom. */
static int read_stack(struct db *db, const struct rows *rows, int64_t top_id,
                      const struct catalog_layer **ret_layers, size_t *ret_count,
                      struct catalog_base *ret_base, struct error *ret_error)
{
    struct catalog_layer layers[MAX_LAYERS];
    size_t count = 0;
    int64_t version_id = 0;
    for (int64_t id = top_id; id;) {
        const struct row *row = find_row(rows, id);
        if (!row || count == MAX_LAYERS)
            return damaged(db, rows->volume, "a layer that is missing", ret_error);
        layers[count++] = row->layer;
        version_id = row->image_version_id;
        id = row->below_id;
    }
    struct catalog_layer *copy = arena_alloc(rows->arena, (count + 1) * sizeof(*copy));
    if (!copy)
        return no_memory(ret_error);
    memcpy(copy, layers, count * sizeof(*copy));
    *ret_layers = copy;
    *ret_count = count;
    return version_id ? read_base(db, rows, version_id, ret_base, ret_error) : 0;
}

static int read_snapshot(struct db *db, sqlite3_stmt *from, const struct rows *rows,
                         struct catalog_snapshot *ret_snapshot, struct error *ret_error)
{
    ret_snapshot->name = arena_strdup(rows->arena, db_column_text(from, 0));
    ret_snapshot->created_at = (uint64_t)sqlite3_column_int64(from, 2);
    if (!ret_snapshot->name)
        return no_memory(ret_error);
    int r = read_stack(db, rows, sqlite3_column_int64(from, 1), &ret_snapshot->layers,
                       &ret_snapshot->n_layers, &ret_snapshot->base, ret_error);
    if (r >= 0 && ret_snapshot->n_layers == 0)
        r = damaged(db, rows->volume, "a snapshot without a layer", ret_error);
    return r;
}

static int read_snapshots(struct db *db, int64_t volume_id, const struct rows *rows,
                          struct catalog_overlay *overlay, struct error *ret_error)
{
    struct catalog_snapshot *list =
        arena_alloc(rows->arena, (rows->count + 1) * sizeof(*list)); /* one has a layer each */
    if (!list)
        return no_memory(ret_error);
    sqlite3_stmt *from = db_start(db,
                                  "SELECT name, layer_id, created_at FROM snapshots"
                                  " WHERE volume_id = ? ORDER BY id",
                                  DB_VALUES(db_int(volume_id)), ret_error);
    if (!from)
        return ret_error->code;
    int r;
    while ((r = db_next(db, from, ret_error)) > 0) {
        r = overlay->n_snapshots < rows->count
                ? read_snapshot(db, from, rows, &list[overlay->n_snapshots++], ret_error)
                : damaged(db, rows->volume, "more snapshots than layers", ret_error);
        if (r < 0) {
            db_end(from);
            return r;
        }
    }
    overlay->snapshots = list;
    return r;
}

/* Is its disk a snapshot for one boot, or to be that? */
static int read_trial(struct db *db, int64_t volume_id, const struct rows *rows,
                      struct catalog_overlay *overlay, struct error *ret_error)
{
    sqlite3_stmt *from = db_start(
        db, "SELECT boot_id, snapshot, running, kept FROM volume_trials WHERE volume_id = ?",
        DB_VALUES(db_int(volume_id)), ret_error);
    if (!from)
        return ret_error->code;
    int r = db_next(db, from, ret_error);
    if (r <= 0)
        return r;
    struct catalog_trial *trial = arena_alloc(rows->arena, sizeof(*trial));
    if (trial)
        *trial = (struct catalog_trial){
            .boot_id = (uint64_t)sqlite3_column_int64(from, 0),
            .snapshot = arena_strdup(rows->arena, db_column_text_or_null(from, 1)),
            .running = arena_strdup(rows->arena, db_column_text_or_null(from, 2)),
            .kept = arena_strdup(rows->arena, db_column_text_or_null(from, 3)),
        };
    db_end(from);
    overlay->trial = trial;
    return trial ? 0 : no_memory(ret_error);
}

int overlay_load(struct db *db, struct overlay_loader *loader, int64_t volume_id, const char *name,
                 int64_t top_id, struct catalog_overlay *overlay, struct error *ret_error)
{
    struct rows rows = {.loader = loader, .arena = &loader->arena, .volume = name};
    int r = read_rows(db, volume_id, &rows, ret_error);
    if (r >= 0)
        r = read_stack(db, &rows, top_id, &overlay->layers, &overlay->n_layers, &overlay->base,
                       ret_error);
    if (r >= 0 && overlay->n_layers == 0)
        r = damaged(db, name, "no layer", ret_error);
    if (r >= 0 && rows.count > 1) /* a snapshot has a layer beside the top */
        r = read_snapshots(db, volume_id, &rows, overlay, ret_error);
    if (r >= 0 && overlay->n_snapshots > 0)
        r = read_trial(db, volume_id, &rows, overlay, ret_error);
    return r;
}
