#include "site.h"

#include <errno.h>

static int setup(void **state)
{
    struct site *b = calloc(1, sizeof(*b));
    site_make(b);
    *state = b;
    struct registry_volume v = site_volume("boot", "/v/boot.raw");
    assert_int_equal(registry_volume_add(b->registry, &v, &b->error), 0);
    v = site_volume("data", "/v/data.raw");
    assert_int_equal(registry_volume_add(b->registry, &v, &b->error), 0);
    v = site_volume("shared", "/v/shared.raw");
    v.allow_any = true;
    assert_int_equal(registry_volume_add(b->registry, &v, &b->error), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct mac_address mac = site_mac(i);
        struct registry_node node = {
            .name = i ? "b" : "a", .volume = i ? NULL : "boot", .macs = &mac, .n_macs = 1};
        assert_int_equal(registry_node_add(b->registry, &node, NULL, &b->error), 0);
    }
    return 0;
}

static int teardown(void **state)
{
    struct site *b = *state;
    site_remove(b);
    free(b);
    return 0;
}

static int attach(struct site *b, const char *volume, const char *node, uint32_t lun)
{
    uint32_t got = 0;
    b->error = (struct error){0};
    int r = registry_volume_attach(b->registry, volume, node, lun, &got, &b->error);
    return r < 0 ? r : (int)got;
}

static void what_is_attached_is_in_the_catalog(void **state)
{
    struct site *b = *state;
    assert_int_equal(attach(b, "data", "a", 7), 7);
    assert_int_equal(attach(b, "shared", "a", 0), 1); /* the lowest */
    for (int again = 0; again < 2; again++) {
        cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
        const struct catalog_node *node = catalog_node_by_name(c, "a");
        assert_int_equal(node->n_attachments, 2);
        assert_int_equal(node->attachments[0].lun, 1);
        assert_int_equal(node->attachments[1].lun, 7);
        assert_string_equal(catalog_volume_by_id(c, node->attachments[1].volume_id)->name, "data");
        site_restart(b);
    }
    assert_int_equal(registry_volume_detach(b->registry, "data", "a", &b->error), 0);
    assert_int_equal(registry_volume_detach(b->registry, "data", "a", &b->error), -ENOENT);
    site_assert_told(b, "is not attached to node 'a'");
    cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
    assert_int_equal(catalog_node_by_name(c, "a")->n_attachments, 1);
}

static void a_volume_for_one_machine_belongs_to_one_node(void **state)
{
    struct site *b = *state;
    assert_int_equal(attach(b, "boot", "a", 0), -EEXIST);
    site_assert_told(b, "is what node 'a' boots");
    assert_int_equal(attach(b, "boot", "b", 0), -EBUSY);
    site_assert_told(b, "belongs to node 'a'");
    assert_int_equal(attach(b, "data", "a", 0), 1);
    assert_int_equal(attach(b, "data", "a", 2), -EEXIST);
    site_assert_told(b, "is attached to node 'a' already, as LUN 1");
    assert_int_equal(attach(b, "data", "b", 0), -EBUSY);
    site_assert_told(b, "belongs to node 'a'");
    assert_int_equal(attach(b, "shared", "a", 1), -EEXIST);
    site_assert_told(b, "another volume as LUN 1");
    assert_int_equal(attach(b, "shared", "a", 256), -EINVAL);
    assert_int_equal(attach(b, "shared", "a", 255), 255);
    assert_int_equal(attach(b, "shared", "b", 0), 1);
    assert_int_equal(attach(b, "nothing", "b", 0), -ENOENT);
    assert_int_equal(attach(b, "data", "nobody", 0), -ENOENT);
}

static void a_data_volume_does_not_become_what_somebody_boots(void **state)
{
    struct site *b = *state;
    struct registry_node_change change = {.set_volume = true, .volume = "data"};
    assert_int_equal(attach(b, "data", "a", 0), 1);
    assert_int_equal(registry_node_set(b->registry, "b", &change, NULL, &b->error), -EBUSY);
    site_assert_told(b, "node 'a'");
    assert_int_equal(registry_node_set(b->registry, "a", &change, NULL, &b->error), -EBUSY);
    site_assert_told(b, "as LUN 1; detach it first");
}

static void what_is_attached_is_not_removed(void **state)
{
    struct site *b = *state;
    char *path;
    assert_int_equal(attach(b, "data", "a", 0), 1);
    assert_int_equal(registry_volume_remove_begin(b->registry, "data", NULL, &path, &b->error),
                     -EBUSY);
    site_assert_told(b, "is attached to node 'a' as LUN 1; detach it first");
    assert_int_equal(registry_node_remove(b->registry, "a", &b->error), 0);
    assert_int_equal(registry_volume_remove_begin(b->registry, "data", NULL, &path, &b->error), 0);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_attached_is_in_the_catalog, setup, teardown),
        cmocka_unit_test_setup_teardown(a_volume_for_one_machine_belongs_to_one_node, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_data_volume_does_not_become_what_somebody_boots, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_attached_is_not_removed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
