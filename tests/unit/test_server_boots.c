/* What DHCP, TFTP and iSCSI see of a boot, as stages and in the log. */
#include "captured_log.h"
#include "site.h"

#include "server/boots.h"

#define ADDRESS 0x0a00000b

struct bench {
    struct site site;
    struct boots boots;
    struct captured_log log;
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    site_make(&b->site);
    site_add_node(&b->site, "web1", 1, NULL);
    b->boots.catalog = b->site.slot;
    b->boots.registry = b->site.registry;
    site_must(boot_tracker_new(b->site.registry, b->site.slot, &b->boots.tracker, &b->site.error),
              &b->site.error);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    boot_tracker_free(b->boots.tracker);
    site_remove(&b->site);
    free(b);
    return 0;
}

/* The stage that web1 is at, with its detail; "" and "" if it never booted. */
static void assert_stage(struct bench *b, const char *stage, const char *detail)
{
    struct stage_provider provider = boot_tracker_provider(b->boots.tracker);
    json_t *all = provider.snapshot(provider.context);
    const json_t *boot = json_object_get(all, "web1"), *stages = json_object_get(boot, "stages");
    const json_t *last = json_array_get(stages, json_array_size(stages) - 1);
    const char *s = json_string_value(json_object_get(last, "stage"));
    const char *d = json_string_value(json_object_get(last, "detail"));
    assert_string_equal(s ? s : "", stage);
    assert_string_equal(d ? d : "", detail);
    json_decref(all);
}

static struct endpoint peer(const char *text)
{
    struct endpoint e;
    assert_int_equal(endpoint_parse(text, &e), 0);
    return e;
}

/* --- DHCP --- */

static struct dhcp_event ack(enum dhcp_client_kind kind)
{
    return (struct dhcp_event){.type = DHCP_ACK,
                               .request = DHCP_REQUEST,
                               .mac = site_mac(1),
                               .address = ADDRESS,
                               .client = {.kind = kind}};
}

static void firmware_and_ipxe_begin_a_boot_with_their_address(void **state)
{
    struct bench *b = *state;
    static const enum dhcp_client_kind kinds[] = {DHCP_CLIENT_PXE, DHCP_CLIENT_HTTP,
                                                  DHCP_CLIENT_IPXE};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct dhcp_event event = ack(kinds[i]);
        char address[IPV4_TEXT_SIZE];
        event.address += (uint32_t)i;
        boots_dhcp_event(&b->boots, &event);
        assert_stage(b, "address", ipv4_format(event.address, address));
        boot_tracker_sign_of_mac(b->boots.tracker, site_mac(1), BOOT_SIGN_SCRIPT, "");
    }
}

/* Another server gives the address: that it asks, begins the boot. */
static void a_boot_beside_another_server(void **state)
{
    struct bench *b = *state;
    struct dhcp_event event = ack(DHCP_CLIENT_PXE);
    struct mac_address mac;
    event.proxy = true;
    boots_dhcp_event(&b->boots, &event); /* from port 4011: of the same step */
    assert_stage(b, "", "");
    event.type = DHCP_OFFER;
    event.address = 0;
    boots_dhcp_event(&b->boots, &event);
    assert_stage(b, "address", "from another server");
    assert_false(boot_tracker_mac_of_address(b->boots.tracker, ADDRESS, &mac));
}

static bool neighbour(void *context, uint32_t address, struct mac_address *ret_mac)
{
    *ret_mac = site_mac(1);
    return address == ADDRESS + 1;
}

static void a_loader_counts_for_the_neighbour_that_fetched_it(void **state)
{
    struct bench *b = *state;
    struct tftp_event event = {.kind = TFTP_EVENT_FINISHED, .file = "undionly.kpxe"};
    boot_tracker_sign_of_mac(b->boots.tracker, site_mac(1), BOOT_SIGN_FIRMWARE_DHCP, "");
    b->boots.neighbour = neighbour;
    event.peer = endpoint_of_ipv4(ADDRESS + 2, 1024);
    boots_tftp_event(&b->boots, &event);
    assert_stage(b, "address", "");
    event.peer = endpoint_of_ipv4(ADDRESS + 1, 1024);
    boots_tftp_event(&b->boots, &event);
    assert_stage(b, "loader", "undionly.kpxe");
}

