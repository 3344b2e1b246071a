/* What SQLite says, as sentences for the operator. */
#include "scratch_dir.h"

#include "registry/db.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static char *directory;
static char path[PATH_MAX];
static struct db db;
static struct error error;

static int setup(void **state)
{
    directory = scratch_dir_make();
    snprintf(path, sizeof(path), "%s/registry.db", directory);
    memset(&db, 0, sizeof(db));
    error = (struct error){0};
    return 0;
}

static int teardown(void **state)
{
    db_close(&db);
    umount2(directory, MNT_DETACH);
    scratch_dir_remove(directory);
    return 0;
}

static void must(int r)
{
    if (r < 0)
        fail_msg("%s", error.text);
}

static void open_with_table(void)
{
    must(db_open(&db, path, &error));
    must(db_exec(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT UNIQUE, y BLOB)", &error));
}

static void assert_told(int r, int expected, const char *words)
{
    assert_int_equal(r, expected);
    assert_int_equal(error.code, expected);
    assert_contains(error.text, words);
}

static int64_t number(const char *sql)
{
    int64_t n = -1;
    assert_int_equal(db_lookup(&db, sql, DB_NO_VALUES, &n, &error), 1);
    return n;
}

static void a_new_one_is_ours_alone_and_safe(void **state)
{
    struct stat st;
    mode_t old = umask(0);
    must(db_open(&db, path, &error));
    umask(old);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(number("PRAGMA synchronous"), 2); /* FULL: a commit is durable */
    assert_int_equal(number("PRAGMA foreign_keys"), 1);
    sqlite3_stmt *row = db_start(&db, "PRAGMA journal_mode", DB_NO_VALUES, &error);
    assert_int_equal(db_next(&db, row, &error), 1);
    assert_string_equal(db_column_text(row, 0), "wal");
    db_end(row);
}

static void values_go_in_and_come_out(void **state)
{
    static const uint8_t blob[] = {0, 1, 0xff};
    static const char insert[] = "INSERT INTO t (id, x, y) VALUES (?, ?, ?)";
    open_with_table();
    assert_int_equal(db_change(&db, insert,
                               DB_VALUES(db_int(INT64_MIN), db_text("te'xt"), db_blob(blob, 3)),
                               &error),
                     1);
    assert_int_equal(
        db_change(&db, insert, DB_VALUES(db_id(7), db_text(NULL), db_blob(NULL, 0)), &error), 1);
    sqlite3_stmt *row = db_start(&db, "SELECT id, x, y FROM t ORDER BY id", DB_NO_VALUES, &error);
    assert_int_equal(db_next(&db, row, &error), 1);
    assert_true(sqlite3_column_int64(row, 0) == INT64_MIN);
    assert_string_equal(db_column_text(row, 1), "te'xt");
    assert_int_equal(sqlite3_column_bytes(row, 2), 3);
    assert_memory_equal(sqlite3_column_blob(row, 2), blob, 3);
    assert_int_equal(db_next(&db, row, &error), 1);
    assert_string_equal(db_column_text(row, 1), "");
    assert_null(db_column_text_or_null(row, 1));
    assert_int_equal(sqlite3_column_type(row, 2), SQLITE_BLOB); /* empty, but there */
    assert_int_equal(db_next(&db, row, &error), 0);
}

static void no_id_is_null(void **state)
{
    open_with_table();
    must(db_change(&db, "INSERT INTO t (id, x) VALUES (1, ?)", DB_VALUES(db_id(0)), &error));
    assert_int_equal(number("SELECT x IS NULL FROM t"), 1);
}

static void a_lookup_finds_or_does_not(void **state)
{
    static const char lookup[] = "SELECT id FROM t WHERE x = ?";
    int64_t n = 4711;
    open_with_table();
    must(db_exec(&db, "INSERT INTO t (id, x) VALUES (5, 'five'), (6, 'six')", &error));
    assert_int_equal(db_lookup(&db, lookup, DB_VALUES(db_text("seven")), &n, &error), 0);
    assert_int_equal(n, 4711);
    assert_int_equal(db_lookup(&db, lookup, DB_VALUES(db_text("six")), &n, &error), 1);
    assert_int_equal(n, 6);
    assert_int_equal(db_change(&db, "DELETE FROM t WHERE id > ?", DB_VALUES(db_int(0)), &error), 2);
    assert_int_equal(db_change(&db, "DELETE FROM t WHERE id > ?", DB_VALUES(db_int(0)), &error), 0);
}

static void a_statement_is_made_once_and_used_again(void **state)
{
    static const char sql[] = "SELECT count(*) FROM t WHERE id > ?";
    open_with_table();
    size_t before = db.n_cached;
    for (int i = 0; i < 10; i++) {
        int64_t n;
        assert_int_equal(db_lookup(&db, sql, DB_VALUES(db_int(i)), &n, &error), 1);
    }
    assert_int_equal(db.n_cached, before + 1);
    sqlite3_stmt *again = db_start(&db, sql, DB_NO_VALUES, &error);
    assert_int_equal(db_next(&db, again, &error), 1); /* its old values are gone: NULL is nothing */
    assert_int_equal(sqlite3_column_int(again, 0), 0);
    db_end(again);
}

/* --- errors --- */

static void what_a_constraint_refuses_is_an_error(void **state)
{
    open_with_table();
    must(db_exec(&db, "INSERT INTO t (x) VALUES ('a')", &error));
    assert_told(db_exec(&db, "INSERT INTO t (x) VALUES ('a')", &error), -EIO,
                "UNIQUE constraint failed");
    static const char insert[] = "INSERT INTO t (x) VALUES (?)";
    assert_told(db_change(&db, insert, DB_VALUES(db_text("a")), &error), -EIO, "UNIQUE");
    assert_int_equal(db_change(&db, insert, DB_VALUES(db_text("b")), &error), 1);
}

static void nonsense_is_an_error(void **state)
{
    must(db_open(&db, path, &error));
    assert_told(db_exec(&db, "SELEKT", &error), -EIO, "syntax error");
    assert_null(db_start(&db, "SELECT x FROM nowhere", DB_NO_VALUES, &error));
    assert_int_equal(error.code, -EIO);
    assert_contains(error.text, "no such table");
    assert_told(db_change(&db, "DELETE FROM nowhere", DB_NO_VALUES, &error), -EIO, "no such table");
    int64_t n;
    assert_told(db_lookup(&db, "SELECT 1 FROM nowhere", DB_NO_VALUES, &n, &error), -EIO,
                "no such table");
    assert_null(db_start(&db, "SELECT 1", DB_VALUES(db_int(1)), &error)); /* a value too many */
}

static void what_cannot_be_opened_is_told(void **state)
{
    char elsewhere[PATH_MAX + 32], long_path[PATH_MAX + 32];
    snprintf(elsewhere, sizeof(elsewhere), "%s/no/registry.db", directory);
    assert_told(db_open(&db, elsewhere, &error), -ENOENT,
                "cannot be read or written: No such file");
    db_close(&db);
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    assert_told(db_open(&db, long_path, &error), -ENAMETOOLONG, "path xxx");
    db_close(&db);
    assert_true(db_open(&db, directory, &error) < 0);
    assert_contains(error.text, directory);
}

static void what_is_no_database_is_told(void **state)
{
    char text[4096];
    memset(text, 'x', sizeof(text));
    cleanup_close int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
    assert_told(db_open(&db, path, &error), -EUCLEAN, "is damaged");
    assert_contains(error.text, "restore it from a backup");
}

static void a_full_file_system_is_told_and_survived(void **state)
{
    static const char insert[] = "INSERT INTO t (y) VALUES (zeroblob(?))";
    char ballast[PATH_MAX + 16], page[4096];
    if (mount("tmpfs", directory, "tmpfs", 0, "size=256k") < 0)
        skip(); /* not root */
    snprintf(ballast, sizeof(ballast), "%s/ballast", directory);
    memset(page, 'x', sizeof(page));
    open_with_table();
    cleanup_close int fd = open(ballast, O_CREAT | O_WRONLY, 0600);
    while (write(fd, page, sizeof(page)) > 0)
        ;
    int r = 0;
    for (int i = 0; i < 100 && r >= 0; i++)
        r = db_change(&db, insert, DB_VALUES(db_int(8192)), &error);
    assert_told(r, -ENOSPC, "no space left for the registry");
    assert_contains(error.text, "free some and try again");
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(db_change(&db, insert, DB_VALUES(db_int(8192)), &error), 1);
}

static void a_read_only_file_system_is_told(void **state)
{
    if (mount("tmpfs", directory, "tmpfs", 0, "size=1m") < 0)
        skip(); /* not root */
    open_with_table();
    db_close(&db);
    assert_int_equal(mount(NULL, directory, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    assert_told(db_open(&db, path, &error), -EROFS, "read-only");
    db_close(&db);
    snprintf(path, sizeof(path), "%s/new.db", directory);
    assert_told(db_open(&db, path, &error), -EROFS, "read-only file system; mount it writable");
}

#define DB_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DB_TEST(a_new_one_is_ours_alone_and_safe),
        DB_TEST(values_go_in_and_come_out),
        DB_TEST(no_id_is_null),
        DB_TEST(a_lookup_finds_or_does_not),
        DB_TEST(a_statement_is_made_once_and_used_again),
        DB_TEST(what_a_constraint_refuses_is_an_error),
        DB_TEST(nonsense_is_an_error),
        DB_TEST(what_cannot_be_opened_is_told),
        DB_TEST(what_is_no_database_is_told),
        DB_TEST(a_full_file_system_is_told_and_survived),
        DB_TEST(a_read_only_file_system_is_told),
    };
    scratch_dir_own_mounts();
    return RUN_TESTS(tests);
}
