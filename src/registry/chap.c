/*
 * CHAP credentials of nodes and volumes. Those of nodes are made here, out of random bytes, and
 * leave the server only in a boot script; those of volumes come from whoever sets them. What a node
 * had before is in chap_rotation.c.
 */
#include "registry/operation.h"

#include <errno.h>

/* What a node calls the target that proves itself to it. */
#define TARGET_USER "nodisk"

struct chap_place {
    const char *read, *forget, *store;
};

static const struct chap_place of_nodes = {
    .read = "SELECT user, secret, target_user, target_secret FROM node_chap WHERE node_id = ?",
    .forget = "DELETE FROM node_chap WHERE node_id = ?",
    .store = "INSERT INTO node_chap (node_id, user, secret, target_user, target_secret)"
             " VALUES (?, ?, ?, ?, ?)",
};

static const struct chap_place of_volumes = {
    .read = "SELECT user, secret, target_user, target_secret FROM volume_chap WHERE volume_id = ?",
    .forget = "DELETE FROM volume_chap WHERE volume_id = ?",
    .store = "INSERT INTO volume_chap (volume_id, user, secret, target_user, target_secret)"
             " VALUES (?, ?, ?, ?, ?)",
};

static int take_row(sqlite3_stmt *row, struct chap_credentials *credentials,
                    struct error *ret_error)
{
    const char *target_user = db_column_text_or_null(row, 2);
    credentials->mode = target_user ? CHAP_MUTUAL : CHAP_ONE_WAY;
    int r = credentials_set(db_column_text(row, 0), db_column_text(row, 1), &credentials->initiator,
                            ret_error);
    if (r >= 0 && target_user)
        r = credentials_set(target_user, db_column_text(row, 3), &credentials->target, ret_error);
    return r < 0 ? r : chap_credentials_check(credentials, ret_error);
}

int chap_read_row(struct db *db, sqlite3_stmt *row, struct chap_credentials *credentials,
                  struct error *ret_error)
{
    struct error why; /* which may not be told: it is of a secret */
    if (take_row(row, credentials, &why) < 0)
        return error_set(ret_error, -EUCLEAN, "the registry %s is damaged: a CHAP secret of it",
                         db->path);
    return 0;
}

static int read_place(struct db *db, const struct chap_place *place, int64_t id,
                      struct chap_credentials *ret_credentials, struct error *ret_error)
{
    cleanup_chap_credentials struct chap_credentials found = {.mode = CHAP_NONE};
    sqlite3_stmt *rows = db_start(db, place->read, DB_VALUES(db_int(id)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r > 0) {
        r = chap_read_row(db, rows, &found, ret_error);
        db_end(rows);
    }
    if (r >= 0)
        *ret_credentials = found;
    return r < 0 ? r : 0;
}

static int store_place(struct db *db, const struct chap_place *place, int64_t id,
                       const struct chap_credentials *c, struct error *ret_error)
{
    bool mutual = c->mode == CHAP_MUTUAL;
    int r = chap_credentials_check(c, ret_error);
    if (r >= 0)
        r = db_change(db, place->forget, DB_VALUES(db_int(id)), ret_error);
    if (r >= 0 && c->mode != CHAP_NONE)
        r = db_change(db, place->store,
                      DB_VALUES(db_int(id), db_text(c->initiator.user),
                                db_text(c->initiator.secret),
                                db_text(mutual ? c->target.user : NULL),
                                db_text(mutual ? c->target.secret : NULL)),
                      ret_error);
    return r < 0 ? r : 0;
}

int chap_read_node(struct db *db, int64_t node_id, struct chap_credentials *ret_credentials,
                   struct error *ret_error)
{
    return read_place(db, &of_nodes, node_id, ret_credentials, ret_error);
}

int chap_read_volume(struct db *db, int64_t volume_id, struct chap_credentials *ret_credentials,
                     struct error *ret_error)
{
    return read_place(db, &of_volumes, volume_id, ret_credentials, ret_error);
}

/* The secrets that the mode needs and that are not there yet. */
static int complete(struct chap_credentials *c, const char *node, enum chap_mode had,
                    struct error *ret_error)
{
    int r = 0;
    if (c->mode >= CHAP_ONE_WAY && had < CHAP_ONE_WAY)
        r = credentials_generate(node, &c->initiator, ret_error);
    if (r >= 0 && c->mode >= CHAP_MUTUAL && had < CHAP_MUTUAL)
        r = credentials_generate(TARGET_USER, &c->target, ret_error);
    return r;
}

int chap_change_node(struct db *db, int64_t node_id, const char *node,
                     const struct registry_node_change *change, struct error *ret_error)
{
    cleanup_chap_credentials struct chap_credentials c = {.mode = CHAP_NONE};
    int r = chap_read_node(db, node_id, &c, ret_error);
    if (r < 0)
        return r;
    enum chap_mode had = change->rotate_chap ? CHAP_NONE : c.mode;
    if (change->set_chap)
        c.mode = change->chap;
    if (change->rotate_chap && c.mode == CHAP_NONE)
        return error_set(ret_error, -EINVAL,
                         "node '%s' has no CHAP secrets to make anew; give it some: nodisk node "
                         "set %s --chap mutual",
                         node, node);
    bool stays = had == c.mode;
    r = complete(&c, node, had, ret_error);
    if (r >= 0 && !stays)
        r = chap_begin_age(db, node_id, c.mode != CHAP_NONE, ret_error);
    return r < 0 ? r : store_place(db, &of_nodes, node_id, &c, ret_error);
}

int chap_make_anew(struct db *db, int64_t node_id, struct chap_credentials *credentials,
                   struct error *ret_error)
{
    char user[CREDENTIALS_USER_MAX + 1];
    str_copy(user, sizeof(user), credentials->initiator.user);
    int r = complete(credentials, user, CHAP_NONE, ret_error);
    return r < 0 ? r : store_place(db, &of_nodes, node_id, credentials, ret_error);
}

int chap_store_volume(struct db *db, int64_t volume_id, const struct chap_credentials *credentials,
                      struct error *ret_error)
{
    return store_place(db, &of_volumes, volume_id, credentials, ret_error);
}

struct chap_operation {
    struct operation operation;
    const char *volume;
    const struct chap_credentials *credentials;
};

static int set_volume(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct chap_operation *o = container_of(operation, struct chap_operation, operation);
    int64_t id;
    int r = find_named(db, "SELECT id FROM volumes WHERE name = ?", "volume", o->volume, &id,
                       ret_error);
    operation->changed.volume_id = r < 0 ? 0 : id;
    return r < 0 ? r : chap_store_volume(db, id, o->credentials, ret_error);
}

int registry_volume_set_chap(struct registry *registry, const char *name,
                             const struct chap_credentials *credentials, struct error *ret_error)
{
    struct chap_operation o = {.operation = {.apply = set_volume, .changes_catalog = true},
                               .volume = name,
                               .credentials = credentials};
    return operation_run(registry, &o.operation, ret_error);
}
