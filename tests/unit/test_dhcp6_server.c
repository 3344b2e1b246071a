/* The server with two networks on one wire, one behind a relay, and one where it is a proxy. */
#include "dhcp6_packets.h"

#include "dhcp6/server.h"

#define LINK       2
#define PROXY_LINK 3
#define NODE       "fe80::5054:ff:fe00:1"
#define STRANGER   "fe80::5054:ff:fe00:63"
#define ADDRESS    "2001:db8:1:0:5054:ff:fe00:1"

#define UUID  "\0\4uuiduuiduuiduuid"
#define OURS  "\0\3\0\1\2\0\0\0\0\x77"
#define OTHER "\0\3\0\1\2\0\0\0\0\x78"
#define IPXE  "\0\4iPXE"
#define HTTP  "\0\0\1\x57\0\x15HTTPClient:Arch:00016"

struct lab {
    struct dhcp6_server server;
    struct dhcp_network networks[4];
    uint32_t node_address;
    struct packet6 packet;
    struct dhcp6_arrival arrival;
    struct dhcp6_answer answer;
    struct dhcp6_event event;
    enum dhcp6_oddity_kind oddity;
    uint64_t now;
};

static bool node_by_mac(void *context, struct mac_address mac, struct dhcp_node *ret_node)
{
    const struct lab *lab = context;
    static const struct mac_address node = {{0x52, 0x54, 0, 0, 0, 1}};
    if (!mac_eq(mac, node))
        return false;
    *ret_node = (struct dhcp_node){.name = "web1", .address = lab->node_address};
    return true;
}

static void on_event(void *context, const struct dhcp6_event *event)
{
    struct lab *lab = context;
    lab->event = *event;
}

static void on_oddity(void *context, const struct dhcp6_oddity *oddity)
{
    struct lab *lab = context;
    lab->oddity = oddity->kind;
}

static struct dhcp_network network(const char *name, uint32_t v4, const char *prefix,
                                   const char *server, unsigned link)
{
    struct dhcp_network n = {
        .settings = {.network = v4,
                     .mask = 0xffffff00,
                     .lease_time = 3600,
                     .domain = "lan.example",
                     .loaders = {[LOADER_UEFI_X64] = "snponly.efi"}},
        .link = link,
        .server6 = ip6(server),
        .http_port6 = 80,
        .mac = {{2, 0, 0, 0, 0, 0x77}},
    };
    str_copy(n.settings.name, sizeof(n.settings.name), name);
    assert_int_equal(network6_parse(prefix, &n.settings.network6), 0);
    n.settings.dns6[n.settings.n_dns6++] = ip6("2001:db8::53");
    return n;
}

