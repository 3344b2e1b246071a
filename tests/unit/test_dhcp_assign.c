/* Which address, when nodes change. */
#include "dhcp_lab.h"

static void the_second_mac_waits_for_the_first(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(lease(lab, WEB1_A), ip("10.0.0.11"));
    assert_true(in_pool(lease(lab, WEB1_B)));
    assert_int_equal(lab->n_oddities, 0); /* nothing odd about it */
    assert_option_text(&lab->answer, DHCP_OPTION_HOST_NAME, "web1");
    pass(lab, 7200);
    assert_int_equal(lease(lab, WEB1_B), ip("10.0.0.11"));
    uint32_t stand_in = lease(lab, WEB1_A);
    assert_true(in_pool(stand_in));
    /* one that does without it does not stand in the way of the other */
    pass(lab, 3000);
    assert_int_equal(renew(lab, WEB1_A, stand_in), DHCP_ACK);
    pass(lab, 3000);
    assert_int_equal(lease(lab, WEB1_B), ip("10.0.0.11"));
}

static void the_address_of_a_running_node_stays_with_its_mac(void **state)
{
    struct lab *lab = *state; /* its system does not renew, as many do not */
    assert_int_equal(lease(lab, WEB1_A), ip("10.0.0.11"));
    lab->web1_is_up = true;
    pass(lab, 100000);
    assert_true(in_pool(lease(lab, WEB1_B)));
    assert_int_equal(lease(lab, WEB1_A), ip("10.0.0.11"));
    lab->web1_is_up = false;
    pass(lab, 100000);
    assert_int_equal(lease(lab, WEB1_B), ip("10.0.0.11"));
}

/* It was given another address while it runs; its lease of this one is over, and it does not know.
 */
static void the_address_of_a_running_node_is_given_to_no_other_node(void **state)
{
    struct lab *lab = *state;
    lease(lab, WEB1_A);
    lab->web1_is_up = true;
    lab->nodes[0].address = ip("10.0.0.12");
    lab->nodes[3] = (struct registered){"late", ip("10.0.0.11"), {OTHER}, 1};
    pass(lab, 100000);
    assert_true(in_pool(lease(lab, OTHER)));
    assert_int_equal(lab->last_oddity.kind, DHCP_ODD_CONFLICT);
    assert_true(mac_eq(lab->last_oddity.holder, WEB1_A));
    lab->web1_is_up = false;
    pass(lab, 100000);
    assert_int_equal(lease(lab, OTHER), ip("10.0.0.11"));
}

static void a_boot_sees_one_address(void **state)
{
    struct lab *lab = *state; /* although its own becomes free while it boots */
    lease(lab, WEB1_A);
    uint32_t stand_in = lease(lab, WEB1_B);
    packet_set_u32(begin(lab, DHCP_RELEASE, WEB1_A), PACKET_CIADDR, ip("10.0.0.11"));
    deliver(lab);
    pass(lab, 30);
    assert_int_equal(lease(lab, WEB1_B), stand_in);
    pass(lab, 60);
    assert_int_equal(init_reboot(lab, WEB1_B, stand_in), DHCP_ACK);
    pass(lab, 600);
    assert_int_equal(renew(lab, WEB1_B, stand_in), DHCP_ACK); /* nor is it moved while it runs */
    pass(lab, 600);
    assert_int_equal(init_reboot(lab, WEB1_B, stand_in), DHCP_NAK); /* the next boot is new */
    assert_int_equal(lease(lab, WEB1_B), ip("10.0.0.11"));
}

static void a_new_node_whose_address_is_leased_waits(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    lab->nodes[3] = (struct registered){"late", address, {OTHER}, 1};
    uint32_t other = lease(lab, OTHER);
    assert_true(in_pool(other) && other != address);
    assert_odd(lab, DHCP_ODD_CONFLICT);
    assert_true(mac_eq(lab->last_oddity.holder, STRANGER));
    /* who has it is told at its next message, and then it is free */
    assert_int_equal(renew(lab, STRANGER, address), DHCP_NAK);
    pass(lab, 301);
    assert_int_equal(lease(lab, OTHER), address);
    uint32_t moved = lease(lab, STRANGER);
    assert_true(in_pool(moved) && moved != address && moved != other);
}

/* Its disk hangs on the address that it has: a change is for its next boot. */
static void a_changed_node_moves_when_it_boots_and_not_before(void **state)
{
    struct lab *lab = *state;
    lease(lab, WEB1_A);
    stored(lab, true);
    lab->nodes[0].address = ip("10.0.0.12");
    assert_int_equal(renew(lab, WEB1_A, ip("10.0.0.11")), DHCP_ACK);
    assert_int_equal(renew(lab, WEB1_A, ip("10.0.0.11")), DHCP_ACK);
    assert_int_equal(init_reboot(lab, WEB1_A, ip("10.0.0.11")), DHCP_NAK);
    assert_int_equal(lease(lab, WEB1_A), ip("10.0.0.12"));
    lab->nodes[0].n_macs = 0; /* removed */
    assert_int_equal(renew(lab, WEB1_A, ip("10.0.0.12")), DHCP_NAK);
    assert_true(in_pool(lease(lab, WEB1_A)));
}

static void an_address_that_became_another_nodes_is_given_up(void **state)
{
    struct lab *lab = *state;
    lease(lab, WEB1_A);
    lab->nodes[0].address = ip("10.0.0.12");
    lab->nodes[3] = (struct registered){"late", ip("10.0.0.11"), {OTHER}, 1};
    assert_int_equal(renew(lab, WEB1_A, ip("10.0.0.11")), DHCP_NAK);
    assert_int_equal(lease(lab, OTHER), ip("10.0.0.11"));
}

/* iPXE before 2021 does not understand a NAK. */
static void what_is_offered_is_never_refused(void **state)
{
    struct lab *lab = *state;
    lab->nodes[0].address = ip("10.0.0.105"); /* in the pool's range */
    assert_int_equal(lease(lab, WEB1_A), ip("10.0.0.105"));
    stored(lab, true);
    lab->nodes[0].address = 0;
    uint32_t offered = discover(lab, WEB1_A);
    assert_true(in_pool(offered));
    assert_int_equal(lease(lab, WEB1_A), offered);
}

static void a_stranger_that_becomes_a_node_moves(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    lab->nodes[3] = (struct registered){"late", ip("10.0.0.33"), {STRANGER}, 1};
    assert_int_equal(discover(lab, STRANGER), ip("10.0.0.33"));
    assert_int_equal(renew(lab, STRANGER, address), DHCP_ACK); /* it runs, whatever from */
    assert_int_equal(lease(lab, STRANGER), ip("10.0.0.33"));
    /* or not, if it is given the address that it has */
    uint32_t kept = lease(lab, OTHER);
    lab->nodes[3] = (struct registered){"late", kept, {OTHER}, 1};
    assert_int_equal(renew(lab, OTHER, kept), DHCP_ACK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(the_second_mac_waits_for_the_first),
        LAB_TEST(the_address_of_a_running_node_stays_with_its_mac),
        LAB_TEST(the_address_of_a_running_node_is_given_to_no_other_node),
        LAB_TEST(a_boot_sees_one_address),
        LAB_TEST(a_new_node_whose_address_is_leased_waits),
        LAB_TEST(a_changed_node_moves_when_it_boots_and_not_before),
        LAB_TEST(an_address_that_became_another_nodes_is_given_up),
        LAB_TEST(what_is_offered_is_never_refused),
        LAB_TEST(a_stranger_that_becomes_a_node_moves),
    };
    return RUN_TESTS(tests);
}
