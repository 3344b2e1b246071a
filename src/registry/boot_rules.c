/*
 * The rules of what machines boot: set, taken away, and given to a boot.
 *
 * Rules for some boots are of nodes only: what is said of a group or of all becomes a rule of each
 * node that is there at that moment, so that each has its own count.
 */
#include "registry/overlay_row.h"

#include <errno.h>

/* --- reading --- */

static int read_rule(struct db *db, sqlite3_stmt *row, struct boot_rules *rules,
                     struct error *ret_error)
{
    enum boot_slot slot;
    struct boot_rule rule = {
        .until = (uint64_t)sqlite3_column_int64(row, 2),
        .counted = sqlite3_column_type(row, 3) != SQLITE_NULL,
        .times = (uint32_t)sqlite3_column_int64(row, 3),
        .boot_id = (uint64_t)sqlite3_column_int64(row, 4),
        .set_at = (uint64_t)sqlite3_column_int64(row, 5),
        .after = (uint32_t)sqlite3_column_int64(row, 6),
    };
    if (boot_slot_parse(db_column_text(row, 0), &slot) < 0 ||
        boot_target_parse(db_column_text(row, 1), &rule.target) < 0)
        return error_set(ret_error, -EUCLEAN,
                         "the registry %s is damaged: '%.64s' is nothing to boot", db->path,
                         db_column_text(row, 1));
    rules->slots[slot] = rule;
    return 0;
}

static int read_rules(struct db *db, sqlite3_stmt *rows, struct boot_rules *ret_rules,
                      struct error *ret_error)
{
    *ret_rules = (struct boot_rules){0};
    if (!rows)
        return ret_error->code;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        r = read_rule(db, rows, ret_rules, ret_error);
        if (r < 0) {
            db_end(rows);
            break;
        }
    }
    return r;
}

#define COLUMNS                                                                                    \
    "SELECT slot, target, until, times, boot_id, set_at,"                                          \
    " (SELECT failures FROM boot_rule_after WHERE rule_id = boot_rules.id)"                        \
    " FROM boot_rules WHERE "

int boot_rules_read_node(struct db *db, int64_t node_id, struct boot_rules *ret_rules,
                         struct error *ret_error)
{
    return read_rules(db,
                      db_start(db, COLUMNS "node_id = ?", DB_VALUES(db_int(node_id)), ret_error),
                      ret_rules, ret_error);
}

int boot_rules_read_group(struct db *db, int64_t group_id, struct boot_rules *ret_rules,
                          struct error *ret_error)
{
    return read_rules(db,
                      db_start(db, COLUMNS "group_id = ?", DB_VALUES(db_int(group_id)), ret_error),
                      ret_rules, ret_error);
}

int boot_rules_read_site(struct db *db, struct boot_rules *ret_rules, struct error *ret_error)
{
    return read_rules(
        db, db_start(db, COLUMNS "node_id IS NULL AND group_id IS NULL", DB_NO_VALUES, ret_error),
        ret_rules, ret_error);
}

/* --- changing --- */

struct rule_operation {
    struct operation operation;
    const struct registry_boot_scope *scope;
    const struct registry_boot_rule *rule;
};

/* 0 for what the scope does not name. */
static int find_owner(struct db *db, const struct registry_boot_scope *scope, int64_t *ret_node_id,
                      int64_t *ret_group_id, struct error *ret_error)
{
    *ret_node_id = *ret_group_id = 0;
    if (scope->node)
        return find_named(db, "SELECT id FROM nodes WHERE name = ?", "node", scope->node,
                          ret_node_id, ret_error);
    if (scope->group)
        return find_named(db, "SELECT id FROM groups WHERE name = ?", "group", scope->group,
                          ret_group_id, ret_error);
    return 0;
}

/* Of a node's own disk. */
static int check_snapshot(struct db *db, int64_t node_id, const char *name, struct error *ret_error)
{
    int64_t ignored;
    int r = db_lookup(db,
                      "SELECT 1 FROM snapshots s JOIN nodes n ON n.volume_id = s.volume_id"
                      " WHERE n.id = ? AND s.name = ?",
                      DB_VALUES(db_int(node_id), db_text(name)), &ignored, ret_error);
    if (r == 0)
        return error_set(ret_error, -ENOENT,
                         "its disk has no snapshot '%s'; see: nodisk volume snapshot list VOLUME",
                         name);
    return r < 0 ? r : 0;
}

static int check_target(struct db *db, int64_t node_id, const struct boot_target *target,
                        struct error *ret_error)
{
    int64_t ignored;
    if (target->kind == BOOT_TARGET_ENTRY)
        return find_named(db, "SELECT id FROM boot_entries WHERE name = ?", "entry", target->name,
                          &ignored, ret_error);
    if (target->kind == BOOT_TARGET_VOLUME && target->name[0])
        return find_named(db, "SELECT id FROM volumes WHERE name = ?", "volume", target->name,
                          &ignored, ret_error);
    if (target->kind == BOOT_TARGET_SNAPSHOT && node_id)
        return check_snapshot(db, node_id, target->name, ret_error);
    return 0;
}

#define PUT                                                                                        \
    "INSERT OR REPLACE INTO boot_rules"                                                            \
    " (node_id, group_id, slot, target, until, times, set_at) "

