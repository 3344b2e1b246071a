/* Subnets of a configuration against interfaces of a network namespace. */
#include "captured_log.h"
#include "own_network.h"

#include "server/dhcp_plan.h"

#include <errno.h>

static bool may_make_networks;
static int taps[2];
static struct config config;
static struct listeners listeners;
static struct dhcp_plan plan, other;
static struct error error;
static struct captured_log captured;

/* lab0 has 10.0.0.1/24 and 10.1.0.1/24; lab1 is there without an address. */
static int setup(void **state)
{
    memset(&plan, 0, sizeof(plan));
    memset(&other, 0, sizeof(other));
    error = (struct error){0};
    assert_int_equal(config_init(&config), 0);
    listeners = (struct listeners){.http = {.count = 1}, .https_name = ""};
    assert_int_equal(endpoint_parse("0.0.0.0:80", &listeners.http.endpoints[0]), 0);
    if (!may_make_networks)
        return 0;
    taps[0] = own_network_add("lab0");
    taps[1] = own_network_add("lab1");
    own_network_set_address("lab0", "10.0.0.1", "255.255.255.0");
    own_network_set_address("lab0:1", "10.1.0.1", "255.255.255.0");
    return 0;
}

static int teardown(void **state)
{
    config_free(&config);
    for (size_t i = 0; may_make_networks && i < 2; i++)
        close(taps[i]);
    return 0;
}

static struct subnet *add(const char *name, const char *interface, const char *network)
{
    config.subnets = reallocarray(config.subnets, config.n_subnets + 1, sizeof(*config.subnets));
    struct subnet *s = &config.subnets[config.n_subnets++];
    *s = (struct subnet){.mode = SUBNET_SERVER};
    str_copy(s->name, sizeof(s->name), name);
    str_copy(s->interface, sizeof(s->interface), interface);
    assert_int_equal(ipv4_parse_network(network, &s->network, &s->mask), 0);
    return s;
}

/* What it came to; what was logged meanwhile is in captured.text. */
static int make(struct dhcp_plan *ret_plan)
{
    if (!may_make_networks)
        skip();
    captured_log_begin(&captured);
    int r = dhcp_plan_make(&config, &listeners, ret_plan, &error);
    captured_log_end(&captured);
    return r;
}

static uint32_t ip(const char *text)
{
    uint32_t address;
    assert_int_equal(ipv4_parse(text, &address), 0);
    return address;
}

static void a_subnet_is_served_from_our_address_in_it(void **state)
{
    add("a", "lab0", "10.0.0.0/24");
    add("b", "lab0", "10.1.0.0/24");
    assert_int_equal(make(&plan), 0);
    assert_int_equal(plan.n_links, 1); /* both are behind one interface */
    assert_string_equal(plan.links[0].info.name, "lab0");
    assert_int_equal(plan.n_networks, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(plan.networks[i].settings.name, config.subnets[i].name);
        assert_int_equal(plan.networks[i].link, if_nametoindex("lab0"));
        assert_true(plan.networks[i].local);
        assert_int_equal(plan.networks[i].http_port, 80);
        assert_int_equal(plan.problems[i].code, 0);
    }
    assert_true(plan.networks[0].server == ip("10.0.0.1"));
    assert_true(plan.networks[1].server == ip("10.1.0.1"));
    assert_ptr_equal(dhcp_plan_find_link(&plan, "lab0"), &plan.links[0]);
    assert_null(dhcp_plan_find_link(&plan, "lab1"));
}

static void a_network_behind_a_relay_knows_us_by_another_address(void **state)
{
    add("far", "lab0", "10.7.0.0/16");
    add("near", "lab0", "10.1.0.0/24")->mode = SUBNET_OFF; /* only to name the address */
    assert_int_equal(make(&plan), 0);
    assert_int_equal(plan.n_networks, 1);
    assert_false(plan.networks[0].local);
    assert_true(plan.networks[0].server == ip("10.1.0.1"));
    assert_contains(captured.text,
                    "[subnet far]: lab0 has no address in it: served through relays");
}

