/* Whole exchanges with the server. */
#include "dhcp_lab.h"

#include <errno.h>

/* --- the common case --- */

static void a_node_gets_its_address_and_name(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(discover(lab, WEB1_A), ip("10.0.0.11"));
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_SERVER_ID), ip(SERVER));
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), 3600);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_T1), 1800);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_T2), 3150);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_SUBNET_MASK), 0xffffff00);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_ROUTER), ip("10.0.0.254"));
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_DNS), ip("10.0.0.53"));
    assert_option_text(&lab->answer, DHCP_OPTION_HOST_NAME, "web1");
    assert_option_text(&lab->answer, DHCP_OPTION_DOMAIN, "lan.example");

    struct packet *p = begin(lab, DHCP_REQUEST, WEB1_A);
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip(SERVER));
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, ip("10.0.0.11"));
    assert_true(deliver(lab)); /* at once: the registry knows it already */
    assert_int_equal(lab->answer.type, DHCP_ACK);
    assert_int_equal(lab->answer.yiaddr, ip("10.0.0.11"));
    assert_int_equal(lab->n_records, 1);
    assert_int_equal(address_of(lab, WEB1_A), ip("10.0.0.11"));
}

static void events_tell_who_got_what(void **state)
{
    struct lab *lab = *state;
    lease(lab, WEB1_A);
    lease(lab, STRANGER);
    assert_int_equal(lab->n_events, 4);
    assert_int_equal(lab->events[0].type, DHCP_OFFER);
    assert_int_equal(lab->events[0].request, DHCP_DISCOVER);
    assert_int_equal(lab->events[1].type, DHCP_ACK);
    assert_true(mac_eq(lab->events[1].mac, WEB1_A));
    assert_int_equal(lab->events[1].address, ip("10.0.0.11"));
    assert_int_equal(lab->events[1].at, lab->now.wall);
    assert_int_equal(lab->events[3].type, DHCP_ACK);
    assert_null(lab->events[3].node);
}

static void strangers_get_pool_addresses(void **state)
{
    struct lab *lab = *state;
    uint32_t a = lease(lab, STRANGER), b = lease(lab, OTHER);
    assert_true(in_pool(a) && in_pool(b) && a != b);
    assert_int_equal(discover(lab, STRANGER), a);
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_HOST_NAME));
    pass(lab, 4000);
    assert_int_equal(discover(lab, STRANGER), a); /* its previous one */
}

static void a_node_without_address_gets_one_from_the_pool(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, WEB2);
    assert_true(in_pool(address));
    assert_option_text(&lab->answer, DHCP_OPTION_HOST_NAME, "web2");
    /* and keeps it: its system may not renew for weeks */
    pass(lab, 1000000);
    for (unsigned i = 200; i < 209; i++)
        assert_int_not_equal(lease(lab, mac_of(i)), address);
    assert_int_equal(discover(lab, mac_of(210)), 0);
    assert_odd(lab, DHCP_ODD_NO_ADDRESS);
    assert_int_equal(discover(lab, WEB2), address);
    lab->nodes[1].n_macs = 0; /* no longer a node: now it may go */
    pass(lab, 31);
    assert_int_equal(discover(lab, mac_of(211)), address);
}

static void firmware_ipxe_and_system_get_the_same_address(void **state)
{
    struct lab *lab = *state;
    static const char *const ids[] = {"\1\x52\x54\0\0\0\x64", "\377duid-of-the-system", ""};
    uint32_t first = 0;
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        struct packet *p = begin(lab, DHCP_DISCOVER, STRANGER);
        packet_option(p, DHCP_OPTION_CLIENT_ID, ids[i], i == 0 ? 7 : (uint8_t)strlen(ids[i]));
        assert_true(deliver(lab));
        assert_non_null(dhcp_message_option(&lab->answer, DHCP_OPTION_CLIENT_ID)); /* RFC 6842 */
        if (!first)
            first = lab->answer.yiaddr;
        assert_int_equal(lab->answer.yiaddr, first);
        assert_int_equal(select_offer(lab, STRANGER, first), DHCP_ACK);
    }
}

/* --- where answers go --- */

