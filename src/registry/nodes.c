/* Nodes: names, MACs, addresses, groups and what they boot. Every conflict names its holder. */
#include "registry/operation.h"

#include <errno.h>

#define MAX_MACS 16 /* more is a mistake, not a machine */

struct node_operation {
    struct operation operation;
    const char *name;
    const struct registry_node_change *change;
    const struct registry_volume *new_volume;
};

int find_named(struct db *db, const char *sql, const char *what, const char *name, int64_t *ret_id,
               struct error *ret_error)
{
    int r = db_lookup(db, sql, DB_VALUES(db_text(name)), ret_id, ret_error);
    if (r == 0)
        return error_set(ret_error, -ENOENT, "there is no %s '%s'; see: nodisk %s list", what, name,
                         what);
    return r < 0 ? r : 0;
}

static int find_node(struct db *db, const char *name, int64_t *ret_id, struct error *ret_error)
{
    return find_named(db, "SELECT id FROM nodes WHERE name = ?", "node", name, ret_id, ret_error);
}

int find_holder(struct db *db, const char *sql, const struct db_value *values, size_t n_values,
                char name[static NAME_MAX_LEN + 1], struct error *ret_error)
{
    sqlite3_stmt *rows = db_start(db, sql, values, n_values, ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r > 0) {
        str_copy(name, NAME_MAX_LEN + 1, db_column_text(rows, 0));
        db_end(rows);
    }
    return r;
}

static int set_mac(struct db *db, int64_t node_id, struct mac_address mac, size_t position,
                   struct error *ret_error)
{
    char text[MAC_TEXT_SIZE], holder[NAME_MAX_LEN + 1];
    mac_format(mac, text);
    int r = find_holder(db,
                        "SELECT n.name FROM node_macs m JOIN nodes n ON n.id = m.node_id"
                        " WHERE m.mac = ? AND n.id <> ?",
                        DB_VALUES(db_text(text), db_int(node_id)), holder, ret_error);
    if (r > 0)
        return error_set(ret_error, -EEXIST,
                         "mac %s already belongs to node '%s'; remove it there first", text,
                         holder);
    if (r < 0)
        return r;
    r = db_change(db,
                  "INSERT INTO node_macs (mac, node_id, position) VALUES (?, ?, ?)"
                  " ON CONFLICT DO NOTHING",
                  DB_VALUES(db_text(text), db_int(node_id), db_int((int64_t)position)), ret_error);
    if (r == 0)
        return error_set(ret_error, -EINVAL, "mac %s is given twice", text);
    if (r >= 0) /* it waits no longer */
        r = db_change(db, "DELETE FROM pending WHERE mac = ?", DB_VALUES(db_text(text)), ret_error);
    return r < 0 ? r : 0;
}

static int set_macs(struct db *db, int64_t node_id, const struct mac_address *macs, size_t count,
                    struct error *ret_error)
{
    if (count == 0 || count > MAX_MACS)
        return error_set(ret_error, -EINVAL, "a node has 1 to %d macs; give --mac", MAX_MACS);
    int r = db_change(db, "DELETE FROM node_macs WHERE node_id = ?", DB_VALUES(db_int(node_id)),
                      ret_error);
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = set_mac(db, node_id, macs[i], i, ret_error);
    return r < 0 ? r : 0;
}

/* A running node goes on with the address that it has, and need not renew its lease: nobody else's
 * may it become meanwhile. */
static int check_address_not_leased(struct db *db, int64_t node_id, const char *address,
                                    struct error *ret_error)
{
    char holder[NAME_MAX_LEN + 1];
    int r = find_holder(
        db,
        "SELECT n.name FROM leases l JOIN node_macs m ON m.mac = l.mac"
        " JOIN nodes n ON n.id = m.node_id"
        " WHERE l.address = ? AND l.state = 'bound'"
        " AND (l.expires_at > ? OR n.address IS NULL) AND n.id <> ?",
        DB_VALUES(db_text(address), db_int((int64_t)clock_wall_usec()), db_int(node_id)), holder,
        ret_error);
    if (r > 0)
        return error_set(ret_error, -EBUSY,
                         "address %s is leased to node '%s' right now; give another one, or make "
                         "it that node's own: nodisk node set %s --address %s",
                         address, holder, holder, address);
    return r;
}

