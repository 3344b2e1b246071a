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

static struct in6_addr ip6(const char *text)
{
    struct in6_addr address;
    assert_int_equal(ipv6_parse(text, &address), 0);
    return address;
}

static void ipv6_networks(void **state)
{
    static const char *const good[] = {"2001:db8:1::/64", "fd00::/8", "2000::/3",
                                       "2001:db8:0:fe00::/55"};
    static const char *const bad[] = {
        "2001:db8::",       "2001:db8::1/64", "2001:db8:1::/65", "2001:db8::/0",
        "2001:db8::/",      "2001:db8::/ 8",  "10.0.0.0/8",      "/64",
        "2001:db8::/64x",   "fe80::/64",      "ff00::/8",        "::/64",
        "2001:db8:0:1::/63"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct network6 network;
        char text[NETWORK6_TEXT_SIZE];
        assert_int_equal(network6_parse(good[i], &network), 0);
        assert_string_equal(network6_format(&network, text), good[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct network6 network;
        if (network6_parse(bad[i], &network) != -EINVAL)
            fail_msg("%s", bad[i]);
    }
}

static void what_is_in_an_ipv6_network(void **state)
{
    static const struct network6 none;
    struct network6 wide, narrow;
    assert_int_equal(network6_parse("2001:db8::/45", &wide), 0);
    assert_int_equal(network6_parse("2001:db8:7:1::/64", &narrow), 0);
    struct in6_addr inside = ip6("2001:db8:7:1::5"), beside = ip6("2001:db8:8:1::5");
    assert_true(network6_contains(&wide, &inside));
    assert_true(network6_contains(&narrow, &inside));
    assert_false(network6_contains(&wide, &beside));
    assert_false(network6_contains(&none, &inside));
    assert_true(network6_overlaps(&wide, &narrow));
    assert_true(network6_overlaps(&narrow, &wide));
    assert_false(network6_overlaps(&none, &wide));
    assert_int_equal(network6_parse("2001:db8:8::/48", &narrow), 0);
    assert_false(network6_overlaps(&wide, &narrow));
}

static void the_ipv6_address_of_a_mac(void **state)
{
    static const struct mac_address mac = {{0x52, 0x54, 0, 0x12, 0x34, 0x56}};
    char text[INET6_ADDRSTRLEN];
    struct in6_addr prefix = ip6("2001:db8:1:2::"), address = net_address6_of_mac(&prefix, mac);
    struct mac_address back;
    assert_string_equal(ipv6_format(&address, text), "2001:db8:1:2:5054:ff:fe12:3456");
    assert_true(net_mac_of_address6(&address, &back));
    assert_true(mac_eq(back, mac));
    static const char *const of_none[] = {"2001:db8::1", "2001:db8::5054:ff:fd12:3456",
                                          "2001:db8::200:ff:fe00:0", "fe80::300:ff:fe00:1"};
    for (size_t i = 0; i < ARRAY_SIZE(of_none); i++) {
        address = ip6(of_none[i]);
        assert_false(net_mac_of_address6(&address, &back));
    }
}

static void endpoints(void **state)
{
    static const char *const good[] = {"10.0.0.1:3260", "0.0.0.0:0", "[::1]:80",
                                       "[fe80::1%lo]:65535", "[2001:db8::1]:3260"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct endpoint e;
        char text[ENDPOINT_TEXT_SIZE];
        assert_int_equal(endpoint_parse(good[i], &e), 0);
        assert_string_equal(endpoint_format(&e, text), good[i]);
    }
    static const char *const bad[] = {
        "10.0.0.1",     ":80",          "10.0.0.1:",   "10.0.0.1:65536", "::1:80",
        "[::1]",        "host:80",      "10.0.0.1:-1", "[10.0.0.1]:80",  "]:80",
        "10.0.0.1: 80", "[fe80::1]:80", "[::1%lo]:80", "10.0.0.1%lo:80", "[fe80::1%]:80"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct endpoint e;
        assert_int_equal(endpoint_parse(bad[i], &e), -EINVAL);
    }
}

static void the_interface_of_a_link_local_address_must_exist(void **state)
{
    struct endpoint e;
    assert_int_equal(endpoint_parse("[fe80::1%nosuch0]:80", &e), -ENODEV);
    assert_int_equal(endpoint_parse("[fe80::1%sixteen-letters]:80", &e), -ENODEV);
}

/* The longest that there are. */
static void addresses_for_other_machines_have_no_interface(void **state)
{
    static const char *const hosts[][3] = {
        {"10.0.0.1:80", "10.0.0.1", "10.0.0.1:80"},
        {"[2001:db8::1]:80", "[2001:db8::1]", "[2001:db8::1]:80"},
        {"[fe80:1111:2222:3333:4444:5555:6666:7777%lo]:65535",
         "[fe80:1111:2222:3333:4444:5555:6666:7777]",
         "[fe80:1111:2222:3333:4444:5555:6666:7777]:65535"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        struct endpoint e;
        char text[ENDPOINT_TEXT_SIZE];
        assert_int_equal(endpoint_parse(hosts[i][0], &e), 0);
        assert_string_equal(endpoint_format(&e, text), hosts[i][0]);
        assert_string_equal(endpoint_format_host(&e, text), hosts[i][1]);
        assert_string_equal(endpoint_format_portal(&e, text), hosts[i][2]);
    }
}

static void link_local_addresses_are_those_of_a_link(void **state)
{
    struct endpoint a, b;
    char text[ENDPOINT_TEXT_SIZE];
    assert_int_equal(endpoint_parse("[fe80::1%lo]:80", &a), 0);
    b = a;
    assert_true(endpoint_is_link_local(&a) && endpoint_same_host(&a, &b));
    b.v6.sin6_scope_id = 4711; /* an interface that is gone */
    assert_false(endpoint_same_host(&a, &b));
    assert_string_equal(endpoint_format(&b, text), "[fe80::1%4711]:80");
    b.v6.sin6_scope_id = 0;
    assert_true(endpoint_same_host(&a, &b));
    assert_int_equal(endpoint_parse("[2001:db8::1]:80", &a), 0);
    b = a;
    b.v6.sin6_scope_id = 4711; /* it has no meaning there */
    assert_true(endpoint_same_host(&a, &b) && !endpoint_is_link_local(&a));
}

static bool takes_ipv4(const char *first, const char *second)
{
    struct endpoint list[2];
    assert_int_equal(endpoint_parse(first, &list[0]), 0);
    assert_int_equal(endpoint_parse(second, &list[1]), 0);
    return net_takes_ipv4(list, 2, 0);
}

static void the_wildcard_of_ipv6_is_for_both_unless_that_is_in_the_way(void **state)
{
    assert_true(takes_ipv4("[::]:80", "[::1]:80"));
    assert_true(takes_ipv4("[::]:80", "10.0.0.1:81"));
    assert_false(takes_ipv4("[::]:80", "10.0.0.1:80"));
    assert_false(takes_ipv4("[::]:80", "0.0.0.0:80"));
    assert_true(takes_ipv4("0.0.0.0:80", "[::]:80"));
    assert_true(takes_ipv4("[::]:0", "0.0.0.0:0")); /* the system chooses two */
    assert_false(takes_ipv4("[2001:db8::1]:80", "[::]:81"));
    assert_true(takes_ipv4("[::ffff:10.0.0.1]:80", "[::]:81"));
}

static void both_wildcards_can_be_listened_on(void **state)
{
    struct endpoint list[2];
    struct error error;
    assert_int_equal(endpoint_parse("0.0.0.0:0", &list[0]), 0);
    assert_int_equal(endpoint_parse("[::]:0", &list[1]), 0);
    cleanup_close int first = net_listen_one_of("http", list, 2, 0, SOCK_STREAM, &error);
    assert_true(first >= 0);
    assert_int_equal(endpoint_from_socket(first, &list[0]), 0);
    list[1] = endpoint_with_port(&list[1], endpoint_port(&list[0]));
    cleanup_close int second = net_listen_one_of("http", list, 2, 1, SOCK_STREAM, &error);
    if (second == -EAFNOSUPPORT)
        skip(); /* no IPv6 here */
    assert_true(second >= 0);
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
        TEST(ipv6_networks),
        TEST(what_is_in_an_ipv6_network),
        TEST(the_ipv6_address_of_a_mac),
        TEST(endpoints),
        TEST(the_interface_of_a_link_local_address_must_exist),
        TEST(addresses_for_other_machines_have_no_interface),
        TEST(link_local_addresses_are_those_of_a_link),
        TEST(the_wildcard_of_ipv6_is_for_both_unless_that_is_in_the_way),
        TEST(both_wildcards_can_be_listened_on),
        TEST(mapped_addresses_are_ipv4),
        TEST(a_taken_port_is_told),
        TEST(a_dead_unix_socket_is_replaced_and_a_live_one_not),
    };
    return RUN_TESTS(tests);
}