static void answers_are_routed_as_in_rfc_2131_4_1(void **state)
{
    struct lab *lab = *state;
    discover(lab, WEB1_A);
    assert_int_equal(lab->raw.route, DHCP_TO_HARDWARE);
    assert_int_equal(lab->raw.to, ip("10.0.0.11"));
    assert_true(mac_eq(lab->raw.mac, WEB1_A));
    assert_int_equal(lab->raw.from, ip(SERVER));
    assert_int_equal(lab->raw.link, LINK);

    packet_set_u16(begin(lab, DHCP_DISCOVER, WEB1_A), PACKET_FLAGS, DHCP_BROADCAST);
    assert_true(deliver(lab));
    assert_int_equal(lab->raw.route, DHCP_TO_ALL);

    lease(lab, WEB1_A);
    assert_int_equal(renew(lab, WEB1_A, ip("10.0.0.11")), DHCP_ACK);
    assert_int_equal(lab->raw.route, DHCP_TO_CLIENT);
    assert_int_equal(lab->raw.to, ip("10.0.0.11"));
    assert_int_equal(lab->answer.ciaddr, ip("10.0.0.11"));

    assert_int_equal(init_reboot(lab, WEB1_A, ip("192.168.1.1")), DHCP_NAK);
    assert_int_equal(lab->raw.route, DHCP_TO_ALL);
    assert_int_equal(renew(lab, WEB1_A, ip("10.0.0.12")), DHCP_NAK);
    assert_int_equal(lab->raw.route, DHCP_TO_ALL); /* although it has a ciaddr */
}

static void relays_are_served(void **state)
{
    struct lab *lab = *state;
    packet_set_u32(begin(lab, DHCP_DISCOVER, FAR1), PACKET_GIADDR, ip("10.9.0.2"));
    packet_option(&lab->packet, DHCP_OPTION_RELAY_AGENT, "\1\2ab", 4);
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.yiaddr, ip("10.9.0.11"));
    assert_int_equal(lab->raw.route, DHCP_TO_RELAY);
    assert_int_equal(lab->raw.to, ip("10.9.0.2"));
    assert_int_equal(lab->answer.giaddr, ip("10.9.0.2"));
    assert_option_text(&lab->answer, DHCP_OPTION_RELAY_AGENT, "\1\2ab");
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_SERVER_ID), ip(SERVER));
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_ROUTER), ip("10.9.0.254"));

    /* a NAK must be broadcast by the relay */
    struct packet *p = begin(lab, DHCP_REQUEST, STRANGER);
    packet_set_u32(p, PACKET_GIADDR, ip("10.9.0.2"));
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, ip("10.0.0.100"));
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.type, DHCP_NAK);
    assert_int_equal(lab->raw.route, DHCP_TO_RELAY);
    assert_int_equal(lab->answer.flags, DHCP_BROADCAST);
}

static void a_renewal_past_the_relay_is_served(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(renew(lab, FAR1, ip("10.9.0.11")), DHCP_ACK);
    assert_int_equal(lab->raw.route, DHCP_TO_CLIENT);
    /* but a broadcast on our own wire is not from there */
    packet_set_u32(begin(lab, DHCP_REQUEST, FAR1), PACKET_CIADDR, ip("10.9.0.11"));
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.type, DHCP_NAK);
}

static void relays_of_unknown_networks_are_told(void **state)
{
    struct lab *lab = *state;
    packet_set_u32(begin(lab, DHCP_DISCOVER, STRANGER), PACKET_GIADDR, ip("172.16.0.1"));
    assert_false(deliver(lab));
    assert_odd(lab, DHCP_ODD_NO_SUBNET);
    /* a network of another interface is none of this one's */
    packet_set_u32(begin(lab, DHCP_DISCOVER, STRANGER), PACKET_GIADDR, ip("10.2.0.2"));
    assert_false(deliver(lab));
}

static void link_selection_and_server_override_are_honoured(void **state)
{
    struct lab *lab = *state;
    packet_set_u32(begin(lab, DHCP_DISCOVER, FAR1), PACKET_GIADDR, ip("172.16.0.1"));
    packet_option(&lab->packet, DHCP_OPTION_RELAY_AGENT,
                  "\x05\x04\x0a\x09\x00\x00\x0b\x04\x0a\x09\x00\x02", 12);
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.yiaddr, ip("10.9.0.11"));
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_SERVER_ID), ip("10.9.0.2"));
    assert_int_equal(lab->raw.to, ip("172.16.0.1"));
}

static void another_interface_has_its_own_network(void **state)
{
    struct lab *lab = *state;
    begin(lab, DHCP_DISCOVER, STRANGER);
    lab->arrival.link = LINK + 1;
    assert_true(deliver(lab));
    assert_in_range(lab->answer.yiaddr, ip("10.2.0.100"), ip("10.2.0.109"));
    begin(lab, DHCP_DISCOVER, STRANGER);
    lab->arrival.link = LINK + 2;
    assert_false(deliver(lab));
}

