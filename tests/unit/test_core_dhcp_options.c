#include "test.h"

#include "core/dhcp_options.h"

#include "core/names.h"

struct parsed {
    uint8_t buffer[DHCP_OPTION_VALUE_MAX];
    struct dhcp_setting setting;
    char text[DHCP_SETTING_TEXT_SIZE];
};

static void parse(const char *text, struct parsed *p)
{
    const char *wrong = dhcp_setting_parse(text, p->buffer, &p->setting);
    if (wrong)
        fail_msg("'%s' %s", text, wrong);
    dhcp_setting_format(&p->setting, p->text);
}

static void check(const char *text, uint8_t code, const char *data, size_t size, const char *again)
{
    struct parsed p;
    parse(text, &p);
    assert_int_equal(p.setting.code, code);
    assert_int_equal(p.setting.size, size);
    assert_memory_equal(p.setting.data, data, size);
    assert_string_equal(p.text, again ? again : text);
}

#define CHECK(text, code, data, again) check(text, code, data, sizeof(data) - 1, again)

static void each_type_has_its_bytes(void **state)
{
    CHECK("mtu=9000", 26, "\x23\x28", NULL);
    CHECK("interface-mtu=1500", 26, "\x05\xdc", "mtu=1500");
    CHECK("26=1500", 26, "\x05\xdc", "mtu=1500");
    CHECK("ntp-servers=10.0.0.5, 10.0.0.6", 42, "\12\0\0\5\12\0\0\6",
          "ntp-servers=10.0.0.5,10.0.0.6");
    CHECK("swap-server=10.0.0.5", 16, "\12\0\0\5", NULL);
    CHECK("time-offset=-3600", 2, "\xff\xff\xf1\xf0", NULL);
    CHECK("default-ip-ttl=64", 23, "\x40", NULL);
    CHECK("tcp-keepalive-interval=4294967295", 38, "\xff\xff\xff\xff", NULL);
    CHECK("ip-forwarding=no", 19, "\0", NULL);
    CHECK("tzdb-timezone=Europe/Berlin", 101, "Europe/Berlin", NULL);
    CHECK("domain=lan.example", 15, "lan.example", "domain-name=lan.example");
    CHECK("vendor-encap=01:02:ff", 43, "\1\2\xff", "vendor-encapsulated-options=0102ff");
}

static void unknown_numbers_say_their_type(void **state)
{
    CHECK("224=hex:0a0b", 224, "\n\v", NULL);
    CHECK("224=text:hello", 224, "hello", NULL);
    CHECK("224=hex:68656c6c6f", 224, "hello", "224=text:hello");
    CHECK("224=hex:ff41", 224, "\xff\x41", NULL); /* no text that JSON could have */
    CHECK("224=u16:258", 224, "\1\2", "224=hex:0102");
    CHECK("224=addresses:10.0.0.1 10.0.0.2", 224, "\12\0\0\1\12\0\0\2", "224=hex:0a0000010a000002");
}

static void routes_have_as_many_bytes_as_they_need(void **state)
{
    CHECK("routes=10.0.0.0/8:10.0.0.1,10.17.0.0/16:10.0.0.1,10.27.129.0/24:10.0.0.1,"
          "10.229.0.128/25:10.0.0.1,10.198.122.47/32:10.0.0.1,default:10.0.0.254",
          121,
          "\x08\x0a\x0a\0\0\1"
          "\x10\x0a\x11\x0a\0\0\1"
          "\x18\x0a\x1b\x81\x0a\0\0\1"
          "\x19\x0a\xe5\x00\x80\x0a\0\0\1"
          "\x20\x0a\xc6\x7a\x2f\x0a\0\0\1"
          "\x00\x0a\0\0\xfe",
          NULL);
    CHECK("routes=0.0.0.0/0:10.0.0.254", 121, "\0\x0a\0\0\xfe", "routes=default:10.0.0.254");
}

/* The example of RFC 3397 2, and more. */
static void domains_are_compressed(void **state)
{
    CHECK("domain-search=eng.apple.com,marketing.apple.com", 119,
          "\3eng\5apple\3com\0\x09marketing\xc0\x04", NULL);
    CHECK("domain-search=a.b,b,a.b,c.a.b", 119, "\1a\1b\0\xc0\x02\xc0\0\1c\xc0\0", NULL);
}

static void always_is_kept(void **state)
{
    struct parsed p;
    parse("always:mtu=1400", &p);
    assert_true(p.setting.always);
    assert_string_equal(p.text, "always:mtu=1400");
}

