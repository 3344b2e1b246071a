#include "dhcp6_packets.h"

#include <errno.h>

static struct packet6 packet;
static struct dhcp6_message message;

static int parse(void)
{
    return dhcp6_message_parse(packet.bytes, packet6_end(&packet), &message);
}

static void a_message_is_taken_apart(void **state)
{
    static const char *const addresses[] = {"2001:db8::1", "2001:db8::2", NULL};
    struct in6_addr address;
    packet6_clear(&packet);
    packet6_begin(&packet, DHCP6_SOLICIT);
    PACKET6_OPTION(&packet, DHCP6_OPTION_CLIENT_ID, "\0\4uuid");
    packet6_ia(&packet, DHCP6_OPTION_IA_NA, 7, addresses);
    packet6_ia(&packet, DHCP6_OPTION_IA_TA, 8, NULL);
    PACKET6_OPTION(&packet, DHCP6_OPTION_REQUEST, "\0\x17\0\x3b");
    PACKET6_OPTION(&packet, DHCP6_OPTION_RAPID_COMMIT, "");
    PACKET6_OPTION(&packet, 4711, "whatever");
    assert_int_equal(parse(), 0);
    assert_int_equal(message.type, DHCP6_SOLICIT);
    assert_int_equal(message.transaction, 0xabcdef);
    assert_int_equal(message.client_id.size, 6);
    assert_true(message.rapid_commit);
    assert_int_equal(message.n_ias, 2);
    assert_int_equal(message.ias[0].id, 7);
    assert_int_equal(message.ias[1].code, DHCP6_OPTION_IA_TA);
    struct wire_reader r = dhcp6_option_reader(&message.ias[0].options);
    for (size_t i = 0; i < 2; i++) {
        char text[INET6_ADDRSTRLEN];
        assert_true(dhcp6_ia_next(&r, &address));
        assert_string_equal(ipv6_format(&address, text), addresses[i]);
    }
    assert_false(dhcp6_ia_next(&r, &address));
    assert_true(dhcp6_message_wants(&message, DHCP6_OPTION_DNS));
    assert_true(dhcp6_message_wants(&message, DHCP6_OPTION_BOOT_URL));
    assert_false(dhcp6_message_wants(&message, DHCP6_OPTION_DOMAINS));
    message.wanted.data = NULL;
    assert_true(dhcp6_message_wants(&message, DHCP6_OPTION_DOMAINS));
}

static void what_is_no_message_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"", 0},
        {"\1\0\0", 3},                    /* no whole header */
        {"\0\0\0\0", 4},                  /* type 0 */
        {"\x0d\0\0\0", 4},                /* a relay's answer */
        {"\x17\0\0\0", 4},                /* a type that there is not */
        {"\1\0\0\0\0\6\0", 7},            /* half an option's head */
        {"\1\0\0\0\0\6\0\3\0", 9},        /* half an option */
        {"\1\0\0\0\0\1\0\2\0\4", 10},     /* a DUID of its type alone */
        {"\1\0\0\0\0\3\0\4\0\0\0\1", 12}, /* half an IA */
        {"\x0c\0", 2},                    /* half a relay */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (dhcp6_message_parse(cases[i].bytes, cases[i].size, &message) != -EBADMSG)
            fail_msg("case %zu", i);
    uint8_t large[DHCP6_MAX_SIZE + 1] = {1};
    assert_int_equal(dhcp6_message_parse(large, sizeof(large), &message), -EBADMSG);
}

static void a_relay_without_a_message_is_refused(void **state)
{
    packet6_clear(&packet);
    packet6_relay(&packet, "2001:db8::1", "fe80::1", NULL, 0);
    assert_int_equal(dhcp6_message_parse(packet.bytes, 34, &message), -EBADMSG);
}

static void more_relays_than_there_may_be_are_refused(void **state)
{
    for (size_t relays = DHCP6_MAX_RELAYS; relays <= DHCP6_MAX_RELAYS + 1; relays++) {
        size_t lengths[DHCP6_MAX_RELAYS + 1];
        packet6_clear(&packet);
        for (size_t i = 0; i < relays; i++) {
            packet6_relay(&packet, "2001:db8::1", "fe80::1", NULL, 0);
            lengths[i] = packet.relay_length;
        }
        packet6_begin(&packet, DHCP6_SOLICIT);
        size_t used = wire_writer_used(&packet.writer);
        for (size_t i = 0; i < relays; i++) {
            struct wire_writer w = wire_writer_of(packet.bytes + lengths[i], 2);
            wire_put_be16(&w, (uint16_t)(used - lengths[i] - 2));
        }
        assert_int_equal(dhcp6_message_parse(packet.bytes, used, &message),
                         relays <= DHCP6_MAX_RELAYS ? 0 : -EBADMSG);
    }
}

static void an_answer_goes_back_through_the_relays(void **state)
{
    static const uint8_t options[] = "\0\x12\0\4port\0\x4f\0\x8\0\1RT\0\0\0\1";
    uint8_t bytes[DHCP6_MAX_SIZE];
    struct dhcp6_builder b;
    packet6_clear(&packet);
    packet6_relay(&packet, "2001:db8::1", "fe80::9", options, sizeof(options) - 1);
    packet6_begin(&packet, DHCP6_SOLICIT);
    assert_int_equal(parse(), 0);
    assert_int_equal(message.n_relays, 1);
    assert_int_equal(message.client_hardware.size, 8);
    dhcp6_builder_begin(&b, bytes, &message, DHCP6_ADVERTISE);
    dhcp6_builder_add_status(&b, DHCP6_STATUS_NO_ADDRESSES, "none");
    size_t size = dhcp6_builder_finish(&b);
    assert_int_equal(size, 34 + 8 + 4 + 4 + 10);
    assert_int_equal(bytes[0], DHCP6_RELAY_REPLY);
    assert_memory_equal(bytes + 1, packet.bytes + 1, 33); /* hops, link and peer as they came */
    assert_memory_equal(bytes + 34, "\0\x12\0\4port\0\x9\0\x0e\2\xab\xcd\xef\0\x0d\0\6\0\2none",
                        size - 34);
}

static void what_does_not_fit_is_no_answer(void **state)
{
    uint8_t bytes[DHCP6_MAX_SIZE], data[DHCP6_MAX_SIZE] = {0};
    struct dhcp6_builder b;
    message = (struct dhcp6_message){0};
    for (size_t over = 0; over < 2; over++) {
        dhcp6_builder_begin(&b, bytes, &message, DHCP6_REPLY);
        dhcp6_builder_add(&b, 99, data, DHCP6_MAX_SIZE - 8 + over);
        assert_int_equal(dhcp6_builder_finish(&b), over ? 0 : DHCP6_MAX_SIZE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_is_taken_apart),
        TEST(what_is_no_message_is_refused),
        TEST(a_relay_without_a_message_is_refused),
        TEST(more_relays_than_there_may_be_are_refused),
        TEST(an_answer_goes_back_through_the_relays),
        TEST(what_does_not_fit_is_no_answer),
    };
    return RUN_TESTS(tests);
}