/* --- RFC 2131 4.3.2 --- */

static void selecting_another_server_frees_the_offer(void **state)
{
    struct lab *lab = *state;
    uint32_t address = discover(lab, STRANGER);
    struct packet *p = begin(lab, DHCP_REQUEST, STRANGER);
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip("10.0.0.66"));
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, address);
    assert_false(deliver(lab));
    assert_odd(lab, DHCP_ODD_FOREIGN_SERVER);
    assert_int_equal(lab->last_oddity.address, ip("10.0.0.66"));
    packet_u32(begin(lab, DHCP_DISCOVER, OTHER), DHCP_OPTION_REQUESTED_ADDRESS, address);
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.yiaddr, address);
}

static void selecting_works_when_the_offer_was_forgotten(void **state)
{
    struct lab *lab = *state; /* the daemon was restarted between OFFER and REQUEST */
    assert_int_equal(select_offer(lab, WEB1_A, ip("10.0.0.11")), DHCP_ACK);
    assert_int_equal(select_offer(lab, STRANGER, ip("10.0.0.105")), DHCP_ACK);
    assert_int_equal(select_offer(lab, OTHER, ip("10.0.0.105")), DHCP_NAK);
}

static void what_may_be_selected(void **state)
{
    struct lab *lab = *state;
    static const struct {
        const char *address;
        enum dhcp_type answer;
    } cases[] = {
        {"10.0.0.101", DHCP_ACK}, /* of the pool */
        {"10.0.0.11", DHCP_NAK},  /* web1's */
        {"10.0.0.50", DHCP_NAK},  /* neither */
        {"10.0.0.1", DHCP_NAK},   /* ours */
        {"10.9.0.101", DHCP_NAK}, /* another network's */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(select_offer(lab, STRANGER, ip(cases[i].address)), cases[i].answer);
}

static void init_reboot_confirms_or_refuses(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    assert_int_equal(init_reboot(lab, STRANGER, address), DHCP_ACK);
    assert_int_equal(init_reboot(lab, WEB1_A, ip("10.0.0.11")), DHCP_ACK);
    assert_int_equal(init_reboot(lab, STRANGER, ip("192.168.0.5")), DHCP_NAK); /* has moved */
    assert_int_equal(init_reboot(lab, OTHER, address), DHCP_NAK);              /* is taken */
    assert_int_equal(init_reboot(lab, OTHER, ip("10.0.0.50")), DHCP_NAK); /* not ours to give */
    assert_int_equal(init_reboot(lab, OTHER, ip("10.0.0.109")), 0);       /* no record: silent */
}

static void a_renewal_prolongs(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    for (int i = 0; i < 5; i++) {
        pass(lab, 1800);
        assert_int_equal(renew(lab, STRANGER, address), DHCP_ACK);
        assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), 3600);
        (void)stored(lab, true);
    }
    assert_int_equal(address_of(lab, STRANGER), address);
    pass(lab, 3601);
    assert_int_equal(address_of(lab, STRANGER), 0);
}

static void a_renewal_is_believed_after_total_loss(void **state)
{
    struct lab *lab = *state; /* the state directory was lost: a NAK would cost the node its disk */
    renew(lab, STRANGER, ip("10.0.0.105"));
    assert_true(stored(lab, true));
    assert_int_equal(lab->answer.type, DHCP_ACK);
    assert_int_equal(renew(lab, OTHER, ip("10.0.0.105")), DHCP_NAK);
}

static void a_released_address_is_free_for_others(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    packet_set_u32(begin(lab, DHCP_RELEASE, OTHER), PACKET_CIADDR, address); /* not its own */
    assert_false(deliver(lab));
    assert_int_equal(address_of(lab, STRANGER), address);
    packet_set_u32(begin(lab, DHCP_RELEASE, STRANGER), PACKET_CIADDR, address);
    assert_false(deliver(lab));
    assert_int_equal(last_record(lab)->state, LEASE_FREE);
    assert_int_equal(address_of(lab, STRANGER), 0);
    assert_int_equal(discover(lab, STRANGER), address); /* still its first choice */
}

static void a_declined_address_is_set_aside(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    struct packet *p = begin(lab, DHCP_DECLINE, STRANGER);
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, address);
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip(SERVER));
    assert_false(deliver(lab));
    assert_odd(lab, DHCP_ODD_TAKEN);
    assert_int_equal(last_record(lab)->state, LEASE_DECLINED);
    uint32_t next = discover(lab, STRANGER);
    assert_true(in_pool(next) && next != address);
    assert_int_equal(select_offer(lab, OTHER, address), DHCP_NAK);
    pass(lab, 601);
    assert_int_equal(select_offer(lab, OTHER, address), DHCP_ACK);
}