int node_check_address(struct registry *registry, struct db *db, int64_t node_id, uint32_t address,
                       struct error *ret_error)
{
    char text[IPV4_TEXT_SIZE], holder[NAME_MAX_LEN + 1];
    ipv4_format(address, text);
    int r = operation_check_address(registry, address, ret_error);
    if (r < 0)
        return r;
    r = find_holder(db, "SELECT name FROM nodes WHERE address = ? AND id <> ?",
                    DB_VALUES(db_text(text), db_int(node_id)), holder, ret_error);
    if (r > 0)
        return error_set(ret_error, -EEXIST,
                         "address %s already belongs to node '%s'; give another one, or free it "
                         "there: nodisk node set %s --address none",
                         text, holder, holder);
    if (r >= 0)
        r = find_holder(db,
                        "SELECT n.name FROM node_paths p JOIN nodes n ON n.id = p.node_id"
                        " WHERE p.address = ? AND n.id <> ?",
                        DB_VALUES(db_text(text), db_int(node_id)), holder, ret_error);
    if (r > 0)
        return error_set(ret_error, -EEXIST,
                         "address %s already belongs to a path of node '%s'; give another one, or "
                         "free it there: nodisk node set %s --path none",
                         text, holder, holder);
    return r < 0 ? r : check_address_not_leased(db, node_id, text, ret_error);
}

static int set_address(struct registry *registry, struct db *db, int64_t node_id, uint32_t address,
                       struct error *ret_error)
{
    char text[IPV4_TEXT_SIZE];
    int r = node_check_address(registry, db, node_id, address, ret_error);
    if (r < 0)
        return r;
    ipv4_format(address, text);
    r = db_change(db, "UPDATE nodes SET address = ? WHERE id = ?",
                  DB_VALUES(db_text(address ? text : NULL), db_int(node_id)), ret_error);
    return r < 0 ? r : 0;
}

static int set_group(struct db *db, int64_t node_id, const char *group, struct error *ret_error)
{
    int64_t group_id = 0;
    int r = group ? db_lookup(db, "SELECT id FROM groups WHERE name = ?", DB_VALUES(db_text(group)),
                              &group_id, ret_error)
                  : 0;
    if (r < 0)
        return r;
    if (group && r == 0)
        return error_set(ret_error, -ENOENT,
                         "there is no group '%s'; make it first: nodisk group add %s", group,
                         group);
    r = db_change(db, "UPDATE nodes SET group_id = ? WHERE id = ?",
                  DB_VALUES(db_id((uint64_t)group_id), db_int(node_id)), ret_error);
    return r < 0 ? r : 0;
}

/* A disk that only one machine may write must not become the disk of two. */
static int check_volume_free(struct db *db, int64_t node_id, int64_t volume_id, const char *volume,
                             struct error *ret_error)
{
    char holder[NAME_MAX_LEN + 1];
    int64_t lun;
    int r = db_lookup(db, "SELECT lun FROM attachments WHERE node_id = ? AND volume_id = ?",
                      DB_VALUES(db_int(node_id), db_int(volume_id)), &lun, ret_error);
    if (r > 0)
        return error_set(
            ret_error, -EBUSY,
            "volume '%s' is attached to this node as LUN %lld; detach it first: nodisk "
            "volume detach %s NODE",
            volume, (long long)lun, volume);
    if (r >= 0)
        r = attachment_find_rival(db, node_id, volume_id, holder, ret_error);
    if (r > 0)
        return error_set(ret_error, -EBUSY,
                         "volume '%s' is already the disk of node '%s', and two nodes writing to "
                         "it would destroy it; give this node a disk of its own (--image)",
                         volume, holder);
    return r;
}

static int set_volume(struct db *db, int64_t node_id, const char *volume, struct error *ret_error)
{
    int64_t volume_id = 0;
    int r = volume ? find_named(db, "SELECT id FROM volumes WHERE name = ? AND state <> 'removing'",
                                "volume", volume, &volume_id, ret_error)
                   : 0;
    if (r >= 0 && volume)
        r = check_volume_free(db, node_id, volume_id, volume, ret_error);
    if (r >= 0)
        r = db_change(db, "UPDATE nodes SET volume_id = ? WHERE id = ?",
                      DB_VALUES(db_id((uint64_t)volume_id), db_int(node_id)), ret_error);
    return r < 0 ? r : 0;
}

