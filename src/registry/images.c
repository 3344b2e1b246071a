/* Images and their versions, and what a killed daemon left half-done. */
#include "registry/operation.h"

#include <errno.h>

struct image_operation {
    struct operation operation;
    const char *name;
    const char *directory;
    uint32_t version; /* begin: result */
    uint64_t size;
    char *path; /* result */
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
    if (asprintf(&o->path, "%s/%s/%u.raw", o->directory, o->name, o->version) < 0) {
        o->path = NULL;
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    int r = db_change(db, "UPDATE images SET last_version = ? WHERE id = ?",
                      DB_VALUES(db_int(o->version), db_int(image_id)), ret_error);
    if (r >= 0)
        r = db_change(db,
                      "INSERT INTO image_versions (image_id, version, state, path, size,"
                      " created_at, identity) VALUES (?, ?, 'importing', ?, 0, ?, randomblob(16))",
                      DB_VALUES(db_int(image_id), db_int(o->version),
                                db_text(path_to_store(db, o->path)),
                                db_int((int64_t)clock_wall_usec())),
                      ret_error);
    return r;
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

int registry_image_begin(struct registry *registry, const char *name, const char *directory,
                         uint32_t *ret_version, char **ret_path, struct error *ret_error)
{
    if (!name_is_object(name))
        return error_set(ret_error, -EINVAL,
                         "'%s' cannot be an image's name: use lower case letters, digits, . and "
                         "-, at most %d",
                         name, NAME_MAX_LEN);
    struct image_operation o = {
        .operation = {.apply = begin}, .name = name, .directory = directory};
    int r = operation_run(registry, &o.operation, ret_error);
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
    int r =
        db_change(db,
                  "UPDATE image_versions SET size = ?, created_at = ?, state = 'ready'" THIS_VERSION
                  " AND state = 'importing'",
                  DB_VALUES(db_int((int64_t)o->size), db_int((int64_t)clock_wall_usec()),
                            db_text(o->name), db_int(o->version)),
                  ret_error);
    return r == 0 ? no_version(o->name, o->version, ret_error) : r;
}

int registry_image_finish(struct registry *registry, const char *name, uint32_t version,
                          uint64_t size, struct error *ret_error)
{
    struct image_operation o = {.operation = {.apply = finish, .changes_catalog = true},
                                .name = name,
                                .version = version,
                                .size = size};
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

static int check_not_copied(struct db *db, const struct image_operation *o, struct error *ret_error)
{
    char label[NAME_MAX_LEN + 16];
    snprintf(label, sizeof(label), "%s@%u", o->name, o->version);
    sqlite3_stmt *rows =
        db_start(db, "SELECT name FROM volumes WHERE state = 'creating' AND image = ? LIMIT 1",
                 DB_VALUES(db_text(label)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r > 0) {
        r = error_set(ret_error, -EBUSY,
                      "image '%s' is being copied to volume '%s' right now; try again when that is "
                      "done",
                      label, db_column_text(rows, 0));
        db_end(rows);
    }
    return r;
}

static int remove_begin(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct image_operation *o = container_of(operation, struct image_operation, operation);
    int r = check_not_copied(db, o, ret_error);
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

struct leftovers_operation {
    struct operation operation;
    struct registry_leftover *found;
    size_t count;
};

/* what, name, version, removing, path */
static const char leftovers_sql[] =
    "SELECT iif(state = 'creating', 0, 1), name, 0, 0, iif(owned, path, '') FROM volumes"
    " WHERE state IN ('creating', 'removing')"
    " UNION ALL"
    " SELECT 2, i.name, v.version, v.state = 'removing', v.path"
    " FROM image_versions v JOIN images i ON i.id = v.image_id WHERE v.state <> 'ready'";

_Static_assert(LEFTOVER_VOLUME_CREATING == 0 && LEFTOVER_VOLUME_REMOVING == 1 &&
                   LEFTOVER_IMAGE == 2,
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
