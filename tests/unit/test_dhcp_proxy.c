/* Beside another DHCP server: who is answered, where, and with what. */
#include "dhcp_lab.h"

#define HERE "10.0.0.77" /* that the other server has given */

static const char bios[] = "PXEClient:Arch:00000:UNDI:002001";
static const char uefi[] = "PXEClient:Arch:00007:UNDI:003016";
static const char http[] = "HTTPClient:Arch:00016:UNDI:003001";

static int set_up_proxy(void **state)
{
    int r = set_up(state);
    struct lab *lab = *state;
    lab->networks[0].settings.mode = lab->networks[1].settings.mode = SUBNET_PROXY;
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 3), 0);
    return r;
}

/* From a client's own port; class: of the vendor, or NULL. */
static struct packet *begin_boot(struct lab *lab, enum dhcp_type type, const char *class)
{
    struct packet *p = begin(lab, type, WEB1_A);
    lab->arrival.source_port = DHCP_CLIENT_PORT;
    if (class)
        packet_text(p, DHCP_OPTION_VENDOR_CLASS, class);
    return p;
}

/* The same, to port 4011, from a machine with an address. */
static struct packet *begin_boot_server(struct lab *lab, enum dhcp_type type, const char *class)
{
    struct packet *p = begin_boot(lab, type, class);
    lab->arrival.boot_server = true;
    lab->arrival.unicast = true;
    lab->arrival.source = ip(HERE);
    lab->arrival.source_port = 4011;
    packet_set_u32(p, PACKET_CIADDR, ip(HERE));
    return p;
}

/* What no answer of a proxy has: it says nothing of addresses. */
static void assert_no_address(const struct lab *lab)
{
    static const enum dhcp_option_code codes[] = {
        DHCP_OPTION_SUBNET_MASK, DHCP_OPTION_ROUTER,     DHCP_OPTION_DNS, DHCP_OPTION_HOST_NAME,
        DHCP_OPTION_DOMAIN,      DHCP_OPTION_LEASE_TIME, DHCP_OPTION_T1,  DHCP_OPTION_T2};
    assert_int_equal(lab->answer.yiaddr, 0);
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        assert_null(dhcp_message_option(&lab->answer, codes[i]));
    assert_int_equal(lab->n_records, 0);
}

static void assert_offer(struct lab *lab, const char *class, const char *file)
{
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.type, DHCP_OFFER);
    assert_no_address(lab);
    assert_int_equal(lab->answer.server_id, ip(SERVER));
    assert_int_equal(lab->answer.siaddr, ip(SERVER));
    assert_option_text(&lab->answer, DHCP_OPTION_VENDOR_CLASS, class);
    assert_string_equal((char *)lab->raw.data + PACKET_FILE, file);
    assert_int_equal(lab->raw.route, DHCP_TO_ALL);
    assert_true(lab->answer.flags & DHCP_BROADCAST);
    const struct dhcp_event *event = &lab->events[lab->n_events - 1];
    assert_true(event->proxy && event->address == 0);
}

static void bios_firmware_is_told_all_at_once(void **state)
{
    struct lab *lab = *state;
    packet_option(begin_boot(lab, DHCP_DISCOVER, bios), DHCP_OPTION_UUID,
                  "\0"
                  "0123456789abcdef",
                  17);
    assert_offer(lab, "PXEClient", "undionly.kpxe");
    assert_int_equal(dhcp_message_option(&lab->answer, DHCP_OPTION_UUID)->size, 17);
    assert_option(&lab->answer, DHCP_OPTION_VENDOR, "\6\1\10\377", 4);
    assert_option(&lab->answer, DHCP_OPTION_BOOT_FILE, "undionly.kpxe", sizeof("undionly.kpxe"));
}

/* EDK II wants no option 43 in the offer, or does not come to port 4011. */
static void uefi_comes_back_to_port_4011(void **state)
{
    struct lab *lab = *state;
    static const enum dhcp_type types[] = {DHCP_REQUEST, DHCP_INFORM};
    begin_boot(lab, DHCP_DISCOVER, uefi);
    assert_offer(lab, "PXEClient", "snponly.efi");
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_VENDOR));
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        begin_boot_server(lab, types[i], uefi);
        assert_true(deliver(lab));
        assert_int_equal(lab->answer.type, DHCP_ACK);
        assert_no_address(lab);
        assert_int_equal(lab->answer.ciaddr, ip(HERE));
        assert_option(&lab->answer, DHCP_OPTION_BOOT_FILE, "snponly.efi", sizeof("snponly.efi"));
        assert_option(&lab->answer, DHCP_OPTION_VENDOR, "\6\1\10\377", 4);
        assert_int_equal(lab->raw.route, DHCP_TO_BOOT_CLIENT);
        assert_int_equal(lab->raw.to, ip(HERE));
        assert_int_equal(lab->raw.to_port, 4011);
        assert_int_equal(lab->raw.from, ip(SERVER));
    }
}

static void http_boot_gets_its_url(void **state)
{
    struct lab *lab = *state;
    begin_boot(lab, DHCP_DISCOVER, http);
    assert_offer(lab, "HTTPClient", "http://10.0.0.1/loaders/snponly.efi");
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_VENDOR));
}

