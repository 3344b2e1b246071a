/*
 * What boot entries have beside their files: which digests those must have, where they were fetched
 * from, and of installers, the answer file and its variables.
 */
#include "core/url.h"
#include "registry/operation.h"

#include <errno.h>

#define SHA256_CHARACTERS 64

/* --- checking --- */

static bool is_sha256(const char *text)
{
    return strlen(text) == SHA256_CHARACTERS && text[strspn(text, "0123456789abcdef")] == '\0';
}

static int check_digests(const struct registry_boot_entry *e, struct error *ret_error)
{
    for (size_t i = 0; e->sha256 && i <= e->n_initrds; i++)
        if (e->sha256[i][0] && !is_sha256(e->sha256[i]))
            return error_set(ret_error, -EINVAL,
                             "'%.80s' is no SHA-256: it has 64 digits from 0 to 9 and a to f, as "
                             "sha256sum prints them",
                             e->sha256[i]);
    return 0;
}

static bool is_graphic(const char *text)
{
    while (*text > ' ' && *text < 0x7f)
        text++;
    return !*text;
}

/* A password in it would be shown to everybody who may list entries. */
static int check_url(const char *url, struct error *ret_error)
{
    const char *host = url_host(url);
    if (!host || !is_graphic(url) || strlen(url) > REGISTRY_MAX_URL || !*host || *host == '/')
        return error_set(ret_error, -EINVAL,
                         "'%.100s' is no URL: it looks like http://mirror/path/file, without "
                         "blanks, and has at most %d characters",
                         url, REGISTRY_MAX_URL);
    if (memchr(host, '@', strcspn(host, "/?#")))
        return error_set(ret_error, -EINVAL,
                         "the URL has a user or a password, which would be shown to others; fetch "
                         "the file yourself");
    return 0;
}

static int check_urls(const struct registry_boot_entry *e, struct error *ret_error)
{
    int r = 0;
    for (size_t i = 0; r >= 0 && e->urls && i <= e->n_initrds; i++)
        r = e->urls[i][0] ? check_url(e->urls[i], ret_error) : 0;
    return r;
}

static int check_variable(const struct catalog_label *variable, struct error *ret_error)
{
    if (!answer_name_is_valid(variable->key))
        return error_set(ret_error, -EINVAL,
                         "'%.80s' is no name of a variable: it has small letters, digits and "
                         "dashes, at most %d",
                         variable->key, ANSWER_MAX_NAME);
    if (!answer_value_is_valid(variable->value))
        return error_set(ret_error, -EINVAL,
                         "the value of %s has a character that could be more than text in an "
                         "answer file (it may have letters, digits, blanks inside of it and "
                         "-_.,:/@%%+=~[]$), or is longer than %d",
                         variable->key, ANSWER_MAX_VALUE);
    return 0;
}

int entry_parts_check(const struct registry_boot_entry *e, struct error *ret_error)
{
    if (e->n_variables > REGISTRY_MAX_ENTRY_VARIABLES)
        return error_set(ret_error, -EINVAL, "an entry has at most %d variables",
                         REGISTRY_MAX_ENTRY_VARIABLES);
    int r = check_digests(e, ret_error);
    if (r >= 0)
        r = check_urls(e, ret_error);
    for (size_t i = 0; r >= 0 && i < e->n_variables; i++)
        r = check_variable(&e->variables[i], ret_error);
    return r;
}

/* --- adding --- */

static int add_answer(struct db *db, const struct registry_boot_entry *e, struct error *ret_error)
{
    return db_change(
        db,
        "INSERT INTO boot_entry_answers (entry_id, format, file)"
        " SELECT id, ?, ? FROM boot_entries WHERE name = ?",
        DB_VALUES(db_text(answer_format_name(e->format)), db_text(e->answer), db_text(e->name)),
        ret_error);
}

static int add_variable(struct db *db, const struct registry_boot_entry *e,
                        const struct catalog_label *variable, struct error *ret_error)
{
    return db_change(db,
                     "INSERT OR REPLACE INTO boot_entry_variables (entry_id, name, value)"
                     " SELECT id, ?, ? FROM boot_entries WHERE name = ?",
                     DB_VALUES(db_text(variable->key), db_text(variable->value), db_text(e->name)),
                     ret_error);
}

static int add_digest(struct db *db, const struct registry_boot_entry *e, size_t i,
                      struct error *ret_error)
{
    return db_change(db,
                     "INSERT INTO boot_entry_digests (entry_id, position, sha256)"
                     " SELECT id, ?, ? FROM boot_entries WHERE name = ?",
                     DB_VALUES(db_int((int64_t)i - 1), db_text(e->sha256[i]), db_text(e->name)),
                     ret_error);
}

static int add_url(struct db *db, const struct registry_boot_entry *e, size_t i,
                   struct error *ret_error)
{
    return db_change(db,
                     "INSERT INTO boot_entry_urls (entry_id, position, url)"
                     " SELECT id, ?, ? FROM boot_entries WHERE name = ?",
                     DB_VALUES(db_int((int64_t)i - 1), db_text(e->urls[i]), db_text(e->name)),
                     ret_error);
}

