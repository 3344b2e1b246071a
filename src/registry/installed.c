/* What becomes of the rules of a node that was installed: it boots its disk from then on. */
#include "registry/operation.h"

#include <errno.h>

struct installed_operation {
    struct operation operation;
    uint64_t node_id;
    bool by_policy;
    char target[BOOT_TARGET_SIZE];
};

/* What its group, the site or the configuration says cannot be changed for one node: it gets a word
 * of its own. */
static const char *const installed_changes[] = {
    "DELETE FROM boot_rules WHERE node_id = ?1 AND slot = 'temporary' AND target = ?2",
    "UPDATE boot_rules SET target = 'volume', until = NULL, times = NULL"
    " WHERE node_id = ?1 AND slot = 'standing' AND target = ?2",
    "INSERT OR IGNORE INTO boot_rules (node_id, group_id, slot, target, set_at)"
    " SELECT n.id, NULL, 'standing', 'volume', ?3 FROM nodes n WHERE n.id = ?1 AND (?4 OR EXISTS"
    " (SELECT 1 FROM boot_rules r WHERE r.target = ?2 AND r.slot <> 'fallback'"
    "   AND r.node_id IS NULL AND (r.group_id IS NULL OR r.group_id = n.group_id)))",
};

static int installed(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct installed_operation *o =
        container_of(operation, struct installed_operation, operation);
    operation->changed.node_id = (int64_t)o->node_id;
    int r = 0;
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(installed_changes); i++)
        r = i < 2 ? db_change(db, installed_changes[i],
                              DB_VALUES(db_int((int64_t)o->node_id), db_text(o->target)), ret_error)
                  : db_change(db, installed_changes[i],
                              DB_VALUES(db_int((int64_t)o->node_id), db_text(o->target),
                                        db_int((int64_t)clock_wall_usec()), db_int(o->by_policy)),
                              ret_error);
    return r < 0 ? r : 0;
}

int registry_boot_installed(struct registry *registry, uint64_t node_id, const char *entry,
                            bool by_policy, struct registry_reply *reply)
{
    struct boot_target target = {.kind = BOOT_TARGET_ENTRY};
    struct installed_operation *o = calloc(1, sizeof(*o));
    if (!o)
        return -ENOMEM;
    o->operation.apply = installed;
    o->operation.changes_catalog = true;
    o->node_id = node_id;
    o->by_policy = by_policy;
    str_copy(target.name, sizeof(target.name), entry);
    boot_target_format(&target, o->target);
    operation_post(registry, &o->operation, reply);
    return 0;
}