static void the_first_address_that_will_do_is_taken(void **state)
{
    add("near", "lab0", "10.0.0.0/24")->mode = SUBNET_OFF;
    add("far", "lab0", "10.7.0.0/16");
    add("also", "lab0", "10.1.0.0/24")->mode = SUBNET_OFF;
    assert_int_equal(make(&plan), 0);
    assert_int_equal(plan.n_networks, 1);
    assert_true(plan.networks[0].server == ip("10.0.0.1"));
}

static void a_subnet_that_is_off_is_not_looked_at(void **state)
{
    add("off", "nosuch0", "10.0.0.0/24")->mode = SUBNET_OFF;
    assert_int_equal(make(&plan), 0);
    assert_int_equal(plan.n_links + plan.n_networks, 0);
}

static void what_cannot_be_served_is_told_and_left_out(void **state)
{
    add("gone", "nosuch0", "10.5.0.0/24");
    add("bare", "lab1", "10.6.0.0/24");
    add("good", "lab0", "10.0.0.0/24");
    add("loop", "lo", "127.0.0.0/8");
    assert_int_equal(make(&plan), 0);
    assert_int_equal(plan.n_networks, 1);
    assert_int_equal(plan.n_links, 1);
    assert_string_equal(plan.networks[0].settings.name, "good");
    assert_int_equal(plan.problems[0].code, -ENODEV);
    assert_contains(plan.problems[0].text, "[subnet gone]: this server has no interface nosuch0");
    assert_int_equal(plan.problems[1].code, -EADDRNOTAVAIL);
    assert_contains(plan.problems[1].text, "[subnet bare]: lab1 has no address in 10.6.0.0/24");
    assert_int_equal(plan.problems[2].code, 0);
    assert_int_equal(plan.problems[3].code, -EPROTONOSUPPORT);
}

static void if_nothing_can_be_served_that_is_an_error(void **state)
{
    add("gone", "nosuch0", "10.5.0.0/24");
    add("bare", "lab1", "10.6.0.0/24");
    assert_int_equal(make(&plan), -ENODEV);
    assert_contains(error.text, "[subnet gone]");
    assert_int_equal(plan.n_networks, 0);
}

static void the_port_of_scripts_is_that_of_the_address(void **state)
{
    add("a", "lab0", "10.0.0.0/24");
    add("b", "lab0", "10.1.0.0/24");
    listeners.http.count = 2;
    assert_int_equal(endpoint_parse("0.0.0.0:8080", &listeners.http.endpoints[0]), 0);
    assert_int_equal(endpoint_parse("10.1.0.1:8081", &listeners.http.endpoints[1]), 0);
    assert_int_equal(make(&plan), 0);
    assert_int_equal(plan.networks[0].http_port, 8080);
    assert_int_equal(plan.networks[1].http_port, 8081);

    memset(&plan, 0, sizeof(plan));
    listeners.http.endpoints[0] = listeners.http.endpoints[1]; /* nobody serves at 10.0.0.1 */
    listeners.http.count = 1;
    assert_int_equal(make(&plan), 0);
    assert_int_equal(plan.networks[0].http_port, 80);
}

static void router_advertisements_are_wanted_by_interface(void **state)
{
    if (!may_make_networks)
        skip();
    add("a", "lab0", "10.0.0.0/24");
    add("b", "lab0", "10.1.0.0/24")->router_advertisement = true;
    own_network_set_address("lab1", "10.2.0.1", "255.255.255.0");
    add("c", "lab1", "10.2.0.0/24");
    assert_int_equal(make(&plan), 0);
    assert_true(dhcp_plan_wants_router_advert(&plan, dhcp_plan_find_link(&plan, "lab0")));
    assert_false(dhcp_plan_wants_router_advert(&plan, dhcp_plan_find_link(&plan, "lab1")));
}

static void assert_different(void)
{
    memset(&other, 0, sizeof(other));
    assert_int_equal(make(&other), 0);
    assert_false(dhcp_plan_same_links(&plan, &other));
}

