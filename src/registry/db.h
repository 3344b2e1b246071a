/*
 * The little of SQLite that the registry needs: prepared statements kept for reuse, values bound
 * by type, and errors as sentences that an operator can act on.
 *
 * One thread at a time (the registry thread, or whoever opens it before that thread runs).
 */
#pragma once

#include "core/error.h"

#include <limits.h>
#include <sqlite3.h>

struct db_cached {
    const char *sql; /* compared as a pointer: statements are string constants */
    sqlite3_stmt *statement;
};

struct db {
    sqlite3 *handle;
    char path[PATH_MAX];
    struct db_cached
        *cache; /* every statement that was ever used: one for each place in our code */
    size_t n_cached;
};

struct db_value {
    enum { DB_NULL, DB_INT, DB_TEXT, DB_BLOB } type;
    int64_t number;
    const void *data; /* must live until the statement has run */
    size_t size;
};

static inline struct db_value db_int(int64_t number)
{
    return (struct db_value){.type = DB_INT, .number = number};
}

/* 0 is stored as NULL. */
static inline struct db_value db_id(uint64_t id)
{
    return (struct db_value){.type = id ? DB_INT : DB_NULL, .number = (int64_t)id};
}

/* NULL is stored as NULL. */
static inline struct db_value db_text(const char *text)
{
    return (struct db_value){
        .type = text ? DB_TEXT : DB_NULL, .data = text, .size = text ? strlen(text) : 0};
}

static inline struct db_value db_blob(const void *data, size_t size)
{
    return (struct db_value){.type = DB_BLOB, .data = data, .size = size};
}

/* Opens or makes the database and sets what holds for every connection (WAL, foreign keys, full
 * synchronisation). db must be zeroed; db_close() it whatever this returns. */
int db_open(struct db *db, const char *path, struct error *ret_error) MUST_CHECK;
void db_close(struct db *db);
/* A transaction that writes what is there already; it is durable. Not within another one. */
int db_commit_nothing(struct db *db, struct error *ret_error) MUST_CHECK;

/* Runs SQL without values, several statements if need be. */
int db_exec(struct db *db, const char *sql, struct error *ret_error) MUST_CHECK;

/* Starts a statement. Its rows come from db_next(); it must be ended with db_end() or by
 * db_next() returning 0. `sql` must be a string constant. NULL: failed. */
sqlite3_stmt *db_start(struct db *db, const char *sql, const struct db_value *values,
                       size_t n_values, struct error *ret_error) MUST_CHECK;
/* 1: there is a row; 0: no more; or an error. After 0 or an error it is ended. */
int db_next(struct db *db, sqlite3_stmt *statement, struct error *ret_error) MUST_CHECK;
void db_end(sqlite3_stmt *statement);

/* Runs a statement that gives no rows. Returns how many rows it changed. */
int db_change(struct db *db, const char *sql, const struct db_value *values, size_t n_values,
              struct error *ret_error) MUST_CHECK;

/* The first column of the first row as a number. 1: *ret_number is set; 0: no such row. */
int db_lookup(struct db *db, const char *sql, const struct db_value *values, size_t n_values,
              int64_t *ret_number, struct error *ret_error) MUST_CHECK;

#define DB_VALUES(...)                                                                             \
    (const struct db_value[]){__VA_ARGS__},                                                        \
        sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value)
#define DB_NO_VALUES NULL, 0

/* A column as text or "" if it is NULL; valid until the next row. */
const char *db_column_text(sqlite3_stmt *statement, int column);
/* The same, but NULL stays NULL. */
const char *db_column_text_or_null(sqlite3_stmt *statement, int column);

/* Describes what SQLite just reported (code: its extended result code). Returns -errno. */
int db_error(struct db *db, int code, struct error *ret_error);
