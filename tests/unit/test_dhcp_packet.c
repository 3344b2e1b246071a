#include "dhcp_packets.h"

#include <errno.h>

static struct dhcp_message message;

static void fixed_fields_are_read(void **state)
{
    struct packet p;
    packet_begin(&p, DHCP_REQUEST, mac_of(7));
    packet_u32(&p, DHCP_OPTION_REQUESTED_ADDRESS, ip("10.0.0.7"));
    packet_u32(&p, DHCP_OPTION_SERVER_ID, ip("10.0.0.1"));
    packet_set_u16(&p, PACKET_FLAGS, DHCP_BROADCAST);
    packet_set_u32(&p, PACKET_CIADDR, ip("10.0.0.9"));
    packet_set_u32(&p, PACKET_GIADDR, ip("10.9.0.1"));
    assert_int_equal(dhcp_message_parse(p.bytes, packet_end(&p), &message), 0);
    assert_int_equal(message.op, DHCP_BOOTREQUEST);
    assert_int_equal(message.xid, 0xfeedbeef);
    assert_int_equal(message.flags, DHCP_BROADCAST);
    assert_int_equal(message.ciaddr, ip("10.0.0.9"));
    assert_int_equal(message.giaddr, ip("10.9.0.1"));
    assert_true(mac_eq(message.mac, mac_of(7)));
    assert_int_equal(message.type, DHCP_REQUEST);
    assert_int_equal(message.requested, ip("10.0.0.7"));
    assert_int_equal(message.server_id, ip("10.0.0.1"));
    assert_null(dhcp_message_option(&message, DHCP_OPTION_CLIENT_ID));
}

/* What is wrong with a message, and what comes of it. */
struct damage {
    const char *what;
    void (*apply)(struct packet *packet);
    int result;
};

static void no_cookie(struct packet *p)
{
    p->bytes[236] = 0;
}
static void no_type(struct packet *p)
{
    p->bytes[240] = DHCP_OPTION_HOST_NAME;
}
static void type_zero(struct packet *p)
{
    p->bytes[242] = 0;
}
static void type_unknown(struct packet *p)
{
    p->bytes[242] = 9;
}
static void token_ring(struct packet *p)
{
    p->bytes[1] = 6;
}
static void infiniband(struct packet *p)
{
    p->bytes[1] = 32;
    p->bytes[2] = 0;
}
static void long_hardware_address(struct packet *p)
{
    p->bytes[2] = 16;
}
static void op_three(struct packet *p)
{
    p->bytes[0] = 3;
}
static void multicast_mac(struct packet *p)
{
    p->bytes[28] |= 1;
}
static void no_mac(struct packet *p)
{
    memset(p->bytes + 28, 0, 6);
}
static void short_address_option(struct packet *p)
{
    packet_u16(p, DHCP_OPTION_REQUESTED_ADDRESS, 1);
}
static void long_server_id(struct packet *p)
{
    packet_option(p, DHCP_OPTION_SERVER_ID, "12345", 5);
}
static void option_over_the_end(struct packet *p)
{
    wire_put_u8(&p->writer, DHCP_OPTION_HOST_NAME);
    wire_put_u8(&p->writer, 200);
}
static void two_types(struct packet *p)
{
    packet_u8(p, DHCP_OPTION_TYPE, DHCP_RELEASE);
}
static void overload_with_bad_file(struct packet *p)
{
    packet_u8(p, DHCP_OPTION_OVERLOAD, 1);
    memset(p->bytes + PACKET_FILE, DHCP_OPTION_HOST_NAME, 128);
}
static void nothing(struct packet *p)
{
    (void)p;
}