static void a_node_whose_address_is_taken_gets_another(void **state)
{
    struct lab *lab = *state;
    discover(lab, WEB1_A);
    struct packet *p = begin(lab, DHCP_DECLINE, WEB1_A);
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, ip("10.0.0.11"));
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip(SERVER));
    assert_false(deliver(lab));
    assert_true(in_pool(lease(lab, WEB1_A)));
    assert_odd(lab, DHCP_ODD_TAKEN);
    pass(lab, 601);
    assert_int_equal(discover(lab, WEB1_A), ip("10.0.0.11"));
}

static void foreign_declines_are_ignored(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    struct packet *p = begin(lab, DHCP_DECLINE, OTHER);
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, address);
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip(SERVER));
    deliver(lab);
    p = begin(lab, DHCP_DECLINE, STRANGER);
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, address);
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip("10.0.0.66"));
    deliver(lab);
    assert_int_equal(lab->n_oddities, 0);
    assert_int_equal(renew(lab, STRANGER, address), DHCP_ACK);
}

static void inform_gets_everything_but_an_address(void **state)
{
    struct lab *lab = *state;
    packet_set_u32(begin(lab, DHCP_INFORM, STRANGER), PACKET_CIADDR, ip("10.0.0.77"));
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.type, DHCP_ACK);
    assert_int_equal(lab->answer.yiaddr, 0);
    assert_int_equal(lab->answer.ciaddr, ip("10.0.0.77"));
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_LEASE_TIME));
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_DNS), ip("10.0.0.53"));
    assert_int_equal(lab->raw.route, DHCP_TO_CLIENT);
    /* nobody is made to receive what he did not ask for */
    packet_set_u32(begin(lab, DHCP_INFORM, STRANGER), PACKET_CIADDR, ip("8.8.8.8"));
    assert_false(deliver(lab));
    begin(lab, DHCP_INFORM, STRANGER);
    assert_false(deliver(lab));
}

static void a_client_may_ask_for_a_shorter_lease(void **state)
{
    struct lab *lab = *state;
    static const struct {
        uint32_t wish, given;
    } cases[] = {{600, 600}, {1, 60}, {0, 60}, {7200, 3600}, {UINT32_MAX, 3600}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        packet_u32(begin(lab, DHCP_DISCOVER, STRANGER), DHCP_OPTION_LEASE_TIME, cases[i].wish);
        assert_true(deliver(lab));
        assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), cases[i].given);
    }
}

/* --- what is odd --- */

static void rubbish_is_counted(void **state)
{
    struct lab *lab = *state;
    struct dhcp_arrival arrival = {.link = LINK, .source = ip("10.0.0.200")};
    const uint8_t rubbish[] = "GET / HTTP/1.0";
    assert_false(
        dhcp_server_receive(lab->server, &arrival, rubbish, sizeof(rubbish), &lab->now, &lab->raw));
    assert_odd(lab, DHCP_ODD_MALFORMED);
    assert_int_equal(lab->last_oddity.source, ip("10.0.0.200"));
    packet_header(&lab->packet, STRANGER);
    lab->arrival = arrival;
    assert_false(deliver(lab));
    assert_odd(lab, DHCP_ODD_UNSUPPORTED);
    begin(lab, DHCP_OFFER, STRANGER);
    assert_false(deliver(lab));
    const struct dhcp_counters *counters = dhcp_server_counters(lab->server);
    assert_int_equal(counter_get(&counters->oddities[DHCP_ODD_MALFORMED]), 2);
    assert_int_equal(counter_get(&counters->oddities[DHCP_ODD_UNSUPPORTED]), 1);
    assert_int_equal(counter_get(&counters->received[DHCP_OFFER]), 1);
}

static void another_servers_answers_are_told(void **state)
{
    struct lab *lab = *state;
    struct packet *p = begin(lab, DHCP_OFFER, STRANGER);
    p->bytes[0] = DHCP_BOOTREPLY;
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip("10.0.0.66"));
    assert_false(deliver(lab));
    assert_odd(lab, DHCP_ODD_FOREIGN_SERVER);
    assert_int_equal(lab->last_oddity.address, ip("10.0.0.66"));
}

