/* Which options an answer gets, of those that operators have set. */
#include "dhcp_lab.h"

static void set(struct lab *lab, struct dhcp_options *options, const char *text)
{
    const char *wrong = dhcp_options_parse(options, text);
    if (wrong)
        fail_msg("'%s' %s", text, wrong);
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 3), 0);
}

static void set_subnet(struct lab *lab, const char *text)
{
    set(lab, &lab->networks[0].settings.options, text);
}

static void ask(struct lab *lab, struct mac_address mac, const char *wanted)
{
    struct packet *p = begin(lab, DHCP_DISCOVER, mac);
    if (wanted)
        packet_text(p, DHCP_OPTION_PARAMETER_LIST, wanted);
    assert_true(deliver(lab));
}

#define MTU 26
#define NTP 42

static void only_what_is_asked_for_is_sent(void **state)
{
    struct lab *lab = *state;
    set_subnet(lab, "mtu=9000");
    set_subnet(lab, "always:224=text:hello");
    ask(lab, STRANGER, "\1\3");
    assert_null(dhcp_message_option(&lab->answer, MTU));
    assert_option_text(&lab->answer, 224, "hello");
    ask(lab, STRANGER, "\1\x1a");
    assert_option(&lab->answer, MTU, "\x23\x28", 2);
    ask(lab, STRANGER, NULL); /* who asks for nothing gets everything */
    assert_option(&lab->answer, MTU, "\x23\x28", 2);
}

static void the_nearest_level_counts(void **state)
{
    struct lab *lab = *state;
    static const char all[] = "\1\3\6\x1a\x2a";
    set_subnet(lab, "mtu=1400");
    set_subnet(lab, "ntp=10.0.0.1");
    set(lab, &lab->group_options, "mtu=1500");
    set(lab, &lab->group_options, "routers=10.0.0.253");
    set(lab, &lab->node_options, "mtu=9000");
    ask(lab, WEB1_A, all);
    assert_option(&lab->answer, MTU, "\x23\x28", 2);
    assert_option(&lab->answer, NTP, "\12\0\0\1", 4);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_ROUTER), ip("10.0.0.253"));
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_DNS), ip("10.0.0.53"));
    ask(lab, WEB2, all); /* which is in no group */
    assert_option(&lab->answer, MTU, "\x05\x78", 2);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_ROUTER), ip("10.0.0.254"));
}

static void routes_come_instead_of_the_router_and_with_it(void **state)
{
    struct lab *lab = *state;
    set_subnet(lab, "routes=10.7.0.0/16:10.0.0.2");
    ask(lab, STRANGER, "\3\x79");
    assert_option(&lab->answer, DHCP_OPTION_ROUTES, "\x10\x0a\x07\x0a\0\0\2\0\x0a\0\0\xfe", 12);
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_ROUTER));
    ask(lab, STRANGER, "\3");
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_ROUTER), ip("10.0.0.254"));
    ask(lab, STRANGER, "\3\xf9"); /* Windows */
    assert_option(&lab->answer, 249, "\x10\x0a\x07\x0a\0\0\2\0\x0a\0\0\xfe", 12);
    ask(lab, STRANGER, "\x79\xf9");
    assert_null(dhcp_message_option(&lab->answer, 249));
}

static void a_default_route_of_their_own_stays_alone(void **state)
{
    struct lab *lab = *state;
    set_subnet(lab, "routes=10.7.0.0/16:10.0.0.2,default:10.0.0.3");
    ask(lab, STRANGER, "\x79");
    assert_option(&lab->answer, DHCP_OPTION_ROUTES, "\x10\x0a\x07\x0a\0\0\2\0\x0a\0\0\3", 12);
}

static void long_ones_come_in_pieces(void **state)
{
    struct lab *lab = *state;
    char text[700] = "224=text:";
    memset(text + strlen(text), 'x', 300);
    set_subnet(lab, text);
    struct packet *p = begin(lab, DHCP_DISCOVER, STRANGER);
    packet_text(p, DHCP_OPTION_PARAMETER_LIST, "\xe0");
    packet_u16(p, DHCP_OPTION_MAX_SIZE, 1500);
    assert_true(deliver(lab));
    assert_option(&lab->answer, 224, text + 9, 300);
}

static void what_boots_comes_first_if_not_all_fits(void **state)
{
    struct lab *lab = *state;
    char text[300] = "224=text:";
    memset(text + strlen(text), 'x', 250);
    set_subnet(lab, text);
    set_subnet(lab, "mtu=9000");
    struct packet *p = begin(lab, DHCP_DISCOVER, WEB1_A);
    packet_text(p, DHCP_OPTION_VENDOR_CLASS, "PXEClient:Arch:00000:UNDI:002001");
    packet_u16(p, DHCP_OPTION_ARCHITECTURE, 0);
    packet_text(p, DHCP_OPTION_PARAMETER_LIST, "\xe0\1\3\x1a\6\x43");
    packet_u16(p, DHCP_OPTION_MAX_SIZE, 576);
    assert_true(deliver(lab));
    assert_odd(lab, DHCP_ODD_LEFT_OUT);
    assert_int_equal(lab->last_oddity.option, 224);
    assert_null(dhcp_message_option(&lab->answer, 224));
    assert_non_null(dhcp_message_option(&lab->answer, DHCP_OPTION_BOOT_FILE));
    assert_non_null(dhcp_message_option(&lab->answer, DHCP_OPTION_ROUTER));
    assert_option(&lab->answer, MTU, "\x23\x28", 2);
}

static void nothing_set_replaces_what_boots(void **state)
{
    struct lab *lab = *state;
    set_subnet(lab, "43=01020304");
    ask(lab, STRANGER, "\x2b");
    assert_option(&lab->answer, DHCP_OPTION_VENDOR, "\1\2\3\4", 4);
    struct packet *p = begin(lab, DHCP_DISCOVER, WEB1_A);
    packet_text(p, DHCP_OPTION_VENDOR_CLASS, "PXEClient:Arch:00000:UNDI:002001");
    packet_text(p, DHCP_OPTION_PARAMETER_LIST, "\x2b");
    assert_true(deliver(lab));
    assert_option(&lab->answer, DHCP_OPTION_VENDOR, "\6\1\10\377", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(only_what_is_asked_for_is_sent),
        LAB_TEST(the_nearest_level_counts),
        LAB_TEST(routes_come_instead_of_the_router_and_with_it),
        LAB_TEST(a_default_route_of_their_own_stays_alone),
        LAB_TEST(long_ones_come_in_pieces),
        LAB_TEST(what_boots_comes_first_if_not_all_fits),
        LAB_TEST(nothing_set_replaces_what_boots),
    };
    return RUN_TESTS(tests);
}
