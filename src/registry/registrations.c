/* Persistent reservations of volumes: those that are to survive a restart (APTPL). */
#include "registry/operation.h"

#include <errno.h>
#include <inttypes.h>

#define KEY_DIGITS 16

struct store_operation {
    struct operation operation;
    uint64_t volume_id;
    size_t n;
    struct registry_registration rows[];
};

static void format_isid(const uint8_t isid[static REGISTRY_ISID_SIZE],
                        char text[static 2 * REGISTRY_ISID_SIZE + 1])
{
    for (size_t i = 0; i < REGISTRY_ISID_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", isid[i]);
}

static int store_row(struct db *db, uint64_t volume_id, size_t position,
                     const struct registry_registration *row, struct error *ret_error)
{
    char isid[2 * REGISTRY_ISID_SIZE + 1], key[KEY_DIGITS + 1];
    format_isid(row->isid, isid);
    snprintf(key, sizeof(key), "%016" PRIx64, row->key);
    return db_change(db,
                     "INSERT INTO registrations (volume_id, position, initiator, isid, target, key,"
                     " all_target_ports, reservation) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                     DB_VALUES(db_id(volume_id), db_int((int64_t)position), db_text(row->initiator),
                               db_text(isid), db_text(row->target), db_text(key),
                               db_int(row->all_target_ports), db_int(row->reservation)),
                     ret_error);
}

static int store(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct store_operation *o = container_of(operation, struct store_operation, operation);
    int r = db_change(db, "DELETE FROM registrations WHERE volume_id = ?",
                      DB_VALUES(db_id(o->volume_id)), ret_error);
    for (size_t i = 0; r >= 0 && i < o->n; i++)
        r = store_row(db, o->volume_id, i, &o->rows[i], ret_error);
    return r;
}

int registry_registrations_store(struct registry *registry, uint64_t volume_id,
                                 const struct registry_registration *rows, size_t n,
                                 struct registry_reply *reply)
{
    struct store_operation *o = calloc(1, sizeof(*o) + n * sizeof(*rows));
    if (!o)
        return -ENOMEM;
    o->operation.apply = store;
    o->volume_id = volume_id;
    o->n = n;
    for (size_t i = 0; i < n; i++)
        o->rows[i] = rows[i];
    operation_post(registry, &o->operation, reply);
    return 0;
}

struct list_operation {
    struct operation operation;
    uint64_t volume_id;
    void (*each)(void *context, const struct registry_registration *row);
    void *context;
};

/* Lower case digits, as they are written; a CHECK of the table holds them to it. */
static uint64_t parse_hex(const char *text)
{
    return strtoull(text, NULL, 16);
}

static struct registry_registration read_row(sqlite3_stmt *row)
{
    struct registry_registration r = {
        .key = parse_hex(db_column_text(row, 3)),
        .all_target_ports = sqlite3_column_int(row, 4),
        .reservation = (uint8_t)sqlite3_column_int(row, 5),
    };
    uint64_t isid = parse_hex(db_column_text(row, 1));
    for (size_t i = 0; i < REGISTRY_ISID_SIZE; i++)
        r.isid[i] = (uint8_t)(isid >> (8 * (REGISTRY_ISID_SIZE - 1 - i)));
    str_copy(r.initiator, sizeof(r.initiator), db_column_text(row, 0));
    str_copy(r.target, sizeof(r.target), db_column_text(row, 2));
    return r;
}

static int list(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct list_operation *o = container_of(operation, struct list_operation, operation);
    sqlite3_stmt *rows =
        db_start(db,
                 "SELECT initiator, isid, target, key, all_target_ports, reservation"
                 " FROM registrations WHERE volume_id = ? ORDER BY position",
                 DB_VALUES(db_id(o->volume_id)), ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        struct registry_registration row = read_row(rows);
        o->each(o->context, &row);
    }
    return r;
}

int registry_registration_list(struct registry *registry, uint64_t volume_id,
                               void (*each)(void *context, const struct registry_registration *row),
                               void *context, struct error *ret_error)
{
    struct list_operation o = {.operation = {.apply = list, .reads_only = true},
                               .volume_id = volume_id,
                               .each = each,
                               .context = context};
    return operation_run(registry, &o.operation, ret_error);
}