static void systems_renew_without_a_boot(void **state)
{
    struct bench *b = *state;
    struct dhcp_event event = ack(DHCP_CLIENT_OTHER);
    struct mac_address mac;
    boots_dhcp_event(&b->boots, &event);
    assert_stage(b, "", "");
    assert_true(boot_tracker_mac_of_address(b->boots.tracker, ADDRESS, &mac));
    assert_true(mac_eq(mac, site_mac(1))); /* but they have their address */
}

/* Nothing was given, or by nobody that we know of. */
static void other_messages_are_no_sign(void **state)
{
    struct bench *b = *state;
    struct dhcp_event events[] = {ack(DHCP_CLIENT_PXE), ack(DHCP_CLIENT_PXE), ack(DHCP_CLIENT_PXE),
                                  ack(DHCP_CLIENT_PXE)};
    struct mac_address mac;
    events[0].type = DHCP_OFFER;
    events[1].type = DHCP_NAK;
    events[2].address = 0;
    events[3].request = DHCP_INFORM;
    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        boots_dhcp_event(&b->boots, &events[i]);
        assert_stage(b, "", "");
        assert_false(boot_tracker_mac_of_address(b->boots.tracker, ADDRESS, &mac));
    }
}

/* --- DHCPv6 --- */

static const struct subnet proxied = {.mode = SUBNET_PROXY}, served = {.mode = SUBNET_SERVER};

static struct dhcp6_event reply(enum dhcp_client_kind kind)
{
    struct dhcp6_event event = {.type = DHCP6_REPLY,
                                .request = DHCP6_REQUEST,
                                .mac = site_mac(1),
                                .subnet = &served,
                                .client = {.kind = kind}};
    assert_int_equal(ipv6_parse("2001:db8::7", &event.address), 0);
    return event;
}

static void a_boot_begins_with_its_ipv6_address(void **state)
{
    struct bench *b = *state;
    static const enum dhcp_client_kind kinds[] = {DHCP_CLIENT_PXE, DHCP_CLIENT_HTTP,
                                                  DHCP_CLIENT_IPXE};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct dhcp6_event event = reply(kinds[i]);
        boots_dhcp6_event(&b->boots, &event);
        assert_stage(b, "address", "2001:db8::7");
        boot_tracker_sign_of_mac(b->boots.tracker, site_mac(1), BOOT_SIGN_SCRIPT, "");
    }
}

static void who_is_only_told_what_boots_has_its_address_from_elsewhere(void **state)
{
    struct bench *b = *state;
    struct dhcp6_event event = reply(DHCP_CLIENT_HTTP);
    event.type = DHCP6_ADVERTISE;
    event.request = DHCP6_SOLICIT;
    event.subnet = &proxied;
    event.address = (struct in6_addr){0};
    boots_dhcp6_event(&b->boots, &event);
    assert_stage(b, "address", "from another server");
}

/* Nothing was given yet, or to a system, or to a program that is no firmware. */
static void other_dhcpv6_is_no_sign(void **state)
{
    struct bench *b = *state;
    struct dhcp6_event events[] = {reply(DHCP_CLIENT_PXE), reply(DHCP_CLIENT_OTHER),
                                   reply(DHCP_CLIENT_IPXE), reply(DHCP_CLIENT_IPXE)};
    events[0].type = DHCP6_ADVERTISE;
    events[2].unprivileged = true;
    events[3].address = (struct in6_addr){0}; /* a RELEASE */
    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        boots_dhcp6_event(&b->boots, &events[i]);
        assert_stage(b, "", "");
    }
}

/* --- TFTP --- */

