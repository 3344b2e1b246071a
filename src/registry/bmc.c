#include "registry/bmc.h"

#include "registry/operation.h"

#include <errno.h>

struct bmc_operation {
    struct operation operation;
    const char *node;
    const struct registry_bmc_change *change;
    struct registry_bmc bmc; /* result */
    bool found;
};

/* Whatever follows the scheme is for the hook to understand: printable, and one word. */
int bmc_scheme(const char *address, char ret_scheme[static BMC_SCHEME_MAX + 1],
               struct error *ret_error)
{
    size_t n = strspn(address, "abcdefghijklmnopqrstuvwxyz0123456789-");
    bool good = n > 0 && n <= BMC_SCHEME_MAX && address[0] != '-' &&
                str_has_prefix(address + n, "://") && address[n + 3] &&
                strlen(address) <= BMC_ADDRESS_MAX;
    for (const char *p = address; good && *p; p++)
        good = *p > ' ' && *p <= '~' && !strchr("'\"\\`$", *p);
    if (!good)
        return error_set(ret_error, -EINVAL,
                         "'%.80s' is no address of a BMC: such as ipmi://10.9.0.5, "
                         "redfish://10.9.0.5 or ssh://10.0.0.11",
                         address);
    memcpy(ret_scheme, address, n);
    ret_scheme[n] = '\0';
    return 0;
}

static int check_text(const char *what, const char *text, size_t max, struct error *ret_error)
{
    bool good = strlen(text) <= max;
    for (const char *p = text; good && *p; p++)
        good = (unsigned char)*p >= ' ' && *p != 0x7f;
    return good ? 0
                : error_set(ret_error, -EINVAL,
                            "the %s of a BMC has up to %zu characters, none of them a control "
                            "character",
                            what, max);
}

/* "ipmi://admin:secret@10.9.0.5": the address is shown and logged. */
static bool has_password(const char *address)
{
    const char *begin = strstr(address, "://") + 3;
    const char *at = memchr(begin, '@', strcspn(begin, "/"));
    return at && memchr(begin, ':', (size_t)(at - begin));
}

static int check(const struct registry_bmc_change *c, struct error *ret_error)
{
    char scheme[BMC_SCHEME_MAX + 1];
    int r = c->address ? bmc_scheme(c->address, scheme, ret_error) : 0;
    if (r >= 0 && c->address && has_password(c->address))
        r = error_set(
            ret_error, -EINVAL,
            "the address of a BMC is shown and logged, so no password belongs in it: give "
            "that with --bmc-password-file, and the user with --bmc-user");
    if (r >= 0 && c->user)
        r = check_text("user", c->user, BMC_USER_MAX, ret_error);
    if (r >= 0 && c->password)
        r = check_text("password", c->password, BMC_PASSWORD_MAX, ret_error);
    return r;
}

static int find_node(struct db *db, const char *name, int64_t *ret_id, struct error *ret_error)
{
    return find_named(db, "SELECT id FROM nodes WHERE name = ?", "node", name, ret_id, ret_error);
}

/* A password is for one place: another address or another user does not get it. */
static int store(struct db *db, int64_t node_id, const char *node,
                 const struct registry_bmc_change *c, struct error *ret_error)
{
    int r;
    if (c->address)
        r = db_change(
            db,
            "INSERT INTO node_bmc (node_id, address, user, password)"
            " VALUES (?1, ?2, coalesce(?3, ''), coalesce(?4, ''))"
            " ON CONFLICT (node_id) DO UPDATE SET"
            " password = coalesce(?4, CASE WHEN address = ?2 AND coalesce(?3, user) = user"
            " THEN password ELSE '' END), user = coalesce(?3, user), address = ?2",
            DB_VALUES(db_int(node_id), db_text(c->address), db_text(c->user), db_text(c->password)),
            ret_error);
    else
        r = db_change(db,
                      "UPDATE node_bmc SET password = coalesce(?3, CASE WHEN coalesce(?2, user) ="
                      " user THEN password ELSE '' END), user = coalesce(?2, user)"
                      " WHERE node_id = ?1",
                      DB_VALUES(db_int(node_id), db_text(c->user), db_text(c->password)),
                      ret_error);
    if (r == 0)
        return error_set(ret_error, -EINVAL,
                         "node '%s' has no BMC yet; say which, too, such as --bmc ipmi://10.9.0.5",
                         node);
    return r < 0 ? r : 0;
}

static int set(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct bmc_operation *o = container_of(operation, struct bmc_operation, operation);
    int64_t id;
    int r = find_node(db, o->node, &id, ret_error);
    if (r < 0)
        return r;
    if (o->change)
        return store(db, id, o->node, o->change, ret_error);
    r = db_change(db, "DELETE FROM node_bmc WHERE node_id = ?", DB_VALUES(db_int(id)), ret_error);
    return r < 0 ? r : 0;
}

int registry_bmc_set(struct registry *registry, const char *node,
                     const struct registry_bmc_change *bmc, struct error *ret_error)
{
    struct bmc_operation o = {.operation = {.apply = set}, .node = node, .change = bmc};
    int r = bmc ? check(bmc, ret_error) : 0;
    return r < 0 ? r : operation_run(registry, &o.operation, ret_error);
}

static int get(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct bmc_operation *o = container_of(operation, struct bmc_operation, operation);
    int64_t id;
    int r = find_node(db, o->node, &id, ret_error);
    if (r < 0)
        return r;
    sqlite3_stmt *rows =
        db_start(db, "SELECT address, user, password FROM node_bmc WHERE node_id = ?",
                 DB_VALUES(db_int(id)), ret_error);
    if (!rows)
        return ret_error->code;
    r = db_next(db, rows, ret_error);
    if (r <= 0)
        return r;
    o->found = true;
    str_copy(o->bmc.address, sizeof(o->bmc.address), db_column_text(rows, 0));
    str_copy(o->bmc.user, sizeof(o->bmc.user), db_column_text(rows, 1));
    str_copy(o->bmc.password, sizeof(o->bmc.password), db_column_text(rows, 2));
    db_end(rows);
    return 0;
}

int registry_bmc_get(struct registry *registry, const char *node, struct registry_bmc *ret_bmc,
                     struct error *ret_error)
{
    struct bmc_operation o = {.operation = {.apply = get, .reads_only = true}, .node = node};
    int r = operation_run(registry, &o.operation, ret_error);
    if (r >= 0)
        *ret_bmc = o.bmc;
    explicit_bzero(&o.bmc, sizeof(o.bmc));
    return r < 0 ? r : o.found;
}
