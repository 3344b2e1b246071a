/* Data volumes of nodes: which volume is which LUN of a node's target, beside LUN 0, its disk. */
#include "registry/operation.h"

#include <errno.h>

struct attachment_operation {
    struct operation operation;
    const char *node, *volume;
    uint32_t lun; /* 0: the lowest that is free */
    int64_t node_id, volume_id;
};

static int find_both(struct db *db, struct attachment_operation *o, struct error *ret_error)
{
    int r = find_named(db, "SELECT id FROM nodes WHERE name = ?", "node", o->node, &o->node_id,
                       ret_error);
    if (r >= 0)
        r = find_named(db, "SELECT id FROM volumes WHERE name = ?", "volume", o->volume,
                       &o->volume_id, ret_error);
    return r;
}

static int check_ready(struct db *db, const struct attachment_operation *o, struct error *ret_error)
{
    int64_t found;
    int r = db_lookup(db, "SELECT 1 FROM volumes WHERE id = ? AND state = 'ready'",
                      DB_VALUES(db_int(o->volume_id)), &found, ret_error);
    if (r == 0)
        return error_set(ret_error, -EBUSY, "volume '%s' is not ready; see: nodisk volume show %s",
                         o->volume, o->volume);
    return r < 0 ? r : 0;
}

/* Only its node's firmware knows how to find it. */
static int check_served(struct db *db, const struct attachment_operation *o,
                        struct error *ret_error)
{
    int64_t found;
    int r = db_lookup(db, "SELECT 1 FROM volumes WHERE id = ? AND kind = 'iscsi'",
                      DB_VALUES(db_int(o->volume_id)), &found, ret_error);
    if (r > 0)
        return error_set(ret_error, -EINVAL,
                         "volume '%s' is a LUN of a target elsewhere, which this server cannot "
                         "attach; a node can boot it: nodisk node set %s --volume %s",
                         o->volume, o->node, o->volume);
    return r;
}

static int check_not_its_own(struct db *db, const struct attachment_operation *o,
                             struct error *ret_error)
{
    int64_t lun;
    int r = db_lookup(db,
                      "SELECT 0 FROM nodes WHERE id = ?1 AND volume_id = ?2 UNION ALL"
                      " SELECT lun FROM attachments WHERE node_id = ?1 AND volume_id = ?2",
                      DB_VALUES(db_int(o->node_id), db_int(o->volume_id)), &lun, ret_error);
    if (r <= 0)
        return r;
    if (lun == 0)
        return error_set(ret_error, -EEXIST,
                         "volume '%s' is what node '%s' boots (LUN 0); attach another one",
                         o->volume, o->node);
    return error_set(ret_error, -EEXIST,
                     "volume '%s' is attached to node '%s' already, as LUN %lld", o->volume,
                     o->node, (long long)lun);
}

/* The name of another node that a volume for one machine belongs to, copied to name. 1: there is
 * one. */
int attachment_find_rival(struct db *db, int64_t node_id, int64_t volume_id,
                          char name[static NAME_MAX_LEN + 1], struct error *ret_error)
{
    return find_holder(db,
                       "SELECT n.name FROM nodes n, volumes v WHERE v.id = ?2 AND n.id <> ?1"
                       " AND (n.volume_id = v.id OR n.id IN"
                       " (SELECT node_id FROM attachments WHERE volume_id = v.id))"
                       " AND NOT v.read_only AND NOT v.allow_any"
                       " AND (SELECT count(*) FROM volume_allow WHERE volume_id = v.id) < 2"
                       " ORDER BY n.name LIMIT 1",
                       DB_VALUES(db_int(node_id), db_int(volume_id)), name, ret_error);
}

static int check_no_rival(struct db *db, const struct attachment_operation *o,
                          struct error *ret_error)
{
    char rival[NAME_MAX_LEN + 1];
    int r = attachment_find_rival(db, o->node_id, o->volume_id, rival, ret_error);
    if (r > 0)
        return error_set(ret_error, -EBUSY,
                         "volume '%s' belongs to node '%s', and two nodes writing to it would "
                         "destroy it, unless they know of each other: then make the volume with "
                         "--allow any",
                         o->volume, rival);
    return r;
}

