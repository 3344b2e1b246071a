#include "site.h"

#include <errno.h>

static int setup(void **state)
{
    struct site *b = calloc(1, sizeof(*b));
    site_make(b);
    *state = b;
    assert_int_equal(registry_group_add(b->registry, "rack1", &b->error), 0);
    struct mac_address mac = site_mac(1);
    struct registry_node node = {.name = "a", .group = "rack1", .macs = &mac, .n_macs = 1};
    assert_int_equal(registry_node_add(b->registry, &node, NULL, &b->error), 0);
    return 0;
}

static int teardown(void **state)
{
    struct site *b = *state;
    site_remove(b);
    free(b);
    return 0;
}

#define TEXTS(...) ((const char *const[]){__VA_ARGS__})

static int set_node(struct site *b, const char *text)
{
    const struct registry_node_change change = {.options = {.set = &text, .n_set = 1}};
    b->error = (struct error){0};
    return registry_node_set(b->registry, "a", &change, NULL, &b->error);
}

static void assert_options(const struct dhcp_options *options, const char *const *texts, size_t n)
{
    char text[DHCP_SETTING_TEXT_SIZE];
    struct dhcp_setting setting;
    size_t at = 0, i = 0;
    for (; dhcp_options_next(options, &at, &setting); i++) {
        assert_true(i < n);
        assert_string_equal(dhcp_setting_format(&setting, text), texts[i]);
    }
    assert_int_equal(i, n);
}

static void they_are_in_the_catalog(void **state)
{
    struct site *b = *state;
    assert_int_equal(set_node(b, "always:ntp=10.0.0.5"), 0);
    assert_int_equal(set_node(b, "mtu=1500"), 0);
    assert_int_equal(set_node(b, "26=9000"), 0);
    const struct registry_options_change group = {.set = TEXTS("224=hex:0a"), .n_set = 1};
    assert_int_equal(registry_group_set(b->registry, "rack1", &group, &b->error), 0);
    for (int again = 0; again < 2; again++) {
        cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
        assert_options(catalog_node_by_name(c, "a")->options,
                       TEXTS("mtu=9000", "always:ntp-servers=10.0.0.5"), 2);
        assert_options(catalog_group_by_name(c, "rack1")->options, TEXTS("224=hex:0a"), 1);
        site_restart(b);
    }
    site_check_catalog(b);
}

static void they_can_be_taken_away(void **state)
{
    struct site *b = *state;
    assert_int_equal(set_node(b, "mtu=1500"), 0);
    const struct registry_node_change change = {.options = {.set = TEXTS("root-path=/x"),
                                                            .n_set = 1,
                                                            .unset = TEXTS("interface-mtu"),
                                                            .n_unset = 1}};
    assert_int_equal(registry_node_set(b->registry, "a", &change, NULL, &b->error), 0);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
    assert_options(catalog_node_by_name(c, "a")->options, TEXTS("root-path=/x"), 1);
    assert_int_equal(registry_node_set(b->registry, "a", &change, NULL, &b->error), -ENOENT);
    site_assert_told(b, "option 'interface-mtu' is not set here");
}

static void what_is_wrong_changes_nothing(void **state)
{
    struct site *b = *state;
    assert_int_equal(set_node(b, "mtu=1"), -EINVAL);
    site_assert_told(b, "option 'mtu=1' must be a number from 68 to 65535");
    assert_int_equal(set_node(b, "host-name=x"), -EINVAL);
    site_assert_told(b, "is the node's name");
    const struct registry_node_change change = {
        .options = {.set = TEXTS("mtu=1500", "nonsense=1"), .n_set = 2}};
    assert_int_equal(registry_node_set(b->registry, "a", &change, NULL, &b->error), -EINVAL);
    const struct registry_options_change group = {.unset = TEXTS("nonsense"), .n_unset = 1};
    assert_int_equal(registry_group_set(b->registry, "rack1", &group, &b->error), -EINVAL);
    assert_int_equal(registry_group_set(b->registry, "none", &group, &b->error), -ENOENT);
    site_assert_told(b, "there is no group 'none'");
    cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
    assert_null(catalog_node_by_name(c, "a")->options);
}

static void too_many_are_refused(void **state)
{
    struct site *b = *state;
    char text[1100] = "224=hex:";
    memset(text + strlen(text), '1', 1000);
    assert_int_equal(set_node(b, text), 0);
    text[2] = '5';
    assert_int_equal(set_node(b, text), 0);
    text[2] = '6';
    assert_int_equal(set_node(b, text), -EINVAL);
    site_assert_told(b, "is too much");
    site_restart(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(they_are_in_the_catalog, setup, teardown),
        cmocka_unit_test_setup_teardown(they_can_be_taken_away, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_are_refused, setup, teardown),
    };
    return RUN_TESTS(tests);
}
