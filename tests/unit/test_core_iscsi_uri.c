#include "test.h"

#include "core/iscsi_uri.h"

#include <errno.h>

#define TARGET "iqn.2026-11.lan.example:disk1"

static const char *refused(const char *text)
{
    static struct error error;
    struct iscsi_uri uri = {.port = 7};
    if (iscsi_uri_parse(text, &uri, &error) != -EINVAL)
        fail_msg("taken: %s", text);
    assert_int_equal(uri.port, 7); /* untouched */
    return error.text;
}

static struct iscsi_uri taken(const char *text)
{
    struct iscsi_uri uri;
    struct error error;
    if (iscsi_uri_parse(text, &uri, &error) < 0)
        fail_msg("%s: %s", text, error.text);
    return uri;
}

static void each_part_is_found(void **state)
{
    struct iscsi_uri uri = taken("iscsi://nas.lan.example:860/" TARGET "/12");
    assert_string_equal(uri.host, "nas.lan.example");
    assert_int_equal(uri.port, 860);
    assert_string_equal(uri.target, TARGET);
    assert_int_equal(uri.lun, 12);
    uri = taken("iscsi://10.0.0.5/" TARGET "/0");
    assert_string_equal(uri.host, "10.0.0.5");
    assert_int_equal(uri.port, 3260);
    assert_int_equal(uri.lun, 0);
}

static void each_lun_has_one_text(void **state)
{
    static const struct {
        const char *given, *text;
    } cases[] = {
        {"iscsi://10.0.0.5:3260/" TARGET "/0", "iscsi://10.0.0.5/" TARGET "/0"},
        {"iscsi://10.0.0.5:65535/" TARGET "/16383", "iscsi://10.0.0.5:65535/" TARGET "/16383"},
        {"iscsi://10.0.0.5:1/" TARGET "/0x3fFF", "iscsi://10.0.0.5:1/" TARGET "/16383"},
        {"iscsi://10.0.0.5/" TARGET "/0x01", "iscsi://10.0.0.5/" TARGET "/1"},
        {"iscsi://NAS.Lan/" TARGET "/1", "iscsi://nas.lan/" TARGET "/1"},
        {"iscsi://nas/" TARGET "/1", "iscsi://nas/" TARGET "/1"},
        {"iscsi://[2001:DB8:0:0::5]/" TARGET "/1", "iscsi://[2001:db8::5]/" TARGET "/1"},
        {"iscsi://[fd77::5]:3261/" TARGET "/1", "iscsi://[fd77::5]:3261/" TARGET "/1"},
        {"iscsi://nas/iqn.2000-01.com.synology:DiskStation.Target-1/1",
         "iscsi://nas/iqn.2000-01.com.synology:DiskStation.Target-1/1"},
        {"iscsi://nas/eui.02004567A425678D/1", "iscsi://nas/eui.02004567A425678D/1"},
        {"iscsi://nas/naa.52004567BA64678D/1", "iscsi://nas/naa.52004567BA64678D/1"},
        {"iscsi://nas/naa.62004567BA64678D0123456789ABCDEF/1",
         "iscsi://nas/naa.62004567BA64678D0123456789ABCDEF/1"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[ISCSI_URI_SIZE];
        struct iscsi_uri uri = taken(cases[i].given);
        assert_string_equal(iscsi_uri_format(&uri, text), cases[i].text);
        uri = taken(text);
        assert_string_equal(iscsi_uri_format(&uri, text), cases[i].text);
    }
}

static void the_portal_is_shown_with_its_port(void **state)
{
    char text[ISCSI_URI_SIZE];
    struct iscsi_uri uri = taken("iscsi://[fd77::5]/" TARGET "/1");
    assert_string_equal(iscsi_uri_format_portal(&uri, text), "[fd77::5]:3260");
}

/* As Linux's int_to_scsilun() and scsilun_to_int() have it, without and with the method's bits. */
static void luns_on_the_wire_are_those_of_sam(void **state)
{
    static const struct {
        const char *lun;
        uint16_t wire;
    } cases[] = {{"0", 0},        {"1", 1},          {"255", 0xff},
                 {"256", 0x4100}, {"16383", 0x7fff}, {"0x10", 0x10}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[128];
        snprintf(text, sizeof(text), "iscsi://nas/" TARGET "/%s", cases[i].lun);
        struct iscsi_uri uri = taken(text);
        assert_int_equal(iscsi_uri_wire_lun(&uri), cases[i].wire);
    }
}

static void what_is_no_such_uri_is_refused(void **state)
{
    static const char *const strange[] = {
        "", "iscsi:", ("iscsi:10.0.0.5::3260:0:" TARGET), "ISCSI://x", "nbd://x/y/", "/dev/sdb"};
    static const char *const short_ones[] = {"iscsi://", "iscsi:///", "iscsi://nas",
                                             ("iscsi://nas/" TARGET)};
    static const char *const marks[] = {("iscsi://nas/" TARGET "/0?header_digest=crc32c"),
                                        ("iscsi://nas/" TARGET "/0#x"),
                                        ("iscsi://nas/" TARGET "%20/0"),
                                        "iscsi://nas/iqn.2026-11.lan.example:disk_1/0",
                                        ("iscsi://nas/" TARGET " /0"),
                                        ("iscsi://nas/" TARGET "\n/0"),
                                        "iscsi://nas/${x}/0",
                                        ("iscsi://nas/" TARGET "\x1b[2J/0")};
    for (size_t i = 0; i < ARRAY_SIZE(strange); i++)
        assert_contains(refused(strange[i]), "not the URI of a LUN");
    for (size_t i = 0; i < ARRAY_SIZE(short_ones); i++)
        assert_contains(refused(short_ones[i]), "a host, a target and a LUN");
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
        assert_contains(refused(marks[i]), "only letters, digits");
}

static void hosts_that_no_node_reaches_are_refused(void **state)
{
    static const char *const hosts[] = {
        "",           "0.0.0.0",     "127.0.0.1",      "224.0.0.1", "255.255.255.255",
        "10.0.0",     "10.0.0.256",  "nas..lan",       "-nas",      "nas.",
        "[::]",       "[::1]",       "[fe80::1]",      "[ff02::1]", "[",
        "[]",         "[10.0.0.5]",  "[::ffff:a00:5]", "[fd77::5",  "fd77]",
        "[fd77::5]x", "[[fd77::5]]", "[::a00:5]",      "0x0a000005"};
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        char text[128];
        bool name = str_eq(hosts[i], "0x0a000005"); /* which may be one */
        snprintf(text, sizeof(text), "iscsi://%s/" TARGET "/0", hosts[i]);
        if (name)
            taken(text);
        else
            assert_contains(refused(text), "host of an iSCSI URI");
    }
}

