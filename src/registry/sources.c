/* Where the initiators of a volume may come from. */
#include "registry/operation.h"

#include <errno.h>

int sources_store(struct db *db, int64_t volume_id, const char *const *sources, size_t n_sources,
                  struct error *ret_error)
{
    int r = db_change(db, "DELETE FROM volume_allow_from WHERE volume_id = ?",
                      DB_VALUES(db_int(volume_id)), ret_error);
    if (r >= 0 && n_sources > REGISTRY_MAX_SOURCES)
        return error_set(ret_error, -E2BIG, "a volume can be bound to %d addresses and networks",
                         REGISTRY_MAX_SOURCES);
    for (size_t i = 0; r >= 0 && i < n_sources; i++) {
        char text[SOURCE_TEXT_SIZE];
        struct source source;
        if (source_parse(sources[i], &source) < 0)
            return error_set(ret_error, -EINVAL,
                             "'%.64s' is no address (10.0.0.7), no network (10.0.0.0/24, no bits "
                             "set beyond the 24) and not 'node'",
                             sources[i]);
        r = db_change(db,
                      "INSERT INTO volume_allow_from (volume_id, source) VALUES (?, ?)"
                      " ON CONFLICT DO NOTHING",
                      DB_VALUES(db_int(volume_id), db_text(source_format(&source, text))),
                      ret_error);
    }
    return r < 0 ? r : 0;
}

int sources_read(struct db *db, int64_t volume_id,
                 struct source sources[static REGISTRY_MAX_SOURCES], size_t *ret_count,
                 struct error *ret_error)
{
    sqlite3_stmt *rows =
        db_start(db, "SELECT source FROM volume_allow_from WHERE volume_id = ? ORDER BY source",
                 DB_VALUES(db_int(volume_id)), ret_error);
    if (!rows)
        return ret_error->code;
    size_t n = 0;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        if (n < REGISTRY_MAX_SOURCES && source_parse(db_column_text(rows, 0), &sources[n]) == 0) {
            n++;
            continue;
        }
        r = error_set(ret_error, -EUCLEAN,
                      "the registry %s is damaged: '%.64s' is not a source of logins", db->path,
                      db_column_text(rows, 0));
        db_end(rows);
        return r;
    }
    *ret_count = n;
    return r;
}

struct sources_operation {
    struct operation operation;
    const char *volume;
    const char *const *sources;
    size_t n_sources;
};

static int check_served_here(struct db *db, int64_t id, struct error *ret_error)
{
    int64_t elsewhere = 0;
    int r = db_lookup(db, "SELECT kind = 'iscsi' FROM volumes WHERE id = ?", DB_VALUES(db_int(id)),
                      &elsewhere, ret_error);
    if (r >= 0 && elsewhere)
        r = error_set(ret_error, -EINVAL,
                      "who may log in to a LUN of a target elsewhere, that target decides");
    return r;
}

static int set_sources(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct sources_operation *o =
        container_of(operation, struct sources_operation, operation);
    int64_t id;
    int r = find_named(db, "SELECT id FROM volumes WHERE name = ?", "volume", o->volume, &id,
                       ret_error);
    operation->changed.volume_id = r < 0 ? 0 : id;
    if (r >= 0)
        r = check_served_here(db, id, ret_error);
    return r < 0 ? r : sources_store(db, id, o->sources, o->n_sources, ret_error);
}

int registry_volume_set_sources(struct registry *registry, const char *name,
                                const char *const *sources, size_t n_sources,
                                struct error *ret_error)
{
    struct sources_operation o = {.operation = {.apply = set_sources, .changes_catalog = true},
                                  .volume = name,
                                  .sources = sources,
                                  .n_sources = n_sources};
    return operation_run(registry, &o.operation, ret_error);
}