static void a_loader_counts_when_it_has_arrived(void **state)
{
    struct bench *b = *state;
    struct tftp_event event = {.kind = TFTP_EVENT_STARTED, .file = "undionly.kpxe"};
    event.peer = peer("10.0.0.11:2070");
    boot_tracker_set_address(b->boots.tracker, ADDRESS, site_mac(1));
    boots_tftp_event(&b->boots, &event);
    event.kind = TFTP_EVENT_FAILED;
    boots_tftp_event(&b->boots, &event);
    assert_stage(b, "", "");
    event.kind = TFTP_EVENT_FINISHED;
    event.peer = peer("10.0.0.12:2070"); /* somebody else */
    boots_tftp_event(&b->boots, &event);
    event.peer = peer("[2001:db8::1]:2070");
    boots_tftp_event(&b->boots, &event);
    assert_stage(b, "", "");
    event.peer = peer("[::ffff:10.0.0.11]:2070");
    boots_tftp_event(&b->boots, &event);
    assert_stage(b, "loader", "undionly.kpxe");
}

/* --- iSCSI --- */

static struct session_event session_event(enum iscsi_event_kind kind)
{
    return (struct session_event){.kind = kind,
                                  .initiator = SITE_IQN ":web1",
                                  .target = SITE_IQN ":disk1",
                                  .peer = peer("10.0.0.11:49152"),
                                  .reason = "because"};
}

/* Tells the event; what was logged. */
static const char *tell(struct bench *b, const struct session_event *event)
{
    captured_log_begin(&b->log);
    boots_session_event(&b->boots, event);
    return captured_log_end(&b->log);
}

static void a_login_tells_which_program_it_is(void **state)
{
    static const struct {
        struct iscsi_login_traits traits;
        const char *stage;
    } cases[] = {
        {{.firmware = true}, "firmware"},
        {{.adopts_session = false}, "initramfs"},
        {{.adopts_session = true}, "system"},
    };
    struct bench *b = *state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char words[64];
        struct session_event event = session_event(ISCSI_EVENT_LOGIN);
        event.traits = cases[i].traits;
        snprintf(words, sizeof(words), "web1: %s login of", cases[i].stage);
        assert_contains(tell(b, &event), words);
        assert_stage(b, cases[i].stage, "10.0.0.11");
    }
}

/* --- which secrets its system has --- */

static void give_chap(struct bench *b)
{
    struct registry_node_change change = {.set_chap = true, .chap = CHAP_ONE_WAY};
    site_must(registry_node_set(b->site.registry, "web1", &change, NULL, &b->site.error),
              &b->site.error);
}

/* Its firmware begins a boot, which gets secrets of its own. Returns their tag. */
static uint64_t begin_boot(struct bench *b)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(b->site.slot);
    boot_tracker_sign_of_mac(b->boots.tracker, site_mac(1), BOOT_SIGN_FIRMWARE_DHCP, "");
    uint64_t id = catalog_node_by_name(catalog, "web1")->id;
    const struct registry_claim claim = {
        .node_id = id, .boot_id = boot_tracker_boot_id(b->boots.tracker, id), .secrets = true};
    site_must(site_claim(b->site.registry, &claim, &b->site.error), &b->site.error);
    return claim.boot_id;
}

static void log_in(struct bench *b, struct iscsi_login_traits traits, uint64_t tag)
{
    struct registry_boot_age age;
    struct session_event event = session_event(ISCSI_EVENT_LOGIN);
    traits.proven = CHAP_ONE_WAY;
    traits.proven_tag = tag;
    event.traits = traits;
    tell(b, &event);
    site_must(registry_boot_find_age(b->site.registry, 1, &age, &b->site.error), &b->site.error);
}

static void assert_secrets(struct bench *b, unsigned count, bool seen)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(b->site.slot);
    const struct catalog_node *node = catalog_node_by_name(catalog, "web1");
    unsigned found = 0;
    for (const struct chap_credentials *c = node->chap; c; c = c->older)
        found++;
    assert_int_equal(found, count);
    assert_int_equal(node->chap_seen, seen);
}