static void numbers_are_in_their_ranges(void **state)
{
    static const char *const ports[] = {"",       "0",     "65536", "99999",
                                        "100000", "03260", "-1",    "3260:1"};
    static const char *const luns[] = {"",   "16384",  "00",      "-1",   "1/2",
                                       "0x", "0x4000", "0x00001", "0x-1", "1-2"};
    for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
        char text[128];
        snprintf(text, sizeof(text), "iscsi://nas:%s/" TARGET "/0", ports[i]);
        assert_contains(refused(text), "port of an iSCSI URI");
    }
    for (size_t i = 0; i < ARRAY_SIZE(luns); i++) {
        char text[128];
        snprintf(text, sizeof(text), "iscsi://nas/" TARGET "/%s", luns[i]);
        assert_contains(refused(text), "LUN of an iSCSI URI");
    }
    assert_contains(refused("iscsi://fd77::5/" TARGET "/0"), "port"); /* without brackets */
}

static void targets_have_names_of_targets(void **state)
{
    static const char *const targets[] = {"",
                                          "disk1",
                                          "iqn.",
                                          "iqn.2026.lan:x",
                                          "IQN.2026-11.lan.example:disk1",
                                          "eui.02004567A425678",
                                          "eui.02004567A425678DD",
                                          "eui.02004567A425678G",
                                          "naa.52004567BA64678D01",
                                          "naa."};
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        char text[128];
        snprintf(text, sizeof(text), "iscsi://nas/%s/0", targets[i]);
        assert_contains(refused(text), "target of an iSCSI URI");
    }
}

static void secrets_are_refused_and_not_repeated(void **state)
{
    static const char *const uris[] = {"iscsi://alice%geheim@nas/" TARGET "/0",
                                       "iscsi://alice:geheim@nas/" TARGET "/0"};
    for (size_t i = 0; i < ARRAY_SIZE(uris); i++) {
        const char *text = refused(uris[i]);
        assert_contains(text, "--chap-secret-file");
        assert_null(strstr(text, "geheim"));
    }
    assert_null(strstr(refused("iscsi://alice%geheim/" TARGET "/0"), "geheim"));
}

static void the_longest_fits_and_more_does_not(void **state)
{
    char host[ISCSI_URI_HOST_MAX + 2], target[IQN_MAX_LEN + 2], text[2 * ISCSI_URI_SIZE];
    memset(host, 'a', sizeof(host));
    for (size_t i = 63; i < sizeof(host); i += 64)
        host[i] = '.';
    host[ISCSI_URI_HOST_MAX] = '\0';
    memset(target, 'a', sizeof(target));
    memcpy(target, "iqn.2026-11.", 12);
    target[IQN_MAX_LEN] = '\0';
    snprintf(text, sizeof(text), "iscsi://%s:65535/%s/16383", host, target);
    struct iscsi_uri uri = taken(text);
    assert_string_equal(uri.host, host);
    assert_string_equal(uri.target, target);
    char again[ISCSI_URI_SIZE];
    assert_string_equal(iscsi_uri_format(&uri, again), text);
    host[ISCSI_URI_HOST_MAX] = 'a';
    host[ISCSI_URI_HOST_MAX + 1] = '\0';
    snprintf(text, sizeof(text), "iscsi://%s/" TARGET "/1", host);
    assert_contains(refused(text), "host of an iSCSI URI");
    target[IQN_MAX_LEN] = 'a';
    target[IQN_MAX_LEN + 1] = '\0';
    snprintf(text, sizeof(text), "iscsi://nas/%s/1", target);
    assert_contains(refused(text), "target of an iSCSI URI");
    snprintf(text, sizeof(text), "iscsi://%s:65535/%s/163830", host, target);
    assert_contains(refused(text), "not the URI of a LUN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_part_is_found),
        TEST(each_lun_has_one_text),
        TEST(the_portal_is_shown_with_its_port),
        TEST(luns_on_the_wire_are_those_of_sam),
        TEST(what_is_no_such_uri_is_refused),
        TEST(hosts_that_no_node_reaches_are_refused),
        TEST(numbers_are_in_their_ranges),
        TEST(targets_have_names_of_targets),
        TEST(secrets_are_refused_and_not_repeated),
        TEST(the_longest_fits_and_more_does_not),
    };
    return RUN_TESTS(tests);
}
