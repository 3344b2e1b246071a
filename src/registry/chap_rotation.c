/*
 * CHAP secrets that are made anew at each boot.
 *
 * The present ones of a node are in node_chap; beside them stand those before, newest first, which
 * are accepted as long as a system may be running with them: a machine has its secrets from its
 * boot script for as long as it runs, and not each script that is asked for comes to a running
 * system. Each is known by the boot that it was made for; those that somebody made by hand, and
 * those from before, by boot 0.
 *
 * When a running system has shown itself with one of them, what is older is forgotten. Before that,
 * what is kept is the newest that any system has logged in with, and of those that none has, the
 * newest few: a machine may still be on its way with one.
 */
#include "registry/operation.h"

#include <errno.h>

/* Of those older secrets that no system has logged in with; all but one. */
#define MAX_UNSEEN "2"
_Static_assert(REGISTRY_MAX_OLDER_CHAP == 2 + 1, "and one that a system has logged in with");

/* --- reading --- */

static int damaged(struct db *db, struct error *ret_error)
{
    return error_set(ret_error, -EUCLEAN,
                     "the registry %s is damaged: what it says of a node's CHAP secrets", db->path);
}

static int read_bool(sqlite3_stmt *row, int column, bool *ret_value)
{
    int64_t value = sqlite3_column_int64(row, column);
    *ret_value = value != 0;
    return value == 0 || value == 1 ? 0 : -EUCLEAN;
}