#define FIRMWARE  ((struct iscsi_login_traits){.firmware = true})
#define INITRAMFS ((struct iscsi_login_traits){.firmware = false})
#define SYSTEM    ((struct iscsi_login_traits){.adopts_session = true})

static void older_secrets_end_when_a_system_logs_in(void **state)
{
    struct bench *b = *state;
    give_chap(b);
    uint64_t first = begin_boot(b);
    log_in(b, FIRMWARE, first);
    assert_secrets(b, 2, false);
    log_in(b, INITRAMFS, first);
    assert_secrets(b, 2, true);
    log_in(b, SYSTEM, first);
    assert_secrets(b, 1, true);
    uint64_t second = begin_boot(b);
    log_in(b, SYSTEM, first); /* it runs still, whoever asked for a script */
    assert_secrets(b, 2, false);
    assert_stage(b, "address", "");
    log_in(b, FIRMWARE, second);
    assert_secrets(b, 2, false);
    log_in(b, SYSTEM, second);
    assert_secrets(b, 1, true);
}

/* The daemon died between that and its being written down. */
static void a_reconnection_ends_them_where_the_system_is_up(void **state)
{
    struct bench *b = *state;
    give_chap(b);
    uint64_t tag = begin_boot(b);
    log_in(b, INITRAMFS, tag);
    boot_tracker_sign_of_mac(b->boots.tracker, site_mac(1), BOOT_SIGN_UP, "");
    assert_secrets(b, 2, true);
    log_in(b, INITRAMFS, tag);
    assert_secrets(b, 1, true);
}

/* Its iBFT would name an IPv4 address that is none. */
static void a_disk_that_ipxe_cannot_tell_the_system_of_is_told(void **state)
{
    struct bench *b = *state;
    struct session_event event = session_event(ISCSI_EVENT_LOGIN);
    event.traits = (struct iscsi_login_traits){.firmware = true, .program = "UEFI IScsiDxe"};
    event.peer = peer("[2001:db8::11]:1024");
    assert_null(strstr(tell(b, &event), "iBFT"));
    assert_stage(b, "firmware", "2001:db8::11");
    boot_tracker_sign_of_mac(b->boots.tracker, site_mac(1), BOOT_SIGN_FIRMWARE_DHCP, "");
    event.traits.program = "iPXE";
    assert_contains(tell(b, &event), "warning: web1: its iPXE reads the disk over IPv6");
    assert_stage(b, "firmware", "2001:db8::11, over IPv6: the iBFT cannot say that");
}

static bool machine6(void *context, const struct endpoint *address, struct mac_address *ret_mac)
{
    *ret_mac = site_mac(1);
    return address->v6.sin6_addr.s6_addr[15] == 0x11;
}

static void a_loader_counts_for_the_machine_with_that_ipv6_address(void **state)
{
    struct bench *b = *state;
    struct tftp_event event = {.kind = TFTP_EVENT_FINISHED, .file = "snponly.efi"};
    boot_tracker_sign_of_mac(b->boots.tracker, site_mac(1), BOOT_SIGN_FIRMWARE_DHCP, "");
    event.peer = peer("[fe80::11%lo]:1024");
    boots_tftp_event(&b->boots, &event); /* nobody knows */
    b->boots.machine6 = machine6;
    event.peer = peer("[fe80::12%lo]:1024");
    boots_tftp_event(&b->boots, &event);
    assert_stage(b, "address", "");
    event.peer = peer("[fe80::11%lo]:1024");
    boots_tftp_event(&b->boots, &event);
    assert_stage(b, "loader", "snponly.efi");
}

static void discovery_is_no_stage(void **state)
{
    struct bench *b = *state;
    struct session_event event = session_event(ISCSI_EVENT_LOGIN);
    event.target = "";
    assert_contains(tell(b, &event), "web1: discovery login of " SITE_IQN ":web1 from 10.0.0.11");
    assert_stage(b, "", "");
}

