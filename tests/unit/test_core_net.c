#include "test.h"

#include "core/net.h"

#include <errno.h>

static void mac_forms(void **state)
{
    static const char *const good[] = {"52:54:00:aB:cd:0e", "52-54-00-ab-cd-0e", "525400abcd0e"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct mac_address mac;
        char text[MAC_TEXT_SIZE];
        assert_int_equal(mac_parse(good[i], &mac), 0);
        assert_string_equal(mac_format(mac, text), "52:54:00:ab:cd:0e");
    }
    static const char *const bad[] = {"",
                                      "52",
                                      "52:54:00:ab:cd",
                                      "52:54:00:ab:cd:0e:",
                                      "52:54-00:ab:cd:0e",
                                      "5254:00:ab:cd:0e",
                                      "52:54:00:ab:cd:0g",
                                      "00:00:00:00:00:00",
                                      "01:00:5e:00:00:01",
                                      "52:54:00:ab:cd:0e0"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct mac_address mac;
        assert_int_equal(mac_parse(bad[i], &mac), -EINVAL);
    }
}

static void networks(void **state)
{
    uint32_t network, mask;
    assert_int_equal(ipv4_parse_network("10.1.0.0/16", &network, &mask), 0);
    assert_true(network == 0x0a010000 && mask == 0xffff0000);
    assert_int_equal(ipv4_parse_network("10.1.2.3/32", &network, &mask), 0);
    static const char *const bad[] = {"10.0.0.0",   "10.0.0.1/24", "10.0.0.0/33",
                                      "10.0.0.0/0", "10.0.0.0/",   "10.0.0.0/ 8",
                                      "a/8",        "/8",          "10.0.0.0/8x"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(ipv4_parse_network(bad[i], &network, &mask), -EINVAL);
}

static void endpoints(void **state)
{
    static const char *const good[] = {"10.0.0.1:3260", "0.0.0.0:0", "[::1]:80", "[fe80::1]:65535"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct endpoint e;
        char text[ENDPOINT_TEXT_SIZE];
        assert_int_equal(endpoint_parse(good[i], &e), 0);
        assert_string_equal(endpoint_format(&e, text), good[i]);
    }
    static const char *const bad[] = {"10.0.0.1",      ":80",   "10.0.0.1:",   "10.0.0.1:65536",
                                      "::1:80",        "[::1]", "host:80",     "10.0.0.1:-1",
                                      "[10.0.0.1]:80", "]:80",  "10.0.0.1: 80"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct endpoint e;
        assert_int_equal(endpoint_parse(bad[i], &e), -EINVAL);
    }
}

static void mapped_addresses_are_ipv4(void **state)
{
    struct endpoint mapped, plain;
    char text[ENDPOINT_TEXT_SIZE];
    assert_int_equal(endpoint_parse("[::ffff:10.0.0.1]:80", &mapped), 0);
    assert_int_equal(endpoint_parse("10.0.0.1:81", &plain), 0);
    assert_string_equal(endpoint_format(&mapped, text), "10.0.0.1:80");
    assert_true(endpoint_same_host(&mapped, &plain));
    assert_int_equal(endpoint_parse("10.0.0.2:80", &plain), 0);
    assert_false(endpoint_same_host(&mapped, &plain));
}

static void a_taken_port_is_told(void **state)
{
    struct endpoint any, bound;
    struct error error;
    assert_int_equal(endpoint_parse("127.0.0.1:0", &any), 0);
    cleanup_close int first = net_listen("http", &any, SOCK_STREAM, &error);
    assert_true(first >= 0);
    assert_int_equal(endpoint_from_socket(first, &bound), 0);
    assert_int_equal(net_listen("http", &bound, SOCK_STREAM, &error), -EADDRINUSE);
    assert_non_null(strstr(error.text, "in use by another program"));
}

static void a_dead_unix_socket_is_replaced_and_a_live_one_not(void **state)
{
    char path[64];
    struct error error;
    snprintf(path, sizeof(path), "/tmp/nodisk-test-%d.sock", getpid());
    int first = net_listen_unix(path, &error);
    assert_true(first >= 0);
    assert_int_equal(net_listen_unix(path, &error), -EADDRINUSE);
    close(first);
    cleanup_close int second = net_listen_unix(path, &error);
    assert_true(second >= 0);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mac_forms),
        TEST(networks),
        TEST(endpoints),
        TEST(mapped_addresses_are_ipv4),
        TEST(a_taken_port_is_told),
        TEST(a_dead_unix_socket_is_replaced_and_a_live_one_not),
    };
    return RUN_TESTS(tests);
}
