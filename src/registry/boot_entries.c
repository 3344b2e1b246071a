/* Boot entries: live systems and scripts by name. */
#include "registry/operation.h"

#include <errno.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* Without what iPXE takes apart ($ " ' \ & | ; #), and without all that does not print. */
static const char argument_characters[] = LETTERS " /._+~-=,:@%^[]()!*?<>{}";
static const char title_characters[] = LETTERS " /._+~-=,:@()!?";

struct entry_operation {
    struct operation operation;
    const char *name;
    const struct registry_boot_entry *entry;
};

static bool is_made_of(const char *text, const char *characters, size_t max)
{
    return strlen(text) <= max && text[strspn(text, characters)] == '\0';
}

/* What begins like an option is none. */
static bool is_title(const char *text)
{
    return is_made_of(text, title_characters, REGISTRY_MAX_ENTRY_TITLE) &&
           (!*text || strchr(LETTERS, *text));
}

static int check_file(const char *path, struct error *ret_error)
{
    if (path[0] != '/' || strlen(path) >= PATH_MAX)
        return error_set(ret_error, -EINVAL, "'%.200s' is no absolute path of a file on the server",
                         path);
    if (access(path, R_OK) < 0)
        return error_set(ret_error, -EINVAL, "cannot read %.200s: %s", path, strerror(errno));
    return 0;
}

int registry_boot_entry_check(const struct registry_boot_entry *e, struct error *ret_error)
{
    if (!name_is_object(e->name))
        return error_set(ret_error, -EINVAL,
                         "'%.64s' cannot be a name: use lower case letters, digits, . and -, "
                         "at most %d",
                         e->name, NAME_MAX_LEN);
    if (boot_target_is_word(e->name))
        return error_set(ret_error, -EINVAL, "'%s' means something else already; name it otherwise",
                         e->name);
    if (!is_made_of(e->arguments, argument_characters, REGISTRY_MAX_ENTRY_ARGUMENTS) ||
        strstr(e->arguments, "${"))
        return error_set(ret_error, -EINVAL,
                         "the arguments have a character that cannot get through iPXE (one of $ \" "
                         "' \\ & | ; # or none that prints), or are longer than %d",
                         REGISTRY_MAX_ENTRY_ARGUMENTS);
    if (!is_title(e->title))
        return error_set(ret_error, -EINVAL,
                         "the title begins with a letter or a digit, and may have spaces and "
                         "/._+~-=,:@()!?; at most %d characters",
                         REGISTRY_MAX_ENTRY_TITLE);
    return entry_parts_check(e, ret_error);
}

static int check(const struct registry_boot_entry *e, struct error *ret_error)
{
    int r = registry_boot_entry_check(e, ret_error);
    if (r >= 0)
        r = check_file(e->file, ret_error);
    if (r >= 0 && e->n_initrds > REGISTRY_MAX_INITRDS)
        r = error_set(ret_error, -EINVAL, "an entry has at most %d initrds", REGISTRY_MAX_INITRDS);
    for (size_t i = 0; r >= 0 && i < e->n_initrds; i++)
        r = check_file(e->initrds[i], ret_error);
    if (r >= 0 && e->answer)
        r = check_file(e->answer, ret_error);
    return r;
}

/* Installers are live systems that have an answer file, too. */
static const char *stored_kind(enum boot_entry_kind kind)
{
    return boot_entry_kind_name(kind == BOOT_ENTRY_INSTALLER ? BOOT_ENTRY_LIVE : kind);
}

