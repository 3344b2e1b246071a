#include "scratch_dir.h"

#include "registry/schema.h"

#include <errno.h>
#include <fcntl.h>

struct place {
    char *directory;
    char path[PATH_MAX];
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    place->directory = scratch_dir_make();
    snprintf(place->path, sizeof(place->path), "%s/registry.db", place->directory);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    scratch_dir_remove(place->directory);
    free(place);
    return 0;
}

static int open_once(const char *path, struct error *error)
{
    struct db db = {0};
    *error = (struct error){0};
    int r = schema_open(&db, path, error);
    db_close(&db);
    return r;
}

static void change(const char *path, const char *sql)
{
    struct db db = {0};
    struct error error;
    assert_int_equal(db_open(&db, path, &error), 0);
    assert_int_equal(db_exec(&db, sql, &error), 0);
    db_close(&db);
}

static void made_and_opened_again(void **state)
{
    struct place *place = *state;
    struct error error;
    assert_int_equal(open_once(place->path, &error), 0);
    assert_int_equal(open_once(place->path, &error), 0);
}

static void a_newer_one_is_refused(void **state)
{
    struct place *place = *state;
    struct error error;
    assert_int_equal(open_once(place->path, &error), 0);
    change(place->path, "PRAGMA user_version = 99");
    assert_int_equal(open_once(place->path, &error), -ENOTSUP);
    assert_non_null(strstr(error.text, "written by a newer nodisk (its version is 99"));
}

static void a_migration_that_fails_changes_nothing(void **state)
{
    struct place *place = *state;
    struct error error;
    change(place->path, "CREATE TABLE leases (x)"); /* in the way of the second half */
    assert_true(open_once(place->path, &error) < 0);
    assert_non_null(strstr(error.text, "cannot bring the registry to version 1"));
    change(place->path, "DROP TABLE leases");
    assert_int_equal(open_once(place->path, &error), 0);
}

/* What brings a registry of today back to the version before the layers, and what came after it. */
#define WITHOUT_LAYERS                                                                             \
    "ALTER TABLE volumes DROP COLUMN layer_id; ALTER TABLE volumes DROP COLUMN follows;"           \
    "ALTER TABLE volumes DROP COLUMN ephemeral; ALTER TABLE volumes DROP COLUMN staged;"           \
    "ALTER TABLE volumes DROP COLUMN staged_argument;"                                             \
    "ALTER TABLE volumes DROP COLUMN fence_boot;"                                                  \
    "ALTER TABLE volumes DROP COLUMN changed_boot; ALTER TABLE boots DROP COLUMN kernel;"          \
    "DROP TABLE volume_trials;"                                                                    \
    "DROP TABLE snapshots; DROP TABLE layers; DROP TABLE node_wake;"                               \
    "DROP TABLE node_options; DROP TABLE group_options; DROP TABLE pending;"                       \
    "DROP TABLE volume_allow_from;"                                                                \
    "DROP TABLE node_chap_rotation; DROP TABLE node_chap_age; DROP TABLE node_chap_older;"         \
    "DROP TABLE node_paths; DROP TABLE node_bmc;"                                                  \
    "DROP TABLE boot_entry_answers; DROP TABLE boot_entry_variables;"                              \
    "DROP TABLE boot_entry_digests; DROP TABLE boot_entry_urls;"                                   \
    "DROP TABLE boot_rule_after; DROP TABLE boot_rules; DROP TABLE boot_entry_initrds;"            \
    "DROP TABLE boot_entries;"                                                                     \
    "DROP TABLE boot_tries;"                                                                       \
    "ALTER TABLE nodes DROP COLUMN direct; ALTER TABLE nodes DROP COLUMN ibft_origin;"

/* One of version 3 with a volume in it: what came later says nothing of it. */
static void an_older_one_is_brought_up_to_date(void **state)
{
    struct place *place = *state;
    struct error error;
    struct db db = {0};
    int64_t thick = -1, identities = -1;
    assert_int_equal(open_once(place->path, &error), 0);
    change(place->path,
           WITHOUT_LAYERS "ALTER TABLE volumes DROP COLUMN thick;"
                          "ALTER TABLE volumes DROP COLUMN removable;"
                          "DROP TABLE registrations;"
                          "DROP TABLE image_labels;"
                          "DROP INDEX image_versions_by_identity;"
                          "ALTER TABLE image_versions DROP COLUMN identity;"
                          "ALTER TABLE image_versions DROP COLUMN sha256;"
                          "ALTER TABLE image_versions DROP COLUMN source;"
                          "ALTER TABLE image_versions DROP COLUMN format;"
                          "PRAGMA user_version = 3;"
                          "INSERT INTO volumes VALUES (1, 'v', 'file', 'ready', NULL, '/v', 0, 512,"
                          " 512, 0, 0, x'00112233445566778899aabbccddeeff', NULL, 1);"
                          "INSERT INTO images VALUES (1, 'debian12', 2);"
                          "INSERT INTO image_versions VALUES (1, 1, 1, 'ready', '/1', 512, 1);"
                          "INSERT INTO image_versions VALUES (2, 1, 2, 'ready', '/2', 512, 1)");
    assert_int_equal(schema_open(&db, place->path, &error), 0);
    assert_int_equal(
        db_lookup(&db, "SELECT thick + removable FROM volumes", DB_NO_VALUES, &thick, &error), 1);
    assert_int_equal(thick, 0);
    assert_int_equal(db_lookup(&db,
                               "SELECT count(DISTINCT identity) FROM image_versions"
                               " WHERE length(identity) = 16 AND sha256 IS NULL",
                               DB_NO_VALUES, &identities, &error),
                     1);
    assert_int_equal(identities, 2);
    db_close(&db);
}