static void what_is_refused_is_said(void **state)
{
    static const char *const cases[][2] = {
        {"", "must be NAME=VALUE"},
        {"mtu", "must be NAME=VALUE"},
        {"=1", "must be NAME=VALUE"},
        {"mtu=67", "from 68 to 65535"},
        {"mtu=65536", "from 68 to 65535"},
        {"mtu=1500x", "from 68 to 65535"},
        {"mtu=+1500", "from 68 to 65535"},
        {"default-ip-ttl=0", "is too small"},
        {"ntp-servers=", "must be IPv4 addresses"},
        {"ntp-servers=10.0.0", "must be IPv4 addresses"},
        {"swap-server=10.0.0.1,10.0.0.2", "must be an IPv4 address"},
        {"ip-forwarding=true", "must be yes or no"},
        {"routes=10.0.0.1/8:10.0.0.2", "must be routes"},
        {"routes=10.0.0.0/8", "must be routes"},
        {"domain-search=a..b", "must be domain names"},
        {"domain-name=Lan", "must be a domain name"},
        {"root-path=a\nb", "without control characters"},
        {"root-path=", "without control characters"},
        {"43=0", "must be bytes in hexadecimal"},
        {"43=0g", "must be bytes in hexadecimal"},
        {"43=01:", "must be bytes in hexadecimal"},
        {"nonsense=1", "is no option known here"},
        {"224=1", "say what it is"},
        {"224=u64:1", "say what it is"},
        {"256=hex:00", "from 1 to 254"},
        {"host-name=a", "is the node's name"},
        {"12=a", "is the node's name"},
        {"lease-time=60", "is the key `lease-time`"},
        {"67=a", "says how a machine boots"},
        {"175=hex:00", "says how a machine boots"},
        {"82=hex:00", "is a relay's"},
        {"249=hex:00", "if `routes` are set"},
        {"0=hex:00", "is the server's own"},
        {"255=hex:00", "is the server's own"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct parsed p;
        assert_contains(dhcp_setting_parse(cases[i][0], p.buffer, &p.setting), cases[i][1]);
    }
}

static void what_is_too_long_is_refused(void **state)
{
    struct parsed p;
    char text[2100] = "224=hex:";
    memset(text + strlen(text), '0', 1020);
    assert_null(dhcp_setting_parse(text, p.buffer, &p.setting));
    assert_int_equal(p.setting.size, 510);
    memset(text + 8, '0', 1026);
    assert_string_equal(dhcp_setting_parse(text, p.buffer, &p.setting), "is too long");
    memset(text + 8, '0', 2000);
    assert_string_equal(dhcp_setting_parse(text, p.buffer, &p.setting), "is too long");
}

static void every_name_is_its_options_alone(void **state)
{
    size_t count;
    const struct dhcp_option_kind *kinds = dhcp_option_kinds(&count);
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || kinds[i].code > kinds[i - 1].code);
        assert_ptr_equal(dhcp_option_kind_by_name(kinds[i].name), &kinds[i]);
        assert_ptr_equal(dhcp_option_kind_by_code(kinds[i].code), &kinds[i]);
        assert_true(kinds[i].refused || strlen(kinds[i].name) < 48);
        for (size_t k = 0; k < DHCP_OPTION_MAX_ALIASES && kinds[i].aliases[k]; k++)
            assert_ptr_equal(dhcp_option_kind_by_name(kinds[i].aliases[k]), &kinds[i]);
    }
    assert_null(dhcp_option_kind_by_name(""));
    assert_null(dhcp_option_kind_by_code(224));
}

static void a_set_has_each_code_once(void **state)
{
    struct dhcp_options options = {0};
    struct dhcp_setting setting;
    size_t at = 0;
    assert_false(dhcp_options_next(NULL, &at, &setting));
    assert_false(dhcp_options_next(&options, &at, &setting));
    assert_null(dhcp_options_parse(&options, "mtu=1500"));
    assert_null(dhcp_options_parse(&options, "ntp=10.0.0.5"));
    assert_null(dhcp_options_parse(&options, "always:mtu=9000"));
    assert_true(dhcp_options_next(&options, &at, &setting));
    assert_int_equal(setting.code, 42);
    assert_true(dhcp_options_next(&options, &at, &setting));
    assert_int_equal(setting.code, 26);
    assert_true(setting.always);
    assert_memory_equal(setting.data, "\x23\x28", 2);
    assert_false(dhcp_options_next(&options, &at, &setting));
    assert_false(dhcp_options_unset(&options, 1));
    assert_true(dhcp_options_unset(&options, 42));
    assert_false(dhcp_options_find(&options, 42, &setting));
    assert_true(dhcp_options_find(&options, 26, &setting));
    assert_non_null(dhcp_options_parse(&options, "mtu=x"));
    assert_true(dhcp_options_find(&options, 26, &setting));
}

static void a_set_has_an_end(void **state)
{
    struct dhcp_options options = {0};
    struct dhcp_setting setting;
    char text[1100] = "224=hex:";
    memset(text + strlen(text), '1', 1000);
    assert_null(dhcp_options_parse(&options, text));
    text[2] = '5';
    assert_null(dhcp_options_parse(&options, text));
    assert_contains(dhcp_options_parse(&options, "226=text:abcdefghijklmnopq"), "is too much");
    assert_null(dhcp_options_parse(&options, text)); /* in its own place */
    assert_null(dhcp_options_parse(&options, "226=text:a"));
    assert_true(dhcp_options_find(&options, 226, &setting));
    assert_true(dhcp_options_size(&options) <= sizeof(options));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_type_has_its_bytes),
        TEST(unknown_numbers_say_their_type),
        TEST(routes_have_as_many_bytes_as_they_need),
        TEST(domains_are_compressed),
        TEST(always_is_kept),
        TEST(what_is_refused_is_said),
        TEST(what_is_too_long_is_refused),
        TEST(every_name_is_its_options_alone),
        TEST(a_set_has_each_code_once),
        TEST(a_set_has_an_end),
    };
    return RUN_TESTS(tests);
}