/* Better words for a name that is taken if it is by this very node's disk. */
static int explain_own_disk(struct db *db, int64_t node_id, const char *name, struct error *error)
{
    struct error ignored;
    int64_t found;
    int r = db_lookup(db,
                      "SELECT 1 FROM nodes n JOIN volumes v ON v.id = n.volume_id"
                      " WHERE n.id = ? AND v.name = ?",
                      DB_VALUES(db_int(node_id), db_text(name)), &found, &ignored);
    if (r <= 0)
        return error->code;
    return error_set(error, -EEXIST,
                     "the node has the disk '%s' already; to make it anew (what is on it is lost): "
                     "nodisk node set NODE --volume none, nodisk volume remove %s, then this again",
                     name, name);
}

static int set_new_volume(struct db *db, int64_t node_id, const struct registry_volume *volume,
                          struct changed *changed, struct error *ret_error)
{
    int r = volume_insert(db, volume, changed, ret_error);
    if (r == -EEXIST)
        return explain_own_disk(db, node_id, volume->name, ret_error);
    return r < 0 ? r : set_volume(db, node_id, volume->name, ret_error);
}

static int set_wake_password(struct db *db, int64_t node_id, const struct wake_password *password,
                             struct error *ret_error)
{
    char text[MAC_TEXT_SIZE];
    int r = db_change(db, "DELETE FROM node_wake WHERE node_id = ?", DB_VALUES(db_int(node_id)),
                      ret_error);
    if (r >= 0 && password->given)
        r = db_change(db, "INSERT INTO node_wake (node_id, password) VALUES (?, ?)",
                      DB_VALUES(db_int(node_id), db_text(wake_password_format(password, text))),
                      ret_error);
    return r < 0 ? r : 0;
}

static int set_way(struct db *db, int64_t node_id, const char *sql, const char *word,
                   struct error *ret_error)
{
    int r = db_change(db, sql, DB_VALUES(db_text(word), db_int(node_id)), ret_error);
    return r < 0 ? r : 0;
}

static int set_ways(struct db *db, int64_t node_id, const struct registry_node_change *change,
                    struct error *ret_error)
{
    int r = 0;
    if (change->set_direct)
        r = set_way(db, node_id, "UPDATE nodes SET direct = ? WHERE id = ?",
                    direct_way_name(change->ways.direct), ret_error);
    if (r >= 0 && change->set_ibft_origin)
        r = set_way(db, node_id, "UPDATE nodes SET ibft_origin = ? WHERE id = ?",
                    ibft_origin_name(change->ways.ibft_origin), ret_error);
    if (r >= 0 && change->set_chap_rotation)
        r = chap_set_rotation(db, node_id, change->ways.chap_rotation, ret_error);
    return r;
}

/* Only what differs is asked and checked: a node keeps an address that the configuration of today
 * would not allow any more. */
static int change_node(struct db *db, struct node_operation *o, int64_t node_id,
                       struct error *ret_error)
{
    const struct registry_node_change *change = o->change;
    int r = 0;
    o->operation.changed.node_id = node_id;
    if (change->set_macs)
        r = set_macs(db, node_id, change->macs, change->n_macs, ret_error);
    if (r >= 0 && change->set_address)
        r = set_address(o->operation.registry, db, node_id, change->address, ret_error);
    if (r >= 0 && change->set_group)
        r = set_group(db, node_id, change->group, ret_error);
    if (r >= 0 && o->new_volume)
        r = set_new_volume(db, node_id, o->new_volume, &o->operation.changed, ret_error);
    else if (r >= 0 && change->set_volume)
        r = set_volume(db, node_id, change->volume, ret_error);
    if (r >= 0 && (change->set_chap || change->rotate_chap))
        r = chap_change_node(db, node_id, o->name, change, ret_error);
    if (r >= 0 && change->set_wake_password)
        r = set_wake_password(db, node_id, &change->wake_password, ret_error);
    if (r >= 0)
        r = options_change_node(db, node_id, &change->options, ret_error);
    if (r >= 0)
        r = set_ways(db, node_id, change, ret_error);
    if (r >= 0 && change->set_paths)
        r = node_paths_set(o->operation.registry, db, node_id, change, ret_error);
    if (r >= 0)
        r = node_paths_check(db, node_id, ret_error);
    return r < 0 ? r : elsewhere_check(db, node_id, 0, ret_error);
}

