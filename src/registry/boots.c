/* Boots and their stages: a history of bounded length for each node. */
#include "registry/operation.h"

#include <errno.h>

struct boot_operation {
    struct operation operation;
    struct registry_boot boot;
};

struct stage_operation {
    struct operation operation;
    struct registry_boot_stage stage;
};

/* Of a boot that is there. */
static int store_tries(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct registry_boot *b =
        &container_of(operation, struct boot_operation, operation)->boot;
    int r = db_change(db,
                      "INSERT OR REPLACE INTO boot_tries (boot_id, failures, tries)"
                      " SELECT id, ?, ? FROM boots WHERE id = ?",
                      DB_VALUES(db_int(b->failures), db_int(b->tries), db_int((int64_t)b->id)),
                      ret_error);
    return r < 0 ? r : 0;
}

static int store_boot(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct registry_boot *b =
        &container_of(operation, struct boot_operation, operation)->boot;
    char mac[MAC_TEXT_SIZE];
    int r = db_change(db,
                      "INSERT OR REPLACE INTO boots (id, node_id, mac, started_at, kernel)"
                      " SELECT ?, id, ?, ?, ? FROM nodes WHERE id = ?",
                      DB_VALUES(db_int((int64_t)b->id), db_text(mac_format(b->mac, mac)),
                                db_int((int64_t)b->started_at),
                                db_text(operation_kernel(operation)), db_int((int64_t)b->node_id)),
                      ret_error);
    if (r > 0 && b->failures > 0)
        r = store_tries(db, operation, ret_error) < 0 ? ret_error->code : 1;
    if (r <= 0)
        return r;
    return db_change(
        db,
        "DELETE FROM boots WHERE node_id = ?1 AND id <= (SELECT id FROM boots WHERE node_id = ?1"
        " ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        DB_VALUES(db_int((int64_t)b->node_id), db_int(REGISTRY_BOOTS_PER_NODE)), ret_error);
}

static int post(struct registry *registry, const struct registry_boot *boot,
                int (*apply)(struct db *db, struct operation *operation, struct error *ret_error),
                struct registry_reply *reply)
{
    struct boot_operation *o = calloc(1, sizeof(*o));
    if (!o)
        return -ENOMEM;
    o->operation.apply = apply;
    o->boot = *boot;
    operation_post(registry, &o->operation, reply);
    return 0;
}

int registry_boot_store(struct registry *registry, const struct registry_boot *boot,
                        struct registry_reply *reply)
{
    return post(registry, boot, store_boot, reply);
}

int registry_boot_tries_store(struct registry *registry, const struct registry_boot *boot,
                              struct registry_reply *reply)
{
    return post(registry, boot, store_tries, reply);
}

static int store_stage(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct registry_boot_stage *s =
        &container_of(operation, struct stage_operation, operation)->stage;
    return db_change(
        db,
        "INSERT INTO boot_stages (boot_id, position, stage, reached_at, detail)"
        " SELECT id, (SELECT coalesce(max(position), 0) + 1 FROM boot_stages WHERE boot_id = ?1),"
        " ?2, ?3, ?4 FROM boots WHERE id = ?1",
        DB_VALUES(db_int((int64_t)s->boot_id), db_text(s->stage), db_int((int64_t)s->reached_at),
                  db_text(s->detail)),
        ret_error);
}

int registry_boot_stage_store(struct registry *registry, const struct registry_boot_stage *stage,
                              struct registry_reply *reply)
{
    struct stage_operation *o = calloc(1, sizeof(*o));
    if (!o)
        return -ENOMEM;
    o->operation.apply = store_stage;
    o->stage = *stage;
    operation_post(registry, &o->operation, reply);
    return 0;
}

struct age_operation {
    struct operation operation;
    int64_t volume_id;
    struct registry_boot_age age; /* result */
};

/* Of a volume that is no node's nobody can say when its machine began to run. */
static int find_age(struct db *db, struct operation *operation, struct error *ret_error)
{
    struct age_operation *o = container_of(operation, struct age_operation, operation);
    sqlite3_stmt *rows =
        db_start(db,
                 "SELECT coalesce(b.kernel, '') = ?1, coalesce(b.id, 0) > v.fence_boot"
                 " OR v.fence_boot = 0 FROM volumes v JOIN nodes n ON n.volume_id = v.id"
                 " OR n.id IN (SELECT node_id FROM attachments WHERE volume_id = v.id)"
                 " LEFT JOIN boots b ON b.node_id = n.id WHERE v.id = ?2"
                 " ORDER BY b.id DESC LIMIT 1",
                 DB_VALUES(db_text(operation_kernel(operation)), db_int(o->volume_id)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    o->age = (struct registry_boot_age){true, true};
    if (r <= 0)
        return r;
    o->age.after_loss = sqlite3_column_int(rows, 0) != 0;
    o->age.after_change = sqlite3_column_int(rows, 1) != 0;
    db_end(rows);
    return 0;
}

int registry_boot_find_age(struct registry *registry, uint64_t volume_id,
                           struct registry_boot_age *ret_age, struct error *ret_error)
{
    struct age_operation o = {.operation = {.apply = find_age, .reads_only = true},
                              .volume_id = (int64_t)volume_id};
    int r = operation_run(registry, &o.operation, ret_error);
    if (r >= 0)
        *ret_age = o.age;
    return r;
}

struct list_operation {
    struct operation operation;
    uint64_t node_id;
    unsigned boots_per_node;
    void (*each_boot)(void *context, const struct registry_boot *boot);
    void (*each_stage)(void *context, const struct registry_boot_stage *stage);
    void *context;
};

static int list_stages(struct db *db, const struct list_operation *o, uint64_t boot_id,
                       struct error *ret_error)
{
    sqlite3_stmt *rows = db_start(
        db, "SELECT stage, reached_at, detail FROM boot_stages WHERE boot_id = ? ORDER BY position",
        DB_VALUES(db_int((int64_t)boot_id)), ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        struct registry_boot_stage stage = {.boot_id = boot_id,
                                            .reached_at = (uint64_t)sqlite3_column_int64(rows, 1)};
        str_copy(stage.stage, sizeof(stage.stage), db_column_text(rows, 0));
        str_copy(stage.detail, sizeof(stage.detail), db_column_text(rows, 2));
        o->each_stage(o->context, &stage);
    }
    return r;
}

static int list(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct list_operation *o = container_of(operation, struct list_operation, operation);
    sqlite3_stmt *rows = db_start(
        db,
        "SELECT id, node_id, mac, started_at, coalesce(t.failures, 0), coalesce(t.tries, 0) FROM ("
        "  SELECT *, row_number() OVER (PARTITION BY node_id ORDER BY id DESC) AS place FROM boots"
        "  WHERE ?1 = 0 OR node_id = ?1"
        ") LEFT JOIN boot_tries t ON t.boot_id = id WHERE place <= ?2 ORDER BY id",
        DB_VALUES(db_int((int64_t)o->node_id), db_int(o->boots_per_node)), ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        struct registry_boot boot = {
            .id = (uint64_t)sqlite3_column_int64(rows, 0),
            .node_id = (uint64_t)sqlite3_column_int64(rows, 1),
            .started_at = (uint64_t)sqlite3_column_int64(rows, 3),
            .failures = (uint32_t)sqlite3_column_int64(rows, 4),
            .tries = sqlite3_column_int(rows, 5) != 0,
        };
        if (mac_parse(db_column_text(rows, 2), &boot.mac) < 0)
            continue;
        o->each_boot(o->context, &boot);
        r = list_stages(db, o, boot.id, ret_error);
        if (r < 0) {
            db_end(rows);
            break;
        }
    }
    return r;
}

int registry_boot_list(struct registry *registry, uint64_t node_id, unsigned boots_per_node,
                       void (*each_boot)(void *context, const struct registry_boot *boot),
                       void (*each_stage)(void *context, const struct registry_boot_stage *stage),
                       void *context, struct error *ret_error)
{
    struct list_operation o = {
        .operation = {.apply = list, .reads_only = true},
        .node_id = node_id,
        .boots_per_node = boots_per_node,
        .each_boot = each_boot,
        .each_stage = each_stage,
        .context = context,
    };
    return operation_run(registry, &o.operation, ret_error);
}
