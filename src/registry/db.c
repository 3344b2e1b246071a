#include "registry/db.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define BUSY_TIMEOUT_MSEC 5000
#define CACHE_KIB         512

/* The errno behind a failed system call of SQLite's, or a stand-in. */
static int system_errno(struct db *db)
{
    int errnum = db->handle ? sqlite3_system_errno(db->handle) : 0;
    return errnum ? errnum : EIO;
}

static int io_error(struct db *db, int errnum, struct error *ret_error)
{
    if (errnum == ENOSPC || errnum == EDQUOT)
        return error_set(ret_error, -errnum,
                         "no space left for the registry %s; free some and try again", db->path);
    if (errnum == EROFS)
        return error_set(ret_error, -errnum,
                         "the registry %s is on a read-only file system; mount it writable",
                         db->path);
    return error_set(ret_error, -errnum, "the registry %s cannot be read or written: %s", db->path,
                     strerror(errnum));
}

int db_error(struct db *db, int code, struct error *ret_error)
{
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return error_set(ret_error, -ENOMEM, "out of memory");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(ret_error, -EBUSY,
                         "the registry %s is locked by another program (sqlite3?); close it and "
                         "try again",
                         db->path);
    case SQLITE_FULL:
        return error_set(ret_error, -ENOSPC,
                         "no space left for the registry %s; free some and try again", db->path);
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return error_set(ret_error, -EROFS,
                         "the registry %s cannot be written: the file, its directory or its file "
                         "system is read-only",
                         db->path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(ret_error, -EUCLEAN,
                         "the registry %s is damaged (%s); restore it from a backup, or move it "
                         "away to begin with an empty one",
                         db->path, db->handle ? sqlite3_errmsg(db->handle) : "unreadable");
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        return io_error(db, system_errno(db), ret_error);
    default:
        return error_set(ret_error, -EIO, "the registry %s: %s", db->path,
                         db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code));
    }
}

/* It has secrets: for its owner alone, whoever made it. SQLite's other files are made like it. */
static int keep_private(const char *path, struct error *ret_error)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char name[PATH_MAX + 8];
    struct stat st;
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        if (stat(name, &st) == 0 && (st.st_mode & 077) && chmod(name, st.st_mode & 0700) < 0)
            return error_set(ret_error, -errno,
                             "%s has secrets, but others may read it: %s; chmod 600 it", name,
                             strerror(errno));
    }
    return 0;
}

int db_open(struct db *db, const char *path, struct error *ret_error)
{
    if (!str_copy(db->path, sizeof(db->path), path))
        return error_set(ret_error, -ENAMETOOLONG, "path %s is too long", path);
    /* SQLite would make it readable for all; its other files follow this one. (Closing a database
     * file that is in use would drop SQLite's locks: only if it is new.) */
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST)
        return io_error(db, errno, ret_error); /* SQLite would say less: it tries to read it */
    if (fd >= 0)
        close(fd);
    int r = keep_private(db->path, ret_error);
    if (r < 0)
        return r;
    int code = sqlite3_open_v2(path, &db->handle,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                   SQLITE_OPEN_EXRESCODE,
                               NULL);
    if (code != SQLITE_OK)
        return db_error(db, code, ret_error);
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MSEC);
    char setup[256];
    snprintf(setup, sizeof(setup),
             "PRAGMA cache_size = -%d;"
             "PRAGMA journal_mode = WAL;"
             "PRAGMA synchronous = FULL;"
             "PRAGMA foreign_keys = ON;"
             "PRAGMA secure_delete = ON;"
             "PRAGMA journal_size_limit = 4194304;"
             "PRAGMA temp_store = MEMORY;",
             CACHE_KIB);
    /* SQLite falls back to reading alone without a word */
    if (sqlite3_db_readonly(db->handle, "main"))
        return db_error(db, SQLITE_READONLY, ret_error);
    return db_exec(db, setup, ret_error);
}