/* Chooses the LUN if none was named. */
static int check_lun(struct db *db, struct attachment_operation *o, struct error *ret_error)
{
    int64_t found;
    int r;
    if (o->lun == 0) {
        r = db_lookup(db,
                      "WITH RECURSIVE luns(lun) AS (SELECT 1 UNION ALL SELECT lun + 1 FROM luns"
                      " WHERE lun < 255) SELECT lun FROM luns WHERE lun NOT IN"
                      " (SELECT lun FROM attachments WHERE node_id = ?) ORDER BY lun LIMIT 1",
                      DB_VALUES(db_int(o->node_id)), &found, ret_error);
        if (r == 0)
            return error_set(ret_error, -EBUSY, "node '%s' has %d data volumes; more do not fit",
                             o->node, REGISTRY_MAX_LUN);
        o->lun = (uint32_t)found;
        return r < 0 ? r : 0;
    }
    if (o->lun > REGISTRY_MAX_LUN)
        return error_set(ret_error, -EINVAL, "a LUN is a number from 1 to %d (0 is what it boots)",
                         REGISTRY_MAX_LUN);
    r = db_lookup(db, "SELECT 1 FROM attachments WHERE node_id = ? AND lun = ?",
                  DB_VALUES(db_int(o->node_id), db_int(o->lun)), &found, ret_error);
    if (r > 0)
        return error_set(ret_error, -EEXIST,
                         "node '%s' has another volume as LUN %u; see: nodisk node show %s",
                         o->node, o->lun, o->node);
    return r;
}

static int attach(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct attachment_operation *o =
        container_of(operation, struct attachment_operation, operation);
    int r = find_both(db, o, ret_error);
    operation->changed.node_id = o->node_id;
    if (r >= 0)
        r = check_ready(db, o, ret_error);
    if (r >= 0)
        r = check_served(db, o, ret_error);
    if (r >= 0)
        r = check_not_its_own(db, o, ret_error);
    if (r >= 0)
        r = check_no_rival(db, o, ret_error);
    if (r >= 0)
        r = check_lun(db, o, ret_error);
    if (r >= 0)
        r = db_change(db, "INSERT INTO attachments (node_id, lun, volume_id) VALUES (?, ?, ?)",
                      DB_VALUES(db_int(o->node_id), db_int(o->lun), db_int(o->volume_id)),
                      ret_error);
    return r < 0 ? r : elsewhere_check(db, o->node_id, 0, ret_error);
}

int registry_volume_attach(struct registry *registry, const char *volume, const char *node,
                           uint32_t lun, uint32_t *ret_lun, struct error *ret_error)
{
    struct attachment_operation o = {.operation = {.apply = attach, .changes_catalog = true},
                                     .node = node,
                                     .volume = volume,
                                     .lun = lun};
    int r = operation_run(registry, &o.operation, ret_error);
    if (r >= 0)
        *ret_lun = o.lun;
    return r;
}

static int detach(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct attachment_operation *o =
        container_of(operation, struct attachment_operation, operation);
    int r = find_both(db, o, ret_error);
    operation->changed.node_id = o->node_id;
    if (r < 0)
        return r;
    r = db_change(db, "DELETE FROM attachments WHERE node_id = ? AND volume_id = ?",
                  DB_VALUES(db_int(o->node_id), db_int(o->volume_id)), ret_error);
    if (r == 0)
        return error_set(ret_error, -ENOENT,
                         "volume '%s' is not attached to node '%s'; see: nodisk node show %s",
                         o->volume, o->node, o->node);
    return r < 0 ? r : 0;
}

int registry_volume_detach(struct registry *registry, const char *volume, const char *node,
                           struct error *ret_error)
{
    struct attachment_operation o = {
        .operation = {.apply = detach, .changes_catalog = true}, .node = node, .volume = volume};
    return operation_run(registry, &o.operation, ret_error);
}