/* iPXE takes a proxy by the class of firmware, too. */
static void ipxe_gets_its_script(void **state)
{
    struct lab *lab = *state;
    packet_text(begin_boot(lab, DHCP_DISCOVER, bios), DHCP_OPTION_USER_CLASS, "iPXE");
    assert_offer(lab, "PXEClient", "http://10.0.0.1/boot.ipxe?mac=52-54-00-00-00-01");
    assert_option_text(&lab->answer, DHCP_OPTION_BOOT_FILE,
                       "http://10.0.0.1/boot.ipxe?mac=52-54-00-00-00-01");
}

static void assert_silence(struct lab *lab)
{
    size_t events = lab->n_events, oddities = lab->n_oddities;
    assert_false(deliver(lab));
    assert_int_equal(lab->n_events, events);
    assert_int_equal(lab->n_oddities, oddities);
    assert_int_equal(lab->n_records, 0);
}

static void nobody_else_is_answered(void **state)
{
    struct lab *lab = *state;
    static const enum dhcp_type types[] = {DHCP_DISCOVER, DHCP_REQUEST, DHCP_DECLINE, DHCP_RELEASE,
                                           DHCP_INFORM};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct packet *p = begin_boot(lab, types[i], "udhcp 1.35.0");
        packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, ip(HERE));
        assert_silence(lab);
        begin_boot_server(lab, types[i], NULL);
        assert_silence(lab);
    }
}

/* What goes to the other server is that server's. */
static void a_boot_client_is_left_to_its_own_server(void **state)
{
    struct lab *lab = *state;
    static const enum dhcp_type types[] = {DHCP_REQUEST, DHCP_DECLINE, DHCP_RELEASE, DHCP_INFORM};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct packet *p = begin_boot(lab, types[i], bios);
        packet_u32(p, DHCP_OPTION_SERVER_ID, ip("10.0.0.2"));
        packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, ip(HERE));
        assert_silence(lab);
    }
    begin_boot(lab, DHCP_OFFER, bios)->bytes[0] = DHCP_BOOTREPLY;
    assert_silence(lab);
    begin_boot_server(lab, DHCP_DISCOVER, bios);
    assert_silence(lab);
    begin_boot_server(lab, DHCP_REQUEST, bios); /* from a network that is not ours to tell */
    lab->arrival.source = ip("10.2.0.77");
    assert_silence(lab);
}

/* An account on a running node may open a port, but not one of firmware. */
static void firmware_has_its_own_port(void **state)
{
    struct lab *lab = *state;
    begin_boot(lab, DHCP_DISCOVER, bios);
    lab->arrival.source_port = 40068;
    assert_silence(lab);
}

static void a_relay_is_answered(void **state)
{
    struct lab *lab = *state;
    packet_set_u32(begin_boot(lab, DHCP_DISCOVER, bios), PACKET_GIADDR, ip("10.9.0.2"));
    lab->arrival.source_port = DHCP_SERVER_PORT;
    assert_true(deliver(lab));
    assert_no_address(lab);
    assert_int_equal(lab->raw.route, DHCP_TO_RELAY);
    assert_int_equal(lab->raw.to, ip("10.9.0.2"));
}

static void what_there_is_no_loader_for_is_told(void **state)
{
    struct lab *lab = *state;
    begin_boot(lab, DHCP_DISCOVER, "PXEClient:Arch:00011:UNDI:003016");
    assert_false(deliver(lab));
    assert_odd(lab, DHCP_ODD_NO_LOADER);
    assert_int_equal(lab->n_events, 0);
}

static void who_is_to_be_ignored_is_left_to_others(void **state)
{
    struct lab *lab = *state;
    lab->networks[0].settings.unknown = SUBNET_IGNORE;
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 3), 0);
    packet_text(begin(lab, DHCP_DISCOVER, STRANGER), DHCP_OPTION_VENDOR_CLASS, bios);
    lab->arrival.source_port = DHCP_CLIENT_PORT;
    assert_false(deliver(lab));
    begin_boot(lab, DHCP_DISCOVER, bios);
    assert_offer(lab, "PXEClient", "undionly.kpxe");
}

/* On one wire: a node of the one network is served, the others are left alone. */
static void beside_a_network_of_our_own(void **state)
{
    struct lab *lab = *state;
    lab->networks[1].settings.mode = SUBNET_SERVER;
    lab->networks[1].local = true;
    lab->networks[1].settings.n_ranges = 0;
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 3), 0);
    assert_int_equal(discover(lab, FAR1), ip("10.9.0.11"));
    begin(lab, DHCP_DISCOVER, STRANGER);
    assert_silence(lab);
    begin_boot(lab, DHCP_DISCOVER, bios);
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.yiaddr, 0);
}

#define PROXY_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_proxy, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROXY_TEST(bios_firmware_is_told_all_at_once),
        PROXY_TEST(uefi_comes_back_to_port_4011),
        PROXY_TEST(http_boot_gets_its_url),
        PROXY_TEST(ipxe_gets_its_script),
        PROXY_TEST(nobody_else_is_answered),
        PROXY_TEST(a_boot_client_is_left_to_its_own_server),
        PROXY_TEST(firmware_has_its_own_port),
        PROXY_TEST(a_relay_is_answered),
        PROXY_TEST(what_there_is_no_loader_for_is_told),
        PROXY_TEST(who_is_to_be_ignored_is_left_to_others),
        PROXY_TEST(beside_a_network_of_our_own),
    };
    return RUN_TESTS(tests);
}
