/* Bridges of ifupdown: read, and made those that are there already. */
#include "test.h"

#include "prepare/interfaces.h"

#define GUESTS "\tbridge-ports-condone-regex ^(tap|veth|vnet|fwpr|fwln|lxc)\n"

static const char text[] = "auto vmbr0\n"
                           "iface lo inet loopback\n"
                           "iface vmbr0 inet static\n"
                           "\taddress 192.0.2.7/24\n"
                           "\tbridge_ports  eno1 eno2 \n"
                           "\tbridge-stp on\n"
                           "\tbridge-vids 2-4094\n"
                           "\tup ip route add 192.0.2.128/25 dev vmbr0\n"
                           "iface vmbr0 inet6 auto\n"
                           "\taddress 2001:db8::7/64\n"
                           "allow-hotplug eth1\n"
                           "\taddress 192.0.2.8/24\n"
                           "iface vmbr01 inet static\n"
                           "\taddress 192.0.2.9/24\n"
                           "iface bond0\n"
                           "\tbond-slaves a b";

static void stanzas_are_read(void **state)
{
    static const char *const names[] = {"lo", "vmbr0", "vmbr0", "vmbr01", "bond0"};
    struct interfaces_stanza stanza;
    const char *cursor = text;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_true(interfaces_next(&cursor, &stanza));
        assert_string_equal(stanza.name, names[i]);
        assert_int_equal(stanza.is_bridge, i == 1);
        assert_int_equal(stanza.is_bond, i == 4);
        assert_string_equal(stanza.ports, i == 1 ? "eno1 eno2" : "");
        assert_string_equal(stanza.stp, i == 1 ? "on" : "");
    }
    assert_false(interfaces_next(&cursor, &stanza));
}

static void a_bridge_becomes_one_that_is_there(void **state)
{
    cleanup_free char *once = interfaces_edit(text, "vmbr0", "enboot");
    cleanup_free char *twice = interfaces_edit(once, "vmbr0", "enboot");
    assert_string_equal(once, "auto vmbr0\n"
                              "iface lo inet loopback\n"
                              "iface vmbr0 inet manual\n"
                              "\tbridge-ports enboot\n"
                              "\tbridge-stp off\n"
                              "\tbridge-fd 0\n"
                              "\taddress-purge no\n" GUESTS "\tbridge-vids 2-4094\n"
                              "\tup ip route add 192.0.2.128/25 dev vmbr0\n"
                              "iface vmbr0 inet6 auto\n"
                              "\taddress 2001:db8::7/64\n"
                              "allow-hotplug eth1\n"
                              "\taddress 192.0.2.8/24\n"
                              "iface vmbr01 inet static\n"
                              "\taddress 192.0.2.9/24\n"
                              "iface bond0\n"
                              "\tbond-slaves a b\n");
    assert_string_equal(once, twice);
}

static void a_bridge_that_is_missing_is_added(void **state)
{
    cleanup_free char *edited = interfaces_edit("iface lo inet loopback", "br0", "bond0");
    assert_string_equal(edited, "iface lo inet loopback\n\nauto br0\niface br0 inet manual\n"
                                "\tbridge-ports bond0\n\tbridge-stp off\n\tbridge-fd 0\n"
                                "\taddress-purge no\n" GUESTS);
}

static void long_words_are_cut(void **state)
{
    char line[512] = "iface b\n\tbridge-ports ";
    memset(line + strlen(line), 'x', 300);
    struct interfaces_stanza stanza;
    const char *cursor = line;
    assert_true(interfaces_next(&cursor, &stanza));
    assert_int_equal(strlen(stanza.ports), INTERFACES_MAX_WORD - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stanzas_are_read),
        TEST(a_bridge_becomes_one_that_is_there),
        TEST(a_bridge_that_is_missing_is_added),
        TEST(long_words_are_cut),
    };
    return RUN_TESTS(tests);
}
