#include "test.h"

#include "server/addresses.h"

#include <errno.h>

static struct error error;

static int check(struct addresses *a, const char *text)
{
    uint32_t address;
    assert_int_equal(ipv4_parse(text, &address), 0);
    return addresses_check(a, address, &error);
}

static void without_subnets_any_machine_address_will_do(void **state)
{
    struct addresses *a = addresses_new();
    assert_int_equal(check(a, "192.0.2.1"), 0);
    assert_int_equal(check(a, "127.0.0.1"), -EINVAL);
    assert_int_equal(check(a, "224.0.0.1"), -EINVAL);
    addresses_free(a);
}

static void inside_a_subnet_and_not_on_its_edge(void **state)
{
    struct subnet subnets[] = {{.network = 0xc0000200, .mask = 0xffffff00},
                               {.network = 0xc6336400, .mask = 0xfffffffe}};
    struct addresses *a = addresses_new();
    assert_int_equal(addresses_set(a, subnets, 2), 0);
    assert_int_equal(check(a, "192.0.2.1"), 0);
    assert_int_equal(check(a, "192.0.2.0"), -EINVAL);
    assert_non_null(strstr(error.text, "broadcast"));
    assert_int_equal(check(a, "192.0.2.255"), -EINVAL);
    assert_int_equal(check(a, "192.0.3.1"), -EINVAL);
    assert_non_null(strstr(error.text, "in no configured subnet"));
    assert_int_equal(check(a, "198.51.100.0"), 0); /* a /31 has no edges */
    addresses_free(a);
}

static void the_servers_own_is_refused(void **state)
{
    struct subnet subnets[] = {{.network = 0x7f000000, .mask = 0xff000000}};
    struct addresses *a = addresses_new();
    assert_int_equal(addresses_set(a, subnets, 1), 0);
    assert_int_equal(check(a, "127.0.0.1"), -EINVAL);
    addresses_free(a);
}

static int find6(struct addresses *a, const char *text, struct subnet *ret_subnet)
{
    struct endpoint e;
    assert_int_equal(endpoint_parse(text, &e), 0);
    return addresses_find6(a, &e, ret_subnet);
}

static void a_subnet_is_found_by_an_ipv6_address(void **state)
{
    struct subnet subnets[] = {{.name = "off", .mode = SUBNET_OFF, .interface = "lo"},
                               {.name = "lab", .mode = SUBNET_SERVER, .interface = "lo"},
                               {.name = "proxy", .mode = SUBNET_PROXY, .interface = "lo"}};
    struct addresses *a = addresses_new();
    struct subnet found;
    assert_int_equal(find6(a, "[2001:db8:1::5]:1", &found), -ENOTCONN);
    assert_int_equal(addresses_set(a, subnets, 1), 0);
    assert_int_equal(find6(a, "[2001:db8:1::5]:1", &found), -ENOTCONN);
    assert_int_equal(network6_parse("2001:db8:1::/64", &subnets[1].network6), 0);
    assert_int_equal(network6_parse("2001:db8:2::/48", &subnets[2].network6), 0);
    assert_int_equal(addresses_set(a, subnets, ARRAY_SIZE(subnets)), 0);
    assert_int_equal(find6(a, "[2001:db8:1::5]:1", &found), 0);
    assert_string_equal(found.name, "lab");
    assert_int_equal(find6(a, "[2001:db8:2:7::5]:1", &found), 0);
    assert_string_equal(found.name, "proxy");
    assert_int_equal(find6(a, "[2001:db8:3::5]:1", &found), -ENOENT);
    assert_int_equal(find6(a, "[fe80::5%lo]:1", &found), 0);
    assert_string_equal(found.name, "lab"); /* whose addresses we give out */
    addresses_free(a);
}

static void who_hands_out_an_address(void **state)
{
    struct subnet subnets[] = {
        {.network = 0x0a000000, .mask = 0xffffff00, .mode = SUBNET_SERVER, .interface = "eth1"},
        {.network = 0x0a000100, .mask = 0xffffff00, .mode = SUBNET_PROXY, .interface = "eth2"},
        {.network = 0x0a000200, .mask = 0xffffff00, .mode = SUBNET_OFF, .interface = "eth3"}};
    struct addresses *a = addresses_new();
    char interface[IF_NAMESIZE];
    assert_int_equal(addresses_set(a, subnets, ARRAY_SIZE(subnets)), 0);
    for (size_t i = 0; i < ARRAY_SIZE(subnets); i++) {
        assert_int_equal(addresses_mode(a, subnets[i].network + 9, interface), subnets[i].mode);
        assert_string_equal(interface, subnets[i].interface);
    }
    assert_int_equal(addresses_mode(a, 0xc0000201, interface), SUBNET_OFF);
    addresses_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_subnets_any_machine_address_will_do),
        TEST(inside_a_subnet_and_not_on_its_edge),
        TEST(the_servers_own_is_refused),
        TEST(a_subnet_is_found_by_an_ipv6_address),
        TEST(who_hands_out_an_address),
    };
    return RUN_TESTS(tests);
}