static void changes_of_interfaces_and_addresses_are_noticed(void **state)
{
    add("a", "lab0", "10.0.0.0/24");
    add("b", "lab0", "10.1.0.0/24");
    assert_int_equal(make(&plan), 0);
    config.subnets[0].lease_time = 4711; /* settings may differ */
    assert_int_equal(make(&other), 0);
    assert_true(dhcp_plan_same_links(&plan, &other));

    own_network_set_address("lab0", "10.0.0.2", "255.255.255.0"); /* another address */
    assert_different();
    own_network_set_address("lab0", "10.0.0.1", "255.255.255.0");
    own_network_set_address("lab0:1", "10.1.0.2", "255.255.255.0");
    assert_different();
    own_network_set_address("lab0:1", "10.8.0.1", "255.255.255.0"); /* none in it any more */
    assert_different();
    own_network_set_address("lab0:1", "10.1.0.1", "255.255.255.0");
    memset(&other, 0, sizeof(other));
    assert_int_equal(make(&other), 0);
    assert_true(dhcp_plan_same_links(&plan, &other));
    add("c", "lab1", "10.2.0.0/24"); /* one that cannot be served */
    assert_different();
    own_network_set_address("lab1", "10.2.0.1", "255.255.255.0"); /* and now it can */
    assert_different();
}

static void our_ipv6_address_is_found_and_missed(void **state)
{
    char text[INET6_ADDRSTRLEN];
    struct subnet *s = add("a", "lab0", "10.0.0.0/24");
    assert_int_equal(network6_parse("2001:db8:1::/64", &s->network6), 0);
    assert_int_equal(make(&plan), 0);
    assert_true(IN6_IS_ADDR_UNSPECIFIED(&plan.networks[0].server6));
    listeners.http.count = 2;
    assert_int_equal(endpoint_parse("[::]:8080", &listeners.http.endpoints[1]), 0);
    own_network_add_ipv6("lab0", "2001:db8:1::5");
    assert_different();
    assert_int_equal(other.networks[0].http_port6, 8080);
    assert_true(dhcp_plan_wants_dhcp6(&other, &other.links[0]));
    assert_string_equal(ipv6_format(&other.networks[0].server6, text), "2001:db8:1::5");
}

/* network6 came with a reload: the sockets are still those for IPv4. */
static void nothing_is_promised_over_ipv6_where_no_script_is_served(void **state)
{
    struct network6 networks[CONFIG_MAX_SUBNETS];
    struct subnet *s = add("a", "lab0", "10.0.0.0/24");
    assert_int_equal(network6_parse("2001:db8:1::/64", &s->network6), 0);
    if (may_make_networks)
        own_network_add_ipv6("lab0", "2001:db8:1::5");
    assert_int_equal(make(&plan), 0);
    assert_false(dhcp_plan_wants_dhcp6(&plan, &plan.links[0]));
    assert_int_equal(dhcp_plan_networks6(&plan, &plan.links[0], networks), 0);
    assert_false(IN6_IS_ADDR_UNSPECIFIED(&plan.deaf6[0]));
}

static void an_interface_made_again_is_another_one(void **state)
{
    add("a", "lab0", "10.0.0.0/24");
    assert_int_equal(make(&plan), 0);
    close(taps[0]);
    taps[0] = own_network_add("lab0");
    own_network_set_address("lab0", "10.0.0.1", "255.255.255.0");
    assert_different();
}

#define PLAN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAN_TEST(a_subnet_is_served_from_our_address_in_it),
        PLAN_TEST(a_network_behind_a_relay_knows_us_by_another_address),
        PLAN_TEST(the_first_address_that_will_do_is_taken),
        PLAN_TEST(a_subnet_that_is_off_is_not_looked_at),
        PLAN_TEST(what_cannot_be_served_is_told_and_left_out),
        PLAN_TEST(if_nothing_can_be_served_that_is_an_error),
        PLAN_TEST(the_port_of_scripts_is_that_of_the_address),
        PLAN_TEST(router_advertisements_are_wanted_by_interface),
        PLAN_TEST(changes_of_interfaces_and_addresses_are_noticed),
        PLAN_TEST(our_ipv6_address_is_found_and_missed),
        PLAN_TEST(nothing_is_promised_over_ipv6_where_no_script_is_served),
        PLAN_TEST(an_interface_made_again_is_another_one),
    };
    may_make_networks = own_network_enter();
    return RUN_TESTS(tests);
}