static void damaged_messages_are_refused(void **state)
{
    static const struct damage damages[] = {
        {"no damage", nothing, 0},
        {"BOOTP without a cookie", no_cookie, -EPROTONOSUPPORT},
        {"BOOTP without a type", no_type, -EPROTONOSUPPORT},
        {"type 0", type_zero, -EBADMSG},
        {"type 9", type_unknown, -EBADMSG},
        {"token ring", token_ring, -EPROTONOSUPPORT},
        {"InfiniBand", infiniband, -EPROTONOSUPPORT},
        {"hlen 16", long_hardware_address, -EPROTONOSUPPORT},
        {"op 3", op_three, -EBADMSG},
        {"multicast MAC", multicast_mac, -EBADMSG},
        {"MAC of zeros", no_mac, -EBADMSG},
        {"requested address of 2 bytes", short_address_option, -EBADMSG},
        {"server id of 5 bytes", long_server_id, -EBADMSG},
        {"option over the end", option_over_the_end, -EBADMSG},
        {"two message types", two_types, -EBADMSG},
        {"overloaded file field full of rubbish", overload_with_bad_file, -EBADMSG},
    };
    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        struct packet p;
        packet_begin(&p, DHCP_DISCOVER, mac_of(1));
        damages[i].apply(&p);
        int r = dhcp_message_parse(p.bytes, packet_end(&p), &message);
        if (r != damages[i].result)
            fail_msg("%s: %d", damages[i].what, r);
    }
}

static void every_truncation_is_survived(void **state)
{
    struct packet p;
    packet_begin(&p, DHCP_DISCOVER, mac_of(1));
    packet_text(&p, DHCP_OPTION_HOST_NAME, "host");
    size_t size = packet_end(&p);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *copy = malloc(cut ? cut : 1); /* exactly as long: a read too far is seen */
        memcpy(copy, p.bytes, cut);
        int r = dhcp_message_parse(copy, cut, &message);
        /* up to an option's end it is a whole message without END */
        assert_true(cut == size - 1 || cut == DHCP_HEADER_SIZE + 3 ? r == 0 : r < 0);
        free(copy);
    }
    assert_int_equal(dhcp_message_parse(p.bytes, DHCP_MAX_SIZE + 1, &message), -EBADMSG);
}

static void pieces_of_an_option_are_joined_in_order(void **state)
{
    struct packet p;
    packet_begin(&p, DHCP_DISCOVER, mac_of(1));
    packet_u8(&p, DHCP_OPTION_OVERLOAD, 3);
    packet_text(&p, DHCP_OPTION_USER_CLASS, "one-");
    packet_text(&p, DHCP_OPTION_HOST_NAME, "whole");
    packet_text(&p, DHCP_OPTION_USER_CLASS, "two-");
    memcpy(p.bytes + PACKET_FILE, "\x4d\x06three-\xff", 9);
    memcpy(p.bytes + PACKET_SNAME,
           "\x00\x4d\x04"
           "four",
           7);
    assert_int_equal(dhcp_message_parse(p.bytes, packet_end(&p), &message), 0);
    assert_option_text(&message, DHCP_OPTION_USER_CLASS, "one-two-three-four");
    assert_option_text(&message, DHCP_OPTION_HOST_NAME, "whole");
}

static void many_pieces_fit(void **state)
{
    struct packet p;
    packet_begin(&p, DHCP_DISCOVER, mac_of(1));
    for (int i = 0; i < 200; i++) {
        packet_u16(&p, DHCP_OPTION_USER_CLASS, (uint16_t)i);
        packet_option(&p, DHCP_OPTION_VENDOR_CLASS, "", 0);
    }
    assert_int_equal(dhcp_message_parse(p.bytes, packet_end(&p), &message), 0);
    const struct dhcp_option *joined = dhcp_message_option(&message, DHCP_OPTION_USER_CLASS);
    assert_int_equal(joined->size, 400);
    assert_int_equal(joined->data[399], 199);
    assert_int_equal(dhcp_message_option(&message, DHCP_OPTION_VENDOR_CLASS)->size, 0);
}

static void sub_options_of_relays_are_found(void **state)
{
    struct packet p;
    uint32_t address = 0;
    packet_begin(&p, DHCP_DISCOVER, mac_of(1));
    packet_option(&p, DHCP_OPTION_RELAY_AGENT,
                  "\x01\x02"
                  "c1"
                  "\x05\x04\x0a\x01\x00\x01",
                  10);
    assert_int_equal(dhcp_message_parse(p.bytes, packet_end(&p), &message), 0);
    assert_true(dhcp_relay_address(&message, DHCP_RELAY_LINK_SELECTION, &address));
    assert_int_equal(address, ip("10.1.0.1"));
    assert_false(dhcp_relay_address(&message, DHCP_RELAY_SERVER_ID, &address));

    packet_begin(&p, DHCP_DISCOVER, mac_of(1));
    packet_option(&p, DHCP_OPTION_RELAY_AGENT, "\x05\x09\x0a", 3); /* cut off */
    assert_int_equal(dhcp_message_parse(p.bytes, packet_end(&p), &message), 0);
    assert_false(dhcp_relay_address(&message, DHCP_RELAY_LINK_SELECTION, &address));
}

