#include "test.h"

#include "server/beginning.h"

#define IQN "iqn.2026-11.lan.example"
#define SEC USEC_PER_SEC

#define HOME  0x0a00000b
#define PATH  0x0a01000b
#define CLONE 0x0a000042

/* web1 has two cards, 10.0.0.11 and 10.1.0.11. */
static struct catalog *catalog;

/* Its sessions, with a target of which nothing else is looked at. */
static struct iscsi_target target;
static struct iscsi_session sessions[2];
static struct iscsi_conn conns[2];

static struct beginning beginning;

static int setup_group(void **state)
{
    const struct mac_address macs[] = {{{0x52, 0x54, 0, 0, 0, 1}}, {{0x52, 0x54, 0, 0, 0, 2}}};
    const struct catalog_path path = {.mac = macs[1], .address = PATH};
    catalog = catalog_new(IQN, 1);
    assert_int_equal(catalog_add_node(catalog, &(struct catalog_node){.id = 1,
                                                                      .name = "web1",
                                                                      .macs = macs,
                                                                      .n_macs = 2,
                                                                      .address = HOME,
                                                                      .paths = &path,
                                                                      .n_paths = 1}),
                     0);
    assert_int_equal(catalog_seal(catalog), 0);
    return 0;
}

static int teardown_group(void **state)
{
    catalog_unref(catalog);
    return 0;
}

static int setup(void **state)
{
    memset(sessions, 0, sizeof(sessions));
    memset(&beginning, 0, sizeof(beginning));
    list_init(&target.sessions);
    return 0;
}

static struct iscsi_login_identity from(uint32_t address)
{
    struct iscsi_login_identity identity = {.source = endpoint_of_ipv4(address, 40000)};
    str_copy(identity.initiator, sizeof(identity.initiator), IQN ":web1");
    return identity;
}

static bool begins(uint32_t address, uint64_t at)
{
    const struct iscsi_login_identity login = from(address);
    return beginning_login(&beginning, catalog, &target, &login, at);
}

static void live(size_t i, uint32_t address, bool firmware)
{
    sessions[i] = (struct iscsi_session){
        .identity = from(address), .traits.firmware = firmware, .conn = &conns[i]};
    conns[i].state = ISCSI_CONN_FULL;
    list_append(&target.sessions, &sessions[i].link);
}

static void all_paths_at_once_are_one(void **state)
{
    assert_true(begins(HOME, 100 * SEC)); /* no session has begun yet */
    assert_false(begins(PATH, 101 * SEC));
    assert_true(begins(PATH, 102 * SEC)); /* it was there already */
}

static void a_late_path_is_of_it_while_the_first_is_alive(void **state)
{
    assert_true(begins(HOME, 100 * SEC));
    live(0, HOME, true);
    assert_false(begins(PATH, 120 * SEC));
    live(1, PATH, true);
    list_remove(&sessions[0].link); /* lost: the other one still has what it boots from */
    assert_false(begins(HOME, 170 * SEC));
}

static void a_late_one_alone_begins(void **state)
{
    assert_true(begins(HOME, 100 * SEC));
    assert_true(begins(PATH, 120 * SEC));
    live(0, PATH, true);
    conns[0].state = ISCSI_CONN_CLOSING;
    assert_true(begins(HOME, 140 * SEC));
}

static void not_for_ever(void **state)
{
    assert_true(begins(HOME, 100 * SEC));
    live(0, HOME, true);
    assert_true(begins(PATH, 161 * SEC));
}

/* Its old sessions seem to be alive. */
static void a_machine_that_was_reset_begins(void **state)
{
    assert_true(begins(HOME, 100 * SEC));
    live(0, HOME, true);
    assert_false(begins(PATH, 101 * SEC));
    live(1, PATH, true);
    assert_true(begins(HOME, 130 * SEC));
}

static void after_its_system_has_come_too(void **state)
{
    assert_true(begins(HOME, 100 * SEC));
    live(0, HOME, true);
    live(1, HOME, false);
    assert_true(begins(PATH, 130 * SEC));
}

static void another_address_begins_on_its_own(void **state)
{
    assert_true(begins(HOME, 100 * SEC));
    live(0, HOME, true);
    assert_true(begins(CLONE, 101 * SEC));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_paths_at_once_are_one, setup),
        cmocka_unit_test_setup(a_late_path_is_of_it_while_the_first_is_alive, setup),
        cmocka_unit_test_setup(a_late_one_alone_begins, setup),
        cmocka_unit_test_setup(not_for_ever, setup),
        cmocka_unit_test_setup(a_machine_that_was_reset_begins, setup),
        cmocka_unit_test_setup(after_its_system_has_come_too, setup),
        cmocka_unit_test_setup(another_address_begins_on_its_own, setup),
    };
    return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
