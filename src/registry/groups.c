/* Groups of nodes. */
#include "registry/operation.h"

#include <errno.h>

struct group_operation {
    struct operation operation;
    const char *name;
    const struct registry_options_change *options;
};

static int add(struct db *db, struct operation *operation, struct error *ret_error)
{
    const char *name = container_of(operation, struct group_operation, operation)->name;
    int64_t id;
    int r = db_lookup(db, "SELECT id FROM groups WHERE name = ?", DB_VALUES(db_text(name)), &id,
                      ret_error);
    if (r > 0)
        return error_set(ret_error, -EEXIST, "there is a group '%s' already", name);
    if (r < 0)
        return r;
    return db_change(db, "INSERT INTO groups (name, created_at) VALUES (?, ?)",
                     DB_VALUES(db_text(name), db_int((int64_t)clock_wall_usec())), ret_error);
}

int registry_group_add(struct registry *registry, const char *name, struct error *ret_error)
{
    if (!name_is_object(name))
        return error_set(ret_error, -EINVAL,
                         "'%s' cannot be a group's name: use lower case letters, digits, . and -, "
                         "at most %d",
                         name, NAME_MAX_LEN);
    struct group_operation o = {.operation = {.apply = add, .changes_catalog = true}, .name = name};
    return operation_run(registry, &o.operation, ret_error);
}

static int set(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct group_operation *o = container_of(operation, struct group_operation, operation);
    int64_t id;
    int r =
        find_named(db, "SELECT id FROM groups WHERE name = ?", "group", o->name, &id, ret_error);
    return r < 0 ? r : options_change_group(db, id, o->options, ret_error);
}

int registry_group_set(struct registry *registry, const char *name,
                       const struct registry_options_change *options, struct error *ret_error)
{
    struct group_operation o = {
        .operation = {.apply = set, .changes_catalog = true}, .name = name, .options = options};
    return operation_run(registry, &o.operation, ret_error);
}

static int check_empty(struct db *db, const char *name, struct error *ret_error)
{
    sqlite3_stmt *rows = db_start(db,
                                  "SELECT n.name FROM nodes n JOIN groups g ON g.id = n.group_id"
                                  " WHERE g.name = ? ORDER BY n.name LIMIT 1",
                                  DB_VALUES(db_text(name)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r > 0) {
        r = error_set(ret_error, -EBUSY,
                      "group '%s' still has node '%s'; move it first: nodisk node set %s --group "
                      "none",
                      name, db_column_text(rows, 0), db_column_text(rows, 0));
        db_end(rows);
    }
    return r;
}

static int remove_group(struct db *db, struct operation *operation, struct error *ret_error)
{
    const char *name = container_of(operation, struct group_operation, operation)->name;
    int r = check_empty(db, name, ret_error);
    if (r < 0)
        return r;
    r = db_change(db, "DELETE FROM groups WHERE name = ?", DB_VALUES(db_text(name)), ret_error);
    if (r == 0)
        return error_set(ret_error, -ENOENT, "there is no group '%s'", name);
    return r;
}

int registry_group_remove(struct registry *registry, const char *name, struct error *ret_error)
{
    struct group_operation o = {.operation = {.apply = remove_group, .changes_catalog = true},
                                .name = name};
    return operation_run(registry, &o.operation, ret_error);
}