void db_close(struct db *db)
{
    for (size_t i = 0; i < db->n_cached; i++)
        sqlite3_finalize(db->cache[i].statement);
    free(db->cache);
    db->cache = NULL;
    db->n_cached = 0;
    sqlite3_close(db->handle);
    db->handle = NULL;
}

int db_exec(struct db *db, const char *sql, struct error *ret_error)
{
    int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : db_error(db, code, ret_error);
}

int db_commit_nothing(struct db *db, struct error *ret_error)
{
    int64_t version = 0;
    char sql[64];
    int r = db_lookup(db, "PRAGMA user_version", DB_NO_VALUES, &version, ret_error);
    if (r < 0)
        return r;
    snprintf(sql, sizeof(sql), "PRAGMA user_version = %lld", (long long)version);
    return db_exec(db, sql, ret_error);
}

static int prepare(struct db *db, const char *sql, sqlite3_stmt **ret_statement)
{
    for (size_t i = 0; i < db->n_cached; i++) {
        if (db->cache[i].sql == sql) {
            *ret_statement = db->cache[i].statement;
            return SQLITE_OK;
        }
    }
    struct db_cached *grown = reallocarray(db->cache, db->n_cached + 1, sizeof(*grown));
    if (!grown)
        return SQLITE_NOMEM;
    db->cache = grown;
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    db->cache[db->n_cached++] = (struct db_cached){.sql = sql, .statement = statement};
    *ret_statement = statement;
    return SQLITE_OK;
}

static int bind(sqlite3_stmt *statement, int place, const struct db_value *value)
{
    switch (value->type) {
    case DB_INT:
        return sqlite3_bind_int64(statement, place, value->number);
    case DB_TEXT:
        return sqlite3_bind_text64(statement, place, value->data, value->size, SQLITE_STATIC,
                                   SQLITE_UTF8);
    case DB_BLOB:
        return sqlite3_bind_blob64(statement, place, value->size ? value->data : "", value->size,
                                   SQLITE_STATIC);
    case DB_NULL:
    default:
        return sqlite3_bind_null(statement, place);
    }
}

sqlite3_stmt *db_start(struct db *db, const char *sql, const struct db_value *values,
                       size_t n_values, struct error *ret_error)
{
    sqlite3_stmt *statement;
    int code = prepare(db, sql, &statement);
    for (size_t i = 0; code == SQLITE_OK && i < n_values; i++)
        code = bind(statement, (int)i + 1, &values[i]);
    if (code != SQLITE_OK) {
        db_error(db, code, ret_error);
        return NULL;
    }
    return statement;
}

int db_next(struct db *db, sqlite3_stmt *statement, struct error *ret_error)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return 1;
    int r = code == SQLITE_DONE ? 0 : db_error(db, code, ret_error);
    db_end(statement);
    return r;
}

void db_end(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

int db_change(struct db *db, const char *sql, const struct db_value *values, size_t n_values,
              struct error *ret_error)
{
    sqlite3_stmt *statement = db_start(db, sql, values, n_values, ret_error);
    if (!statement)
        return ret_error->code;
    int r = db_next(db, statement, ret_error);
    return r < 0 ? r : sqlite3_changes(db->handle);
}

int db_lookup(struct db *db, const char *sql, const struct db_value *values, size_t n_values,
              int64_t *ret_number, struct error *ret_error)
{
    sqlite3_stmt *statement = db_start(db, sql, values, n_values, ret_error);
    if (!statement)
        return ret_error->code;
    int r = db_next(db, statement, ret_error);
    if (r > 0) {
        *ret_number = sqlite3_column_int64(statement, 0);
        db_end(statement);
    }
    return r;
}

const char *db_column_text_or_null(sqlite3_stmt *statement, int column)
{
    return (const char *)sqlite3_column_text(statement, column);
}

const char *db_column_text(sqlite3_stmt *statement, int column)
{
    const char *text = db_column_text_or_null(statement, column);
    return text ? text : "";
}