static int add(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct registry_boot_entry *e =
        container_of(operation, struct entry_operation, operation)->entry;
    int r = db_change(db,
                      "INSERT INTO boot_entries (name, title, kind, file, arguments, created_at)"
                      " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                      DB_VALUES(db_text(e->name), db_text(e->title), db_text(stored_kind(e->kind)),
                                db_text(path_to_store(db, e->file)), db_text(e->arguments),
                                db_int((int64_t)clock_wall_usec())),
                      ret_error);
    if (r == 0)
        return error_set(ret_error, -EEXIST,
                         "there is an entry '%s' already; remove it first: nodisk entry remove %s",
                         e->name, e->name);
    for (size_t i = 0; r >= 0 && i < e->n_initrds; i++)
        r = db_change(db,
                      "INSERT INTO boot_entry_initrds (entry_id, position, file)"
                      " SELECT id, ?, ? FROM boot_entries WHERE name = ?",
                      DB_VALUES(db_int((int64_t)i), db_text(path_to_store(db, e->initrds[i])),
                                db_text(e->name)),
                      ret_error);
    return r < 0 ? r : entry_parts_add(db, e, ret_error);
}

int registry_boot_entry_add(struct registry *registry, const struct registry_boot_entry *entry,
                            struct error *ret_error)
{
    struct entry_operation o = {.operation = {.apply = add, .changes_catalog = true},
                                .entry = entry};
    int r = check(entry, ret_error);
    return r < 0 ? r : operation_run(registry, &o.operation, ret_error);
}

static int renew_kernel(struct db *db, const struct registry_boot_entry *e, struct error *ret_error)
{
    return db_change(
        db,
        "UPDATE boot_entries SET file = ? WHERE name = ? AND id IN"
        " (SELECT entry_id FROM boot_entry_urls WHERE position = -1 AND url = ?)",
        DB_VALUES(db_text(path_to_store(db, e->file)), db_text(e->name), db_text(e->urls[0])),
        ret_error);
}

static int renew_initrd(struct db *db, const struct registry_boot_entry *e, size_t i,
                        struct error *ret_error)
{
    return db_change(db,
                     "UPDATE boot_entry_initrds SET file = ? WHERE position = ? AND entry_id IN"
                     " (SELECT e.id FROM boot_entries e JOIN boot_entry_urls u ON u.entry_id = e.id"
                     "  WHERE e.name = ? AND u.position = ? AND u.url = ?)",
                     DB_VALUES(db_text(path_to_store(db, e->initrds[i])), db_int((int64_t)i),
                               db_text(e->name), db_int((int64_t)i), db_text(e->urls[i + 1])),
                     ret_error);
}

static int renew(struct db *db, struct operation *operation, struct error *ret_error)
{
    const struct registry_boot_entry *e =
        container_of(operation, struct entry_operation, operation)->entry;
    int r = e->urls[0][0] ? renew_kernel(db, e, ret_error) : 1;
    for (size_t i = 0; r > 0 && i < e->n_initrds; i++)
        r = e->urls[i + 1][0] ? renew_initrd(db, e, i, ret_error) : 1;
    if (r == 0)
        return error_set(ret_error, -EBUSY,
                         "the entry '%s' was removed or made anew meanwhile; nothing was changed",
                         e->name);
    return r < 0 ? r : 0;
}

int registry_boot_entry_renew(struct registry *registry, const struct registry_boot_entry *entry,
                              struct error *ret_error)
{
    struct entry_operation o = {.operation = {.apply = renew, .changes_catalog = true},
                                .entry = entry};
    return operation_run(registry, &o.operation, ret_error);
}

/* Whom it would leave without what they are to boot. */
static int check_unused(struct db *db, const char *name, struct error *ret_error)
{
    char target[BOOT_TARGET_SIZE], holder[NAME_MAX_LEN + 1];
    struct boot_target entry = {.kind = BOOT_TARGET_ENTRY};
    str_copy(entry.name, sizeof(entry.name), name);
    int r = find_holder(db,
                        "SELECT coalesce(n.name, g.name, '--default') FROM boot_rules r"
                        " LEFT JOIN nodes n ON n.id = r.node_id"
                        " LEFT JOIN groups g ON g.id = r.group_id"
                        " WHERE r.target = ? AND (r.times IS NULL OR r.times > 0) LIMIT 1",
                        DB_VALUES(db_text(boot_target_format(&entry, target))), holder, ret_error);
    if (r > 0)
        return error_set(ret_error, -EBUSY,
                         "entry '%s' is what a rule has booted; change that first: nodisk boot %s "
                         "--clear",
                         name, holder);
    return r;
}

