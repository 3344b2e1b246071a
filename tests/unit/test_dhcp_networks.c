/* Restart and reload. */
#include "dhcp_lab.h"

static void leases_come_back(void **state)
{
    struct lab *lab = *state;
    struct dhcp_lease_record record = {.mac = STRANGER,
                                       .address = ip("10.0.0.103"),
                                       .state = LEASE_BOUND,
                                       .expires_at = lab->now.wall + 1000 * SECOND};
    assert_true(dhcp_server_restore(lab->server, &record, &lab->now));
    assert_int_equal(init_reboot(lab, STRANGER, ip("10.0.0.103")), DHCP_ACK);
    assert_int_equal(init_reboot(lab, OTHER, ip("10.0.0.103")), DHCP_NAK);
    record = (struct dhcp_lease_record){.mac = OTHER,
                                        .address = ip("10.0.0.104"),
                                        .expires_at = lab->now.wall - SECOND,
                                        .state = LEASE_BOUND};
    assert_true(dhcp_server_restore(lab->server, &record, &lab->now));
    assert_int_equal(discover(lab, OTHER), ip("10.0.0.104"));
    record.address = ip("172.16.0.1");
    assert_false(dhcp_server_restore(lab->server, &record, &lab->now));
    record = (struct dhcp_lease_record){.address = ip("10.0.0.105"),
                                        .state = LEASE_DECLINED,
                                        .expires_at = lab->now.wall + 100 * SECOND};
    assert_true(dhcp_server_restore(lab->server, &record, &lab->now));
    assert_int_equal(select_offer(lab, mac_of(300), ip("10.0.0.105")), DHCP_NAK);
}

static void a_clock_set_back_makes_no_endless_lease(void **state)
{
    struct lab *lab = *state;
    struct dhcp_lease_record record = {.mac = STRANGER,
                                       .address = ip("10.0.0.103"),
                                       .state = LEASE_BOUND,
                                       .expires_at = lab->now.wall + 1000000 * SECOND};
    assert_true(dhcp_server_restore(lab->server, &record, &lab->now));
    pass(lab, 3601);
    assert_int_equal(address_of(lab, STRANGER), 0);
}

static void the_newer_of_two_stored_leases_counts(void **state)
{
    struct lab *lab = *state;
    struct dhcp_lease_record old = {.mac = STRANGER,
                                    .address = ip("10.0.0.103"),
                                    .state = LEASE_BOUND,
                                    .expires_at = lab->now.wall + 100 * SECOND};
    struct dhcp_lease_record new = old;
    new.address = ip("10.0.0.104");
    new.expires_at += SECOND;
    assert_true(dhcp_server_restore(lab->server, &new, &lab->now));
    assert_false(dhcp_server_restore(lab->server, &old, &lab->now));
    assert_int_equal(discover(lab, STRANGER), ip("10.0.0.104"));
}

static void a_reload_keeps_leases(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    lease(lab, WEB1_A);
    lab->networks[0].settings.lease_time = 120;
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 2), 0);
    assert_int_equal(renew(lab, STRANGER, address), DHCP_ACK);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), 120);
    /* out of the pool: it has to move */
    lab->networks[0].settings.ranges[0] =
        (struct address_range){ip("10.0.0.200"), ip("10.0.0.209")};
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 2), 0);
    assert_int_equal(renew(lab, STRANGER, address), DHCP_NAK);
    assert_int_equal(renew(lab, WEB1_A, ip("10.0.0.11")), DHCP_ACK);
}

static void a_subnet_that_is_off_for_a_while_keeps_its_leases(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks + 1, 1), 0);
    assert_int_equal(discover(lab, STRANGER), 0);
    assert_int_equal(renew(lab, STRANGER, address), 0);
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 2), 0);
    assert_int_not_equal(discover(lab, OTHER), address);
    packet_u32(begin(lab, DHCP_DISCOVER, OTHER), DHCP_OPTION_REQUESTED_ADDRESS, address);
    assert_true(deliver(lab));
    assert_int_not_equal(lab->answer.yiaddr, address);
    assert_int_equal(renew(lab, STRANGER, address), DHCP_ACK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(leases_come_back),
        LAB_TEST(a_clock_set_back_makes_no_endless_lease),
        LAB_TEST(the_newer_of_two_stored_leases_counts),
        LAB_TEST(a_reload_keeps_leases),
        LAB_TEST(a_subnet_that_is_off_for_a_while_keeps_its_leases),
    };
    return RUN_TESTS(tests);
}
