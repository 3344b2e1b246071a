/* Machines that are no nodes and wait to become some: a list of bounded length. */
#include "registry/operation.h"

#include <errno.h>

struct store_operation {
    struct operation operation;
    size_t count;
    struct registry_pending rows[];
};

static int store_row(struct db *db, const struct registry_pending *p, struct error *ret_error)
{
    char mac[MAC_TEXT_SIZE], address[IPV4_TEXT_SIZE];
    return db_change(
        db,
        "INSERT OR REPLACE INTO pending (mac, address, subnet, circuit_id, remote_id, uuid,"
        " manufacturer, product, serial, card, architecture, firmware, memory, first_seen,"
        " last_seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        DB_VALUES(db_text(mac_format(p->mac, mac)), db_text(ipv4_format(p->address, address)),
                  db_text(p->subnet), db_text(p->circuit_id), db_text(p->remote_id),
                  db_text(p->facts.uuid), db_text(p->facts.manufacturer), db_text(p->facts.product),
                  db_text(p->facts.serial), db_text(p->facts.card), db_text(p->facts.architecture),
                  db_text(p->facts.firmware), db_int((int64_t)p->facts.memory),
                  db_int((int64_t)p->first_seen), db_int((int64_t)p->last_seen)),
        ret_error);
}

/* One that has become a node meanwhile is none of them any more. */
static int store(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct store_operation *o = container_of(operation, struct store_operation, operation);
    int r = 0;
    for (size_t i = 0; r >= 0 && i < o->count; i++)
        r = store_row(db, &o->rows[i], ret_error);
    if (r >= 0)
        r = db_change(db, "DELETE FROM pending WHERE mac IN (SELECT mac FROM node_macs)",
                      DB_NO_VALUES, ret_error);
    if (r >= 0)
        r = db_change(db,
                      "DELETE FROM pending WHERE mac IN (SELECT mac FROM pending"
                      " ORDER BY last_seen DESC LIMIT -1 OFFSET ?)",
                      DB_VALUES(db_int(REGISTRY_MAX_PENDING)), ret_error);
    return r < 0 ? r : 0;
}

int registry_pending_store(struct registry *registry, const struct registry_pending *rows,
                           size_t count, struct registry_reply *reply)
{
    struct store_operation *o = calloc(1, sizeof(*o) + count * sizeof(o->rows[0]));
    if (!o)
        return -ENOMEM;
    o->operation.apply = store;
    o->count = count;
    memcpy(o->rows, rows, count * sizeof(o->rows[0]));
    operation_post(registry, &o->operation, reply);
    return 0;
}

struct remove_operation {
    struct operation operation;
    struct mac_address mac;
};

static int remove_row(struct db *db, struct operation *operation, struct error *ret_error)
{
    char mac[MAC_TEXT_SIZE];
    mac_format(container_of(operation, struct remove_operation, operation)->mac, mac);
    int r = db_change(db, "DELETE FROM pending WHERE mac = ?", DB_VALUES(db_text(mac)), ret_error);
    return r < 0 ? r : 0;
}

int registry_pending_remove(struct registry *registry, struct mac_address mac,
                            struct error *ret_error)
{
    struct remove_operation o = {.operation = {.apply = remove_row}, .mac = mac};
    return operation_run(registry, &o.operation, ret_error);
}

struct list_operation {
    struct operation operation;
    void (*each)(void *context, const struct registry_pending *pending);
    void *context;
};

/* False if the row is not one that we wrote. */
static bool read_row(sqlite3_stmt *row, struct registry_pending *p)
{
    const struct {
        char *place;
        size_t size;
    } texts[] = {
        {p->subnet, sizeof(p->subnet)},
        {p->circuit_id, sizeof(p->circuit_id)},
        {p->remote_id, sizeof(p->remote_id)},
        {p->facts.uuid, sizeof(p->facts.uuid)},
        {p->facts.manufacturer, sizeof(p->facts.manufacturer)},
        {p->facts.product, sizeof(p->facts.product)},
        {p->facts.serial, sizeof(p->facts.serial)},
        {p->facts.card, sizeof(p->facts.card)},
        {p->facts.architecture, sizeof(p->facts.architecture)},
        {p->facts.firmware, sizeof(p->facts.firmware)},
    };
    *p = (struct registry_pending){.facts.memory = (uint64_t)sqlite3_column_int64(row, 12),
                                   .first_seen = (uint64_t)sqlite3_column_int64(row, 13),
                                   .last_seen = (uint64_t)sqlite3_column_int64(row, 14)};
    if (mac_parse(db_column_text(row, 0), &p->mac) < 0 ||
        ipv4_parse(db_column_text(row, 1), &p->address) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const char *text = db_column_text(row, (int)i + 2);
        facts_clean(texts[i].place, texts[i].size, text, strlen(text));
    }
    return true;
}

static int list(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct list_operation *o = container_of(operation, struct list_operation, operation);
    sqlite3_stmt *rows = db_start(
        db,
        "SELECT mac, address, subnet, circuit_id, remote_id, uuid, manufacturer, product, serial,"
        " card, architecture, firmware, memory, first_seen, last_seen FROM pending"
        " ORDER BY last_seen DESC LIMIT ?",
        DB_VALUES(db_int(REGISTRY_MAX_PENDING)), ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    struct registry_pending pending;
    while ((r = db_next(db, rows, ret_error)) > 0)
        if (read_row(rows, &pending))
            o->each(o->context, &pending);
    return r;
}

int registry_pending_list(struct registry *registry,
                          void (*each)(void *context, const struct registry_pending *pending),
                          void *context, struct error *ret_error)
{
    struct list_operation o = {
        .operation = {.apply = list, .reads_only = true}, .each = each, .context = context};
    return operation_run(registry, &o.operation, ret_error);
}
