/* What the server tells of duplicates, message by message. */
#include "dhcp_lab.h"

#define LAB_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static size_t times_told(const struct lab *lab, enum dhcp_oddity_kind kind)
{
    return (size_t)counter_get(&dhcp_server_counters(lab->server)->oddities[kind]);
}

static void xid(struct lab *lab, uint16_t value)
{
    packet_set_u16(&lab->packet, 6, value);
}

/* --- places --- */

static void ask_on(struct lab *lab, unsigned link, uint16_t number)
{
    pass(lab, 5);
    begin(lab, DHCP_DISCOVER, WEB2);
    lab->arrival.link = link;
    xid(lab, number);
    (void)deliver(lab);
}

static void a_mac_on_two_interfaces_is_told(void **state)
{
    struct lab *lab = *state;
    for (uint16_t i = 0; i < 3; i++)
        ask_on(lab, LINK + i % 2, i);
    assert_int_equal(times_told(lab, DHCP_ODD_SAME_MAC), 0);
    ask_on(lab, LINK + 1, 3);
    assert_int_equal(times_told(lab, DHCP_ODD_SAME_MAC), 1);
}

static void ask_relayed(struct lab *lab, const char *port, uint16_t number)
{
    uint8_t option[2 + 8] = {DHCP_RELAY_CIRCUIT_ID, (uint8_t)strlen(port)};
    memcpy(option + 2, port, strlen(port));
    pass(lab, 5);
    struct packet *p = begin(lab, DHCP_DISCOVER, FAR1);
    packet_option(p, DHCP_OPTION_RELAY_AGENT, option, (uint8_t)(2 + strlen(port)));
    packet_set_u32(p, PACKET_GIADDR, ip("10.9.0.2"));
    xid(lab, number);
    assert_true(deliver(lab));
}

static void a_mac_at_two_ports_of_a_relay_is_told(void **state)
{
    struct lab *lab = *state;
    for (uint16_t i = 0; i < 6; i++)
        ask_relayed(lab, "1/7", i);
    assert_int_equal(times_told(lab, DHCP_ODD_SAME_MAC), 0);
    for (uint16_t i = 6; i < 9; i++)
        ask_relayed(lab, i % 2 ? "1/7" : "1/8", i);
    assert_int_equal(times_told(lab, DHCP_ODD_SAME_MAC), 1);
    assert_string_equal(lab->last_oddity.node, "far1");
}

static void a_renewal_past_the_relay_is_no_other_place(void **state)
{
    struct lab *lab = *state;
    for (uint16_t i = 0; i < 10; i++) {
        ask_relayed(lab, "1/7", i);
        packet_set_u32(begin(lab, DHCP_REQUEST, FAR1), PACKET_CIADDR, ip("10.9.0.11"));
        lab->arrival.unicast = true;
        lab->arrival.source = ip("10.9.0.11");
        (void)deliver(lab);
    }
    assert_int_equal(times_told(lab, DHCP_ODD_SAME_MAC), 0);
}

/* --- names --- */

static size_t ask_as(struct lab *lab, struct mac_address mac, const char *name)
{
    size_t before = times_told(lab, DHCP_ODD_SAME_NAME);
    packet_text(begin(lab, DHCP_DISCOVER, mac), DHCP_OPTION_HOST_NAME, name);
    assert_true(deliver(lab));
    return times_told(lab, DHCP_ODD_SAME_NAME) - before;
}

static void a_nodes_name_is_its_own(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(ask_as(lab, WEB1_A, "web1"), 0);
    assert_int_equal(ask_as(lab, WEB1_B, "web1.lan.example"), 0);
    assert_int_equal(ask_as(lab, STRANGER, "localhost"), 0);
    assert_int_equal(ask_as(lab, STRANGER, "web11"), 0);
    assert_int_equal(ask_as(lab, STRANGER, ""), 0);
    assert_int_equal(ask_as(lab, STRANGER, ".web1"), 0);
    assert_int_equal(ask_as(lab, STRANGER, "web1"), 1);
    assert_string_equal(lab->last_oddity.other_node, "web1");
    assert_null(lab->last_oddity.node);
    assert_int_equal(ask_as(lab, STRANGER, "WEB1.lan.example"), 1);
    assert_int_equal(ask_as(lab, WEB2, "web1"), 1);
    assert_string_equal(lab->last_oddity.node, "web2");
}

static void long_names_are_nobodys(void **state)
{
    struct lab *lab = *state;
    char name[256];
    for (size_t n = 1; n < 200; n++) {
        memset(name, 'w', n);
        name[n] = '\0';
        assert_int_equal(ask_as(lab, STRANGER, name), 0);
    }
}

