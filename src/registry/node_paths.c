/* Paths of nodes: further cards with addresses of their own, which lead to the same disk. */
#include "registry/operation.h"

#include <errno.h>

static int insert(struct db *db, int64_t node_id, const struct catalog_path *path,
                  struct error *ret_error)
{
    char mac[MAC_TEXT_SIZE], address[IPV4_TEXT_SIZE];
    mac_format(path->mac, mac);
    ipv4_format(path->address, address);
    int r = db_change(db,
                      "INSERT INTO node_paths (node_id, mac, address) VALUES (?, ?, ?)"
                      " ON CONFLICT DO NOTHING",
                      DB_VALUES(db_int(node_id), db_text(mac), db_text(address)), ret_error);
    if (r == 0)
        return error_set(ret_error, -EINVAL,
                         "the path %s=%s: each card has one address, and each address one card",
                         mac, address);
    return r < 0 ? r : 0;
}

int node_paths_set(struct registry *registry, struct db *db, int64_t node_id,
                   const struct registry_node_change *change, struct error *ret_error)
{
    if (change->n_paths > REGISTRY_MAX_PATHS)
        return error_set(ret_error, -EINVAL, "a node has up to %d paths beside its first",
                         REGISTRY_MAX_PATHS);
    int r = db_change(db, "DELETE FROM node_paths WHERE node_id = ?", DB_VALUES(db_int(node_id)),
                      ret_error);
    for (size_t i = 0; r >= 0 && i < change->n_paths; i++) {
        r = node_check_address(registry, db, node_id, change->paths[i].address, ret_error);
        if (r >= 0)
            r = insert(db, node_id, &change->paths[i], ret_error);
    }
    return r < 0 ? r : 0;
}

/* What a node's paths may not be: a query that finds it, and the sentence around what was found. */
static const struct {
    const char *sql, *before, *after;
} wrongs[] = {
    {"SELECT p.mac FROM node_paths p WHERE p.node_id = ? AND p.mac NOT IN"
     " (SELECT mac FROM node_macs WHERE node_id = p.node_id)",
     "the path of card ",
     ": that is none of the node's macs; give it with --mac, too, or other paths (--path none: no "
     "path)"},
    {"SELECT p.address FROM node_paths p JOIN nodes n ON n.id = p.node_id"
     " WHERE p.node_id = ? AND (n.address IS NULL OR n.address = p.address)",
     "the path with the address ",
     ": the node needs an address of its own, too, and another one: give it with --address"},
    {"SELECT n.name FROM nodes n WHERE n.id = ?"
     " AND (SELECT count(*) FROM node_paths WHERE node_id = n.id) >="
     " (SELECT count(*) FROM node_macs WHERE node_id = n.id)",
     "node '", "' has a path for each of its cards; one card is for the node's own address"},
};

int node_paths_check(struct db *db, int64_t node_id, struct error *ret_error)
{
    char text[NAME_MAX_LEN + 1];
    for (size_t i = 0; i < ARRAY_SIZE(wrongs); i++) {
        int r = find_holder(db, wrongs[i].sql, DB_VALUES(db_int(node_id)), text, ret_error);
        if (r < 0)
            return r;
        if (r > 0)
            return error_set(ret_error, -EINVAL, "%s%s%s", wrongs[i].before, text, wrongs[i].after);
    }
    return 0;
}
