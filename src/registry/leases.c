/* Leases of the DHCP server, stored before they are promised. */
#include "registry/operation.h"

#include <errno.h>

struct lease_operation {
    struct operation operation;
    struct registry_lease lease;
};

static const char *const state_names[] = {[REGISTRY_LEASE_BOUND] = "bound",
                                          [REGISTRY_LEASE_RELEASED] = "released",
                                          [REGISTRY_LEASE_DECLINED] = "declined"};

const char *registry_lease_state_name(enum registry_lease_state state)
{
    return state_names[state];
}

static enum registry_lease_state state_of(const char *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(state_names); i++)
        if (str_eq(text, state_names[i]))
            return (enum registry_lease_state)i;
    return REGISTRY_LEASE_RELEASED;
}

static int store(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct registry_lease *l =
        &container_of(operation, struct lease_operation, operation)->lease;
    char address[IPV4_TEXT_SIZE], mac[MAC_TEXT_SIZE];
    static const struct mac_address nobody;
    /* the node may have been removed meanwhile: the inner select then gives NULL */
    return db_change(
        db,
        "INSERT OR REPLACE INTO leases (address, mac, client_id, host_name, node_id, subnet,"
        " state, expires_at)"
        " VALUES (?, ?, ?, ?, (SELECT id FROM nodes WHERE id = ?), ?, ?, ?)",
        DB_VALUES(db_text(ipv4_format(l->address, address)),
                  db_text(mac_eq(l->mac, nobody) ? "" : mac_format(l->mac, mac)),
                  db_blob(l->client_id, l->client_id_size), db_text(l->host_name),
                  db_id(l->node_id), db_text(l->subnet),
                  db_text(registry_lease_state_name(l->state)), db_int((int64_t)l->expires_at)),
        ret_error);
}

int registry_lease_store(struct registry *registry, const struct registry_lease *lease,
                         struct registry_reply *reply)
{
    struct lease_operation *o = calloc(1, sizeof(*o));
    if (!o)
        return -ENOMEM;
    o->operation.apply = store;
    o->lease = *lease;
    operation_post(registry, &o->operation, reply);
    return 0;
}

static int remove_lease(struct db *db, struct operation *operation, struct error *ret_error)
{
    char address[IPV4_TEXT_SIZE];
    const struct registry_lease *l =
        &container_of(operation, struct lease_operation, operation)->lease;
    return db_change(db, "DELETE FROM leases WHERE address = ?",
                     DB_VALUES(db_text(ipv4_format(l->address, address))), ret_error);
}

int registry_lease_remove(struct registry *registry, uint32_t address, struct registry_reply *reply)
{
    struct lease_operation *o = calloc(1, sizeof(*o));
    if (!o)
        return -ENOMEM;
    o->operation.apply = remove_lease;
    o->lease.address = address;
    operation_post(registry, &o->operation, reply);
    return 0;
}

struct list_operation {
    struct operation operation;
    void (*each)(void *context, const struct registry_lease *lease);
    void *context;
};

/* False if the row is not one that we wrote. */
static bool read_row(sqlite3_stmt *row, struct registry_lease *l)
{
    *l = (struct registry_lease){
        .node_id = (uint64_t)sqlite3_column_int64(row, 4),
        .state = state_of(db_column_text(row, 6)),
        .expires_at = (uint64_t)sqlite3_column_int64(row, 7),
    };
    int id_size = sqlite3_column_bytes(row, 2);
    const char *mac = db_column_text(row, 1);
    if (ipv4_parse(db_column_text(row, 0), &l->address) < 0 ||
        (*mac && mac_parse(mac, &l->mac) < 0) || id_size > REGISTRY_CLIENT_ID_MAX)
        return false;
    l->client_id_size = (uint8_t)id_size;
    if (id_size > 0)
        memcpy(l->client_id, sqlite3_column_blob(row, 2), (size_t)id_size);
    str_copy(l->host_name, sizeof(l->host_name), db_column_text(row, 3));
    str_copy(l->subnet, sizeof(l->subnet), db_column_text(row, 5));
    return true;
}

static int list(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct list_operation *o = container_of(operation, struct list_operation, operation);
    sqlite3_stmt *rows =
        db_start(db,
                 "SELECT address, mac, client_id, host_name, node_id, subnet, state, expires_at"
                 " FROM leases ORDER BY address",
                 DB_NO_VALUES, ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    struct registry_lease lease;
    while ((r = db_next(db, rows, ret_error)) > 0)
        if (read_row(rows, &lease))
            o->each(o->context, &lease);
    return r;
}

int registry_lease_list(struct registry *registry,
                        void (*each)(void *context, const struct registry_lease *lease),
                        void *context, struct error *ret_error)
{
    struct list_operation o = {
        .operation = {.apply = list, .reads_only = true}, .each = each, .context = context};
    return operation_run(registry, &o.operation, ret_error);
}