int entry_parts_add(struct db *db, const struct registry_boot_entry *e, struct error *ret_error)
{
    int r = e->kind == BOOT_ENTRY_INSTALLER ? add_answer(db, e, ret_error) : 0;
    for (size_t i = 0; r >= 0 && i < e->n_variables; i++)
        r = add_variable(db, e, &e->variables[i], ret_error);
    for (size_t i = 0; r >= 0 && e->sha256 && i <= e->n_initrds; i++)
        r = e->sha256[i][0] ? add_digest(db, e, i, ret_error) : 0;
    for (size_t i = 0; r >= 0 && e->urls && i <= e->n_initrds; i++)
        r = e->urls[i][0] ? add_url(db, e, i, ret_error) : 0;
    return r < 0 ? r : 0;
}

/* --- reading; all in the arena --- */

static int damaged(struct db *db, const struct catalog_entry *entry, struct error *ret_error)
{
    return error_set(ret_error, -EUCLEAN,
                     "the registry %s is damaged: what it has of the boot entry '%.64s' is wrong",
                     db->path, entry->name);
}

static int out_of_memory(struct error *ret_error)
{
    return error_set(ret_error, -ENOMEM, "out of memory");
}

static sqlite3_stmt *start(struct db *db, const char *sql, const struct catalog_entry *entry,
                           struct error *ret_error)
{
    return db_start(db, sql, DB_VALUES(db_int((int64_t)entry->id)), ret_error);
}

static int take_answer(struct db *db, sqlite3_stmt *row, struct arena *arena,
                       struct catalog_entry *entry, struct error *ret_error)
{
    if (entry->kind != BOOT_ENTRY_LIVE ||
        answer_format_parse(db_column_text(row, 0), &entry->format) < 0)
        return damaged(db, entry, ret_error);
    entry->kind = BOOT_ENTRY_INSTALLER;
    entry->answer = arena_strdup(arena, db_column_text(row, 1));
    return entry->answer ? 0 : out_of_memory(ret_error);
}

static int take_variable(struct db *db, sqlite3_stmt *row, struct arena *arena,
                         struct catalog_entry *entry, struct error *ret_error)
{
    if (!entry->variables)
        entry->variables =
            arena_alloc(arena, REGISTRY_MAX_ENTRY_VARIABLES * sizeof(*entry->variables));
    struct catalog_label variable = {.key = arena_strdup(arena, db_column_text(row, 0)),
                                     .value = arena_strdup(arena, db_column_text(row, 1))};
    if (!entry->variables || !variable.key || !variable.value)
        return out_of_memory(ret_error);
    if (entry->n_variables == REGISTRY_MAX_ENTRY_VARIABLES || !answer_name_is_valid(variable.key) ||
        !answer_value_is_valid(variable.value))
        return damaged(db, entry, ret_error);
    ((struct catalog_label *)entry->variables)[entry->n_variables++] = variable;
    return 0;
}

/* Puts what a row (position, text) says into a list of one text for each file: the kernel, then the
 * initrds. */
static int take_text(struct db *db, sqlite3_stmt *row, struct arena *arena,
                     const struct catalog_entry *entry, const char *const **texts,
                     struct error *ret_error)
{
    int64_t position = sqlite3_column_int64(row, 0);
    if (position < -1 || position >= (int64_t)entry->n_initrds)
        return damaged(db, entry, ret_error);
    const char **list = (const char **)*texts;
    if (!list) {
        list = arena_alloc(arena, (entry->n_initrds + 1) * sizeof(*list));
        for (size_t i = 0; list && i <= entry->n_initrds; i++)
            list[i] = "";
        *texts = list;
    }
    const char *copy = arena_strdup(arena, db_column_text(row, 1));
    if (!list || !copy)
        return out_of_memory(ret_error);
    list[position + 1] = copy;
    return 0;
}

static int take_digest(struct db *db, sqlite3_stmt *row, struct arena *arena,
                       struct catalog_entry *entry, struct error *ret_error)
{
    return is_sha256(db_column_text(row, 1))
               ? take_text(db, row, arena, entry, &entry->sha256, ret_error)
               : damaged(db, entry, ret_error);
}

static int take_url(struct db *db, sqlite3_stmt *row, struct arena *arena,
                    struct catalog_entry *entry, struct error *ret_error)
{
    return check_url(db_column_text(row, 1), ret_error) >= 0
               ? take_text(db, row, arena, entry, &entry->urls, ret_error)
               : damaged(db, entry, ret_error);
}

typedef int take_row(struct db *db, sqlite3_stmt *row, struct arena *arena,
                     struct catalog_entry *entry, struct error *ret_error);

static int read_rows(struct db *db, const char *sql, take_row *take, struct arena *arena,
                     struct catalog_entry *entry, struct error *ret_error)
{
    sqlite3_stmt *rows = start(db, sql, entry, ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        r = take(db, rows, arena, entry, ret_error);
        if (r < 0) {
            db_end(rows);
            break;
        }
    }
    return r;
}

int entry_parts_read(struct db *db, struct arena *arena, struct catalog_entry *entry,
                     struct error *ret_error)
{
    static const struct {
        const char *sql;
        take_row *take;
    } parts[] = {
        {"SELECT format, file FROM boot_entry_answers WHERE entry_id = ?", take_answer},
        {"SELECT name, value FROM boot_entry_variables WHERE entry_id = ? ORDER BY name",
         take_variable},
        {"SELECT position, sha256 FROM boot_entry_digests WHERE entry_id = ?", take_digest},
        {"SELECT position, url FROM boot_entry_urls WHERE entry_id = ?", take_url},
    };
    int r = 0;
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(parts); i++)
        r = read_rows(db, parts[i].sql, parts[i].take, arena, entry, ret_error);
    return r;
}