/* --- building --- */

static struct dhcp_message answer;
static uint8_t bytes[DHCP_MAX_SIZE];

static struct dhcp_builder begin_answer(struct packet *request)
{
    struct dhcp_builder builder;
    struct dhcp_reply reply = {.type = DHCP_ACK,
                               .flags = DHCP_BROADCAST,
                               .yiaddr = ip("10.0.0.5"),
                               .siaddr = ip("10.0.0.1"),
                               .file = "undionly.kpxe"};
    assert_int_equal(dhcp_message_parse(request->bytes, packet_end(request), &message), 0);
    dhcp_builder_begin(&builder, bytes, &message, &reply);
    return builder;
}

static void an_answer_mirrors_its_request(void **state)
{
    struct packet p;
    packet_begin(&p, DHCP_REQUEST, mac_of(3));
    packet_set_u32(&p, PACKET_GIADDR, ip("10.9.0.1"));
    memset(p.bytes + 34, 0xcc, 10); /* the rest of chaddr */
    struct dhcp_builder builder = begin_answer(&p);
    assert_true(dhcp_builder_add_u32(&builder, DHCP_OPTION_SERVER_ID, ip("10.0.0.1")));
    size_t size = dhcp_builder_finish(&builder);
    assert_int_equal(size, DHCP_MIN_SIZE);
    assert_int_equal(dhcp_message_parse(bytes, size, &answer), 0);
    assert_int_equal(answer.op, DHCP_BOOTREPLY);
    assert_int_equal(answer.xid, 0xfeedbeef);
    assert_int_equal(answer.yiaddr, ip("10.0.0.5"));
    assert_int_equal(answer.siaddr, ip("10.0.0.1"));
    assert_int_equal(answer.giaddr, ip("10.9.0.1"));
    assert_memory_equal(answer.chaddr, message.chaddr, DHCP_CHADDR_SIZE);
    assert_string_equal((char *)bytes + PACKET_FILE, "undionly.kpxe");
    assert_int_equal(option_u32(&answer, DHCP_OPTION_SERVER_ID), ip("10.0.0.1"));
}

static void relay_information_comes_last_and_unchanged(void **state)
{
    static const char relay[] = "\x01\x04"
                                "eth1"
                                "\x02\x03"
                                "rem";
    struct packet p;
    packet_begin(&p, DHCP_DISCOVER, mac_of(1));
    packet_option(&p, DHCP_OPTION_RELAY_AGENT, relay, sizeof(relay) - 1);
    packet_text(&p, DHCP_OPTION_CLIENT_ID,
                "\x01"
                "abc");
    struct dhcp_builder builder = begin_answer(&p);
    assert_true(dhcp_builder_add(&builder, DHCP_OPTION_HOST_NAME, "h", 1));
    size_t size = dhcp_builder_finish(&builder);
    const uint8_t *end = bytes + size;
    while (end[-1] == 0)
        end--;
    assert_int_equal(end[-1], DHCP_OPTION_END);
    assert_memory_equal(end - 1 - (sizeof(relay) - 1), relay, sizeof(relay) - 1);
    assert_int_equal(dhcp_message_parse(bytes, size, &answer), 0);
    assert_option_text(&answer, DHCP_OPTION_CLIENT_ID,
                       "\x01"
                       "abc");
}