/* The first version knew two kinds of volume only. */
static void a_narrow_constraint_is_widened(void **state)
{
    struct place *place = *state;
    struct error error;
    struct db db = {0};
    assert_int_equal(open_once(place->path, &error), 0);
    change(place->path, WITHOUT_LAYERS
           "PRAGMA writable_schema = ON;"
           "UPDATE sqlite_schema SET sql = replace(sql, ', ''overlay'', ''nbd'', ''iscsi''', '')"
           " WHERE name = 'volumes';"
           "PRAGMA writable_schema = RESET; PRAGMA user_version = 7");
    const char *insert = "INSERT INTO volumes (name, kind, state, path, owned, size, block_size,"
                         " read_only, allow_any, serial, created_at)"
                         " VALUES ('v', 'nbd', 'ready', '/v', 0, 512, 512, 0, 0,"
                         " x'00112233445566778899aabbccddeeff', 1)";
    assert_int_equal(schema_open(&db, place->path, &error), 0);
    assert_int_equal(db_exec(&db, insert, &error), 0);
    assert_true(db_exec(&db, "UPDATE volumes SET kind = 'tape'", &error) < 0);
    db_close(&db);
}

static void a_damaged_one_is_refused(void **state)
{
    struct place *place = *state;
    struct error error;
    cleanup_close int fd = open(place->path, O_CREAT | O_WRONLY, 0600);
    char junk[8192];
    memset(junk, 'x', sizeof(junk));
    assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
    assert_int_equal(open_once(place->path, &error), -EUCLEAN);
    assert_non_null(strstr(error.text, "is damaged"));
    assert_non_null(strstr(error.text, "restore it from a backup"));
}

static void a_page_gone_bad_is_found_at_start(void **state)
{
    struct place *place = *state;
    struct error error;
    assert_int_equal(open_once(place->path, &error), 0);
    cleanup_close int fd = open(place->path, O_RDWR);
    char junk[4096];
    memset(junk, 0xa5, sizeof(junk));
    assert_int_equal(pwrite(fd, junk, sizeof(junk), 4096 * 2), sizeof(junk));
    assert_int_equal(open_once(place->path, &error), -EUCLEAN);
}

static void a_locked_one_is_told(void **state)
{
    struct place *place = *state;
    struct error error;
    struct db holder = {0}, other = {0};
    assert_int_equal(open_once(place->path, &error), 0);
    assert_int_equal(db_open(&holder, place->path, &error), 0);
    assert_int_equal(db_exec(&holder, "BEGIN IMMEDIATE", &error), 0);
    assert_int_equal(db_open(&other, place->path, &error), 0);
    sqlite3_busy_timeout(other.handle, 1);
    assert_int_equal(db_exec(&other, "BEGIN IMMEDIATE", &error), -EBUSY);
    assert_non_null(strstr(error.text, "locked by another program"));
    db_close(&holder);
    db_close(&other);
}

static void a_missing_directory_is_told(void **state)
{
    struct error error;
    assert_true(open_once("/nowhere/at/all/registry.db", &error) < 0);
    assert_non_null(strstr(error.text, "cannot be read or written: No such file"));
}

#define DB_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DB_TEST(made_and_opened_again),
        DB_TEST(a_newer_one_is_refused),
        DB_TEST(a_migration_that_fails_changes_nothing),
        DB_TEST(an_older_one_is_brought_up_to_date),
        DB_TEST(a_narrow_constraint_is_widened),
        DB_TEST(a_damaged_one_is_refused),
        DB_TEST(a_page_gone_bad_is_found_at_start),
        DB_TEST(a_locked_one_is_told),
        DB_TEST(a_missing_directory_is_told),
    };
    return RUN_TESTS(tests);
}