static void a_request_for_nothing_is_ignored(void **state)
{
    struct lab *lab = *state;
    begin(lab, DHCP_REQUEST, STRANGER);
    assert_false(deliver(lab));
}

static void a_flood_leaves_nodes_alone(void **state)
{
    struct lab *lab = *state;
    for (unsigned i = 0; i < 2000; i++)
        discover(lab, mac_of(5000 + i));
    assert_int_equal(lease(lab, WEB1_A), ip("10.0.0.11"));
    assert_odd(lab, DHCP_ODD_NO_ADDRESS);
    pass(lab, 31);
    assert_true(in_pool(lease(lab, STRANGER)));
}

static void strangers_are_limited_and_nodes_are_not(void **state)
{
    struct lab *lab = *state;
    for (unsigned i = 0; i <= DHCP_STRANGERS_AT_ONCE; i++) {
        begin(lab, DHCP_DISCOVER, mac_of(0x10000 + i));
        (void)deliver(lab);
    }
    assert_int_equal(lab->last_oddity.kind, DHCP_ODD_FLOOD);
    assert_int_equal(discover(lab, mac_of(0x9000)), 0);
    assert_int_equal(lab->last_oddity.kind, DHCP_ODD_FLOOD);
    assert_int_equal(lease(lab, WEB1_A), ip("10.0.0.11"));
    assert_true(in_pool(lease(lab, WEB2))); /* in the place of an offer */
    pass(lab, 60);
    assert_int_not_equal(discover(lab, mac_of(0x9000)), 0);
}

static void leases_are_released_unless_their_node_is_up(void **state)
{
    struct lab *lab = *state;
    struct dhcp_node node = {0};
    const struct mac_address macs[] = {WEB1_A, WEB1_B};
    const struct dhcp_release of_web1 = {.macs = macs, .n_macs = 2};
    lease(lab, WEB1_A);
    uint32_t address = lease(lab, STRANGER);
    const struct dhcp_release of_stranger = {.address = address};
    lab->web1_is_up = true;
    assert_int_equal(dhcp_server_release(lab->server, &of_web1, &node), -EBUSY);
    assert_string_equal(node.name, "web1");
    lab->web1_is_up = false;
    assert_int_equal(dhcp_server_release(lab->server, &of_web1, &node), 0);
    assert_int_equal(lab->forgotten, ip("10.0.0.11"));
    assert_int_equal(dhcp_server_release(lab->server, &of_web1, &node), -ENOENT);
    assert_int_equal(dhcp_server_release(lab->server, &of_stranger, &node), 0);
    assert_int_equal(lab->forgotten, address);
    assert_int_equal(address_of(lab, STRANGER), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(strangers_are_limited_and_nodes_are_not),
        LAB_TEST(leases_are_released_unless_their_node_is_up),
        LAB_TEST(a_node_gets_its_address_and_name),
        LAB_TEST(events_tell_who_got_what),
        LAB_TEST(strangers_get_pool_addresses),
        LAB_TEST(a_node_without_address_gets_one_from_the_pool),
        LAB_TEST(firmware_ipxe_and_system_get_the_same_address),
        LAB_TEST(answers_are_routed_as_in_rfc_2131_4_1),
        LAB_TEST(relays_are_served),
        LAB_TEST(a_renewal_past_the_relay_is_served),
        LAB_TEST(relays_of_unknown_networks_are_told),
        LAB_TEST(link_selection_and_server_override_are_honoured),
        LAB_TEST(another_interface_has_its_own_network),
        LAB_TEST(selecting_another_server_frees_the_offer),
        LAB_TEST(selecting_works_when_the_offer_was_forgotten),
        LAB_TEST(what_may_be_selected),
        LAB_TEST(init_reboot_confirms_or_refuses),
        LAB_TEST(a_renewal_prolongs),
        LAB_TEST(a_renewal_is_believed_after_total_loss),
        LAB_TEST(a_released_address_is_free_for_others),
        LAB_TEST(a_declined_address_is_set_aside),
        LAB_TEST(a_node_whose_address_is_taken_gets_another),
        LAB_TEST(foreign_declines_are_ignored),
        LAB_TEST(inform_gets_everything_but_an_address),
        LAB_TEST(a_client_may_ask_for_a_shorter_lease),
        LAB_TEST(rubbish_is_counted),
        LAB_TEST(another_servers_answers_are_told),
        LAB_TEST(a_request_for_nothing_is_ignored),
        LAB_TEST(a_flood_leaves_nodes_alone),
    };
    return RUN_TESTS(tests);
}