static void the_clients_limit_is_respected(void **state)
{
    static const struct {
        uint16_t limit; /* option 57; 0: absent */
        size_t size;    /* of the largest answer */
    } cases[] = {{0, 548}, {300, 548}, {576, 548}, {1000, 972}, {1500, 1472}, {65535, 1472}};
    uint8_t large[100];
    memset(large, 'x', sizeof(large));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct packet p;
        unsigned taken = 0;
        packet_begin(&p, DHCP_DISCOVER, mac_of(1));
        if (cases[i].limit)
            packet_u16(&p, DHCP_OPTION_MAX_SIZE, cases[i].limit);
        struct dhcp_builder builder = begin_answer(&p);
        for (uint8_t code = 128; code < 150; code++)
            taken += dhcp_builder_add(&builder, code, large, sizeof(large));
        assert_true(taken < 22);
        for (uint8_t code = 150; code < 254; code++)
            dhcp_builder_add(&builder, code, large, 0);
        size_t size = dhcp_builder_finish(&builder);
        assert_in_range(size, cases[i].size - 1, cases[i].size);
        assert_int_equal(dhcp_message_parse(bytes, size, &answer), 0);
    }
}

static void long_options_are_split_and_read_again(void **state)
{
    struct packet p;
    uint8_t data[600];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)i;
    packet_begin(&p, DHCP_DISCOVER, mac_of(1));
    packet_u16(&p, DHCP_OPTION_MAX_SIZE, 1500);
    struct dhcp_builder builder = begin_answer(&p);
    assert_true(dhcp_builder_add(&builder, DHCP_OPTION_VENDOR, data, sizeof(data)));
    size_t size = dhcp_builder_finish(&builder);
    assert_int_equal(dhcp_message_parse(bytes, size, &answer), 0);
    const struct dhcp_option *option = dhcp_message_option(&answer, DHCP_OPTION_VENDOR);
    assert_int_equal(option->size, sizeof(data));
    assert_memory_equal(option->data, data, sizeof(data));
}

static void huge_echoes_leave_room_for_the_rest(void **state)
{
    struct packet p;
    uint8_t data[255] = {1};
    packet_begin(&p, DHCP_DISCOVER, mac_of(1));
    packet_option(&p, DHCP_OPTION_CLIENT_ID, data, 255);
    packet_option(&p, DHCP_OPTION_CLIENT_ID, data, 255);
    for (int i = 0; i < 2; i++)
        packet_option(&p, DHCP_OPTION_RELAY_AGENT, data, 255);
    struct dhcp_builder builder = begin_answer(&p);
    assert_true(dhcp_builder_add_u32(&builder, DHCP_OPTION_SERVER_ID, 1));
    assert_true(dhcp_builder_add_u32(&builder, DHCP_OPTION_LEASE_TIME, 1));
    size_t size = dhcp_builder_finish(&builder);
    assert_true(size <= DHCP_MAX_SIZE);
    assert_int_equal(dhcp_message_parse(bytes, size, &answer), 0);
    assert_int_equal(dhcp_message_option(&answer, DHCP_OPTION_RELAY_AGENT)->size, 510);
    assert_null(dhcp_message_option(&answer, DHCP_OPTION_CLIENT_ID)); /* no room for this one */
}

static void a_file_name_too_long_for_its_field_is_left_out(void **state)
{
    struct packet p;
    char file[129];
    struct dhcp_builder builder;
    memset(file, 'f', 128);
    file[128] = '\0';
    packet_begin(&p, DHCP_DISCOVER, mac_of(1));
    assert_int_equal(dhcp_message_parse(p.bytes, packet_end(&p), &message), 0);
    struct dhcp_reply reply = {.type = DHCP_OFFER, .file = file};
    dhcp_builder_begin(&builder, bytes, &message, &reply);
    dhcp_builder_finish(&builder);
    assert_int_equal(bytes[PACKET_FILE], 0);
    file[127] = '\0';
    dhcp_builder_begin(&builder, bytes, &message, &reply);
    dhcp_builder_finish(&builder);
    assert_int_equal(strlen((char *)bytes + PACKET_FILE), 127);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fixed_fields_are_read),
        TEST(damaged_messages_are_refused),
        TEST(every_truncation_is_survived),
        TEST(pieces_of_an_option_are_joined_in_order),
        TEST(many_pieces_fit),
        TEST(sub_options_of_relays_are_found),
        TEST(an_answer_mirrors_its_request),
        TEST(relay_information_comes_last_and_unchanged),
        TEST(the_clients_limit_is_respected),
        TEST(long_options_are_split_and_read_again),
        TEST(huge_echoes_leave_room_for_the_rest),
        TEST(a_file_name_too_long_for_its_field_is_left_out),
    };
    return RUN_TESTS(tests);
}
