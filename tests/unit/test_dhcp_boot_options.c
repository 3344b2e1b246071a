#include "dhcp_packets.h"

#include "dhcp/boot_options.h"

static struct dhcp_message message;

struct sent {
    uint8_t code;
    const char *data;
    uint8_t size;
};

static const struct subnet subnet = {.loaders = {[LOADER_BIOS] = "undionly.kpxe",
                                                 [LOADER_UEFI_X64] = "snponly.efi",
                                                 [LOADER_UEFI_RISCV64] = "dir/a b%.efi"}};

static struct dhcp_client classify(const struct sent *sent)
{
    static struct packet p;
    packet_begin(&p, DHCP_DISCOVER, mac_of(1));
    for (; sent->code; sent++)
        packet_option(&p, sent->code, sent->data, sent->size);
    assert_int_equal(dhcp_message_parse(p.bytes, packet_end(&p), &message), 0);
    return dhcp_client_of(&message, &subnet);
}

#define PXE(arch)                                                                                  \
    {                                                                                              \
        60, "PXEClient:Arch:" arch ":UNDI:003016", 32                                              \
    }

static void clients_are_told_apart(void **state)
{
    static const struct {
        const char *what;
        struct sent sent[5];
        enum dhcp_client_kind kind;
        uint16_t architecture;
    } cases[] = {
        {"dhclient", {{12, "host", 4}}, DHCP_CLIENT_OTHER, DHCP_ARCH_UNKNOWN},
        {"udhcpc", {{60, "udhcp 1.35.0", 12}}, DHCP_CLIENT_OTHER, DHCP_ARCH_UNKNOWN},
        {"BIOS ROM", {PXE("00000"), {93, "\0\0", 2}}, DHCP_CLIENT_PXE, 0},
        {"old ROM without 93", {PXE("00000")}, DHCP_CLIENT_PXE, 0},
        {"bare PXEClient", {{60, "PXEClient", 9}}, DHCP_CLIENT_PXE, 0},
        {"UEFI", {PXE("00007"), {93, "\0\7", 2}}, DHCP_CLIENT_PXE, 7},
        {"UEFI that says EBC", {PXE("00009"), {93, "\0\11", 2}}, DHCP_CLIENT_PXE, 9},
        {"UEFI, class only", {PXE("00007")}, DHCP_CLIENT_PXE, 7},
        {"list, ours is second", {PXE("00006"), {93, "\0\6\0\7", 4}}, DHCP_CLIENT_PXE, 7},
        {"list of strangers", {PXE("00006"), {93, "\0\6\0\13", 4}}, DHCP_CLIENT_PXE, 6},
        {"93 of one byte", {PXE("00007"), {93, "\7", 1}}, DHCP_CLIENT_PXE, 7},
        {"93 of three bytes", {PXE("00007"), {93, "\0\7\0", 3}}, DHCP_CLIENT_PXE, 7},
        {"ARM64", {PXE("00011"), {93, "\0\13", 2}}, DHCP_CLIENT_PXE, 11},
        {"rubbish class", {{60, "PXEClient:Arch:x", 16}}, DHCP_CLIENT_PXE, DHCP_ARCH_UNKNOWN},
        {"class with huge number",
         {{60, "PXEClient:Arch:99999", 20}},
         DHCP_CLIENT_PXE,
         DHCP_ARCH_UNKNOWN},
        {"HTTP boot",
         {{60, "HTTPClient:Arch:00016:UNDI:003001", 33}, {93, "\0\20", 2}},
         DHCP_CLIENT_HTTP,
         16},
        {"HTTP boot, class only", {{60, "HTTPClient:Arch:00019", 21}}, DHCP_CLIENT_HTTP, 19},
        {"HTTP boot, nothing more", {{60, "HTTPClient", 10}}, DHCP_CLIENT_HTTP, DHCP_ARCH_UNKNOWN},
        {"HTTP boot, list",
         {{60, "HTTPClient:Arch:00015", 21}, {93, "\0\17\0\20", 4}},
         DHCP_CLIENT_HTTP,
         16},
        {"iPXE, bare class", {PXE("00000"), {93, "\0\0", 2}, {77, "iPXE", 4}}, DHCP_CLIENT_IPXE, 0},
        {"iPXE, RFC 3004 class",
         {PXE("00000"), {77, "\4iPXE", 5}},
         DHCP_CLIENT_IPXE,
         DHCP_ARCH_UNKNOWN},
        {"iPXE, second of two classes",
         {{77, "\3abc\4iPXE", 9}},
         DHCP_CLIENT_IPXE,
         DHCP_ARCH_UNKNOWN},
        {"iPXE, by 175 alone",
         {PXE("00007"), {93, "\0\7", 2}, {175, "\x13\1\1", 3}},
         DHCP_CLIENT_IPXE,
         7},
        {"other user class", {PXE("00000"), {77, "gPXE", 4}}, DHCP_CLIENT_PXE, 0},
        {"user class cut off", {PXE("00000"), {77, "\x40iPXE", 5}}, DHCP_CLIENT_PXE, 0},
        {"empty user class", {PXE("00000"), {77, "", 0}}, DHCP_CLIENT_PXE, 0},
        {"iPXE of a version", {PXE("00000"), {77, "iPXE2", 5}}, DHCP_CLIENT_PXE, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct dhcp_client client = classify(cases[i].sent);
        if (client.kind != cases[i].kind || client.architecture != cases[i].architecture)
            fail_msg("%s: kind %d, architecture %u", cases[i].what, client.kind,
                     client.architecture);
    }
}

static const struct dhcp_boot_place place = {
    .server = 0x0a000001, .http_port = 80, .mac = {{0x52, 0x54, 0, 0, 0, 0x2a}}};

#define SCRIPT "http://10.0.0.1/boot.ipxe?mac=52-54-00-00-00-2a"

static void each_client_gets_its_file(void **state)
{
    static const struct {
        struct dhcp_client client;
        const char *file;
        bool pxe, http, is_ipxe;
    } cases[] = {
        {{DHCP_CLIENT_PXE, 0}, "undionly.kpxe", true},
        {{DHCP_CLIENT_PXE, 7}, "snponly.efi", true},
        {{DHCP_CLIENT_PXE, 9}, "snponly.efi", true},
        {{DHCP_CLIENT_PXE, 11}, ""},
        {{DHCP_CLIENT_PXE, 27}, "dir/a b%.efi", true},
        {{DHCP_CLIENT_PXE, DHCP_ARCH_UNKNOWN}, ""},
        {{DHCP_CLIENT_HTTP, 16}, "http://10.0.0.1/loaders/snponly.efi", false, true},
        {{DHCP_CLIENT_HTTP, 20}, "http://10.0.0.1/loaders/undionly.kpxe", false, true},
        {{DHCP_CLIENT_HTTP, 28}, "http://10.0.0.1/loaders/dir/a%20b%25.efi", false, true},
        {{DHCP_CLIENT_HTTP, 19}, ""},
        {{DHCP_CLIENT_HTTP, DHCP_ARCH_UNKNOWN}, ""},
        {{DHCP_CLIENT_OTHER, DHCP_ARCH_UNKNOWN}, ""},
        {{DHCP_CLIENT_OTHER, 0}, ""},
        {{DHCP_CLIENT_IPXE, 0}, SCRIPT, false, false, true},
        {{DHCP_CLIENT_IPXE, 7}, SCRIPT, false, false, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct dhcp_boot boot;
        dhcp_boot_choose(&cases[i].client, &subnet, &place, &boot);
        assert_string_equal(boot.file, cases[i].file);
        assert_int_equal(boot.pxe, cases[i].pxe);
        assert_int_equal(boot.http, cases[i].http);
        assert_int_equal(boot.ipxe_size > 0, cases[i].pxe || cases[i].is_ipxe);
        if (boot.ipxe_size > 0)
            assert_memory_equal(boot.ipxe, "\xb0\1\1", 3); /* no wait for a proxy */
        assert_int_equal(boot.ipxe_size > 3, cases[i].pxe);
    }
}

/* What the loader of a ROM runs instead of asking DHCP again. */
static void scriptlet_of(const struct dhcp_boot_place *whose, char text[static 256])
{
    struct dhcp_client client = {.kind = DHCP_CLIENT_PXE};
    struct dhcp_boot boot;
    dhcp_boot_choose(&client, &subnet, whose, &boot);
    assert_int_equal(boot.ipxe[3], 0x51);
    assert_int_equal(boot.ipxe[4], boot.ipxe_size - 5);
    memcpy(text, boot.ipxe + 5, boot.ipxe[4]);
    text[boot.ipxe[4]] = '\0';
}

static void a_loader_need_not_ask_again(void **state)
{
    static const char stranger[] =
        "ifopen net0 && chain http://10.0.0.1/boot.ipxe?mac=52-54-00-00-00-2a || autoboot";
    struct dhcp_boot_place longest = {.server = ip("192.168.100.200"), .http_port = 65535};
    char text[256];
    scriptlet_of(&place, text);
    assert_string_equal(text, stranger);
    longest.is_node = true;
    scriptlet_of(&longest, text);
    assert_true(strlen(text) < 250); /* and its own disk is nothing that a node falls back to */
    assert_string_equal(text + strlen(text) - strlen("autoboot || reboot"), "autoboot || reboot");
}

static const struct dhcp_boot_place secure = {.server = 0x0a000001,
                                              .http_port = 80,
                                              .https_port = 443,
                                              .https_name = "",
                                              .mac = {{0x52, 0x54, 0, 0, 0, 0x2a}}};

static const char *script_for(bool https, struct dhcp_boot_place at, struct dhcp_boot *boot)
{
    const struct dhcp_client client = {.kind = DHCP_CLIENT_IPXE, .https = https};
    dhcp_boot_choose(&client, &subnet, &at, boot);
    return boot->file;
}

static void who_has_https_is_sent_there(void **state)
{
    struct dhcp_boot boot;
    struct dhcp_boot_place named = secure, longest = secure;
    char name[DHCP_MAX_HTTPS_NAME + 1], text[256];
    assert_string_equal(script_for(true, secure, &boot),
                        "https://10.0.0.1/boot.ipxe?mac=52-54-00-00-00-2a");
    assert_string_equal(script_for(false, secure, &boot), SCRIPT);
    assert_string_equal(script_for(true, place, &boot), SCRIPT);
    named.https_name = "boot.example";
    named.https_port = 8443;
    assert_string_equal(script_for(true, named, &boot),
                        "https://boot.example:8443/boot.ipxe?mac=52-54-00-00-00-2a");
    scriptlet_of(&secure, text);
    assert_string_equal(text,
                        "ifopen net0 && chain https://10.0.0.1/boot.ipxe?mac=52-54-00-00-00-2a || "
                        "chain http://10.0.0.1/boot.ipxe?mac=52-54-00-00-00-2a || autoboot");
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    longest = (struct dhcp_boot_place){.server = ip("192.168.100.200"),
                                       .http_port = 65535,
                                       .https_port = 65534,
                                       .https_name = name,
                                       .is_node = true};
    scriptlet_of(&longest, text);
    assert_true(strlen(text) <= 250);
    assert_non_null(strstr(text, "|| chain http://192.168.100.200:65535/boot.ipxe?mac="));
    assert_string_equal(text + strlen(text) - strlen(" || autoboot || reboot"),
                        " || autoboot || reboot");
}

static void ipxe_says_that_it_has_https(void **state)
{
    static const struct {
        const char *what;
        struct sent sent[3];
        bool https;
    } cases[] = {
        {"among others", {{77, "iPXE", 4}, {175, "\x13\1\1\x14\1\1\x17\1\1", 9}}, true},
        {"by 175 alone", {{175, "\x14\1\1", 3}}, true},
        {"behind one of no size", {{175, "\x13\0\x14\1\1", 5}}, true},
        {"without", {{77, "iPXE", 4}, {175, "\x13\1\1", 3}}},
        {"no 175", {{77, "iPXE", 4}}},
        {"version 0", {{175, "\x14\1\0", 3}}},
        {"two bytes", {{175, "\x14\2\1\1", 4}}},
        {"cut off", {{77, "iPXE", 4}, {175, "\x14\1", 2}}},
        {"as a value", {{77, "iPXE", 4}, {175, "\x13\3\x14\1\1", 5}}},
        {"a length too large", {{77, "iPXE", 4}, {175, "\x13\xff\x14\1\1", 5}}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (classify(cases[i].sent).https != cases[i].https)
            fail_msg("%s", cases[i].what);
}

static void another_port_is_named(void **state)
{
    struct dhcp_client client = {.kind = DHCP_CLIENT_IPXE};
    const struct dhcp_boot_place other = {
        .server = ip("192.168.100.200"), .http_port = 65535, .mac = mac_of(1)};
    struct dhcp_boot boot;
    dhcp_boot_choose(&client, &subnet, &other, &boot);
    assert_string_equal(boot.file, "http://192.168.100.200:65535/boot.ipxe?mac=52-54-00-00-00-01");
    assert_true(strlen(boot.file) <= LOADER_MAX_LEN);
    client = (struct dhcp_client){DHCP_CLIENT_HTTP, 16};
    dhcp_boot_choose(&client, &subnet, &other, &boot);
    assert_string_equal(boot.file, "http://192.168.100.200:65535/loaders/snponly.efi");
}

/* Half a name would be another file's. */
static void a_name_that_does_not_fit_is_left_out(void **state)
{
    struct subnet odd = {0};
    struct dhcp_client client = {DHCP_CLIENT_HTTP, 16};
    struct dhcp_boot boot;
    memset(odd.loaders[LOADER_UEFI_X64], ' ', LOADER_MAX_LEN);
    dhcp_boot_choose(&client, &odd, &place, &boot);
    assert_string_equal(boot.file, "");
    assert_false(boot.http);
    memset(odd.loaders[LOADER_UEFI_X64], 'a', LOADER_MAX_LEN);
    dhcp_boot_choose(&client, &odd, &place, &boot);
    assert_true(boot.http);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(clients_are_told_apart),
        TEST(each_client_gets_its_file),
        TEST(another_port_is_named),
        TEST(who_has_https_is_sent_there),
        TEST(ipxe_says_that_it_has_https),
        TEST(a_loader_need_not_ask_again),
        TEST(a_name_that_does_not_fit_is_left_out),
    };
    return RUN_TESTS(tests);
}
