#include "own_network.h"

#include "dhcp/link.h"

#include <errno.h>

static struct link_info info;
static struct error error;
static bool may_make_networks;

static uint32_t ip(const char *text)
{
    uint32_t address;
    assert_int_equal(ipv4_parse(text, &address), 0);
    return address;
}

static void an_interface_is_read_whole(void **state)
{
    static const struct mac_address mac = {{0x52, 0x54, 0, 1, 2, 3}};
    if (!may_make_networks)
        skip();
    int tap = own_network_add("lab0"), other = own_network_add("lab01");
    own_network_set_mac("lab0", mac);
    own_network_set_address("lab0", "10.0.0.1", "255.255.255.0");
    own_network_set_address("lab0:1", "192.168.7.9", "255.255.0.0");
    own_network_set_address("lab01", "10.9.9.9", "255.255.255.0");
    assert_int_equal(link_read("lab0", &info, &error), 0);
    assert_string_equal(info.name, "lab0");
    assert_int_equal(info.index, if_nametoindex("lab0"));
    assert_true(mac_eq(info.mac, mac));
    assert_int_equal(info.n_addresses, 2);
    assert_true(link_address_in(&info, ip("10.0.0.0"), 0xffffff00) == ip("10.0.0.1"));
    assert_true(link_address_in(&info, ip("192.168.0.0"), 0xffff0000) == ip("192.168.7.9"));
    assert_int_equal(link_address_in(&info, ip("10.9.9.0"), 0xffffff00), 0);
    assert_int_equal(link_address_in(&info, ip("10.0.1.0"), 0xffffff00), 0);
    close(tap);
    close(other);
}

static void one_without_addresses_is_read_too(void **state)
{
    if (!may_make_networks)
        skip();
    int tap = own_network_add("lab0");
    assert_int_equal(link_read("lab0", &info, &error), 0);
    assert_int_equal(info.n_addresses, 0);
    assert_int_equal(link_address_in(&info, 0, 0), 0);
    close(tap);
}

static void the_link_local_address_is_found(void **state)
{
    char text[INET6_ADDRSTRLEN];
    if (!may_make_networks)
        skip();
    int tap = own_network_add("lab0");
    assert_int_equal(link_read("lab0", &info, &error), 0);
    assert_false(info.has_link_local);
    own_network_add_ipv6("lab0", "2001:db8::1");
    assert_int_equal(link_read("lab0", &info, &error), 0);
    assert_false(info.has_link_local);
    assert_int_equal(info.n_addresses6, 1);
    own_network_add_ipv6("lab0", "fe80::4711");
    assert_int_equal(link_read("lab0", &info, &error), 0);
    assert_true(info.has_link_local);
    assert_string_equal(inet_ntop(AF_INET6, info.link_local, text, sizeof(text)), "fe80::4711");
    close(tap);
}

static void an_address_in_an_ipv6_network_is_found(void **state)
{
    struct network6 network;
    struct in6_addr address;
    char text[INET6_ADDRSTRLEN];
    if (!may_make_networks)
        skip();
    int tap = own_network_add("lab0");
    own_network_add_ipv6("lab0", "2001:db8:1::1");
    own_network_add_ipv6("lab0", "2001:db8:2::2");
    assert_int_equal(link_read("lab0", &info, &error), 0);
    assert_int_equal(network6_parse("2001:db8:2::/64", &network), 0);
    assert_true(link_address6_in(&info, &network, &address));
    assert_string_equal(ipv6_format(&address, text), "2001:db8:2::2");
    assert_int_equal(network6_parse("2001:db8:3::/64", &network), 0);
    assert_false(link_address6_in(&info, &network, &address));
    close(tap);
}