static int add(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct node_operation *o = container_of(operation, struct node_operation, operation);
    int64_t id;
    int r = db_lookup(db, "SELECT id FROM nodes WHERE name = ?", DB_VALUES(db_text(o->name)), &id,
                      ret_error);
    if (r > 0)
        return error_set(ret_error, -EEXIST,
                         "there is a node '%s' already; change it with: nodisk node set %s",
                         o->name, o->name);
    if (r < 0)
        return r;
    r = db_change(db, "INSERT INTO nodes (name, created_at) VALUES (?, ?)",
                  DB_VALUES(db_text(o->name), db_int((int64_t)clock_wall_usec())), ret_error);
    if (r < 0)
        return r;
    return change_node(db, o, sqlite3_last_insert_rowid(db->handle), ret_error);
}

static int check_name(const char *name, struct error *ret_error)
{
    struct mac_address mac;
    if (!name_is_host(name))
        return error_set(ret_error, -EINVAL,
                         "'%s' cannot be a node's name: it becomes its host name, so use lower "
                         "case letters, digits and -, at most %d",
                         name, NAME_MAX_LEN);
    /* <base-iqn>:<mac> is another name of the initiator of the node with that MAC */
    if (mac_parse(name, &mac) == 0)
        return error_set(ret_error, -EINVAL,
                         "'%s' cannot be a node's name: it reads like a mac address", name);
    return 0;
}

int registry_node_add(struct registry *registry, const struct registry_node *node,
                      const struct registry_volume *new_volume, struct error *ret_error)
{
    const struct registry_node_change change = {
        .set_group = node->group != NULL,
        .set_address = node->address != 0,
        .set_volume = node->volume != NULL,
        .set_macs = true,
        .set_chap = node->chap != CHAP_NONE,
        .set_wake_password = node->wake_password.given,
        .set_direct = node->ways.direct != DIRECT_DEFAULT,
        .set_ibft_origin = node->ways.ibft_origin != IBFT_ORIGIN_DEFAULT,
        .set_chap_rotation = node->ways.chap_rotation != CHAP_ROTATION_DEFAULT,
        .group = node->group,
        .address = node->address,
        .volume = node->volume,
        .macs = node->macs,
        .n_macs = node->n_macs,
        .set_paths = node->n_paths > 0,
        .paths = node->paths,
        .n_paths = node->n_paths,
        .chap = node->chap,
        .wake_password = node->wake_password,
        .options = node->options,
        .ways = node->ways,
    };
    struct node_operation o = {.operation = {.apply = add, .changes_catalog = true},
                               .name = node->name,
                               .change = &change,
                               .new_volume = new_volume};
    int r = check_name(node->name, ret_error);
    return r < 0 ? r : operation_run(registry, &o.operation, ret_error);
}

static int set(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct node_operation *o = container_of(operation, struct node_operation, operation);
    int64_t id;
    int r = find_node(db, o->name, &id, ret_error);
    return r < 0 ? r : change_node(db, o, id, ret_error);
}

int registry_node_set(struct registry *registry, const char *name,
                      const struct registry_node_change *change,
                      const struct registry_volume *new_volume, struct error *ret_error)
{
    struct node_operation o = {.operation = {.apply = set, .changes_catalog = true},
                               .name = name,
                               .change = change,
                               .new_volume = new_volume};
    return operation_run(registry, &o.operation, ret_error);
}

static int remove_node(struct db *db, struct operation *operation, struct error *ret_error)
{
    const char *name = container_of(operation, struct node_operation, operation)->name;
    int64_t id;
    int r = find_node(db, name, &id, ret_error);
    operation->changed.node_id = r >= 0 ? id : 0;
    if (r >= 0)
        r = db_change(db, "DELETE FROM nodes WHERE id = ?", DB_VALUES(db_int(id)), ret_error);
    return r;
}

int registry_node_remove(struct registry *registry, const char *name, struct error *ret_error)
{
    struct node_operation o = {.operation = {.apply = remove_node, .changes_catalog = true},
                               .name = name};
    return operation_run(registry, &o.operation, ret_error);
}
