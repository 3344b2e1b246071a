#include "dhcp6_packets.h"

#include "dhcp6/client.h"

#define NODE "fe80::5054:ff:fe00:1"

static struct packet6 packet;
static struct dhcp6_message message;
static const struct subnet subnet = {
    .loaders = {[LOADER_BIOS] = "undionly.kpxe", [LOADER_UEFI_X64] = "a dir/snponly.efi"}};

static void parse(void)
{
    assert_int_equal(dhcp6_message_parse(packet.bytes, packet6_end(&packet), &message), 0);
}

static void begin(const char *duid, size_t size)
{
    packet6_clear(&packet);
    packet6_begin(&packet, DHCP6_SOLICIT);
    packet6_option(&packet, DHCP6_OPTION_CLIENT_ID, duid, size);
}

/* "": it cannot be told. */
static void assert_mac(const char *source, const char *expected)
{
    struct in6_addr address = ip6(source);
    struct mac_address mac;
    char text[MAC_TEXT_SIZE] = "";
    parse();
    if (dhcp6_client_mac(&message, &address, &mac))
        mac_format(mac, text);
    assert_string_equal(text, expected);
}

#define UUID "\0\4uuiduuiduuiduuid"
#define LLT  "\0\1\0\1time\x52\x54\0\0\0\x02"
#define LL   "\0\3\0\1\x52\x54\0\0\0\x02"

static void the_mac_is_that_of_the_link_local_address(void **state)
{
    begin(UUID, sizeof(UUID) - 1);
    assert_mac(NODE, "52:54:00:00:00:01");
    begin(LLT, sizeof(LLT) - 1); /* a copied disk: the DUID is another machine's */
    assert_mac(NODE, "52:54:00:00:00:01");
    assert_mac("fe80::4711", ""); /* whose it is, nothing tells */
}

static void a_duid_tells_it_where_there_is_no_such_address(void **state)
{
    begin(LLT, sizeof(LLT) - 1);
    assert_mac("2001:db8::7", "52:54:00:00:00:02");
    begin(LL, sizeof(LL) - 1);
    assert_mac("2001:db8::7", "52:54:00:00:00:02");
    begin(UUID, sizeof(UUID) - 1);
    assert_mac("2001:db8::7", "");
    begin("\0\3\0\x20\x52\x54\0\0\0\x02", 10); /* InfiniBand */
    assert_mac("2001:db8::7", "");
    begin("\0\3\0\1\x52\x54\0\0\0\x02\0", 11); /* a byte too many */
    assert_mac("2001:db8::7", "");
    begin("\0\3\0\1\0\0\0\0\0\0", 10);
    assert_mac("2001:db8::7", "");
}

static void a_relay_knows_better(void **state)
{
    static const char hardware[] = "\0\x4f\0\x8\0\1\x52\x54\0\0\0\3";
    packet6_clear(&packet);
    packet6_relay(&packet, "2001:db8::1", NODE, NULL, 0);
    packet6_begin(&packet, DHCP6_SOLICIT);
    assert_mac("fe80::5054:ff:fe00:9", "52:54:00:00:00:01"); /* of its peer, not its own */
    packet6_clear(&packet);
    packet6_relay(&packet, "2001:db8::1", NODE, hardware, sizeof(hardware) - 1);
    packet6_begin(&packet, DHCP6_SOLICIT);
    assert_mac("fe80::5054:ff:fe00:9", "52:54:00:00:00:03");
}

static struct dhcp_client client(void)
{
    parse();
    return dhcp6_client_of(&message, &subnet);
}

static void assert_url(const struct dhcp_client *c, uint16_t port, const char *expected)
{
    char url[DHCP6_URL_SIZE] = "";
    const struct dhcp6_boot_place place = {
        .server = ip6("2001:db8::1"), .http_port = port, .mac = {{0x52, 0x54, 0, 0, 0, 1}}};
    assert_int_equal(dhcp6_boot_url(c, &subnet, &place, url), *expected != '\0');
    assert_string_equal(url, expected);
}

static void what_firmware_boots(void **state)
{
    static const struct {
        const char *class;
        const char *architecture;
        enum dhcp_client_kind kind;
        const char *url;
    } cases[] = {
        {"PXEClient:Arch:00007", "\0\7", DHCP_CLIENT_PXE,
         "tftp://[2001:db8::1]/a%20dir/snponly.efi"},
        {"PXEClient:Arch:00000", "\0\0", DHCP_CLIENT_PXE, "tftp://[2001:db8::1]/undionly.kpxe"},
        {"HTTPClient:Arch:00016", "\0\x10", DHCP_CLIENT_HTTP,
         "http://[2001:db8::1]:8080/loaders/a%20dir/snponly.efi"},
        {"PXEClient:Arch:00011", "\0\x0b", DHCP_CLIENT_PXE, ""},
        {"somebody", "\0\7", DHCP_CLIENT_OTHER, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t class[64];
        struct wire_writer w = wire_writer_of(class, sizeof(class));
        size_t size = strlen(cases[i].class);
        wire_put_be32(&w, 343);
        wire_put_be16(&w, (uint16_t)size);
        wire_put_bytes(&w, cases[i].class, size);
        begin(UUID, sizeof(UUID) - 1);
        packet6_option(&packet, DHCP6_OPTION_VENDOR_CLASS, class, wire_writer_used(&w));
        packet6_option(&packet, DHCP6_OPTION_ARCHITECTURE, cases[i].architecture, 2);
        struct dhcp_client c = client();
        assert_int_equal(c.kind, cases[i].kind);
        assert_url(&c, 8080, cases[i].url);
    }
}

static void ipxe_gets_its_script(void **state)
{
    begin(UUID, sizeof(UUID) - 1);
    PACKET6_OPTION(&packet, DHCP6_OPTION_USER_CLASS, "\0\4iPXE");
    PACKET6_OPTION(&packet, DHCP6_OPTION_VENDOR_CLASS, "\0\0\1\x57\0\x9PXEClient");
    struct dhcp_client c = client();
    assert_int_equal(c.kind, DHCP_CLIENT_IPXE);
    assert_url(&c, 80, "http://[2001:db8::1]/boot.ipxe?mac=52-54-00-00-00-01");
}

static void damaged_classes_are_none(void **state)
{
    static const struct dhcp6_option cases[] = {{(const uint8_t *)"\0\5iPXE", 6},
                                                {(const uint8_t *)"\0\4iPX", 5},
                                                {(const uint8_t *)"\0\5iPXE2", 7},
                                                {(const uint8_t *)"", 0},
                                                {(const uint8_t *)"\0", 1}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        begin(UUID, sizeof(UUID) - 1);
        packet6_option(&packet, DHCP6_OPTION_USER_CLASS, cases[i].data, cases[i].size);
        packet6_option(&packet, DHCP6_OPTION_VENDOR_CLASS, "\0\0\1", 3);
        assert_int_equal(client().kind, DHCP_CLIENT_OTHER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_mac_is_that_of_the_link_local_address),
        TEST(a_duid_tells_it_where_there_is_no_such_address),
        TEST(a_relay_knows_better),
        TEST(what_firmware_boots),
        TEST(ipxe_gets_its_script),
        TEST(damaged_classes_are_none),
    };
    return RUN_TESTS(tests);
}