static int read_rotation(struct db *db, int64_t node_id, enum chap_rotation *ret_rotation,
                         struct error *ret_error)
{
    struct error why;
    sqlite3_stmt *rows = db_start(db, "SELECT rotation FROM node_chap_rotation WHERE node_id = ?",
                                  DB_VALUES(db_int(node_id)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r <= 0)
        return r;
    r = chap_rotation_parse(db_column_text(rows, 0), ret_rotation, &why);
    db_end(rows);
    return r < 0 ? damaged(db, ret_error) : 0;
}

/* Of those that nothing is known of, a system may be running with them. */
static int read_age(struct db *db, int64_t node_id, struct chap_record *record,
                    struct error *ret_error)
{
    record->seen = true;
    sqlite3_stmt *rows =
        db_start(db, "SELECT boot_id, since, seen FROM node_chap_age WHERE node_id = ?",
                 DB_VALUES(db_int(node_id)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r <= 0)
        return r;
    int64_t boot_id = sqlite3_column_int64(rows, 0), since = sqlite3_column_int64(rows, 1);
    r = read_bool(rows, 2, &record->seen);
    db_end(rows);
    if (r < 0 || boot_id < 0 || boot_id >= REGISTRY_MAX_BOOT_ID || since < 0)
        return damaged(db, ret_error);
    record->list[0].tag = (uint64_t)boot_id;
    record->since = (uint64_t)since;
    return 0;
}

static int read_older_row(struct db *db, sqlite3_stmt *row, struct chap_record *record, size_t n,
                          struct error *ret_error)
{
    int64_t boot_id = sqlite3_column_int64(row, 4);
    bool ignored;
    if (n > REGISTRY_MAX_OLDER_CHAP || record->list[0].mode == CHAP_NONE || boot_id < 0 ||
        (uint64_t)boot_id >= record->list[n - 1].tag || read_bool(row, 5, &ignored) < 0)
        return damaged(db, ret_error);
    int r = chap_read_row(db, row, &record->list[n], ret_error);
    record->list[n].tag = (uint64_t)boot_id;
    record->list[n - 1].older = &record->list[n];
    return r;
}

static int read_older(struct db *db, int64_t node_id, struct chap_record *record,
                      struct error *ret_error)
{
    sqlite3_stmt *rows = db_start(db,
                                  "SELECT user, secret, target_user, target_secret, boot_id, seen"
                                  " FROM node_chap_older WHERE node_id = ? ORDER BY boot_id DESC",
                                  DB_VALUES(db_int(node_id)), ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    for (size_t n = 1; (r = db_next(db, rows, ret_error)) > 0; n++) {
        r = read_older_row(db, rows, record, n, ret_error);
        if (r < 0) {
            db_end(rows);
            break;
        }
    }
    return r;
}

int chap_read_record(struct db *db, int64_t node_id, struct chap_record *record,
                     struct error *ret_error)
{
    *record = (struct chap_record){.rotation = CHAP_ROTATION_DEFAULT};
    int r = read_rotation(db, node_id, &record->rotation, ret_error);
    if (r >= 0)
        r = chap_read_node(db, node_id, &record->list[0], ret_error);
    if (r >= 0)
        r = read_age(db, node_id, record, ret_error);
    return r < 0 ? r : read_older(db, node_id, record, ret_error);
}

void chap_record_wipe(struct chap_record *record)
{
    explicit_bzero(record, sizeof(*record));
}

/* --- changing --- */

int chap_set_rotation(struct db *db, int64_t node_id, enum chap_rotation rotation,
                      struct error *ret_error)
{
    int r = db_change(db, "DELETE FROM node_chap_rotation WHERE node_id = ?",
                      DB_VALUES(db_int(node_id)), ret_error);
    if (r >= 0 && rotation != CHAP_ROTATION_DEFAULT)
        r = db_change(db, "INSERT INTO node_chap_rotation (node_id, rotation) VALUES (?, ?)",
                      DB_VALUES(db_int(node_id), db_text(chap_rotation_name(rotation))), ret_error);
    return r < 0 ? r : 0;
}

static int set_age(struct db *db, int64_t node_id, uint64_t boot_id, struct error *ret_error)
{
    int r = db_change(
        db,
        "INSERT OR REPLACE INTO node_chap_age (node_id, boot_id, since, seen)"
        " VALUES (?, ?, ?, 0)",
        DB_VALUES(db_int(node_id), db_int((int64_t)boot_id), db_int((int64_t)clock_wall_usec())),
        ret_error);
    return r < 0 ? r : 0;
}

int chap_begin_age(struct db *db, int64_t node_id, bool has_secrets, struct error *ret_error)
{
    int r = db_change(db, "DELETE FROM node_chap_older WHERE node_id = ?",
                      DB_VALUES(db_int(node_id)), ret_error);
    if (r >= 0 && !has_secrets)
        r = db_change(db, "DELETE FROM node_chap_age WHERE node_id = ?", DB_VALUES(db_int(node_id)),
                      ret_error);
    else if (r >= 0)
        r = set_age(db, node_id, 0, ret_error);
    return r < 0 ? r : 0;
}

/* The present ones become the newest of the older ones. */
static int put_aside(struct db *db, int64_t node_id, struct error *ret_error)
{
    static const char *const steps[] = {
        "INSERT OR REPLACE INTO node_chap_older"
        " (node_id, boot_id, user, secret, target_user, target_secret, seen)"
        " SELECT c.node_id, coalesce(a.boot_id, 0), c.user, c.secret, c.target_user,"
        "  c.target_secret, coalesce(a.seen, 1)"
        " FROM node_chap c LEFT JOIN node_chap_age a ON a.node_id = c.node_id"
        " WHERE c.node_id = ?1",
        "DELETE FROM node_chap_older WHERE node_id = ?1 AND boot_id <"
        " (SELECT max(boot_id) FROM node_chap_older WHERE node_id = ?1 AND seen = 1)",
        "DELETE FROM node_chap_older WHERE node_id = ?1 AND seen = 0 AND boot_id NOT IN"
        " (SELECT boot_id FROM node_chap_older WHERE node_id = ?1 AND seen = 0"
        "  ORDER BY boot_id DESC LIMIT " MAX_UNSEEN ")",
    };
    int r = 0;
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(steps); i++)
        r = db_change(db, steps[i], DB_VALUES(db_int(node_id)), ret_error);
    return r;
}

/* Of a later boot than this one, or of this one: it has them already. */
static int has_secrets_of(struct db *db, int64_t node_id, uint64_t boot_id, struct error *ret_error)
{
    int64_t ignored;
    return db_lookup(db, "SELECT 1 FROM node_chap_age WHERE node_id = ? AND boot_id >= ?",
                     DB_VALUES(db_int(node_id), db_int((int64_t)boot_id)), &ignored, ret_error);
}

int chap_rotate_for_boot(struct db *db, int64_t node_id, uint64_t boot_id, struct error *ret_error)
{
    cleanup_chap_credentials struct chap_credentials c = {.mode = CHAP_NONE};
    int r = has_secrets_of(db, node_id, boot_id, ret_error);
    if (r != 0)
        return r < 0 ? r : 0;
    r = chap_read_node(db, node_id, &c, ret_error);
    if (r < 0 || c.mode == CHAP_NONE)
        return r;
    r = put_aside(db, node_id, ret_error);
    if (r >= 0)
        r = chap_make_anew(db, node_id, &c, ret_error);
    return r < 0 ? r : set_age(db, node_id, boot_id, ret_error);
}

/* --- who has logged in --- */

struct seen_operation {
    struct operation operation;
    uint64_t node_id, tag;
    bool runs;
};

static int note_seen(struct db *db, struct operation *operation, struct error *ret_error)
{
    static const char *const steps[] = {
        "UPDATE node_chap_age SET seen = 1 WHERE node_id = ? AND boot_id = ? AND seen = 0",
        "UPDATE node_chap_older SET seen = 1 WHERE node_id = ? AND boot_id = ? AND seen = 0",
        "DELETE FROM node_chap_older WHERE node_id = ? AND boot_id < ?", /* of one that runs */
    };
    const struct seen_operation *o = container_of(operation, struct seen_operation, operation);
    size_t count = o->runs ? ARRAY_SIZE(steps) : ARRAY_SIZE(steps) - 1;
    int r = 0, changed = 0;
    for (size_t i = 0; r >= 0 && i < count; i++) {
        r = db_change(db, steps[i], DB_VALUES(db_int((int64_t)o->node_id), db_int((int64_t)o->tag)),
                      ret_error);
        changed += MAX(r, 0);
    }
    operation->changed.node_id = (int64_t)o->node_id;
    operation->changes_catalog = changed > 0;
    return MIN(r, 0);
}

/* It is up by what was seen last. */
static int note_up(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct seen_operation *o = container_of(operation, struct seen_operation, operation);
    int r = db_change(
        db,
        "DELETE FROM node_chap_older WHERE node_id = ?1 AND boot_id < (SELECT max(boot_id) FROM ("
        " SELECT boot_id FROM node_chap_age WHERE node_id = ?1 AND seen = 1 UNION ALL"
        " SELECT boot_id FROM node_chap_older WHERE node_id = ?1 AND seen = 1))",
        DB_VALUES(db_int((int64_t)o->node_id)), ret_error);
    operation->changed.node_id = (int64_t)o->node_id;
    operation->changes_catalog = r > 0;
    return MIN(r, 0);
}

static int post(struct registry *registry, const struct seen_operation *model)
{
    struct seen_operation *o = malloc(sizeof(*o));
    if (!o)
        return -ENOMEM;
    *o = *model;
    operation_post(registry, &o->operation, NULL);
    return 0;
}

int registry_chap_seen(struct registry *registry, uint64_t node_id, uint64_t tag, bool runs)
{
    return post(registry, &(struct seen_operation){.operation = {.apply = note_seen},
                                                   .node_id = node_id,
                                                   .tag = tag,
                                                   .runs = runs});
}

int registry_chap_up(struct registry *registry, uint64_t node_id)
{
    return post(registry,
                &(struct seen_operation){.operation = {.apply = note_up}, .node_id = node_id});
}
