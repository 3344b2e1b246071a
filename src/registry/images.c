/* Images and their versions, and what a killed daemon left half-done. */
#include "registry/image_users.h"
#include "registry/operation.h"

#include <errno.h>

struct image_operation {
    struct operation operation;
    const char *name;
    const struct registry_image *image;         /* begin */
    const struct registry_image_result *result; /* finish */
    const char *text;                           /* record: the checksum; rename: the new name */
    const struct catalog_label *labels;         /* set_labels */
    size_t n_labels;
    uint32_t version; /* begin: result */
    char *path;       /* result */
};

static int find_image(struct db *db, const char *name, int64_t *ret_id, int64_t *ret_last,
                      struct error *ret_error)
{
    sqlite3_stmt *rows = db_start(db, "SELECT id, last_version FROM images WHERE name = ?",
                                  DB_VALUES(db_text(name)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r > 0) {
        *ret_id = sqlite3_column_int64(rows, 0);
        *ret_last = sqlite3_column_int64(rows, 1);
        db_end(rows);
    }
    return r;
}

static int insert_version(struct db *db, struct image_operation *o, int64_t image_id,
                          struct error *ret_error)
{
    const struct registry_image *image = o->image;
    if (asprintf(&o->path, "%s/%s/%u.raw", image->directory, image->name, o->version) < 0) {
        o->path = NULL;
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    int r = db_change(db, "UPDATE images SET last_version = ? WHERE id = ?",
                      DB_VALUES(db_int(o->version), db_int(image_id)), ret_error);
    if (r >= 0)
        r = db_change(db,
                      "INSERT INTO image_versions (image_id, version, state, path, size,"
                      " created_at, identity, source)"
                      " VALUES (?, ?, 'importing', ?, 0, ?, randomblob(16), ?)",
                      DB_VALUES(db_int(image_id), db_int(o->version),
                                db_text(path_to_store(db, o->path)),
                                db_int((int64_t)clock_wall_usec()), db_text(image->source)),
                      ret_error);
    return r < 0 ? r
                 : labels_store(db, sqlite3_last_insert_rowid(db->handle), image->labels,
                                image->n_labels, ret_error);
}

static int begin(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct image_operation *o = container_of(operation, struct image_operation, operation);
    int64_t id = 0, last = 0;
    int r = find_image(db, o->name, &id, &last, ret_error);
    if (r == 0) {
        r = db_change(db, "INSERT INTO images (name) VALUES (?)", DB_VALUES(db_text(o->name)),
                      ret_error);
        id = sqlite3_last_insert_rowid(db->handle);
    }
    if (r < 0)
        return r;
    o->version = (uint32_t)last + 1;
    return insert_version(db, o, id, ret_error);
}

static int check_name(const char *name, struct error *ret_error)
{
    if (name_is_object(name))
        return 0;
    return error_set(ret_error, -EINVAL,
                     "'%s' cannot be an image's name: use lower case letters, digits, . and "
                     "-, at most %d",
                     name, NAME_MAX_LEN);
}

int registry_image_begin(struct registry *registry, const struct registry_image *image,
                         uint32_t *ret_version, char **ret_path, struct error *ret_error)
{
    int r = check_name(image->name, ret_error);
    if (r >= 0)
        r = labels_check(image->labels, image->n_labels, ret_error);
    if (r < 0)
        return r;
    struct image_operation o = {.operation = {.apply = begin}, .name = image->name, .image = image};
    r = operation_run(registry, &o.operation, ret_error);
    if (r < 0) {
        free(o.path);
        return r;
    }
    *ret_version = o.version;
    *ret_path = o.path;
    return 0;
}

static int no_version(const char *name, uint32_t version, struct error *ret_error)
{
    return error_set(ret_error, -ENOENT, "there is no image '%s@%u'; see: nodisk image list", name,
                     version);
}

#define THIS_VERSION " WHERE image_id = (SELECT id FROM images WHERE name = ?) AND version = ?"

static int finish(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct image_operation *o = container_of(operation, struct image_operation, operation);
    const struct registry_image_result *result = o->result;
    int r = db_change(db,
                      "UPDATE image_versions SET size = ?, created_at = ?, sha256 = ?, format = ?,"
                      " state = 'ready'" THIS_VERSION " AND state = 'importing'",
                      DB_VALUES(db_int((int64_t)result->size), db_int((int64_t)clock_wall_usec()),
                                db_text(result->sha256), db_text(result->format), db_text(o->name),
                                db_int(o->version)),
                      ret_error);
    return r == 0 ? no_version(o->name, o->version, ret_error) : r;
}

int registry_image_finish(struct registry *registry, const char *name, uint32_t version,
                          const struct registry_image_result *result, struct error *ret_error)
{
    struct image_operation o = {.operation = {.apply = finish, .changes_catalog = true},
                                .name = name,
                                .version = version,
                                .result = result};
    return operation_run(registry, &o.operation, ret_error);
}

static int record(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct image_operation *o = container_of(operation, struct image_operation, operation);
    int r = db_change(db,
                      "UPDATE image_versions SET sha256 = ?" THIS_VERSION
                      " AND state = 'ready' AND sha256 IS NULL",
                      DB_VALUES(db_text(o->text), db_text(o->name), db_int(o->version)), ret_error);
    return r == 0 ? no_version(o->name, o->version, ret_error) : r;
}

int registry_image_record(struct registry *registry, const char *name, uint32_t version,
                          const char *sha256, struct error *ret_error)
{
    struct image_operation o = {.operation = {.apply = record, .changes_catalog = true},
                                .name = name,
                                .version = version,
                                .text = sha256};
    return operation_run(registry, &o.operation, ret_error);
}

static int abandon(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct image_operation *o = container_of(operation, struct image_operation, operation);
    int r = db_change(db, "DELETE FROM image_versions" THIS_VERSION " AND state = 'importing'",
                      DB_VALUES(db_text(o->name), db_int(o->version)), ret_error);
    if (r <= 0)
        return r;
    /* nobody ever saw the number, so it may be given again */
    return db_change(db,
                     "UPDATE images SET last_version = last_version - 1 WHERE name = ?"
                     " AND last_version = ?",
                     DB_VALUES(db_text(o->name), db_int(o->version)), ret_error);
}

int registry_image_abandon(struct registry *registry, const char *name, uint32_t version,
                           struct error *ret_error)
{
    struct image_operation o = {.operation = {.apply = abandon}, .name = name, .version = version};
    return operation_run(registry, &o.operation, ret_error);
}

static int check_unused(struct db *db, const struct image_operation *o, struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_load(db, "", 0, ret_error);
    if (!catalog)
        return ret_error->code;
    const struct catalog_image *image = catalog_image_find(catalog, o->name, o->version);
    return image ? image_check_unused(catalog, image, ret_error)
                 : no_version(o->name, o->version, ret_error);
}

static int remove_begin(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct image_operation *o = container_of(operation, struct image_operation, operation);
    int r = check_unused(db, o, ret_error);
    if (r < 0)
        return r;
    r = db_change(
        db, "UPDATE image_versions SET state = 'removing'" THIS_VERSION " AND state = 'ready'",
        DB_VALUES(db_text(o->name), db_int(o->version)), ret_error);
    if (r <= 0)
        return r < 0 ? r : no_version(o->name, o->version, ret_error);
    sqlite3_stmt *rows = db_start(db, "SELECT path FROM image_versions" THIS_VERSION,
                                  DB_VALUES(db_text(o->name), db_int(o->version)), ret_error);
    r = rows ? db_next(db, rows, ret_error) : ret_error->code;
    if (r <= 0)
        return r;
    char path[PATH_MAX];
    o->path = strdup(path_from_store(db, db_column_text(rows, 0), path));
    db_end(rows);
    return o->path ? 0 : error_set(ret_error, -ENOMEM, "out of memory");
}

int registry_image_remove_begin(struct registry *registry, const char *name, uint32_t version,
                                char **ret_path, struct error *ret_error)
{
    struct image_operation o = {.operation = {.apply = remove_begin, .changes_catalog = true},
                                .name = name,
                                .version = version};
    int r = operation_run(registry, &o.operation, ret_error);
    if (r < 0)
        free(o.path);
    else
        *ret_path = o.path;
    return r;
}

static int remove_end(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct image_operation *o = container_of(operation, struct image_operation, operation);
    return db_change(db, "DELETE FROM image_versions" THIS_VERSION " AND state = 'removing'",
                     DB_VALUES(db_text(o->name), db_int(o->version)), ret_error);
}

int registry_image_remove_end(struct registry *registry, const char *name, uint32_t version,
                              struct error *ret_error)
{
    struct image_operation o = {
        .operation = {.apply = remove_end}, .name = name, .version = version};
    return operation_run(registry, &o.operation, ret_error);
}

/* The name that it had keeps its numbers: what was once called debian12@3 is never anything else,
 * and no file is ever given another version's path. */
static int keep_old_name(struct db *db, const struct image_operation *o, int64_t last,
                         struct error *ret_error)
{
    return db_change(db, "INSERT INTO images (name, last_version) VALUES (?, ?)",
                     DB_VALUES(db_text(o->name), db_int(last)), ret_error);
}

/* The new name may be one that there was once. */
static int take_new_name(struct db *db, const struct image_operation *o, int64_t id, int64_t last,
                         struct error *ret_error)
{
    int64_t other = 0, other_last = 0, versions = 0;
    int r = find_image(db, o->text, &other, &other_last, ret_error);
    if (r > 0)
        r = db_lookup(db, "SELECT count(*) FROM image_versions WHERE image_id = ?",
                      DB_VALUES(db_int(other)), &versions, ret_error);
    if (r >= 0 && versions > 0)
        return error_set(ret_error, -EEXIST, "there is an image '%s' already", o->text);
    if (r > 0)
        r = db_change(db, "DELETE FROM images WHERE id = ?", DB_VALUES(db_int(other)), ret_error);
    return r < 0 ? r
                 : db_change(db, "UPDATE images SET name = ?, last_version = ? WHERE id = ?",
                             DB_VALUES(db_text(o->text), db_int(MAX(last, other_last)), db_int(id)),
                             ret_error);
}

static int check_settled(struct db *db, const char *name, int64_t id, struct error *ret_error)
{
    int64_t ready = 0, busy = 0;
    int r = db_lookup(db,
                      "SELECT count(*) FROM image_versions WHERE image_id = ?"
                      " AND state = 'ready'",
                      DB_VALUES(db_int(id)), &ready, ret_error);
    if (r >= 0)
        r = db_lookup(db,
                      "SELECT count(*) FROM image_versions WHERE image_id = ?"
                      " AND state <> 'ready'",
                      DB_VALUES(db_int(id)), &busy, ret_error);
    if (r >= 0 && busy > 0)
        return error_set(ret_error, -EBUSY,
                         "a version of image '%s' is being imported or removed; try again when "
                         "that is done",
                         name);
    if (r >= 0 && ready == 0)
        return error_set(ret_error, -ENOENT, "there is no image '%s'; see: nodisk image list",
                         name);
    return r < 0 ? r : 0;
}

/* Volumes tell what they were copied from by its name. */
static int rename_in_volumes(struct db *db, const struct image_operation *o,
                             struct error *ret_error)
{
    return db_change(db,
                     "UPDATE volumes SET image = ?1 || substr(image, length(?2) + 1)"
                     " WHERE substr(image, 1, length(?2) + 1) = ?2 || '@'",
                     DB_VALUES(db_text(o->text), db_text(o->name)), ret_error);
}

static int apply_rename(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct image_operation *o = container_of(operation, struct image_operation, operation);
    int64_t id = 0, last = 0;
    int r = find_image(db, o->name, &id, &last, ret_error);
    if (r >= 0)
        r = check_settled(db, o->name, id, ret_error);
    if (r >= 0)
        r = take_new_name(db, o, id, last, ret_error);
    if (r >= 0)
        r = keep_old_name(db, o, last, ret_error);
    return r < 0 ? r : rename_in_volumes(db, o, ret_error);
}

int registry_image_rename(struct registry *registry, const char *name, const char *new_name,
                          struct error *ret_error)
{
    struct image_operation o = {.operation = {.apply = apply_rename, .changes_catalog = true},
                                .name = name,
                                .text = new_name};
    int r = check_name(new_name, ret_error);
    if (r >= 0 && str_eq(name, new_name))
        r = error_set(ret_error, -EEXIST, "the image is called '%s' already", name);
    return r < 0 ? r : operation_run(registry, &o.operation, ret_error);
}

static int apply_labels(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct image_operation *o = container_of(operation, struct image_operation, operation);
    int64_t id = 0;
    int r = db_lookup(db,
                      "SELECT v.id FROM image_versions v JOIN images i ON i.id = v.image_id"
                      " WHERE i.name = ?1 AND state = 'ready' AND (version = ?2 OR ?2 = 0)"
                      " ORDER BY version DESC LIMIT 1",
                      DB_VALUES(db_text(o->name), db_int(o->version)), &id, ret_error);
    if (r == 0)
        return error_set(ret_error, -ENOENT, "there is no such image '%s'; see: nodisk image list",
                         o->name);
    return r < 0 ? r : labels_store(db, id, o->labels, o->n_labels, ret_error);
}

int registry_image_set_labels(struct registry *registry, const char *name, uint32_t version,
                              const struct catalog_label *labels, size_t n_labels,
                              struct error *ret_error)
{
    struct image_operation o = {.operation = {.apply = apply_labels, .changes_catalog = true},
                                .name = name,
                                .version = version,
                                .labels = labels,
                                .n_labels = n_labels};
    int r = labels_check(labels, n_labels, ret_error);
    return r < 0 ? r : operation_run(registry, &o.operation, ret_error);
}

struct leftovers_operation {
    struct operation operation;
    struct registry_leftover *found;
    size_t count;
};

/* what, name, version, removing, path */
static const char leftovers_sql[] =
    "SELECT CASE WHEN state = 'creating' THEN 0 WHEN kind = 'overlay' AND layer_id IS NULL THEN 3"
    " ELSE 1 END, name, 0, 0, iif(owned AND kind <> 'overlay', path, '') FROM volumes"
    " WHERE state IN ('creating', 'removing')"
    " UNION ALL"
    " SELECT 2, i.name, v.version, v.state = 'removing', v.path"
    " FROM image_versions v JOIN images i ON i.id = v.image_id WHERE v.state <> 'ready'";

_Static_assert(LEFTOVER_VOLUME_CREATING == 0 && LEFTOVER_VOLUME_REMOVING == 1 &&
                   LEFTOVER_IMAGE == 2 && LEFTOVER_OVERLAY_REMOVING == 3,
               "the numbers in leftovers_sql");

static int list_leftovers(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct leftovers_operation *o = container_of(operation, struct leftovers_operation, operation);
    sqlite3_stmt *rows = db_start(db, leftovers_sql, DB_NO_VALUES, ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        struct registry_leftover *grown = reallocarray(o->found, o->count + 1, sizeof(*o->found));
        if (!grown) {
            db_end(rows);
            return error_set(ret_error, -ENOMEM, "out of memory");
        }
        o->found = grown;
        struct registry_leftover *l = &grown[o->count++];
        l->what = (unsigned)sqlite3_column_int(rows, 0);
        str_copy(l->name, sizeof(l->name), db_column_text(rows, 1));
        l->version = (uint32_t)sqlite3_column_int64(rows, 2);
        l->removing = sqlite3_column_int(rows, 3) != 0;
        path_from_store(db, db_column_text(rows, 4), l->path);
    }
    return r;
}

int registry_list_leftovers(struct registry *registry, struct registry_leftover **ret_leftovers,
                            size_t *ret_count, struct error *ret_error)
{
    struct leftovers_operation o = {.operation = {.apply = list_leftovers, .reads_only = true}};
    int r = operation_run(registry, &o.operation, ret_error);
    if (r < 0) {
        free(o.found);
        return r;
    }
    *ret_leftovers = o.found;
    *ret_count = o.count;
    return 0;
}