static void an_ipv6_address_that_stays_is_told(void **state)
{
    struct network6 network;
    struct in6_addr address;
    char text[INET6_ADDRSTRLEN];
    if (!may_make_networks)
        skip();
    int tap = own_network_add("lab0");
    assert_int_equal(network6_parse("2001:db8:1::/64", &network), 0);
    own_network_add_ipv6("lab0", "2001:db8:2::1"); /* skips if there is no IPv6 */
    own_network_add_ipv6_for("lab0", "2001:db8:1::d1", 0, 9000);
    assert_int_equal(link_read("lab0", &info, &error), 0);
    assert_true(link_address6_in(&info, &network, &address));
    assert_string_equal(ipv6_format(&address, text), "2001:db8:1::d1"); /* there is no other */
    own_network_add_ipv6_for("lab0", "2001:db8:1::a1", 9000, 9000);
    own_network_add_ipv6_for("lab0", "2001:db8:1::1", UINT32_MAX, UINT32_MAX);
    own_network_add_ipv6_for("lab0", "2001:db8:1::a2", 9000, 9000);
    own_network_add_ipv6_for("lab0", "2001:db8:1::d2", 0, 9000);
    assert_int_equal(link_read("lab0", &info, &error), 0);
    assert_true(link_address6_in(&info, &network, &address));
    assert_string_equal(ipv6_format(&address, text), "2001:db8:1::1");
    close(tap);
}

/* Each better than the one before it, whichever comes first. */
static void of_two_ipv6_addresses_the_better_is_told(void **state)
{
    static const uint8_t flags[] = {
        IFA_F_PERMANENT | IFA_F_TENTATIVE | IFA_F_DADFAILED,
        IFA_F_PERMANENT | IFA_F_TENTATIVE,
        IFA_F_PERMANENT | IFA_F_DEPRECATED,
        IFA_F_TEMPORARY,
        0, /* of a router's advertisement, or of DHCP */
        IFA_F_PERMANENT,
    };
    struct network6 network;
    struct in6_addr address;
    assert_int_equal(network6_parse("2001:db8::/32", &network), 0);
    for (size_t i = 1; i < ARRAY_SIZE(flags); i++) {
        for (uint8_t at = 0; at < 2; at++) {
            struct link_info link = {.n_addresses6 = 2};
            for (uint8_t k = 0; k < 2; k++) {
                link.addresses6[k] = network.prefix;
                link.addresses6[k].s6_addr[15] = k;
                link.flags6[k] = flags[k == at ? i : i - 1];
            }
            assert_true(link_address6_in(&link, &network, &address));
            assert_int_equal(address.s6_addr[15], at);
        }
    }
}

static void what_cannot_be_served_is_told(void **state)
{
    struct link_info untouched = {.index = 4711};
    assert_int_equal(link_read("nosuch0", &untouched, &error), -ENODEV);
    assert_contains(error.text, "no interface nosuch0; correct the name or create it first");
    assert_int_equal(link_read("lo", &untouched, &error), -EPROTONOSUPPORT);
    assert_contains(error.text, "interface lo is not Ethernet");
    assert_int_equal(untouched.index, 4711);
}

static void set_forwarding(const char *name, char value)
{
    char path[128];
    snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/forwarding", name);
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        skip(); /* no IPv6 here */
    assert_int_equal(write(fd, &value, 1), 1);
}

static void forwarding_of_ipv6_is_seen(void **state)
{
    assert_false(link_forwards_ipv6("nosuch0"));
    if (!may_make_networks)
        skip();
    int tap = own_network_add("lab0");
    set_forwarding("lab0", '1');
    assert_true(link_forwards_ipv6("lab0"));
    set_forwarding("lab0", '0');
    assert_false(link_forwards_ipv6("lab0"));
    close(tap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_interface_is_read_whole),         TEST(one_without_addresses_is_read_too),
        TEST(the_link_local_address_is_found),    TEST(what_cannot_be_served_is_told),
        TEST(forwarding_of_ipv6_is_seen),         TEST(an_address_in_an_ipv6_network_is_found),
        TEST(an_ipv6_address_that_stays_is_told), TEST(of_two_ipv6_addresses_the_better_is_told),
    };
    may_make_networks = own_network_enter();
    return RUN_TESTS(tests);
}
