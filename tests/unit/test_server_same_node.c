#include "test.h"

#include "server/same_node.h"

#define IQN "iqn.2026-11.lan.example"

static const struct mac_address card1 = {{0x52, 0x54, 0, 0, 0, 1}},
                                card2 = {{0x52, 0x54, 0, 0, 0, 2}},
                                card3 = {{0x52, 0x54, 0, 0, 0, 3}};

/* web1 has two cards, 10.0.0.11 and 10.1.0.11; web2 one, 10.0.0.12. */
static struct catalog *catalog;

static int setup(void **state)
{
    const struct mac_address web1[] = {card1, card2};
    const struct catalog_path path = {.mac = card2, .address = 0x0a01000b};
    catalog = catalog_new(IQN, 1);
    assert_int_equal(catalog_add_node(catalog, &(struct catalog_node){.id = 1,
                                                                      .name = "web1",
                                                                      .macs = web1,
                                                                      .n_macs = 2,
                                                                      .address = 0x0a00000b,
                                                                      .paths = &path,
                                                                      .n_paths = 1}),
                     0);
    assert_int_equal(catalog_add_node(catalog, &(struct catalog_node){.id = 2,
                                                                      .name = "web2",
                                                                      .macs = &card3,
                                                                      .n_macs = 1,
                                                                      .address = 0x0a00000c}),
                     0);
    assert_int_equal(catalog_seal(catalog), 0);
    return 0;
}

static int teardown(void **state)
{
    catalog_unref(catalog);
    return 0;
}

static struct iscsi_login_identity login(const char *initiator, uint32_t address)
{
    struct iscsi_login_identity identity = {.source = endpoint_of_ipv4(address, 40000)};
    str_copy(identity.initiator, sizeof(identity.initiator), initiator);
    return identity;
}

static bool are_one(const char *a, uint32_t at, const char *b, uint32_t there)
{
    const struct iscsi_login_identity one = login(a, at), other = login(b, there);
    bool same = same_node(catalog, &one, &other);
    assert_int_equal(same_node(catalog, &other, &one), same);
    return same;
}

static void two_cards_of_a_node_are_one_machine(void **state)
{
    assert_true(are_one(IQN ":web1", 0x0a00000b, IQN ":web1", 0x0a01000b));
    assert_true(are_one(IQN ":web1", 0x0a00000b, IQN ":52-54-00-00-00-02", 0x0a01000b));
}

static void a_clone_at_another_address_is_not(void **state)
{
    assert_false(are_one(IQN ":web1", 0x0a00000b, IQN ":web1", 0x0a01000c));
    assert_false(are_one(IQN ":web1", 0x0a01000b, IQN ":web1", 0x0a000063));
    assert_false(are_one(IQN ":web1", 0x0a00000b, IQN ":web1", 0x0a00000c)); /* web2's */
}

static void nor_is_another_initiator_at_its_address(void **state)
{
    assert_false(are_one(IQN ":web1", 0x0a00000b, IQN ":web2", 0x0a01000b));
    assert_false(are_one(IQN ":web1", 0x0a00000b, "iqn.2020-01.org.other:x", 0x0a01000b));
    assert_false(
        are_one("iqn.2020-01.org.other:x", 0x0a00000b, "iqn.2020-01.org.other:x", 0x0a01000b));
}

static void a_node_without_paths_is_at_one_address(void **state)
{
    assert_false(are_one(IQN ":web2", 0x0a00000c, IQN ":web2", 0x0a01000b));
}

static void each_card_has_its_address(void **state)
{
    const struct catalog_node *web1 = catalog_node_by_name(catalog, "web1");
    assert_int_equal(catalog_node_address_of(web1, card1), 0x0a00000b);
    assert_int_equal(catalog_node_address_of(web1, card2), 0x0a01000b);
    assert_ptr_equal(catalog_node_by_address(catalog, 0x0a01000b), web1);
    assert_true(catalog_node_has_address(web1, 0x0a01000b));
    assert_false(catalog_node_has_address(web1, 0x0a00000c));
    assert_false(catalog_node_has_address(web1, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_cards_of_a_node_are_one_machine),
        cmocka_unit_test(a_clone_at_another_address_is_not),
        cmocka_unit_test(nor_is_another_initiator_at_its_address),
        cmocka_unit_test(a_node_without_paths_is_at_one_address),
        cmocka_unit_test(each_card_has_its_address),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
