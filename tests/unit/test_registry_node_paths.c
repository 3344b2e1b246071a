/* Further cards of nodes, with addresses of their own. */
#include "site.h"

#include <errno.h>

#define OWN   0x0a00000b /* 10.0.0.11 */
#define OTHER 0x0a01000b /* 10.1.0.11 */

static struct site site;
static struct mac_address macs[2];
static struct catalog_path path;

static int add(const char *name, uint32_t address, size_t n_macs, size_t n_paths)
{
    const struct registry_node node = {.name = name,
                                       .address = address,
                                       .macs = macs,
                                       .n_macs = n_macs,
                                       .paths = &path,
                                       .n_paths = n_paths};
    return registry_node_add(site.registry, &node, NULL, &site.error);
}

static int setup(void **state)
{
    site = (struct site){0};
    site_make(&site);
    macs[0] = site_mac(1);
    macs[1] = site_mac(2);
    path = (struct catalog_path){.mac = site_mac(2), .address = OTHER};
    return 0;
}

static int teardown(void **state)
{
    site_remove(&site);
    return 0;
}

static int set(const struct registry_node_change *change)
{
    return registry_node_set(site.registry, "web1", change, NULL, &site.error);
}

static void a_path_is_kept_and_taken_away(void **state)
{
    assert_int_equal(add("web1", OWN, 2, 1), 0);
    for (int again = 0; again < 2; again++) {
        cleanup_catalog struct catalog *c = catalog_slot_get(site.slot);
        const struct catalog_node *node = catalog_node_by_address(c, OTHER);
        assert_string_equal(node->name, "web1");
        assert_int_equal(node->n_paths, 1);
        assert_true(mac_eq(node->paths[0].mac, macs[1]));
        site_restart(&site);
    }
    assert_int_equal(set(&(struct registry_node_change){.set_group = true}), 0);
    assert_int_equal(set(&(struct registry_node_change){.set_paths = true}), 0);
    cleanup_catalog struct catalog *c = catalog_slot_get(site.slot);
    assert_null(catalog_node_by_address(c, OTHER));
    assert_int_equal(catalog_node_by_name(c, "web1")->n_paths, 0);
}

static void it_belongs_to_a_card_of_the_node(void **state)
{
    assert_int_equal(add("web1", OWN, 1, 1), -EINVAL);
    site_assert_told(&site, "none of the node's macs");
    assert_int_equal(add("web1", OWN, 2, 1), 0);
    const struct registry_node_change fewer = {.set_macs = true, .macs = macs, .n_macs = 1};
    assert_int_equal(set(&fewer), -EINVAL);
    site_assert_told(&site, "none of the node's macs");
    const struct registry_node_change only = {.set_macs = true, .macs = macs + 1, .n_macs = 1};
    assert_int_equal(set(&only), -EINVAL);
    site_assert_told(&site, "a path for each of its cards");
}

static void the_node_has_another_address_beside_it(void **state)
{
    assert_int_equal(add("web1", 0, 2, 1), -EINVAL);
    site_assert_told(&site, "needs an address of its own");
    assert_int_equal(add("web1", OTHER, 2, 1), -EINVAL);
    site_assert_told(&site, "needs an address of its own");
    assert_int_equal(add("web1", OWN, 2, 1), 0);
    assert_int_equal(set(&(struct registry_node_change){.set_address = true}), -EINVAL);
    site_assert_told(&site, "needs an address of its own");
}

static void an_address_is_of_one_card_of_one_node(void **state)
{
    assert_int_equal(add("web1", OWN, 2, 1), 0);
    macs[0] = site_mac(3);
    assert_int_equal(add("web2", OTHER, 1, 0), -EEXIST);
    site_assert_told(&site, "belongs to a path of node 'web1'");
    macs[1] = path.mac = site_mac(4);
    assert_int_equal(add("web2", OWN + 1, 2, 1), -EEXIST);
    site_assert_told(&site, "belongs to a path of node 'web1'");
    path.address = OWN;
    assert_int_equal(add("web2", OWN + 1, 2, 1), -EEXIST);
    site_assert_told(&site, "already belongs to node 'web1'");
    path.address = OTHER + 1;
    assert_int_equal(add("web2", OWN + 1, 2, 1), 0);
    const struct catalog_path twice[] = {path, {.mac = path.mac, .address = OTHER + 2}};
    const struct registry_node_change change = {.set_paths = true, .paths = twice, .n_paths = 2};
    assert_int_equal(registry_node_set(site.registry, "web2", &change, NULL, &site.error), -EINVAL);
    site_assert_told(&site, "each card has one address");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_path_is_kept_and_taken_away, setup, teardown),
        cmocka_unit_test_setup_teardown(it_belongs_to_a_card_of_the_node, setup, teardown),
        cmocka_unit_test_setup_teardown(the_node_has_another_address_beside_it, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_is_of_one_card_of_one_node, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
