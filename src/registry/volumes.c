/* Volumes. The files behind them are the business of src/storage. */
#include "registry/operation.h"

#include <errno.h>
#include <sys/random.h>

struct volume_operation {
    struct operation operation;
    const char *name;
    const struct registry_volume *volume;
    const char *failure;
    const char *except_node;
    bool keep;
    char *path; /* result */
};

static int set_allow(struct db *db, int64_t id, const struct registry_volume *volume,
                     struct error *ret_error)
{
    int r = db_change(db, "DELETE FROM volume_allow WHERE volume_id = ?", DB_VALUES(db_int(id)),
                      ret_error);
    for (size_t i = 0; r >= 0 && i < volume->n_allow; i++) {
        if (!name_is_iqn(volume->allow[i]))
            return error_set(ret_error, -EINVAL,
                             "'%.230s' is not an initiator's name such as "
                             "iqn.2026-11.lan.example:web1 (lower case)",
                             volume->allow[i]);
        r = db_change(db,
                      "INSERT INTO volume_allow (volume_id, initiator) VALUES (?, ?)"
                      " ON CONFLICT DO NOTHING",
                      DB_VALUES(db_int(id), db_text(volume->allow[i])), ret_error);
    }
    return r < 0 ? r : 0;
}

/* A failed volume of this name makes room, and its nodes get the new one. */
static int check_name_free(struct db *db, const char *name, int64_t *ret_failed_id,
                           struct error *ret_error)
{
    sqlite3_stmt *rows = db_start(db, "SELECT id, state FROM volumes WHERE name = ?",
                                  DB_VALUES(db_text(name)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r <= 0)
        return r;
    bool failed = str_eq(db_column_text(rows, 1), "failed");
    if (failed)
        *ret_failed_id = sqlite3_column_int64(rows, 0);
    else
        r = error_set(ret_error, -EEXIST,
                      "there is a volume '%s' already; take another name, or remove it first: "
                      "nodisk volume remove %s",
                      name, name);
    db_end(rows);
    return r < 0 ? r : 0;
}

static int check_path_free(struct db *db, const struct registry_volume *volume,
                           struct error *ret_error)
{
    sqlite3_stmt *rows = db_start(
        db, "SELECT name FROM volumes WHERE path = ? AND name <> ?",
        DB_VALUES(db_text(path_to_store(db, volume->path)), db_text(volume->name)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r > 0) {
        r = error_set(ret_error, -EEXIST, "%s is already volume '%s'", volume->path,
                      db_column_text(rows, 0));
        db_end(rows);
    }
    return r;
}

static int insert_row(struct db *db, const struct registry_volume *v, struct error *ret_error)
{
    uint8_t serial[16];
    if (getrandom(serial, sizeof(serial), 0) != sizeof(serial))
        return error_set(ret_error, -EIO, "the system has no random numbers");
    return db_change(
        db,
        "INSERT INTO volumes (name, kind, state, path, owned, size, block_size, read_only,"
        " thick, removable, allow_any, serial, image, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        DB_VALUES(db_text(v->name), db_text(volume_kind_name(v->kind)),
                  db_text(v->state == VOLUME_CREATING ? "creating" : "ready"),
                  db_text(path_to_store(db, v->path)), db_int(v->owned), db_int((int64_t)v->size),
                  db_int(v->block_size), db_int(v->read_only), db_int(v->thick),
                  db_int(v->removable), db_int(v->allow_any), db_blob(serial, sizeof(serial)),
                  db_text(v->image), db_int((int64_t)clock_wall_usec())),
        ret_error);
}

/* Gives the nodes of the failed volume the new one and forgets the failed one. */
static int replace_failed(struct db *db, int64_t failed_id, const char *name,
                          const char *parked_name, struct error *ret_error)
{
    int r = db_change(db,
                      "UPDATE nodes SET volume_id = (SELECT id FROM volumes WHERE name = ?)"
                      " WHERE volume_id = ?",
                      DB_VALUES(db_text(name), db_int(failed_id)), ret_error);
    if (r >= 0)
        r = db_change(db, "DELETE FROM volumes WHERE name = ?", DB_VALUES(db_text(parked_name)),
                      ret_error);
    return r;
}

static int add_first_layer(struct db *db, int64_t id, const struct registry_volume *v,
                           struct error *ret_error)
{
    int64_t version_id = 0;
    int r = !v->image
                ? 0
                : db_lookup(db,
                            "SELECT v.id FROM image_versions v JOIN images i ON i.id = v.image_id"
                            " WHERE i.name || '@' || v.version = ? AND v.state = 'ready'",
                            DB_VALUES(db_text(v->image)), &version_id, ret_error);
    if (r >= 0 && v->image && !version_id)
        return error_set(ret_error, -ENOENT, "there is no image '%s'; see: nodisk image list",
                         v->image);
    if (r >= 0)
        r = db_change(db, "UPDATE volumes SET follows = ?, ephemeral = ? WHERE id = ?",
                      DB_VALUES(db_int(v->follows), db_int(v->ephemeral), db_int(id)), ret_error);
    return r < 0 ? r : overlay_put_top(db, id, 0, version_id, v->size, ret_error);
}

int volume_insert(struct db *db, const struct registry_volume *volume, struct changed *changed,
                  struct error *ret_error)
{
    int64_t failed_id = 0;
    char parked_name[NAME_MAX_LEN + 32], parked_path[PATH_MAX];
    if (!name_is_object(volume->name))
        return error_set(ret_error, -EINVAL,
                         "'%s' cannot be a volume's name: use lower case letters, digits, . and "
                         "-, at most %d",
                         volume->name, NAME_MAX_LEN);
    int r = check_name_free(db, volume->name, &failed_id, ret_error);
    if (r >= 0)
        r = check_path_free(db, volume, ret_error);
    /* names and paths are unique: the failed one steps aside for a moment */
    snprintf(parked_name, sizeof(parked_name), "%s (replaced)", volume->name);
    snprintf(parked_path, sizeof(parked_path), "replaced-%lld", (long long)failed_id);
    if (r >= 0 && failed_id)
        r = db_change(db, "UPDATE volumes SET name = ?, path = ? WHERE id = ?",
                      DB_VALUES(db_text(parked_name), db_text(parked_path), db_int(failed_id)),
                      ret_error);
    if (r >= 0)
        r = insert_row(db, volume, ret_error);
    if (r < 0)
        return r;
    int64_t id = sqlite3_last_insert_rowid(db->handle);
    changed->volume_id = id;
    changed->more = failed_id != 0;
    r = set_allow(db, id, volume, ret_error);
    if (r >= 0)
        r = sources_store(db, id, volume->sources, volume->n_sources, ret_error);
    if (r >= 0 && volume->kind == VOLUME_OVERLAY)
        r = add_first_layer(db, id, volume, ret_error);
    if (r >= 0 && volume->chap)
        r = chap_store_volume(db, id, volume->chap, ret_error);
    if (r >= 0 && failed_id)
        r = replace_failed(db, failed_id, volume->name, parked_name, ret_error);
    return r < 0 ? r : elsewhere_check(db, 0, id, ret_error);
}

static int add(struct db *db, struct operation *operation, struct error *ret_error)
{
    return volume_insert(db, container_of(operation, struct volume_operation, operation)->volume,
                         &operation->changed, ret_error);
}

int registry_volume_add(struct registry *registry, const struct registry_volume *volume,
                        struct error *ret_error)
{
    struct volume_operation o = {.operation = {.apply = add, .changes_catalog = true},
                                 .volume = volume};
    return operation_run(registry, &o.operation, ret_error);
}

static int no_volume(const char *name, struct error *ret_error)
{
    return error_set(ret_error, -ENOENT, "there is no volume '%s'; see: nodisk volume list", name);
}

/* The one that an operation is about, and nothing else of the catalog, if there is one. */
static int name_changed(struct db *db, struct volume_operation *o, struct error *ret_error)
{
    return db_lookup(db, "SELECT id FROM volumes WHERE name = ?", DB_VALUES(db_text(o->name)),
                     &o->operation.changed.volume_id, ret_error);
}

static int finish(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct volume_operation *o = container_of(operation, struct volume_operation, operation);
    int r = name_changed(db, o, ret_error);
    if (r < 0)
        return r;
    if (!o->failure) {
        r = db_change(db,
                      "UPDATE volumes SET state = 'ready' WHERE name = ? AND state = 'creating'",
                      DB_VALUES(db_text(o->name)), ret_error);
        return r == 0 ? no_volume(o->name, ret_error) : r;
    }
    r = db_change(db,
                  "UPDATE volumes SET state = 'failed', failure = ? WHERE name = ?"
                  " AND state = 'creating' AND id IN (SELECT volume_id FROM nodes)",
                  DB_VALUES(db_text(o->failure), db_text(o->name)), ret_error);
    if (r == 0)
        r = db_change(db, "DELETE FROM volumes WHERE name = ? AND state = 'creating'",
                      DB_VALUES(db_text(o->name)), ret_error);
    return r == 0 ? no_volume(o->name, ret_error) : r;
}

int registry_volume_finish(struct registry *registry, const char *name, const char *failure,
                           struct error *ret_error)
{
    struct volume_operation o = {
        .operation = {.apply = finish, .changes_catalog = true}, .name = name, .failure = failure};
    return operation_run(registry, &o.operation, ret_error);
}

static int check_no_node(struct db *db, const struct volume_operation *o, struct error *ret_error)
{
    sqlite3_stmt *rows = db_start(
        db,
        "SELECT n.name FROM nodes n JOIN volumes v ON v.id = n.volume_id"
        " WHERE v.name = ? AND n.name <> ? ORDER BY n.name LIMIT 1",
        DB_VALUES(db_text(o->name), db_text(o->except_node ? o->except_node : "")), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r > 0) {
        const char *node = db_column_text(rows, 0);
        r = error_set(ret_error, -EBUSY,
                      "volume '%s' is the disk of node '%s'; remove the node (nodisk node remove "
                      "%s) or give it another disk first",
                      o->name, node, node);
        db_end(rows);
    }
    return r;
}

static int check_not_attached(struct db *db, const char *name, struct error *ret_error)
{
    sqlite3_stmt *rows = db_start(db,
                                  "SELECT n.name, a.lun FROM attachments a"
                                  " JOIN nodes n ON n.id = a.node_id"
                                  " JOIN volumes v ON v.id = a.volume_id"
                                  " WHERE v.name = ? ORDER BY n.name LIMIT 1",
                                  DB_VALUES(db_text(name)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r > 0) {
        const char *node = db_column_text(rows, 0);
        r = error_set(ret_error, -EBUSY,
                      "volume '%s' is attached to node '%s' as LUN %d; detach it first: nodisk "
                      "volume detach %s %s",
                      name, node, sqlite3_column_int(rows, 1), name, node);
        db_end(rows);
    }
    return r;
}

/* Finds the volume's state and keeps its path if the file is ours. */
static int look_up_for_removal(struct db *db, struct volume_operation *o, struct error *ret_error)
{
    sqlite3_stmt *rows = db_start(db,
                                  "SELECT state, path, owned, kind = 'overlay' FROM volumes"
                                  " WHERE name = ?",
                                  DB_VALUES(db_text(o->name)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r <= 0)
        return r < 0 ? r : no_volume(o->name, ret_error);
    const char *state = db_column_text(rows, 0);
    char path[PATH_MAX];
    if (str_eq(state, "creating"))
        r = error_set(ret_error, -EBUSY,
                      "volume '%s' is still being filled; interrupt the command that does, or wait",
                      o->name);
    else if (str_eq(state, "removing"))
        r = error_set(ret_error, -EBUSY, "volume '%s' is being removed already", o->name);
    else if (sqlite3_column_int(rows, 2) && !sqlite3_column_int(rows, 3) &&
             !(o->path = strdup(path_from_store(db, db_column_text(rows, 1), path))))
        r = error_set(ret_error, -ENOMEM, "out of memory");
    db_end(rows);
    return r;
}

static int remove_begin(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct volume_operation *o = container_of(operation, struct volume_operation, operation);
    int r = name_changed(db, o, ret_error);
    if (r >= 0)
        r = look_up_for_removal(db, o, ret_error);
    if (r >= 0)
        r = check_no_node(db, o, ret_error);
    if (r >= 0)
        r = check_not_attached(db, o->name, ret_error);
    if (r >= 0)
        r = db_change(db, "UPDATE volumes SET state = 'removing' WHERE name = ?",
                      DB_VALUES(db_text(o->name)), ret_error);
    return r;
}

int registry_volume_remove_begin(struct registry *registry, const char *name,
                                 const char *except_node, char **ret_path, struct error *ret_error)
{
    struct volume_operation o = {.operation = {.apply = remove_begin, .changes_catalog = true},
                                 .name = name,
                                 .except_node = except_node};
    int r = operation_run(registry, &o.operation, ret_error);
    if (r < 0)
        free(o.path);
    else
        *ret_path = o.path;
    return r;
}

static int remove_end(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct volume_operation *o = container_of(operation, struct volume_operation, operation);
    int r = name_changed(db, o, ret_error);
    if (r < 0)
        return r;
    if (o->keep) /* one that had failed still has its reason */
        return db_change(db,
                         "UPDATE volumes SET state = iif(failure IS NULL, 'ready', 'failed')"
                         " WHERE name = ? AND state = 'removing'",
                         DB_VALUES(db_text(o->name)), ret_error);
    r = db_change(db,
                  "UPDATE nodes SET volume_id = NULL WHERE volume_id ="
                  " (SELECT id FROM volumes WHERE name = ?)",
                  DB_VALUES(db_text(o->name)), ret_error);
    operation->changed.more = r > 0;
    if (r >= 0)
        r = db_change(db, "DELETE FROM volumes WHERE name = ? AND state = 'removing'",
                      DB_VALUES(db_text(o->name)), ret_error);
    return r;
}

int registry_volume_remove_end(struct registry *registry, const char *name, bool keep,
                               struct error *ret_error)
{
    struct volume_operation o = {
        .operation = {.apply = remove_end, .changes_catalog = true}, .name = name, .keep = keep};
    return operation_run(registry, &o.operation, ret_error);
}