static void other_initiators_are_logged_alone(void **state)
{
    struct bench *b = *state;
    struct session_event event = session_event(ISCSI_EVENT_LOGIN);
    event.initiator = "iqn.2020-01.org.elsewhere:x";
    const char *log = tell(b, &event);
    assert_contains(log, "initramfs login of iqn.2020-01.org.elsewhere:x");
    assert_null(strstr(log, "web1"));
    assert_stage(b, "", "");
}

static void refusals_say_why_once_a_minute(void **state)
{
    struct bench *b = *state;
    struct session_event event = session_event(ISCSI_EVENT_REFUSED);
    assert_contains(tell(b, &event),
                    "warning: web1: login of " SITE_IQN ":web1 from 10.0.0.11 to " SITE_IQN
                    ":disk1 refused: because\n");
    assert_string_equal(tell(b, &event), "");
    event.peer = peer("10.0.0.12:1"); /* another one is another matter */
    event.initiator = event.target = "";
    assert_contains(tell(b, &event),
                    "login of an initiator without a name from 10.0.0.12 to no target "
                    "refused: because");
    assert_stage(b, "", "");
}

static void the_end_of_a_session_says_what_it_moved(void **state)
{
    struct bench *b = *state;
    struct session_event event = session_event(ISCSI_EVENT_END);
    event.had_session = true;
    event.counters = (struct iscsi_session_counters){
        .commands = 7, .read_bytes = 5 * KIB, .written_bytes = 6 * KIB};
    const char *log = tell(b, &event);
    assert_contains(log, "web1: session of " SITE_IQN ":web1 from 10.0.0.11 ended (because): "
                         "7 commands, 5 KiB read, 6 KiB written\n");
    assert_null(strstr(log, "warning"));
}

static void violations_are_warned_of_once_a_minute(void **state)
{
    struct bench *b = *state;
    struct session_event event = session_event(ISCSI_EVENT_END);
    event.violated = true;
    assert_contains(tell(b, &event), "warning: web1: connection of " SITE_IQN
                                     ":web1 from 10.0.0.11 dropped: because\n");
    assert_string_equal(tell(b, &event), "");
}

static void a_connection_without_a_login_is_not_worth_a_line(void **state)
{
    struct bench *b = *state;
    struct session_event event = session_event(ISCSI_EVENT_END);
    assert_string_equal(tell(b, &event), "");
}

#define BOOTS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOOTS_TEST(a_boot_begins_with_its_ipv6_address),
        BOOTS_TEST(who_is_only_told_what_boots_has_its_address_from_elsewhere),
        BOOTS_TEST(other_dhcpv6_is_no_sign),
        BOOTS_TEST(firmware_and_ipxe_begin_a_boot_with_their_address),
        BOOTS_TEST(a_boot_beside_another_server),
        BOOTS_TEST(a_loader_counts_for_the_neighbour_that_fetched_it),
        BOOTS_TEST(systems_renew_without_a_boot),
        BOOTS_TEST(other_messages_are_no_sign),
        BOOTS_TEST(a_loader_counts_when_it_has_arrived),
        BOOTS_TEST(a_login_tells_which_program_it_is),
        BOOTS_TEST(older_secrets_end_when_a_system_logs_in),
        BOOTS_TEST(a_reconnection_ends_them_where_the_system_is_up),
        BOOTS_TEST(a_disk_that_ipxe_cannot_tell_the_system_of_is_told),
        BOOTS_TEST(a_loader_counts_for_the_machine_with_that_ipv6_address),
        BOOTS_TEST(discovery_is_no_stage),
        BOOTS_TEST(other_initiators_are_logged_alone),
        BOOTS_TEST(refusals_say_why_once_a_minute),
        BOOTS_TEST(the_end_of_a_session_says_what_it_moved),
        BOOTS_TEST(violations_are_warned_of_once_a_minute),
        BOOTS_TEST(a_connection_without_a_login_is_not_worth_a_line),
    };
    return RUN_TESTS(tests);
}
