/* DHCP options of nodes and groups. */
#include "registry/operation.h"

#include <errno.h>

/* Statements are told apart by their addresses (db.h). */
struct option_statements {
    const char *list, *put, *remove;
};

static const struct option_statements of_nodes = {
    .list = "SELECT setting FROM node_options WHERE node_id = ? ORDER BY code",
    .put = "INSERT OR REPLACE INTO node_options (node_id, code, setting) VALUES (?, ?, ?)",
    .remove = "DELETE FROM node_options WHERE node_id = ? AND code = ?",
};

static const struct option_statements of_groups = {
    .list = "SELECT setting FROM group_options WHERE group_id = ? ORDER BY code",
    .put = "INSERT OR REPLACE INTO group_options (group_id, code, setting) VALUES (?, ?, ?)",
    .remove = "DELETE FROM group_options WHERE group_id = ? AND code = ?",
};

static int read_all(struct db *db, const struct option_statements *of, int64_t id,
                    struct dhcp_options *options, struct error *ret_error)
{
    sqlite3_stmt *rows = db_start(db, of->list, DB_VALUES(db_int(id)), ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    options->used = 0;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        if (!dhcp_options_parse(options, db_column_text(rows, 0)))
            continue;
        r = error_set(ret_error, -EUCLEAN,
                      "the registry %s is damaged: '%.64s' is not a DHCP option", db->path,
                      db_column_text(rows, 0));
        db_end(rows);
        break;
    }
    return r;
}

int options_read_node(struct db *db, int64_t node_id, struct dhcp_options *options,
                      struct error *ret_error)
{
    return read_all(db, &of_nodes, node_id, options, ret_error);
}

int options_read_group(struct db *db, int64_t group_id, struct dhcp_options *options,
                       struct error *ret_error)
{
    return read_all(db, &of_groups, group_id, options, ret_error);
}

static int take_away(struct db *db, const struct option_statements *of, int64_t id,
                     const char *name, struct error *ret_error)
{
    uint8_t code;
    const char *wrong = dhcp_setting_code(name, &code);
    if (wrong)
        return error_set(ret_error, -EINVAL, "option '%.64s' %s", name, wrong);
    int r = db_change(db, of->remove, DB_VALUES(db_int(id), db_int((int64_t)code)), ret_error);
    if (r == 0)
        return error_set(ret_error, -ENOENT, "option '%.64s' is not set here", name);
    return r;
}

static int put(struct db *db, const struct option_statements *of, int64_t id,
               struct dhcp_options *options, const char *text, struct error *ret_error)
{
    uint8_t buffer[DHCP_OPTION_VALUE_MAX];
    struct dhcp_setting setting;
    const char *wrong = dhcp_setting_parse(text, buffer, &setting);
    if (!wrong)
        wrong = dhcp_options_set(options, &setting);
    if (wrong)
        return error_set(ret_error, -EINVAL, "option '%.100s' %s", text, wrong);
    return db_change(db, of->put, DB_VALUES(db_int(id), db_int(setting.code), db_text(text)),
                     ret_error);
}

static int change_all(struct db *db, const struct option_statements *of, int64_t id,
                      const struct registry_options_change *change, struct error *ret_error)
{
    struct dhcp_options options;
    int r = 0;
    for (size_t i = 0; r >= 0 && i < change->n_unset; i++)
        r = take_away(db, of, id, change->unset[i], ret_error);
    if (r >= 0 && change->n_set > 0)
        r = read_all(db, of, id, &options, ret_error);
    for (size_t i = 0; r >= 0 && i < change->n_set; i++)
        r = put(db, of, id, &options, change->set[i], ret_error);
    return r < 0 ? r : 0;
}

int options_change_node(struct db *db, int64_t node_id,
                        const struct registry_options_change *change, struct error *ret_error)
{
    return change_all(db, &of_nodes, node_id, change, ret_error);
}

int options_change_group(struct db *db, int64_t group_id,
                         const struct registry_options_change *change, struct error *ret_error)
{
    return change_all(db, &of_groups, group_id, change, ret_error);
}
