/* Rows that we never wrote: somebody was there with the sqlite3 shell, or a disk was. */
#include "site.h"

#include "registry/db.h"

#include <errno.h>

static void import_golden(struct site *site)
{
    uint32_t version;
    cleanup_free char *path = NULL;
    const struct registry_image image = {.name = "golden", .directory = "/images"};
    const struct registry_image_result result = {.size = 4096};
    site_must(registry_image_begin(site->registry, &image, &version, &path, &site->error),
              &site->error);
    site_must(registry_image_finish(site->registry, "golden", version, &result, &site->error),
              &site->error);
}

static int setup(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    site_make(site);
    import_golden(site);
    struct registry_volume volume = site_volume("disk1", "/v/disk1.raw");
    static const char *const allow[] = {"iqn.2020-01.x:a", "iqn.2020-01.x:b"};
    volume.allow = allow;
    volume.n_allow = 2;
    volume.image = "golden@3";
    site_must(registry_volume_add(site->registry, &volume, &site->error), &site->error);
    site_must(registry_group_add(site->registry, "rack1", &site->error), &site->error);
    for (unsigned i = 1; i <= 3; i++) {
        struct mac_address macs[] = {site_mac(10 * i + 1), site_mac(10 * i)};
        char name[16];
        snprintf(name, sizeof(name), "web%u", i);
        struct registry_node node = {.name = name,
                                     .group = "rack1",
                                     .address = 0x0a00000a + i,
                                     .volume = i == 1 ? "disk1" : NULL,
                                     .macs = macs,
                                     .n_macs = 2};
        site_must(registry_node_add(site->registry, &node, NULL, &site->error), &site->error);
    }
    *state = site;
    return 0;
}

static int teardown(void **state)
{
    struct site *site = *state;
    site_remove(site);
    free(site);
    return 0;
}

/* Stops the registry, changes the database behind its back, and starts it again. */
static int restart_with(struct site *site, const char *sql)
{
    struct db db = {0};
    struct registry_settings settings = {
        .path = site->path, .base_iqn = SITE_IQN, .catalog = site->slot};
    registry_stop(take_ptr(site->registry));
    site_must(db_open(&db, site->path, &site->error), &site->error);
    site_must(db_exec(&db, "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON",
                      &site->error),
              &site->error);
    site_must(db_exec(&db, sql, &site->error), &site->error);
    db_close(&db);
    site->error = (struct error){0};
    return registry_start(&settings, &site->registry, &site->error);
}

static void everything_comes_back(void **state)
{
    struct site *site = *state;
    site_restart(site);
    cleanup_catalog struct catalog *c = catalog_slot_get(site->slot);
    for (unsigned i = 1; i <= 3; i++) {
        char name[16];
        snprintf(name, sizeof(name), "web%u", i);
        const struct catalog_node *node = catalog_node_by_name(c, name);
        assert_non_null(node);
        assert_string_equal(node->group, "rack1");
        assert_int_equal(node->address, 0x0a00000a + i);
        assert_int_equal(node->n_macs, 2);
        assert_true(mac_eq(node->macs[0], site_mac(10 * i + 1))); /* in the order given */
        assert_true(mac_eq(node->macs[1], site_mac(10 * i)));
    }
    const struct catalog_image *image = catalog_image_find(c, "golden", 1);
    static const uint8_t none[16] = {0};
    assert_memory_not_equal(image->identity, none, sizeof(none));
    assert_null(image->sha256);
    const struct catalog_volume *volume = catalog_volume_by_name(c, "disk1");
    assert_string_equal(volume->image, "golden@3");
    assert_int_equal(volume->n_allow, 2);
    assert_true(volume->shared);
    assert_true(catalog_node_by_name(c, "web1")->volume_id == volume->id);
}

static void damaged_rows_are_refused(void **state)
{
    static const struct {
        const char *sql, *words;
    } cases[] = {
        {"UPDATE node_macs SET mac = 'ff:ff' WHERE mac = '52:54:00:00:00:0a'",
         "'ff:ff' is not a mac"},
        {"UPDATE nodes SET address = '10.0.0.256' WHERE id = 2",
         "'10.0.0.256' is not a IPv4 address"},
        {"UPDATE nodes SET name = 'Web ${x}' WHERE id = 2", "'Web ${x}' is not a"},
        {"UPDATE volumes SET name = '../x'", "'../x' is not a"},
        {"UPDATE volumes SET serial = x'00'", "is damaged"},
        {"UPDATE volumes SET size = 0", "'disk1' is not a"},
        {"UPDATE volumes SET size = 513", "'disk1' is not a"},
        {"UPDATE volumes SET size = -512", "'disk1' is not a"},
        {"UPDATE volumes SET block_size = 0", "is damaged"},
        {"UPDATE volumes SET state = 'half'", "is damaged"},
        {"UPDATE image_versions SET identity = NULL", "'golden' is not a image version"},
        {"UPDATE image_versions SET identity = x'00'", "is damaged"},
        {"INSERT INTO image_labels VALUES (1, 'O S', 'x')", "'O S' is not a label"},
        {"DELETE FROM node_macs WHERE node_id = 2", "'web2' is not a"},
        {"DELETE FROM nodes WHERE id = 1", "is damaged"}, /* its macs would belong to nobody */
        {"DELETE FROM volumes", "is damaged"},
        {"DELETE FROM groups", "is damaged"},
    };
    struct site *site = *state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int r = restart_with(site, cases[i].sql);
        if (r != -EUCLEAN)
            fail_msg("%s gave %d: %s", cases[i].sql, r, site->error.text);
        assert_contains(site->error.text, site->path);
        assert_contains(site->error.text, cases[i].words);
        teardown(state); /* from the beginning */
        setup(state);
        site = *state;
    }
}

#define LOAD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOAD_TEST(everything_comes_back),
        LOAD_TEST(damaged_rows_are_refused),
    };
    return RUN_TESTS(tests);
}