static int set_up(void **state)
{
    struct lab *lab = calloc(1, sizeof(*lab));
    lab->server.policy = (struct dhcp6_policy){lab, node_by_mac, on_event, on_oddity};
    lab->networks[0] = network("far", 0x0a090000, "2001:db8:9::/64", "2001:db8:1::1", LINK);
    lab->networks[1] = network("one", 0x0a000000, "2001:db8:1::/64", "2001:db8:1::1", LINK);
    lab->networks[2] = network("two", 0x0a020000, "2001:db8:2::/64", "2001:db8:2::1", LINK);
    lab->networks[3] = network("proxy", 0x0a030000, "2001:db8:3::/64", "2001:db8:3::1", PROXY_LINK);
    lab->networks[3].settings.mode = SUBNET_PROXY;
    lab->arrival = (struct dhcp6_arrival){
        .link = LINK, .source = ip6(NODE), .source_port = 546, .multicast = true};
    lab->oddity = DHCP6_ODDITIES;
    *state = lab;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static struct packet6 *begin(struct lab *lab, uint8_t type)
{
    packet6_clear(&lab->packet);
    packet6_begin(&lab->packet, type);
    PACKET6_OPTION(&lab->packet, DHCP6_OPTION_CLIENT_ID, UUID);
    return &lab->packet;
}

static bool ask(struct lab *lab)
{
    lab->oddity = DHCP6_ODDITIES;
    lab->event = (struct dhcp6_event){0};
    return dhcp6_server_receive(&lab->server, lab->networks, ARRAY_SIZE(lab->networks),
                                &lab->arrival, lab->packet.bytes, packet6_end(&lab->packet),
                                lab->now, &lab->answer);
}

/* An option of the answer, which came through no relay. */
static const uint8_t *find(const struct lab *lab, uint16_t wanted, size_t *ret_size)
{
    struct wire_reader r = wire_reader_of(lab->answer.data + 4, lab->answer.size - 4);
    while (wire_reader_left(&r) > 0) {
        uint16_t code = wire_get_be16(&r);
        size_t size = wire_get_be16(&r);
        const uint8_t *data = wire_get_bytes(&r, size);
        assert_non_null(data);
        *ret_size = size;
        if (code == wanted)
            return data;
    }
    return NULL;
}

static bool has(const struct lab *lab, uint16_t code)
{
    size_t size;
    return find(lab, code, &size) != NULL;
}

static void assert_address(struct lab *lab, const char *expected)
{
    size_t size;
    const uint8_t *ia = find(lab, DHCP6_OPTION_IA_NA, &size);
    struct in6_addr address;
    char text[INET6_ADDRSTRLEN];
    assert_non_null(ia);
    struct wire_reader r = wire_reader_of(ia + 12, size - 12);
    assert_true(dhcp6_ia_next(&r, &address));
    assert_string_equal(ipv6_format(&address, text), expected);
}

static void assert_status(struct lab *lab, enum dhcp6_status expected)
{
    size_t size;
    const uint8_t *status = find(lab, DHCP6_OPTION_STATUS, &size);
    assert_non_null(status);
    assert_int_equal(status[0] << 8 | status[1], expected);
}

static void a_node_gets_its_address_and_the_rest(void **state)
{
    struct lab *lab = *state;
    size_t size;
    packet6_ia(begin(lab, DHCP6_SOLICIT), DHCP6_OPTION_IA_NA, 5, NULL);
    assert_true(ask(lab));
    assert_int_equal(lab->answer.data[0], DHCP6_ADVERTISE);
    assert_memory_equal(lab->answer.data + 1, "\xab\xcd\xef", 3);
    assert_address(lab, ADDRESS);
    assert_true(ipv6_eq(&lab->answer.to, &lab->arrival.source));
    assert_int_equal(lab->answer.to_port, DHCP6_CLIENT_PORT);
    assert_memory_equal(find(lab, DHCP6_OPTION_CLIENT_ID, &size), UUID, sizeof(UUID) - 1);
    assert_memory_equal(find(lab, DHCP6_OPTION_SERVER_ID, &size), OURS, sizeof(OURS) - 1);
    assert_int_equal(find(lab, DHCP6_OPTION_PREFERENCE, &size)[0], 255);
    assert_memory_equal(find(lab, DHCP6_OPTION_DOMAINS, &size), "\3lan\7example", 13);
    assert_int_equal(size, 13);
    assert_non_null(find(lab, DHCP6_OPTION_DNS, &size));
    assert_false(has(lab, DHCP6_OPTION_BOOT_URL));
    assert_int_equal(lab->event.type, DHCP6_ADVERTISE);
    assert_string_equal(lab->event.subnet->name, "one");
}

static void the_network_is_that_of_the_nodes_other_address(void **state)
{
    struct lab *lab = *state;
    lab->node_address = 0x0a020005;
    packet6_ia(begin(lab, DHCP6_SOLICIT), DHCP6_OPTION_IA_NA, 5, NULL);
    assert_true(ask(lab));
    assert_address(lab, "2001:db8:2:0:5054:ff:fe00:1");
}

static void only_who_chose_us_is_answered(void **state)
{
    struct lab *lab = *state;
    static const char *const addresses[] = {ADDRESS, NULL};
    packet6_ia(begin(lab, DHCP6_REQUEST), DHCP6_OPTION_IA_NA, 5, addresses);
    PACKET6_OPTION(&lab->packet, DHCP6_OPTION_SERVER_ID, OURS);
    assert_true(ask(lab));
    assert_int_equal(lab->answer.data[0], DHCP6_REPLY);
    assert_false(has(lab, DHCP6_OPTION_PREFERENCE));
    packet6_ia(begin(lab, DHCP6_REQUEST), DHCP6_OPTION_IA_NA, 5, addresses);
    PACKET6_OPTION(&lab->packet, DHCP6_OPTION_SERVER_ID, OTHER);
    assert_false(ask(lab));
    assert_int_equal(lab->oddity, DHCP6_ODD_FOREIGN_SERVER);
}

static void what_may_not_be_is_malformed(void **state)
{
    struct lab *lab = *state;
    static const struct {
        uint8_t type;
        bool server, client;
    } cases[] = {{DHCP6_SOLICIT, true, true},  {DHCP6_CONFIRM, true, true},
                 {DHCP6_REBIND, true, true},   {DHCP6_REQUEST, false, true},
                 {DHCP6_RENEW, false, true},   {DHCP6_RELEASE, false, true},
                 {DHCP6_DECLINE, false, true}, {DHCP6_SOLICIT, false, false},
                 {DHCP6_REPLY, false, true},   {DHCP6_RECONFIGURE, true, true}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        packet6_clear(&lab->packet);
        packet6_begin(&lab->packet, cases[i].type);
        if (cases[i].client)
            PACKET6_OPTION(&lab->packet, DHCP6_OPTION_CLIENT_ID, UUID);
        if (cases[i].server)
            PACKET6_OPTION(&lab->packet, DHCP6_OPTION_SERVER_ID, OURS);
        assert_false(ask(lab));
        assert_int_equal(lab->oddity, DHCP6_ODD_MALFORMED);
    }
}

static void confirm_tells_where_an_address_is(void **state)
{
    struct lab *lab = *state;
    static const char *const here[] = {ADDRESS, NULL}, *const there[] = {"2001:db8:7::1", NULL};
    packet6_ia(begin(lab, DHCP6_CONFIRM), DHCP6_OPTION_IA_NA, 5, here);
    assert_true(ask(lab));
    assert_status(lab, DHCP6_STATUS_SUCCESS);
    packet6_ia(begin(lab, DHCP6_CONFIRM), DHCP6_OPTION_IA_NA, 5, there);
    assert_true(ask(lab));
    assert_status(lab, DHCP6_STATUS_NOT_ON_LINK);
    packet6_ia(begin(lab, DHCP6_CONFIRM), DHCP6_OPTION_IA_NA, 5, NULL);
    assert_false(ask(lab));
}

static void who_boots_is_answered_and_strangers_are_not(void **state)
{
    struct lab *lab = *state;
    lab->arrival.source = ip6(STRANGER);
    packet6_ia(begin(lab, DHCP6_SOLICIT), DHCP6_OPTION_IA_NA, 5, NULL);
    assert_false(ask(lab));
    assert_int_equal(lab->oddity, DHCP6_ODD_STRANGER);
    PACKET6_OPTION(&lab->packet, DHCP6_OPTION_USER_CLASS, IPXE);
    assert_true(ask(lab));
    assert_null(lab->event.node);
    assert_int_equal(lab->event.client.kind, DHCP_CLIENT_IPXE);
    lab->networks[1].settings.unknown = SUBNET_IGNORE;
    assert_false(ask(lab));
    assert_int_equal(lab->oddity, DHCP6_ODD_IGNORED);
    lab->arrival.source = ip6("fe80::1");
    assert_false(ask(lab));
    assert_int_equal(lab->oddity, DHCP6_ODD_NO_MAC);
}

static void a_flood_of_strangers_takes_nothing_from_nodes(void **state)
{
    struct lab *lab = *state;
    unsigned answered = 0;
    lab->now = 1000 * USEC_PER_SEC;
    lab->arrival.source = ip6(STRANGER);
    begin(lab, DHCP6_SOLICIT);
    PACKET6_OPTION(&lab->packet, DHCP6_OPTION_USER_CLASS, IPXE);
    for (int i = 0; i < 2000; i++)
        answered += ask(lab);
    assert_int_equal(answered, DHCP6_STRANGERS_AT_ONCE);
    assert_int_equal(lab->oddity, DHCP6_ODD_FLOOD);
    lab->arrival.source = ip6(NODE);
    assert_true(ask(lab));
    lab->arrival.source = ip6(STRANGER);
    lab->now += USEC_PER_SEC / 2;
    for (answered = 0; ask(lab); answered++)
        ;
    assert_int_equal(answered, DHCP6_STRANGERS_PER_SECOND / 2);
}

static void a_question_that_is_not_for_all_is_not_answered(void **state)
{
    struct lab *lab = *state;
    lab->arrival.multicast = false;
    packet6_ia(begin(lab, DHCP6_SOLICIT), DHCP6_OPTION_IA_NA, 5, NULL);
    assert_false(ask(lab));
}

static void a_network_behind_a_relay_is_found(void **state)
{
    struct lab *lab = *state;
    lab->arrival.multicast = false;
    packet6_clear(&lab->packet);
    packet6_relay(&lab->packet, "2001:db8:9::1", NODE, NULL, 0);
    packet6_begin(&lab->packet, DHCP6_SOLICIT);
    PACKET6_OPTION(&lab->packet, DHCP6_OPTION_CLIENT_ID, UUID);
    packet6_ia(&lab->packet, DHCP6_OPTION_IA_NA, 5, NULL);
    assert_true(ask(lab));
    assert_int_equal(lab->answer.to_port, DHCP6_SERVER_PORT);
    assert_string_equal(lab->event.subnet->name, "far");
    packet6_clear(&lab->packet);
    packet6_relay(&lab->packet, "2001:db8:77::1", NODE, NULL, 0);
    packet6_begin(&lab->packet, DHCP6_SOLICIT);
    PACKET6_OPTION(&lab->packet, DHCP6_OPTION_CLIENT_ID, UUID);
    assert_false(ask(lab));
    assert_int_equal(lab->oddity, DHCP6_ODD_NO_SUBNET);
}

/* Whoever knows a node's MAC can say that he relays for it, from wherever he likes. */
static void a_flood_of_relays_is_limited(void **state)
{
    struct lab *lab = *state;
    unsigned answered = 0;
    lab->now = 1000 * USEC_PER_SEC;
    lab->arrival.multicast = false;
    packet6_clear(&lab->packet);
    packet6_relay(&lab->packet, "2001:db8:9::1", NODE, NULL, 0);
    packet6_begin(&lab->packet, DHCP6_SOLICIT);
    PACKET6_OPTION(&lab->packet, DHCP6_OPTION_CLIENT_ID, UUID);
    lab->arrival.source = ip6("2001:db8:9::1");
    for (int i = 0; i < 2000; i++)
        answered += ask(lab);
    assert_int_equal(answered, 2000); /* a real one has many nodes */
    for (uint32_t i = answered = 0; i < 2000; i++) {
        memcpy(&lab->arrival.source.s6_addr[12], &i, sizeof(i));
        answered += ask(lab);
    }
    assert_int_equal(answered, DHCP6_STRANGERS_AT_ONCE - 1);
    assert_int_equal(lab->oddity, DHCP6_ODD_FLOOD);
    lab->arrival.multicast = true;
    begin(lab, DHCP6_SOLICIT);
    assert_false(ask(lab)); /* nor at an address that says nothing of its MAC */
    lab->arrival.source = ip6(NODE);
    assert_true(ask(lab));
}

static void http_firmware_gets_its_class_back_behind_the_url(void **state)
{
    struct lab *lab = *state;
    size_t size;
    packet6_ia(begin(lab, DHCP6_SOLICIT), DHCP6_OPTION_IA_NA, 5, NULL);
    PACKET6_OPTION(&lab->packet, DHCP6_OPTION_VENDOR_CLASS, HTTP);
    PACKET6_OPTION(&lab->packet, DHCP6_OPTION_ARCHITECTURE, "\0\x10");
    assert_true(ask(lab));
    assert_memory_equal(find(lab, DHCP6_OPTION_VENDOR_CLASS, &size), HTTP, sizeof(HTTP) - 1);
    const uint8_t *url = find(lab, DHCP6_OPTION_BOOT_URL, &size);
    assert_memory_equal(url, "http://[2001:db8:1::1]/loaders/snponly.efi", size);
    assert_int_equal(url[size], 0); /* what EDK2 takes for its end */
}

static void a_proxy_never_gives_an_address(void **state)
{
    struct lab *lab = *state;
    lab->arrival.link = PROXY_LINK;
    packet6_ia(begin(lab, DHCP6_SOLICIT), DHCP6_OPTION_IA_NA, 5, NULL);
    PACKET6_OPTION(&lab->packet, DHCP6_OPTION_VENDOR_CLASS, HTTP);
    PACKET6_OPTION(&lab->packet, DHCP6_OPTION_ARCHITECTURE, "\0\x10");
    assert_true(ask(lab));
    assert_false(has(lab, DHCP6_OPTION_IA_NA) || has(lab, DHCP6_OPTION_PREFERENCE) ||
                 has(lab, DHCP6_OPTION_DNS));
    assert_true(has(lab, DHCP6_OPTION_BOOT_URL) && has(lab, DHCP6_OPTION_VENDOR_CLASS));
    assert_true(IN6_IS_ADDR_UNSPECIFIED(&lab->event.address));
    packet6_ia(begin(lab, DHCP6_REQUEST), DHCP6_OPTION_IA_NA, 5, NULL);
    PACKET6_OPTION(&lab->packet, DHCP6_OPTION_SERVER_ID, OURS);
    PACKET6_OPTION(&lab->packet, DHCP6_OPTION_VENDOR_CLASS, HTTP);
    assert_false(ask(lab));
    begin(lab, DHCP6_INFORMATION_REQUEST);
    PACKET6_OPTION(&lab->packet, DHCP6_OPTION_USER_CLASS, IPXE);
    assert_true(ask(lab));
    assert_int_equal(lab->answer.data[0], DHCP6_REPLY);
    begin(lab, DHCP6_INFORMATION_REQUEST); /* a system */
    assert_false(ask(lab));
}

#define LAB_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(a_node_gets_its_address_and_the_rest),
        LAB_TEST(the_network_is_that_of_the_nodes_other_address),
        LAB_TEST(only_who_chose_us_is_answered),
        LAB_TEST(what_may_not_be_is_malformed),
        LAB_TEST(confirm_tells_where_an_address_is),
        LAB_TEST(who_boots_is_answered_and_strangers_are_not),
        LAB_TEST(a_flood_of_strangers_takes_nothing_from_nodes),
        LAB_TEST(a_question_that_is_not_for_all_is_not_answered),
        LAB_TEST(a_network_behind_a_relay_is_found),
        LAB_TEST(a_flood_of_relays_is_limited),
        LAB_TEST(http_firmware_gets_its_class_back_behind_the_url),
        LAB_TEST(a_proxy_never_gives_an_address),
    };
    return RUN_TESTS(tests);
}
