/* What stands in an answer. */
#include "dhcp_lab.h"

static void pxe_request(struct packet *p, uint16_t architecture)
{
    packet_text(p, DHCP_OPTION_VENDOR_CLASS, "PXEClient:Arch:00000:UNDI:002001");
    packet_u16(p, DHCP_OPTION_ARCHITECTURE, architecture);
    packet_u16(p, DHCP_OPTION_MAX_SIZE, 1260); /* PXE 2.1, 2.4.2 */
    packet_option(p, DHCP_OPTION_UUID,
                  "\0"
                  "0123456789abcdef",
                  17);
}

static void firmware_gets_its_loader(void **state)
{
    struct lab *lab = *state;
    static const struct {
        uint16_t architecture;
        const char *file;
    } cases[] = {{0, "undionly.kpxe"}, {7, "snponly.efi"}, {9, "snponly.efi"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        pxe_request(begin(lab, DHCP_DISCOVER, WEB1_A), cases[i].architecture);
        assert_true(deliver(lab));
        assert_int_equal(lab->answer.siaddr, ip(SERVER));
        assert_string_equal((char *)lab->raw.data + PACKET_FILE, cases[i].file);
        assert_option(&lab->answer, DHCP_OPTION_BOOT_FILE, cases[i].file,
                      strlen(cases[i].file) + 1);
        assert_option(&lab->answer, DHCP_OPTION_TFTP_SERVER, SERVER, sizeof(SERVER));
        assert_option_text(&lab->answer, DHCP_OPTION_VENDOR_CLASS, "PXEClient");
        assert_int_equal(dhcp_message_option(&lab->answer, DHCP_OPTION_UUID)->size, 17);
        assert_memory_equal(dhcp_message_option(&lab->answer, DHCP_OPTION_VENDOR)->data,
                            "\6\1\10\377", 4);
        assert_memory_equal(dhcp_message_option(&lab->answer, DHCP_OPTION_IPXE)->data,
                            "\xb0\1\1\x51", 4);
        /* what the loader takes over, asked for by the ROM or not */
        assert_non_null(dhcp_message_option(&lab->answer, DHCP_OPTION_ROUTER));
        assert_option_text(&lab->answer, DHCP_OPTION_HOST_NAME, "web1");
        assert_int_equal(lab->events[lab->n_events - 1].client.kind, DHCP_CLIENT_PXE);
    }
}

/* Without what is for PXE; the URL is in both places. */
static void firmware_that_boots_by_http_gets_a_url(void **state)
{
    struct lab *lab = *state;
    static const char url[] = "http://10.0.0.1/loaders/snponly.efi";
    struct packet *p = begin(lab, DHCP_DISCOVER, WEB1_A);
    packet_text(p, DHCP_OPTION_VENDOR_CLASS, "HTTPClient:Arch:00016:UNDI:003001");
    packet_u16(p, DHCP_OPTION_ARCHITECTURE, 16);
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.yiaddr, ip("10.0.0.11"));
    assert_option_text(&lab->answer, DHCP_OPTION_VENDOR_CLASS, "HTTPClient");
    assert_option_text(&lab->answer, DHCP_OPTION_BOOT_FILE, url);
    assert_string_equal((char *)lab->raw.data + PACKET_FILE, url);
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_VENDOR));
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_IPXE));
    packet_text(begin(lab, DHCP_DISCOVER, WEB1_A), DHCP_OPTION_VENDOR_CLASS,
                "HTTPClient:Arch:00019:UNDI:003001");
    assert_true(deliver(lab));
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_VENDOR_CLASS));
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_BOOT_FILE));
    assert_odd(lab, DHCP_ODD_NO_LOADER);
}

static void ipxe_gets_its_script(void **state)
{
    struct lab *lab = *state;
    struct packet *p = begin(lab, DHCP_DISCOVER, WEB1_A);
    pxe_request(p, 0);
    packet_text(p, DHCP_OPTION_USER_CLASS, "iPXE");
    assert_true(deliver(lab));
    assert_option_text(&lab->answer, DHCP_OPTION_BOOT_FILE,
                       "http://10.0.0.1/boot.ipxe?mac=52-54-00-00-00-01");
    assert_option_text(&lab->answer, DHCP_OPTION_IPXE, "\xb0\1\1");
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_VENDOR_CLASS));
    assert_int_equal(lab->answer.siaddr, ip(SERVER));
}

static void others_get_no_file_but_an_address(void **state)
{
    struct lab *lab = *state;
    pxe_request(begin(lab, DHCP_DISCOVER, STRANGER), 11); /* ARM64 */
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.siaddr, 0);
    assert_int_equal(lab->raw.data[PACKET_FILE], 0);
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_BOOT_FILE));
    packet_text(begin(lab, DHCP_DISCOVER, STRANGER), DHCP_OPTION_VENDOR_CLASS,
                "HTTPClient:Arch:00019:UNDI:003001");
    assert_true(deliver(lab));
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_BOOT_FILE));
}

static void options_come_in_the_order_asked_for(void **state)
{
    struct lab *lab = *state;
    static const uint8_t wanted[] = {15, 12, 6, 200, 15};
    packet_option(begin(lab, DHCP_DISCOVER, WEB1_A), DHCP_OPTION_PARAMETER_LIST, wanted,
                  sizeof(wanted));
    assert_true(deliver(lab));
    const uint8_t *domain = dhcp_message_option(&lab->answer, DHCP_OPTION_DOMAIN)->data;
    const uint8_t *name = dhcp_message_option(&lab->answer, DHCP_OPTION_HOST_NAME)->data;
    const uint8_t *dns = dhcp_message_option(&lab->answer, DHCP_OPTION_DNS)->data;
    assert_true(domain < name && name < dns);
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_ROUTER)); /* not asked for */
    assert_non_null(dhcp_message_option(&lab->answer, DHCP_OPTION_SUBNET_MASK));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(firmware_gets_its_loader),
        LAB_TEST(firmware_that_boots_by_http_gets_a_url),
        LAB_TEST(ipxe_gets_its_script),
        LAB_TEST(others_get_no_file_but_an_address),
        LAB_TEST(options_come_in_the_order_asked_for),
    };
    return RUN_TESTS(tests);
}