static int remove_entry(struct db *db, struct operation *operation, struct error *ret_error)
{
    const char *name = container_of(operation, struct entry_operation, operation)->name;
    int r = check_unused(db, name, ret_error);
    if (r < 0)
        return r;
    r = db_change(db, "DELETE FROM boot_entries WHERE name = ?", DB_VALUES(db_text(name)),
                  ret_error);
    if (r == 0)
        return error_set(ret_error, -ENOENT, "there is no entry '%.64s'; see: nodisk entry list",
                         name);
    return r < 0 ? r : 0;
}

int registry_boot_entry_remove(struct registry *registry, const char *name, struct error *ret_error)
{
    struct entry_operation o = {.operation = {.apply = remove_entry, .changes_catalog = true},
                                .name = name};
    return name_is_object(name)
               ? operation_run(registry, &o.operation, ret_error)
               : error_set(ret_error, -ENOENT, "there is no such entry; see: nodisk entry list");
}

/* --- reading --- */

static int damaged(struct db *db, const char *name, struct error *ret_error)
{
    return error_set(ret_error, -EUCLEAN, "the registry %s is damaged: '%.64s' is no boot entry",
                     db->path, name);
}

/* In the arena. */
static int read_initrds(struct db *db, struct arena *arena, struct catalog_entry *entry,
                        struct error *ret_error)
{
    const char **list = arena_alloc(arena, REGISTRY_MAX_INITRDS * sizeof(*list));
    sqlite3_stmt *rows =
        db_start(db, "SELECT file FROM boot_entry_initrds WHERE entry_id = ? ORDER BY position",
                 DB_VALUES(db_int((int64_t)entry->id)), ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        char path[PATH_MAX];
        char *file = arena_strdup(arena, path_from_store(db, db_column_text(rows, 0), path));
        if (!list || !file || entry->n_initrds == REGISTRY_MAX_INITRDS) {
            db_end(rows);
            return list && file ? damaged(db, entry->name, ret_error)
                                : error_set(ret_error, -ENOMEM, "out of memory");
        }
        list[entry->n_initrds++] = file;
    }
    entry->initrds = list;
    return r;
}

static int read_entry(struct db *db, sqlite3_stmt *row, struct arena *arena,
                      struct catalog *catalog, struct error *ret_error)
{
    char path[PATH_MAX];
    struct catalog_entry entry = {
        .id = (uint64_t)sqlite3_column_int64(row, 0),
        .name = db_column_text(row, 1),
        .title = db_column_text(row, 2),
        .file = path_from_store(db, db_column_text(row, 4), path),
        .arguments = db_column_text(row, 5),
        .created_at = (uint64_t)sqlite3_column_int64(row, 6),
    };
    if (!name_is_object(entry.name) || !is_title(entry.title) ||
        !is_made_of(entry.arguments, argument_characters, REGISTRY_MAX_ENTRY_ARGUMENTS) ||
        boot_entry_kind_parse(db_column_text(row, 3), &entry.kind) < 0)
        return damaged(db, entry.name, ret_error);
    int r = read_initrds(db, arena, &entry, ret_error);
    if (r >= 0)
        r = entry_parts_read(db, arena, &entry, ret_error);
    if (r >= 0 && catalog_add_entry(catalog, &entry) < 0)
        r = error_set(ret_error, -ENOMEM, "out of memory");
    return r;
}

int boot_entries_load(struct db *db, struct catalog *catalog, struct error *ret_error)
{
    struct arena arena = {0};
    sqlite3_stmt *rows =
        db_start(db, "SELECT id, name, title, kind, file, arguments, created_at FROM boot_entries",
                 DB_NO_VALUES, ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        r = read_entry(db, rows, &arena, catalog, ret_error);
        if (r < 0) {
            db_end(rows);
            break;
        }
    }
    arena_free(&arena);
    return r;
}