static int put_one(struct db *db, int64_t node_id, int64_t group_id,
                   const struct registry_boot_rule *rule, struct error *ret_error)
{
    char target[BOOT_TARGET_SIZE];
    return db_change(db, PUT "VALUES (?, ?, ?, ?, ?, ?, ?)",
                     DB_VALUES(db_id((uint64_t)node_id), db_id((uint64_t)group_id),
                               db_text(boot_slot_name(rule->slot)),
                               db_text(boot_target_format(&rule->target, target)),
                               db_id(rule->until), db_id(rule->times),
                               db_int((int64_t)clock_wall_usec())),
                     ret_error);
}

/* Of the fallback that was put there: that of an older one went with it. */
static int put_after(struct db *db, int64_t node_id, int64_t group_id,
                     const struct registry_boot_rule *rule, struct error *ret_error)
{
    if (!rule->after)
        return 0;
    return db_change(db,
                     "INSERT INTO boot_rule_after SELECT id, ? FROM boot_rules"
                     " WHERE coalesce(node_id, 0) = ? AND coalesce(group_id, 0) = ? AND slot = ?",
                     DB_VALUES(db_int(rule->after), db_int(node_id), db_int(group_id),
                               db_text(boot_slot_name(rule->slot))),
                     ret_error);
}

/* For each node of the group (0: of all). */
static int put_each(struct db *db, int64_t group_id, const struct registry_boot_rule *rule,
                    struct error *ret_error)
{
    char target[BOOT_TARGET_SIZE];
    return db_change(db,
                     PUT "SELECT id, NULL, ?1, ?2, ?3, ?4, ?5 FROM nodes"
                         " WHERE ?6 = 0 OR group_id = ?6",
                     DB_VALUES(db_text(boot_slot_name(rule->slot)),
                               db_text(boot_target_format(&rule->target, target)),
                               db_id(rule->until), db_id(rule->times),
                               db_int((int64_t)clock_wall_usec()), db_int(group_id)),
                     ret_error);
}

static int set(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct rule_operation *o = container_of(operation, struct rule_operation, operation);
    int64_t node_id, group_id;
    int r = find_owner(db, o->scope, &node_id, &group_id, ret_error);
    if (r >= 0)
        r = check_target(db, node_id, &o->rule->target, ret_error);
    if (r < 0)
        return r;
    operation->changed.node_id = node_id;
    r = o->rule->times && !node_id ? put_each(db, group_id, o->rule, ret_error)
                                   : put_one(db, node_id, group_id, o->rule, ret_error);
    if (r >= 0)
        r = put_after(db, node_id, group_id, o->rule, ret_error);
    return r < 0 ? r : 0;
}

int registry_boot_rule_set(struct registry *registry, const struct registry_boot_scope *scope,
                           const struct registry_boot_rule *rule, struct error *ret_error)
{
    struct rule_operation o = {
        .operation = {.apply = set, .changes_catalog = true}, .scope = scope, .rule = rule};
    return operation_run(registry, &o.operation, ret_error);
}

static int clear(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct rule_operation *o = container_of(operation, struct rule_operation, operation);
    int64_t node_id, group_id;
    int r = find_owner(db, o->scope, &node_id, &group_id, ret_error);
    if (r < 0)
        return r;
    operation->changed.node_id = node_id;
    r = db_change(db,
                  "DELETE FROM boot_rules"
                  " WHERE coalesce(node_id, 0) = ? AND coalesce(group_id, 0) = ?",
                  DB_VALUES(db_int(node_id), db_int(group_id)), ret_error);
    return r < 0 ? r : 0;
}

int registry_boot_rules_clear(struct registry *registry, const struct registry_boot_scope *scope,
                              struct error *ret_error)
{
    struct rule_operation o = {.operation = {.apply = clear, .changes_catalog = true},
                               .scope = scope};
    return operation_run(registry, &o.operation, ret_error);
}

/* --- giving it to a boot --- */

struct claim_operation {
    struct operation operation;
    struct registry_claim claim;
};

/* A boot that has it already, or a rule that was taken away or used up meanwhile, changes nothing:
 * who asks looks at the catalog again. */
static int claim_rule(struct db *db, const struct registry_claim *c, struct error *ret_error)
{
    int r =
        db_change(db,
                  "UPDATE boot_rules SET times = times - 1, boot_id = ?1"
                  " WHERE node_id = ?2 AND slot = 'temporary' AND times > 0 AND boot_id <> ?1",
                  DB_VALUES(db_int((int64_t)c->boot_id), db_int((int64_t)c->node_id)), ret_error);
    return r < 0 ? r : 0;
}

/* All of it, or nothing. */
static int claim(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct claim_operation *o = container_of(operation, struct claim_operation, operation);
    const struct registry_claim *c = &o->claim;
    int r = 0;
    if (c->rule || c->secrets)
        operation->changed.node_id = (int64_t)c->node_id;
    if (c->rule)
        r = claim_rule(db, c, ret_error);
    if (r >= 0 && c->secrets)
        r = chap_rotate_for_boot(db, (int64_t)c->node_id, c->boot_id, ret_error);
    if (r >= 0 && c->disk)
        r = trial_choose(db, (int64_t)c->node_id, (int64_t)c->boot_id, c->snapshot,
                         &operation->changed.volume_id, ret_error);
    return r;
}

int registry_boot_claim(struct registry *registry, const struct registry_claim *what,
                        struct registry_reply *reply)
{
    struct claim_operation *o = calloc(1, sizeof(*o));
    if (!o)
        return -ENOMEM;
    o->operation.apply = claim;
    o->operation.changes_catalog = true;
    o->claim = *what;
    operation_post(registry, &o->operation, reply);
    return 0;
}