/* One that does not call itself a node. */
static void get_lease_as(struct lab *lab, struct mac_address mac, const char *name)
{
    uint32_t address = discover(lab, mac);
    struct packet *p = begin(lab, DHCP_REQUEST, mac);
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip(SERVER));
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, address);
    packet_text(p, DHCP_OPTION_HOST_NAME, name);
    (void)deliver(lab);
    (void)stored(lab, true);
}

static void two_strangers_of_one_name_are_a_hint(void **state)
{
    struct lab *lab = *state;
    get_lease_as(lab, STRANGER, "lap1");
    get_lease_as(lab, STRANGER, "lap1");
    get_lease_as(lab, OTHER, "lap2");
    assert_int_equal(times_told(lab, DHCP_ODD_NAMESAKE), 0);
    get_lease_as(lab, OTHER, "LAP1.lan.example");
    assert_int_equal(times_told(lab, DHCP_ODD_NAMESAKE), 1);
    assert_true(mac_eq(lab->last_oddity.mac, OTHER) && mac_eq(lab->last_oddity.holder, STRANGER));
    pass(lab, 2 * 3600);
    get_lease_as(lab, STRANGER, "lap1"); /* the other one's lease is over */
    assert_int_equal(times_told(lab, DHCP_ODD_NAMESAKE), 1);
    get_lease_as(lab, WEB2, "lap1"); /* a node has its own name */
    assert_int_equal(times_told(lab, DHCP_ODD_NAMESAKE), 1);
}

/* --- UUIDs --- */

static size_t ask_with(struct lab *lab, struct mac_address mac, uint8_t fill, uint8_t size)
{
    size_t before = times_told(lab, DHCP_ODD_SAME_UUID);
    uint8_t option[32];
    memset(option, fill, sizeof(option));
    option[0] = 0;
    packet_option(begin(lab, DHCP_DISCOVER, mac), DHCP_OPTION_UUID, option, size);
    assert_true(deliver(lab));
    return times_told(lab, DHCP_ODD_SAME_UUID) - before;
}

static void one_machine_that_is_two_nodes_is_a_hint(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(ask_with(lab, WEB1_A, 7, 17), 0);
    assert_int_equal(ask_with(lab, WEB1_B, 7, 17), 0);   /* its other card */
    assert_int_equal(ask_with(lab, STRANGER, 7, 17), 0); /* perhaps another one of it */
    assert_int_equal(ask_with(lab, WEB1_A, 7, 17), 0);
    assert_int_equal(ask_with(lab, WEB2, 8, 17), 0);
    assert_int_equal(ask_with(lab, WEB2, 7, 17), 1);
    assert_string_equal(lab->last_oddity.node, "web2");
    assert_string_equal(lab->last_oddity.other_node, "web1");
    assert_true(mac_eq(lab->last_oddity.holder, WEB1_A));
}

/* Who cannot become one has no identity here. */
static void one_machine_that_would_be_two_nodes_is_a_hint(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(ask_with(lab, STRANGER, 7, 17), 0);
    assert_int_equal(ask_with(lab, OTHER, 7, 17), 0);
    lab->networks[0].settings.unknown = SUBNET_REGISTER;
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 3), 0);
    assert_int_equal(ask_with(lab, STRANGER, 7, 17), 0);
    assert_int_equal(ask_with(lab, STRANGER, 7, 17), 0);
    assert_int_equal(ask_with(lab, OTHER, 7, 17), 1);
    assert_true(mac_eq(lab->last_oddity.holder, STRANGER) && !lab->last_oddity.node &&
                !lab->last_oddity.other_node);
}

static void uuids_of_nothing_say_nothing(void **state)
{
    struct lab *lab = *state;
    const uint8_t fills[] = {0, 0xff};
    for (size_t i = 0; i < ARRAY_SIZE(fills); i++) {
        assert_int_equal(ask_with(lab, WEB1_A, fills[i], 17), 0);
        assert_int_equal(ask_with(lab, WEB2, fills[i], 17), 0);
    }
    for (uint8_t size = 0; size < 32; size++) {
        assert_int_equal(ask_with(lab, WEB1_A, size, size), 0);
        assert_int_equal(ask_with(lab, WEB2, size, size), size == 17);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(a_mac_on_two_interfaces_is_told),
        LAB_TEST(a_mac_at_two_ports_of_a_relay_is_told),
        LAB_TEST(a_renewal_past_the_relay_is_no_other_place),
        LAB_TEST(a_nodes_name_is_its_own),
        LAB_TEST(long_names_are_nobodys),
        LAB_TEST(one_machine_that_is_two_nodes_is_a_hint),
        LAB_TEST(two_strangers_of_one_name_are_a_hint),
        LAB_TEST(one_machine_that_would_be_two_nodes_is_a_hint),
        LAB_TEST(uuids_of_nothing_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
