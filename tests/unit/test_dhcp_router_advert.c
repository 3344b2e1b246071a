#include "test.h"

#include "dhcp/frame.h"
#include "dhcp/router_advert.h"

#define SECOND USEC_PER_SEC

static const struct mac_address server_mac = {{0x52, 0x54, 0, 0, 0, 0x01}};
static const struct mac_address node_mac = {{0x52, 0x54, 0, 0, 0, 0x0b}};
static const struct mac_address stranger_mac = {{0x52, 0x54, 0, 0, 0, 0x63}};

static bool is_node(void *context, struct mac_address mac)
{
    return mac_eq(mac, node_mac);
}

struct lab {
    struct router_advert ra;
    struct router_advert_counters counters;
    uint64_t now;
    uint8_t packet[256];
    size_t size;
    uint8_t advert[ROUTER_ADVERT_MAX_SIZE];
};

static int set_up(void **state)
{
    struct lab *lab = calloc(1, sizeof(*lab));
    lab->now = 1000 * SECOND;
    router_advert_init(&lab->ra, &lab->counters, NULL, server_mac, lab->now);
    lab->ra.is_known_node = is_node;
    lab->now += ROUTER_LISTEN_TIME;
    *state = lab;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static void fix_checksum(struct lab *lab)
{
    uint8_t *p = lab->packet;
    size_t body = lab->size - 40;
    p[42] = p[43] = 0;
    uint16_t addresses = (uint16_t)~frame_checksum(p + 8, 32, (uint32_t)body + 58);
    uint16_t sum = frame_checksum(p + 40, body, addresses);
    p[42] = (uint8_t)(sum >> 8);
    p[43] = (uint8_t)sum;
}

static void make(struct lab *lab, uint8_t type, size_t fixed, const uint8_t source[16],
                 const uint8_t destination[16])
{
    lab->size = 40 + fixed + 8;
    memset(lab->packet, 0, sizeof(lab->packet));
    lab->packet[0] = 0x60;
    lab->packet[5] = (uint8_t)(fixed + 8);
    lab->packet[6] = 58;
    lab->packet[7] = 255;
    memcpy(lab->packet + 8, source, 16);
    memcpy(lab->packet + 24, destination, 16);
    lab->packet[40] = type;
    memcpy(lab->packet + 40 + fixed, "\x01\x01\x52\x54\x00\x00\x00\x0b", 8);
    fix_checksum(lab);
}

static const uint8_t node_address[16] = {0xfe, 0x80, [8] = 0x50, 0x54, 0, 0xff, 0xfe, 0, 0, 0x0b};
static const uint8_t router_address[16] = {0xfe, 0x80, [15] = 0x99};
static const uint8_t unspecified[16];
static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
static const uint8_t all_routers[16] = {0xff, 0x02, [15] = 2};

static void make_solicitation(struct lab *lab)
{
    make(lab, 133, 8, node_address, all_routers);
}

static size_t receive(struct lab *lab, struct mac_address sender)
{
    return router_advert_receive(&lab->ra, lab->packet, lab->size, sender, lab->now, lab->advert);
}

static void a_node_gets_an_advertisement_that_promises_nothing(void **state)
{
    struct lab *lab = *state;
    static const uint8_t body[16] = {134}; /* all "unspecified" */
    make_solicitation(lab);
    assert_int_equal(receive(lab, node_mac), 56);
    const uint8_t *a = lab->advert;
    assert_memory_equal(a, "\x60\0\0\0\0\x10\x3a\xff", 8);
    assert_memory_equal(a + 8, "\xfe\x80\0\0\0\0\0\0\x50\x54\0\xff\xfe\0\0\x01", 16);
    assert_memory_equal(a + 24, node_address, 16); /* to nobody else */
    assert_memory_equal(a + 40, body, 2);
    assert_memory_equal(a + 44, body + 4, 12);
    uint16_t addresses = (uint16_t)~frame_checksum(a + 8, 32, 16 + 58);
    assert_int_equal(frame_checksum(a + 40, 16, addresses), 0);
    assert_int_equal(counter_get(&lab->counters.answered), 1);
}

/* RFC 4861 4.6.2. */
static void where_it_boots_over_ipv6_it_is_sent_to_dhcp(void **state)
{
    struct lab *lab = *state;
    struct network6 networks[6];
    static const uint8_t option[32] = {3,    4, 56, 0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                       0xff, 0, 0,  0,    0,    0x20, 0x01, 0x0d, 0xb8, 0,    7};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(network6_parse(i == 1 ? "2001:db8:7::/56" : "fd00::/64", &networks[i]), 0);
    router_advert_set_prefixes(&lab->ra, networks, 2);
    make_solicitation(lab);
    assert_int_equal(receive(lab, node_mac), 56 + 2 * 32);
    const uint8_t *a = lab->advert;
    assert_int_equal(a[4] << 8 | a[5], 16 + 2 * 32);
    assert_int_equal(a[45], 0xc0);          /* M and O */
    assert_memory_equal(a + 46, "\0\0", 2); /* but no router */
    assert_memory_equal(a + 56 + 32, option, sizeof(option));
    uint16_t addresses = (uint16_t)~frame_checksum(a + 8, 32, 80 + 58);
    assert_int_equal(frame_checksum(a + 40, 80, addresses), 0);
    router_advert_set_prefixes(&lab->ra, networks, 6); /* more than there is room for */
    assert_int_equal(receive(lab, node_mac), ROUTER_ADVERT_MAX_SIZE);
}

static void the_hosts_own_address_is_used_if_it_has_one(void **state)
{
    struct lab *lab = *state;
    router_advert_init(&lab->ra, &lab->counters, router_address, server_mac, 0);
    lab->ra.is_known_node = is_node;
    make_solicitation(lab);
    assert_true(receive(lab, node_mac));
    assert_memory_equal(lab->advert + 8, router_address, 16);
}

static void strangers_get_none(void **state)
{
    struct lab *lab = *state;
    make_solicitation(lab);
    assert_false(receive(lab, stranger_mac));
    assert_int_equal(counter_get(&lab->counters.unknown), 1);
}

static void who_has_no_address_yet_gets_none(void **state)
{
    struct lab *lab = *state;
    make(lab, 133, 8, unspecified, all_routers);
    assert_false(receive(lab, node_mac));
}

static void nothing_is_sent_while_routers_may_answer(void **state)
{
    struct lab *lab = *state;
    router_advert_init(&lab->ra, &lab->counters, NULL, server_mac, lab->now);
    lab->ra.is_known_node = is_node;
    make_solicitation(lab);
    assert_false(receive(lab, node_mac));
    lab->now += ROUTER_LISTEN_TIME - 1;
    assert_false(receive(lab, node_mac));
    lab->now++;
    assert_true(receive(lab, node_mac));
}

static void it_is_seen_whether_a_router_wants_dhcp(void **state)
{
    struct lab *lab = *state;
    static const uint8_t flags[] = {0, 0x80, 0x40, 0x3f};
    for (size_t i = 0; i < sizeof(flags); i++) {
        make(lab, 134, 16, router_address, all_nodes);
        lab->packet[45] = flags[i];
        fix_checksum(lab);
        assert_int_equal(receive(lab, stranger_mac), 0);
        assert_int_equal(lab->ra.router_for_dhcp, (flags[i] & 0xc0) != 0);
    }
}

static void nothing_is_sent_beside_a_router(void **state)
{
    struct lab *lab = *state;
    make(lab, 134, 16, router_address, all_nodes);
    assert_false(receive(lab, stranger_mac));
    assert_true(lab->ra.router_heard);
    assert_memory_equal(lab->ra.router_address, router_address, 16);
    make_solicitation(lab);
    lab->now += ROUTER_HOLD_TIME - 1;
    assert_false(receive(lab, node_mac));
    lab->now++;
    assert_true(receive(lab, node_mac)); /* it has been gone for long */
    assert_false(lab->ra.router_heard);
}

static void a_routed_advertisement_is_no_advertisement(void **state)
{
    struct lab *lab = *state;
    const uint8_t global[16] = {0x20, 0x01, [15] = 1};
    make(lab, 134, 16, global, all_nodes);
    receive(lab, stranger_mac);
    make_solicitation(lab);
    assert_true(receive(lab, node_mac));
}

struct damage {
    const char *what;
    size_t offset;
    uint8_t value;
    bool fix; /* the checksum */
};

static void damaged_packets_are_dropped(void **state)
{
    struct lab *lab = *state;
    static const struct damage damages[] = {
        {"version", 0, 0x40, false},
        {"next header", 6, 17, false},
        {"hop limit", 7, 254, false},
        {"length over the end", 5, 200, false},
        {"code", 41, 1, true},
        {"checksum", 43, 0x11, false},
        {"option of length 0", 49, 0, true},
        {"option over the end", 49, 2, true},
        {"another type", 40, 135, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        make_solicitation(lab);
        lab->packet[damages[i].offset] = damages[i].value;
        if (damages[i].fix)
            fix_checksum(lab);
        if (receive(lab, node_mac))
            fail_msg("%s", damages[i].what);
    }
    for (size_t cut = 0; cut < 56; cut++) {
        make_solicitation(lab);
        lab->size = cut;
        assert_false(receive(lab, node_mac));
    }
    assert_int_equal(counter_get(&lab->counters.answered), 0);
}

static void padding_of_the_frame_is_ignored(void **state)
{
    struct lab *lab = *state;
    make_solicitation(lab);
    memset(lab->packet + lab->size, 0xaa, 6);
    lab->size += 6;
    assert_true(receive(lab, node_mac));
}

static void answers_are_limited(void **state)
{
    struct lab *lab = *state;
    unsigned answered = 0;
    make_solicitation(lab);
    for (int i = 0; i < 10000; i++)
        answered += receive(lab, node_mac) > 0;
    assert_in_range(answered, 250, 1000); /* a rack, but no flood */
    lab->now += 10 * SECOND;
    assert_true(receive(lab, node_mac));
    assert_int_equal(counter_get(&lab->counters.limited), 10000 - answered);
}

static void our_own_solicitation_is_well_formed(void **state)
{
    struct lab *lab = *state;
    router_advert_solicit(lab->packet);
    lab->size = ROUTER_SOLICIT_SIZE;
    assert_memory_equal(lab->packet + 8, unspecified, 16);
    assert_memory_equal(lab->packet + 24, all_routers, 16);
    assert_false(receive(lab, node_mac));
    assert_int_equal(counter_get(&lab->counters.malformed), 0);
    assert_int_equal(counter_get(&lab->counters.solicitations), 1);
}

#define LAB_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(a_node_gets_an_advertisement_that_promises_nothing),
        LAB_TEST(where_it_boots_over_ipv6_it_is_sent_to_dhcp),
        LAB_TEST(it_is_seen_whether_a_router_wants_dhcp),
        LAB_TEST(the_hosts_own_address_is_used_if_it_has_one),
        LAB_TEST(strangers_get_none),
        LAB_TEST(who_has_no_address_yet_gets_none),
        LAB_TEST(nothing_is_sent_while_routers_may_answer),
        LAB_TEST(nothing_is_sent_beside_a_router),
        LAB_TEST(a_routed_advertisement_is_no_advertisement),
        LAB_TEST(damaged_packets_are_dropped),
        LAB_TEST(padding_of_the_frame_is_ignored),
        LAB_TEST(answers_are_limited),
        LAB_TEST(our_own_solicitation_is_well_formed),
    };
    return RUN_TESTS(tests);
}
