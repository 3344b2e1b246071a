/* Whole exchanges with the server, message by message, against a clock that the test moves. */
#include "dhcp_packets.h"

#include "dhcp/server.h"

#define LINK   2
#define SERVER "10.0.0.1"
#define SECOND USEC_PER_SEC

/* Nodes: web1 has two MACs and an address, web2 one MAC and none, far1 lives behind the relay. */
#define WEB1_A   mac_of(1)
#define WEB1_B   mac_of(2)
#define WEB2     mac_of(3)
#define FAR1     mac_of(4)
#define STRANGER mac_of(100)
#define OTHER    mac_of(101)

struct registered {
    const char *name;
    uint32_t address;
    struct mac_address macs[2];
    size_t n_macs;
};

struct lab {
    struct dhcp_server *server;
    struct dhcp_clock now;
    struct dhcp_network networks[3];
    struct registered nodes[4];

    bool store_refuses, web1_is_up;
    struct dhcp_lease_record records[64];
    size_t n_records;
    struct dhcp_event events[64];
    size_t n_events;
    enum dhcp_oddity_kind oddities[64];
    size_t n_oddities;
    struct dhcp_oddity last_oddity;

    struct packet packet;
    struct dhcp_arrival arrival;
    struct dhcp_answer raw;
    struct dhcp_message answer;
};

static bool fill(const struct registered *node, struct dhcp_node *ret_node)
{
    *ret_node = (struct dhcp_node){
        .name = node->name, .address = node->address, .macs = node->macs, .n_macs = node->n_macs};
    return true;
}

static bool node_by_mac(void *context, struct mac_address mac, struct dhcp_node *ret_node)
{
    struct lab *lab = context;
    for (size_t i = 0; i < ARRAY_SIZE(lab->nodes); i++)
        for (size_t k = 0; k < lab->nodes[i].n_macs; k++)
            if (mac_eq(lab->nodes[i].macs[k], mac))
                return fill(&lab->nodes[i], ret_node);
    return false;
}

static bool node_by_address(void *context, uint32_t address, struct dhcp_node *ret_node)
{
    struct lab *lab = context;
    for (size_t i = 0; i < ARRAY_SIZE(lab->nodes); i++)
        if (lab->nodes[i].n_macs && lab->nodes[i].address == address)
            return fill(&lab->nodes[i], ret_node);
    return false;
}

static bool node_is_up(void *context, const struct dhcp_node *node)
{
    const struct lab *lab = context;
    return lab->web1_is_up && str_eq(node->name, "web1");
}

static bool store(void *context, const struct dhcp_lease_record *record)
{
    struct lab *lab = context;
    if (lab->store_refuses)
        return false;
    lab->records[lab->n_records++ % ARRAY_SIZE(lab->records)] = *record;
    return true;
}

static void on_event(void *context, const struct dhcp_event *event)
{
    struct lab *lab = context;
    lab->events[lab->n_events++ % ARRAY_SIZE(lab->events)] = *event;
}

static void on_oddity(void *context, const struct dhcp_oddity *oddity)
{
    struct lab *lab = context;
    lab->last_oddity = *oddity;
    lab->oddities[lab->n_oddities++ % ARRAY_SIZE(lab->oddities)] = oddity->kind;
}

static struct subnet subnet(const char *name, const char *network, const char *first,
                            const char *last)
{
    struct subnet s = {
        .network = ip(network),
        .mask = 0xffffff00,
        .ranges = {{ip(first), ip(last)}},
        .n_ranges = 1,
        .dns = {ip("10.0.0.53")},
        .n_dns = 1,
        .lease_time = 3600,
        .loader_bios = "undionly.kpxe",
        .loader_uefi_x64 = "snponly.efi",
    };
    str_copy(s.name, sizeof(s.name), name);
    str_copy(s.domain, sizeof(s.domain), "lan.example");
    s.routers[0] = s.network + 254;
    s.n_routers = 1;
    return s;
}

static int set_up(void **state)
{
    struct lab *lab = calloc(1, sizeof(*lab));
    const struct dhcp_policy policy = {
        .context = lab,
        .node_by_mac = node_by_mac,
        .node_by_address = node_by_address,
        .node_is_up = node_is_up,
        .store = store,
        .event = on_event,
        .oddity = on_oddity,
    };
    lab->networks[0] = (struct dhcp_network){
        .settings = subnet("lab", "10.0.0.0", "10.0.0.100", "10.0.0.109"),
        .link = LINK,
        .local = true,
        .server = ip(SERVER),
        .http_port = 80,
    };
    lab->networks[1] = lab->networks[0];
    lab->networks[1].settings = subnet("far", "10.9.0.0", "10.9.0.100", "10.9.0.109");
    lab->networks[1].local = false;
    lab->networks[2] = lab->networks[0];
    lab->networks[2].settings = subnet("else", "10.2.0.0", "10.2.0.100", "10.2.0.109");
    lab->networks[2].link = LINK + 1;
    lab->networks[2].server = ip("10.2.0.1");
    lab->nodes[0] = (struct registered){"web1", ip("10.0.0.11"), {WEB1_A, WEB1_B}, 2};
    lab->nodes[1] = (struct registered){"web2", 0, {WEB2}, 1};
    lab->nodes[2] = (struct registered){"far1", ip("10.9.0.11"), {FAR1}, 1};
    lab->now = (struct dhcp_clock){.monotonic = 1000 * SECOND, .wall = 1700000000 * SECOND};
    lab->server = dhcp_server_new(&policy, 42);
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 3), 0);
    *state = lab;
    return 0;
}

static int tear_down(void **state)
{
    struct lab *lab = *state;
    dhcp_server_free(lab->server);
    free(lab);
    return 0;
}

static void pass(struct lab *lab, uint64_t seconds)
{
    lab->now.monotonic += seconds * SECOND;
    lab->now.wall += seconds * SECOND;
}

/* --- sending --- */

static struct packet *begin(struct lab *lab, enum dhcp_type type, struct mac_address mac)
{
    lab->arrival = (struct dhcp_arrival){.link = LINK};
    packet_begin(&lab->packet, type, mac);
    return &lab->packet;
}

static bool parse_answer(struct lab *lab, bool any)
{
    if (any)
        assert_int_equal(dhcp_message_parse(lab->raw.data, lab->raw.size, &lab->answer), 0);
    return any;
}

static bool deliver(struct lab *lab)
{
    size_t size = packet_end(&lab->packet);
    return parse_answer(lab, dhcp_server_receive(lab->server, &lab->arrival, lab->packet.bytes,
                                                 size, &lab->now, &lab->raw));
}

/* Says "stored" for the last record. */
static bool stored(struct lab *lab, bool ok)
{
    assert_true(lab->n_records > 0);
    const struct dhcp_lease_record *record =
        &lab->records[(lab->n_records - 1) % ARRAY_SIZE(lab->records)];
    return parse_answer(lab, dhcp_server_stored(lab->server, record->address, record->mac, ok,
                                                &lab->now, &lab->raw));
}

static const struct dhcp_lease_record *last_record(const struct lab *lab)
{
    assert_true(lab->n_records > 0);
    return &lab->records[(lab->n_records - 1) % ARRAY_SIZE(lab->records)];
}

static void assert_odd(const struct lab *lab, enum dhcp_oddity_kind kind)
{
    for (size_t i = 0; i < lab->n_oddities; i++)
        if (lab->oddities[i] == kind)
            return;
    fail_msg("oddity %d was not told", kind);
}

/* The address offered, or 0. */
static uint32_t discover(struct lab *lab, struct mac_address mac)
{
    begin(lab, DHCP_DISCOVER, mac);
    if (!deliver(lab))
        return 0;
    assert_int_equal(lab->answer.type, DHCP_OFFER);
    return lab->answer.yiaddr;
}

static enum dhcp_type answer_type(const struct lab *lab, bool any)
{
    return any ? lab->answer.type : 0;
}

static enum dhcp_type select_offer(struct lab *lab, struct mac_address mac, uint32_t address)
{
    struct packet *p = begin(lab, DHCP_REQUEST, mac);
    size_t before = lab->n_records;
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip(SERVER));
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, address);
    bool any = deliver(lab);
    if (!any && lab->n_records > before)
        any = stored(lab, true);
    return answer_type(lab, any);
}

static enum dhcp_type init_reboot(struct lab *lab, struct mac_address mac, uint32_t address)
{
    packet_u32(begin(lab, DHCP_REQUEST, mac), DHCP_OPTION_REQUESTED_ADDRESS, address);
    return answer_type(lab, deliver(lab));
}

static enum dhcp_type renew(struct lab *lab, struct mac_address mac, uint32_t address)
{
    struct packet *p = begin(lab, DHCP_REQUEST, mac);
    packet_set_u32(p, PACKET_CIADDR, address);
    lab->arrival.unicast = true;
    return answer_type(lab, deliver(lab));
}

/* DISCOVER to ACK; the address. */
static uint32_t lease(struct lab *lab, struct mac_address mac)
{
    uint32_t address = discover(lab, mac);
    assert_int_not_equal(address, 0);
    assert_int_equal(select_offer(lab, mac, address), DHCP_ACK);
    assert_int_equal(lab->answer.yiaddr, address);
    return address;
}

struct search {
    struct lab *lab;
    struct mac_address mac;
    uint32_t found;
};

static void look_at_lease(void *context, const struct dhcp_network *network,
                          const struct lease *held)
{
    struct search *search = context;
    if (mac_eq(held->mac, search->mac) && held->state == LEASE_BOUND &&
        lease_is_live(held, search->lab->now.monotonic))
        search->found = held->address;
}

/* That this MAC has a lease of now; 0: none. */
static uint32_t address_of(struct lab *lab, struct mac_address mac)
{
    struct search search = {.lab = lab, .mac = mac};
    dhcp_server_each_lease(lab->server, look_at_lease, &search);
    return search.found;
}

static bool in_pool(uint32_t address)
{
    return address >= ip("10.0.0.100") && address <= ip("10.0.0.109");
}

/* --- the common case --- */

static void a_node_gets_its_address_and_name(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(discover(lab, WEB1_A), ip("10.0.0.11"));
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_SERVER_ID), ip(SERVER));
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), 3600);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_T1), 1800);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_T2), 3150);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_SUBNET_MASK), 0xffffff00);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_ROUTER), ip("10.0.0.254"));
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_DNS), ip("10.0.0.53"));
    assert_option_text(&lab->answer, DHCP_OPTION_HOST_NAME, "web1");
    assert_option_text(&lab->answer, DHCP_OPTION_DOMAIN, "lan.example");

    struct packet *p = begin(lab, DHCP_REQUEST, WEB1_A);
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip(SERVER));
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, ip("10.0.0.11"));
    assert_true(deliver(lab)); /* at once: the registry knows it already */
    assert_int_equal(lab->answer.type, DHCP_ACK);
    assert_int_equal(lab->answer.yiaddr, ip("10.0.0.11"));
    assert_int_equal(lab->n_records, 1);
    assert_int_equal(address_of(lab, WEB1_A), ip("10.0.0.11"));
}

static void events_tell_who_got_what(void **state)
{
    struct lab *lab = *state;
    lease(lab, WEB1_A);
    lease(lab, STRANGER);
    assert_int_equal(lab->n_events, 4);
    assert_int_equal(lab->events[0].type, DHCP_OFFER);
    assert_int_equal(lab->events[0].request, DHCP_DISCOVER);
    assert_int_equal(lab->events[1].type, DHCP_ACK);
    assert_true(mac_eq(lab->events[1].mac, WEB1_A));
    assert_int_equal(lab->events[1].address, ip("10.0.0.11"));
    assert_int_equal(lab->events[1].at, lab->now.wall);
    assert_int_equal(lab->events[3].type, DHCP_ACK);
    assert_null(lab->events[3].node);
}

static void strangers_get_pool_addresses(void **state)
{
    struct lab *lab = *state;
    uint32_t a = lease(lab, STRANGER), b = lease(lab, OTHER);
    assert_true(in_pool(a) && in_pool(b) && a != b);
    assert_int_equal(discover(lab, STRANGER), a);
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_HOST_NAME));
    pass(lab, 4000);
    assert_int_equal(discover(lab, STRANGER), a); /* its previous one */
}

static void a_node_without_address_gets_one_from_the_pool(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, WEB2);
    assert_true(in_pool(address));
    assert_option_text(&lab->answer, DHCP_OPTION_HOST_NAME, "web2");
    /* and keeps it: its system may not renew for weeks */
    pass(lab, 1000000);
    for (unsigned i = 200; i < 209; i++)
        assert_int_not_equal(lease(lab, mac_of(i)), address);
    assert_int_equal(discover(lab, mac_of(210)), 0);
    assert_odd(lab, DHCP_ODD_NO_ADDRESS);
    assert_int_equal(discover(lab, WEB2), address);
    lab->nodes[1].n_macs = 0; /* no longer a node: now it may go */
    pass(lab, 31);
    assert_int_equal(discover(lab, mac_of(211)), address);
}

static void firmware_ipxe_and_system_get_the_same_address(void **state)
{
    struct lab *lab = *state;
    static const char *const ids[] = {"\1\x52\x54\0\0\0\x64", "\377duid-of-the-system", ""};
    uint32_t first = 0;
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        struct packet *p = begin(lab, DHCP_DISCOVER, STRANGER);
        packet_option(p, DHCP_OPTION_CLIENT_ID, ids[i], i == 0 ? 7 : (uint8_t)strlen(ids[i]));
        assert_true(deliver(lab));
        assert_non_null(dhcp_message_option(&lab->answer, DHCP_OPTION_CLIENT_ID)); /* RFC 6842 */
        if (!first)
            first = lab->answer.yiaddr;
        assert_int_equal(lab->answer.yiaddr, first);
        assert_int_equal(select_offer(lab, STRANGER, first), DHCP_ACK);
    }
}

/* --- boot files --- */

static void pxe_request(struct packet *p, uint16_t architecture)
{
    packet_text(p, DHCP_OPTION_VENDOR_CLASS, "PXEClient:Arch:00000:UNDI:002001");
    packet_u16(p, DHCP_OPTION_ARCHITECTURE, architecture);
    packet_option(p, DHCP_OPTION_UUID,
                  "\0"
                  "0123456789abcdef",
                  17);
}

static void firmware_gets_its_loader(void **state)
{
    struct lab *lab = *state;
    static const struct {
        uint16_t architecture;
        const char *file;
    } cases[] = {{0, "undionly.kpxe"}, {7, "snponly.efi"}, {9, "snponly.efi"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        pxe_request(begin(lab, DHCP_DISCOVER, WEB1_A), cases[i].architecture);
        assert_true(deliver(lab));
        assert_int_equal(lab->answer.siaddr, ip(SERVER));
        assert_string_equal((char *)lab->raw.data + PACKET_FILE, cases[i].file);
        assert_option(&lab->answer, DHCP_OPTION_BOOT_FILE, cases[i].file,
                      strlen(cases[i].file) + 1);
        assert_option(&lab->answer, DHCP_OPTION_TFTP_SERVER, SERVER, sizeof(SERVER));
        assert_option_text(&lab->answer, DHCP_OPTION_VENDOR_CLASS, "PXEClient");
        assert_int_equal(dhcp_message_option(&lab->answer, DHCP_OPTION_UUID)->size, 17);
        assert_memory_equal(dhcp_message_option(&lab->answer, DHCP_OPTION_VENDOR)->data,
                            "\6\1\10\377", 4);
        assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_IPXE));
        assert_int_equal(lab->events[lab->n_events - 1].client.kind, DHCP_CLIENT_PXE);
    }
}

static void ipxe_gets_its_script(void **state)
{
    struct lab *lab = *state;
    struct packet *p = begin(lab, DHCP_DISCOVER, WEB1_A);
    pxe_request(p, 0);
    packet_text(p, DHCP_OPTION_USER_CLASS, "iPXE");
    assert_true(deliver(lab));
    assert_option_text(&lab->answer, DHCP_OPTION_BOOT_FILE,
                       "http://10.0.0.1/boot.ipxe?mac=52-54-00-00-00-01");
    assert_option_text(&lab->answer, DHCP_OPTION_IPXE, "\xb0\1\1");
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_VENDOR_CLASS));
    assert_int_equal(lab->answer.siaddr, ip(SERVER));
}

static void others_get_no_file_but_an_address(void **state)
{
    struct lab *lab = *state;
    pxe_request(begin(lab, DHCP_DISCOVER, STRANGER), 11); /* ARM64 */
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.siaddr, 0);
    assert_int_equal(lab->raw.data[PACKET_FILE], 0);
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_BOOT_FILE));
    packet_text(begin(lab, DHCP_DISCOVER, STRANGER), DHCP_OPTION_VENDOR_CLASS,
                "HTTPClient:Arch:00016:UNDI:003001");
    assert_true(deliver(lab));
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_BOOT_FILE));
}

static void options_come_in_the_order_asked_for(void **state)
{
    struct lab *lab = *state;
    static const uint8_t wanted[] = {15, 12, 6, 200, 15};
    packet_option(begin(lab, DHCP_DISCOVER, WEB1_A), DHCP_OPTION_PARAMETER_LIST, wanted,
                  sizeof(wanted));
    assert_true(deliver(lab));
    const uint8_t *domain = dhcp_message_option(&lab->answer, DHCP_OPTION_DOMAIN)->data;
    const uint8_t *name = dhcp_message_option(&lab->answer, DHCP_OPTION_HOST_NAME)->data;
    const uint8_t *dns = dhcp_message_option(&lab->answer, DHCP_OPTION_DNS)->data;
    assert_true(domain < name && name < dns);
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_ROUTER)); /* not asked for */
    assert_non_null(dhcp_message_option(&lab->answer, DHCP_OPTION_SUBNET_MASK));
}

/* --- where answers go --- */

static void answers_are_routed_as_in_rfc_2131_4_1(void **state)
{
    struct lab *lab = *state;
    discover(lab, WEB1_A);
    assert_int_equal(lab->raw.route, DHCP_TO_HARDWARE);
    assert_int_equal(lab->raw.to, ip("10.0.0.11"));
    assert_true(mac_eq(lab->raw.mac, WEB1_A));
    assert_int_equal(lab->raw.from, ip(SERVER));
    assert_int_equal(lab->raw.link, LINK);

    packet_set_u16(begin(lab, DHCP_DISCOVER, WEB1_A), PACKET_FLAGS, DHCP_BROADCAST);
    assert_true(deliver(lab));
    assert_int_equal(lab->raw.route, DHCP_TO_ALL);

    lease(lab, WEB1_A);
    assert_int_equal(renew(lab, WEB1_A, ip("10.0.0.11")), DHCP_ACK);
    assert_int_equal(lab->raw.route, DHCP_TO_CLIENT);
    assert_int_equal(lab->raw.to, ip("10.0.0.11"));
    assert_int_equal(lab->answer.ciaddr, ip("10.0.0.11"));

    assert_int_equal(init_reboot(lab, WEB1_A, ip("192.168.1.1")), DHCP_NAK);
    assert_int_equal(lab->raw.route, DHCP_TO_ALL);
    assert_int_equal(renew(lab, WEB1_A, ip("10.0.0.12")), DHCP_NAK);
    assert_int_equal(lab->raw.route, DHCP_TO_ALL); /* although it has a ciaddr */
}

static void relays_are_served(void **state)
{
    struct lab *lab = *state;
    packet_set_u32(begin(lab, DHCP_DISCOVER, FAR1), PACKET_GIADDR, ip("10.9.0.2"));
    packet_option(&lab->packet, DHCP_OPTION_RELAY_AGENT, "\1\2ab", 4);
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.yiaddr, ip("10.9.0.11"));
    assert_int_equal(lab->raw.route, DHCP_TO_RELAY);
    assert_int_equal(lab->raw.to, ip("10.9.0.2"));
    assert_int_equal(lab->answer.giaddr, ip("10.9.0.2"));
    assert_option_text(&lab->answer, DHCP_OPTION_RELAY_AGENT, "\1\2ab");
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_SERVER_ID), ip(SERVER));
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_ROUTER), ip("10.9.0.254"));

    /* a NAK must be broadcast by the relay */
    struct packet *p = begin(lab, DHCP_REQUEST, STRANGER);
    packet_set_u32(p, PACKET_GIADDR, ip("10.9.0.2"));
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, ip("10.0.0.100"));
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.type, DHCP_NAK);
    assert_int_equal(lab->raw.route, DHCP_TO_RELAY);
    assert_int_equal(lab->answer.flags, DHCP_BROADCAST);
}

static void a_renewal_past_the_relay_is_served(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(renew(lab, FAR1, ip("10.9.0.11")), DHCP_ACK);
    assert_int_equal(lab->raw.route, DHCP_TO_CLIENT);
    /* but a broadcast on our own wire is not from there */
    packet_set_u32(begin(lab, DHCP_REQUEST, FAR1), PACKET_CIADDR, ip("10.9.0.11"));
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.type, DHCP_NAK);
}

static void relays_of_unknown_networks_are_told(void **state)
{
    struct lab *lab = *state;
    packet_set_u32(begin(lab, DHCP_DISCOVER, STRANGER), PACKET_GIADDR, ip("172.16.0.1"));
    assert_false(deliver(lab));
    assert_odd(lab, DHCP_ODD_NO_SUBNET);
    /* a network of another interface is none of this one's */
    packet_set_u32(begin(lab, DHCP_DISCOVER, STRANGER), PACKET_GIADDR, ip("10.2.0.2"));
    assert_false(deliver(lab));
}

static void link_selection_and_server_override_are_honoured(void **state)
{
    struct lab *lab = *state;
    packet_set_u32(begin(lab, DHCP_DISCOVER, FAR1), PACKET_GIADDR, ip("172.16.0.1"));
    packet_option(&lab->packet, DHCP_OPTION_RELAY_AGENT,
                  "\x05\x04\x0a\x09\x00\x00\x0b\x04\x0a\x09\x00\x02", 12);
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.yiaddr, ip("10.9.0.11"));
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_SERVER_ID), ip("10.9.0.2"));
    assert_int_equal(lab->raw.to, ip("172.16.0.1"));
}

static void another_interface_has_its_own_network(void **state)
{
    struct lab *lab = *state;
    begin(lab, DHCP_DISCOVER, STRANGER);
    lab->arrival.link = LINK + 1;
    assert_true(deliver(lab));
    assert_in_range(lab->answer.yiaddr, ip("10.2.0.100"), ip("10.2.0.109"));
    begin(lab, DHCP_DISCOVER, STRANGER);
    lab->arrival.link = LINK + 2;
    assert_false(deliver(lab));
}

/* --- RFC 2131 4.3.2 --- */

static void selecting_another_server_frees_the_offer(void **state)
{
    struct lab *lab = *state;
    uint32_t address = discover(lab, STRANGER);
    struct packet *p = begin(lab, DHCP_REQUEST, STRANGER);
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip("10.0.0.66"));
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, address);
    assert_false(deliver(lab));
    assert_odd(lab, DHCP_ODD_FOREIGN_SERVER);
    assert_int_equal(lab->last_oddity.address, ip("10.0.0.66"));
    packet_u32(begin(lab, DHCP_DISCOVER, OTHER), DHCP_OPTION_REQUESTED_ADDRESS, address);
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.yiaddr, address);
}

static void selecting_works_when_the_offer_was_forgotten(void **state)
{
    struct lab *lab = *state; /* the daemon was restarted between OFFER and REQUEST */
    assert_int_equal(select_offer(lab, WEB1_A, ip("10.0.0.11")), DHCP_ACK);
    assert_int_equal(select_offer(lab, STRANGER, ip("10.0.0.105")), DHCP_ACK);
    assert_int_equal(select_offer(lab, OTHER, ip("10.0.0.105")), DHCP_NAK);
}

static void what_may_be_selected(void **state)
{
    struct lab *lab = *state;
    static const struct {
        const char *address;
        enum dhcp_type answer;
    } cases[] = {
        {"10.0.0.101", DHCP_ACK}, /* of the pool */
        {"10.0.0.11", DHCP_NAK},  /* web1's */
        {"10.0.0.50", DHCP_NAK},  /* neither */
        {"10.0.0.1", DHCP_NAK},   /* ours */
        {"10.9.0.101", DHCP_NAK}, /* another network's */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(select_offer(lab, STRANGER, ip(cases[i].address)), cases[i].answer);
}

static void init_reboot_confirms_or_refuses(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    assert_int_equal(init_reboot(lab, STRANGER, address), DHCP_ACK);
    assert_int_equal(init_reboot(lab, WEB1_A, ip("10.0.0.11")), DHCP_ACK);
    assert_int_equal(init_reboot(lab, STRANGER, ip("192.168.0.5")), DHCP_NAK); /* has moved */
    assert_int_equal(init_reboot(lab, OTHER, address), DHCP_NAK);              /* is taken */
    assert_int_equal(init_reboot(lab, OTHER, ip("10.0.0.50")), DHCP_NAK); /* not ours to give */
    assert_int_equal(init_reboot(lab, OTHER, ip("10.0.0.109")), 0);       /* no record: silent */
}

static void a_renewal_prolongs(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    for (int i = 0; i < 5; i++) {
        pass(lab, 1800);
        assert_int_equal(renew(lab, STRANGER, address), DHCP_ACK);
        assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), 3600);
        (void)stored(lab, true);
    }
    assert_int_equal(address_of(lab, STRANGER), address);
    pass(lab, 3601);
    assert_int_equal(address_of(lab, STRANGER), 0);
}

static void a_renewal_is_believed_after_total_loss(void **state)
{
    struct lab *lab = *state; /* the state directory was lost: a NAK would cost the node its disk */
    renew(lab, STRANGER, ip("10.0.0.105"));
    assert_true(stored(lab, true));
    assert_int_equal(lab->answer.type, DHCP_ACK);
    assert_int_equal(renew(lab, OTHER, ip("10.0.0.105")), DHCP_NAK);
}

static void a_released_address_is_free_for_others(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    packet_set_u32(begin(lab, DHCP_RELEASE, OTHER), PACKET_CIADDR, address); /* not its own */
    assert_false(deliver(lab));
    assert_int_equal(address_of(lab, STRANGER), address);
    packet_set_u32(begin(lab, DHCP_RELEASE, STRANGER), PACKET_CIADDR, address);
    assert_false(deliver(lab));
    assert_int_equal(last_record(lab)->state, LEASE_FREE);
    assert_int_equal(address_of(lab, STRANGER), 0);
    assert_int_equal(discover(lab, STRANGER), address); /* still its first choice */
}

static void a_declined_address_is_set_aside(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    struct packet *p = begin(lab, DHCP_DECLINE, STRANGER);
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, address);
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip(SERVER));
    assert_false(deliver(lab));
    assert_odd(lab, DHCP_ODD_TAKEN);
    assert_int_equal(last_record(lab)->state, LEASE_DECLINED);
    uint32_t next = discover(lab, STRANGER);
    assert_true(in_pool(next) && next != address);
    assert_int_equal(select_offer(lab, OTHER, address), DHCP_NAK);
    pass(lab, 601);
    assert_int_equal(select_offer(lab, OTHER, address), DHCP_ACK);
}

static void a_node_whose_address_is_taken_gets_another(void **state)
{
    struct lab *lab = *state;
    discover(lab, WEB1_A);
    struct packet *p = begin(lab, DHCP_DECLINE, WEB1_A);
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, ip("10.0.0.11"));
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip(SERVER));
    assert_false(deliver(lab));
    assert_true(in_pool(lease(lab, WEB1_A)));
    assert_odd(lab, DHCP_ODD_TAKEN);
    pass(lab, 601);
    assert_int_equal(discover(lab, WEB1_A), ip("10.0.0.11"));
}

static void foreign_declines_are_ignored(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    struct packet *p = begin(lab, DHCP_DECLINE, OTHER);
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, address);
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip(SERVER));
    deliver(lab);
    p = begin(lab, DHCP_DECLINE, STRANGER);
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, address);
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip("10.0.0.66"));
    deliver(lab);
    assert_int_equal(lab->n_oddities, 0);
    assert_int_equal(renew(lab, STRANGER, address), DHCP_ACK);
}

static void inform_gets_everything_but_an_address(void **state)
{
    struct lab *lab = *state;
    packet_set_u32(begin(lab, DHCP_INFORM, STRANGER), PACKET_CIADDR, ip("10.0.0.77"));
    assert_true(deliver(lab));
    assert_int_equal(lab->answer.type, DHCP_ACK);
    assert_int_equal(lab->answer.yiaddr, 0);
    assert_int_equal(lab->answer.ciaddr, ip("10.0.0.77"));
    assert_null(dhcp_message_option(&lab->answer, DHCP_OPTION_LEASE_TIME));
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_DNS), ip("10.0.0.53"));
    assert_int_equal(lab->raw.route, DHCP_TO_CLIENT);
    /* nobody is made to receive what he did not ask for */
    packet_set_u32(begin(lab, DHCP_INFORM, STRANGER), PACKET_CIADDR, ip("8.8.8.8"));
    assert_false(deliver(lab));
    begin(lab, DHCP_INFORM, STRANGER);
    assert_false(deliver(lab));
}

static void a_client_may_ask_for_a_shorter_lease(void **state)
{
    struct lab *lab = *state;
    static const struct {
        uint32_t wish, given;
    } cases[] = {{600, 600}, {1, 60}, {0, 60}, {7200, 3600}, {UINT32_MAX, 3600}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        packet_u32(begin(lab, DHCP_DISCOVER, STRANGER), DHCP_OPTION_LEASE_TIME, cases[i].wish);
        assert_true(deliver(lab));
        assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), cases[i].given);
    }
}

/* --- nodes that change --- */

static void the_second_mac_waits_for_the_first(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(lease(lab, WEB1_A), ip("10.0.0.11"));
    assert_true(in_pool(lease(lab, WEB1_B)));
    assert_int_equal(lab->n_oddities, 0); /* nothing odd about it */
    assert_option_text(&lab->answer, DHCP_OPTION_HOST_NAME, "web1");
    pass(lab, 7200);
    assert_int_equal(lease(lab, WEB1_B), ip("10.0.0.11"));
    uint32_t stand_in = lease(lab, WEB1_A);
    assert_true(in_pool(stand_in));
    /* one that does without it does not stand in the way of the other */
    pass(lab, 3000);
    assert_int_equal(renew(lab, WEB1_A, stand_in), DHCP_ACK);
    pass(lab, 3000);
    assert_int_equal(lease(lab, WEB1_B), ip("10.0.0.11"));
}

static void the_address_of_a_running_node_stays_with_its_mac(void **state)
{
    struct lab *lab = *state; /* its system does not renew, as many do not */
    assert_int_equal(lease(lab, WEB1_A), ip("10.0.0.11"));
    lab->web1_is_up = true;
    pass(lab, 100000);
    assert_true(in_pool(lease(lab, WEB1_B)));
    assert_int_equal(lease(lab, WEB1_A), ip("10.0.0.11"));
    lab->web1_is_up = false;
    pass(lab, 100000);
    assert_int_equal(lease(lab, WEB1_B), ip("10.0.0.11"));
}

static void a_boot_sees_one_address(void **state)
{
    struct lab *lab = *state; /* although its own becomes free while it boots */
    lease(lab, WEB1_A);
    uint32_t stand_in = lease(lab, WEB1_B);
    packet_set_u32(begin(lab, DHCP_RELEASE, WEB1_A), PACKET_CIADDR, ip("10.0.0.11"));
    deliver(lab);
    pass(lab, 30);
    assert_int_equal(lease(lab, WEB1_B), stand_in);
    pass(lab, 60);
    assert_int_equal(init_reboot(lab, WEB1_B, stand_in), DHCP_ACK);
    pass(lab, 600);
    assert_int_equal(renew(lab, WEB1_B, stand_in), DHCP_ACK); /* nor is it moved while it runs */
    pass(lab, 600);
    assert_int_equal(init_reboot(lab, WEB1_B, stand_in), DHCP_NAK); /* the next boot is new */
    assert_int_equal(lease(lab, WEB1_B), ip("10.0.0.11"));
}

static void a_new_node_whose_address_is_leased_waits(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    lab->nodes[3] = (struct registered){"late", address, {OTHER}, 1};
    uint32_t other = lease(lab, OTHER);
    assert_true(in_pool(other) && other != address);
    assert_odd(lab, DHCP_ODD_CONFLICT);
    assert_true(mac_eq(lab->last_oddity.holder, STRANGER));
    /* who has it is told at its next message, and then it is free */
    assert_int_equal(renew(lab, STRANGER, address), DHCP_NAK);
    pass(lab, 301);
    assert_int_equal(lease(lab, OTHER), address);
    uint32_t moved = lease(lab, STRANGER);
    assert_true(in_pool(moved) && moved != address && moved != other);
}

/* Its disk hangs on the address that it has: a change is for its next boot. */
static void a_changed_node_moves_when_it_boots_and_not_before(void **state)
{
    struct lab *lab = *state;
    lease(lab, WEB1_A);
    stored(lab, true);
    lab->nodes[0].address = ip("10.0.0.12");
    assert_int_equal(renew(lab, WEB1_A, ip("10.0.0.11")), DHCP_ACK);
    assert_int_equal(renew(lab, WEB1_A, ip("10.0.0.11")), DHCP_ACK);
    assert_int_equal(init_reboot(lab, WEB1_A, ip("10.0.0.11")), DHCP_NAK);
    assert_int_equal(lease(lab, WEB1_A), ip("10.0.0.12"));
    lab->nodes[0].n_macs = 0; /* removed */
    assert_int_equal(renew(lab, WEB1_A, ip("10.0.0.12")), DHCP_NAK);
    assert_true(in_pool(lease(lab, WEB1_A)));
}

static void an_address_that_became_another_nodes_is_given_up(void **state)
{
    struct lab *lab = *state;
    lease(lab, WEB1_A);
    lab->nodes[0].address = ip("10.0.0.12");
    lab->nodes[3] = (struct registered){"late", ip("10.0.0.11"), {OTHER}, 1};
    assert_int_equal(renew(lab, WEB1_A, ip("10.0.0.11")), DHCP_NAK);
    assert_int_equal(lease(lab, OTHER), ip("10.0.0.11"));
}

/* iPXE before 2021 does not understand a NAK. */
static void what_is_offered_is_never_refused(void **state)
{
    struct lab *lab = *state;
    lab->nodes[0].address = ip("10.0.0.105"); /* in the pool's range */
    assert_int_equal(lease(lab, WEB1_A), ip("10.0.0.105"));
    stored(lab, true);
    lab->nodes[0].address = 0;
    uint32_t offered = discover(lab, WEB1_A);
    assert_true(in_pool(offered));
    assert_int_equal(lease(lab, WEB1_A), offered);
}

static void a_stranger_that_becomes_a_node_moves(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    lab->nodes[3] = (struct registered){"late", ip("10.0.0.33"), {STRANGER}, 1};
    assert_int_equal(discover(lab, STRANGER), ip("10.0.0.33"));
    assert_int_equal(renew(lab, STRANGER, address), DHCP_ACK); /* it runs, whatever from */
    assert_int_equal(lease(lab, STRANGER), ip("10.0.0.33"));
    /* or not, if it is given the address that it has */
    uint32_t kept = lease(lab, OTHER);
    lab->nodes[3] = (struct registered){"late", kept, {OTHER}, 1};
    assert_int_equal(renew(lab, OTHER, kept), DHCP_ACK);
}

/* --- promises and the disk --- */

static enum dhcp_type request_only(struct lab *lab, struct mac_address mac, uint32_t address)
{
    struct packet *p = begin(lab, DHCP_REQUEST, mac);
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip(SERVER));
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, address);
    return answer_type(lab, deliver(lab));
}

static void a_pool_lease_is_stored_before_it_is_promised(void **state)
{
    struct lab *lab = *state;
    uint32_t address = discover(lab, STRANGER);
    assert_int_equal(lab->n_records, 0);
    assert_int_equal(request_only(lab, STRANGER, address), 0);
    assert_int_equal(lab->n_records, 1);
    assert_int_equal(last_record(lab)->address, address);
    assert_int_equal(last_record(lab)->state, LEASE_BOUND);
    assert_int_equal(last_record(lab)->expires_at, lab->now.wall + 3600 * SECOND);
    assert_int_equal(dhcp_server_deadline(lab->server), lab->now.monotonic + DHCP_STORE_PATIENCE);
    assert_true(stored(lab, true));
    assert_int_equal(lab->answer.type, DHCP_ACK);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), 3600);
    assert_int_equal(lab->raw.route, DHCP_TO_HARDWARE);
    assert_int_equal(dhcp_server_deadline(lab->server), UINT64_MAX);
    assert_int_equal(lab->events[lab->n_events - 1].type, DHCP_ACK);
    assert_int_equal(renew(lab, STRANGER, address), DHCP_ACK); /* at once */
    assert_int_equal(lab->n_records, 2);
}

static void a_slow_disk_means_a_short_lease(void **state)
{
    struct lab *lab = *state;
    uint32_t address = discover(lab, STRANGER);
    assert_int_equal(request_only(lab, STRANGER, address), 0);
    assert_false(dhcp_server_expire(lab->server, &lab->now, &lab->raw));
    lab->now.monotonic += DHCP_STORE_PATIENCE;
    assert_true(parse_answer(lab, dhcp_server_expire(lab->server, &lab->now, &lab->raw)));
    assert_int_equal(lab->answer.type, DHCP_ACK);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), DHCP_SHORT_LEASE);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_T1), DHCP_SHORT_LEASE / 2);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_T2), DHCP_SHORT_LEASE * 7 / 8);
    assert_odd(lab, DHCP_ODD_STORE_LATE);
    assert_false(dhcp_server_expire(lab->server, &lab->now, &lab->raw));
    assert_false(stored(lab, true)); /* the answer is gone already */
    pass(lab, 60);
    assert_int_equal(renew(lab, STRANGER, address), DHCP_ACK);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), 3600);
}

static void a_short_lease_is_short(void **state)
{
    struct lab *lab = *state;
    uint32_t address = discover(lab, STRANGER);
    request_only(lab, STRANGER, address);
    pass(lab, 1);
    assert_true(dhcp_server_expire(lab->server, &lab->now, &lab->raw));
    pass(lab, DHCP_SHORT_LEASE);
    assert_int_equal(address_of(lab, STRANGER), 0);
}

static void a_failed_or_impossible_store_means_a_short_lease(void **state)
{
    struct lab *lab = *state;
    uint32_t address = discover(lab, STRANGER);
    request_only(lab, STRANGER, address);
    assert_true(stored(lab, false));
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), DHCP_SHORT_LEASE);
    assert_odd(lab, DHCP_ODD_STORE_FAILED);
    lab->store_refuses = true;
    address = discover(lab, OTHER);
    assert_int_equal(request_only(lab, OTHER, address), DHCP_ACK);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), DHCP_SHORT_LEASE);
}

static void a_short_lease_is_never_longer_than_the_lease(void **state)
{
    struct lab *lab = *state;
    lab->networks[0].settings.lease_time = 60;
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 3), 0);
    lab->store_refuses = true;
    assert_int_equal(request_only(lab, STRANGER, ip("10.0.0.101")), DHCP_ACK);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), 60);
}

static void nothing_is_promised_that_was_lost_while_it_waited(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(request_only(lab, STRANGER, ip("10.0.0.101")), 0);
    packet_set_u32(begin(lab, DHCP_RELEASE, STRANGER), PACKET_CIADDR, ip("10.0.0.101"));
    assert_false(deliver(lab));
    lab->now.monotonic += DHCP_STORE_PATIENCE;
    assert_false(dhcp_server_expire(lab->server, &lab->now, &lab->raw));
    assert_int_equal(dhcp_server_deadline(lab->server), UINT64_MAX);

    assert_int_equal(request_only(lab, OTHER, ip("10.0.0.102")), 0);
    lab->nodes[3] = (struct registered){"late", ip("10.0.0.102"), {STRANGER}, 1};
    assert_false(stored(lab, true));
    assert_int_equal(request_only(lab, OTHER, ip("10.0.0.102")), DHCP_NAK);
}

static void repeated_requests_wait_together(void **state)
{
    struct lab *lab = *state;
    uint32_t address = discover(lab, STRANGER);
    request_only(lab, STRANGER, address);
    uint64_t deadline = dhcp_server_deadline(lab->server);
    lab->now.monotonic += 5000;
    assert_int_equal(request_only(lab, STRANGER, address), 0);
    assert_int_equal(dhcp_server_deadline(lab->server), deadline); /* not put off */
    assert_int_equal(lab->n_records, 1);                           /* one at a time */
    assert_false(stored(lab, true));                               /* the older one */
    assert_int_equal(lab->n_records, 2);
    assert_true(stored(lab, true));
    assert_false(stored(lab, true)); /* said twice: nothing waits any more */
}

static void many_can_wait(void **state)
{
    struct lab *lab = *state;
    unsigned waiting = 0, at_once = 0;
    lab->networks[0].settings.ranges[0].last = ip("10.0.0.250");
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 3), 0);
    for (unsigned i = 0; i < 100; i++) {
        uint32_t address = discover(lab, mac_of(1000 + i));
        if (request_only(lab, mac_of(1000 + i), address) == 0) {
            waiting++;
        } else {
            assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), DHCP_SHORT_LEASE);
            at_once++;
        }
    }
    assert_int_equal(waiting + at_once, 100);
    assert_true(waiting >= 50);
    lab->now.monotonic += DHCP_STORE_PATIENCE;
    for (unsigned i = 0; i < waiting; i++)
        assert_true(dhcp_server_expire(lab->server, &lab->now, &lab->raw));
    assert_false(dhcp_server_expire(lab->server, &lab->now, &lab->raw));
}

/* --- restart and reload --- */

static void leases_come_back(void **state)
{
    struct lab *lab = *state;
    struct dhcp_lease_record record = {.mac = STRANGER,
                                       .address = ip("10.0.0.103"),
                                       .state = LEASE_BOUND,
                                       .expires_at = lab->now.wall + 1000 * SECOND};
    assert_true(dhcp_server_restore(lab->server, &record, &lab->now));
    assert_int_equal(init_reboot(lab, STRANGER, ip("10.0.0.103")), DHCP_ACK);
    assert_int_equal(init_reboot(lab, OTHER, ip("10.0.0.103")), DHCP_NAK);
    record = (struct dhcp_lease_record){.mac = OTHER,
                                        .address = ip("10.0.0.104"),
                                        .expires_at = lab->now.wall - SECOND,
                                        .state = LEASE_BOUND};
    assert_true(dhcp_server_restore(lab->server, &record, &lab->now));
    assert_int_equal(discover(lab, OTHER), ip("10.0.0.104"));
    record.address = ip("172.16.0.1");
    assert_false(dhcp_server_restore(lab->server, &record, &lab->now));
    record = (struct dhcp_lease_record){.address = ip("10.0.0.105"),
                                        .state = LEASE_DECLINED,
                                        .expires_at = lab->now.wall + 100 * SECOND};
    assert_true(dhcp_server_restore(lab->server, &record, &lab->now));
    assert_int_equal(select_offer(lab, mac_of(300), ip("10.0.0.105")), DHCP_NAK);
}

static void a_clock_set_back_makes_no_endless_lease(void **state)
{
    struct lab *lab = *state;
    struct dhcp_lease_record record = {.mac = STRANGER,
                                       .address = ip("10.0.0.103"),
                                       .state = LEASE_BOUND,
                                       .expires_at = lab->now.wall + 1000000 * SECOND};
    assert_true(dhcp_server_restore(lab->server, &record, &lab->now));
    pass(lab, 3601);
    assert_int_equal(address_of(lab, STRANGER), 0);
}

static void the_newer_of_two_stored_leases_counts(void **state)
{
    struct lab *lab = *state;
    struct dhcp_lease_record old = {.mac = STRANGER,
                                    .address = ip("10.0.0.103"),
                                    .state = LEASE_BOUND,
                                    .expires_at = lab->now.wall + 100 * SECOND};
    struct dhcp_lease_record new = old;
    new.address = ip("10.0.0.104");
    new.expires_at += SECOND;
    assert_true(dhcp_server_restore(lab->server, &new, &lab->now));
    assert_false(dhcp_server_restore(lab->server, &old, &lab->now));
    assert_int_equal(discover(lab, STRANGER), ip("10.0.0.104"));
}

static void a_reload_keeps_leases(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    lease(lab, WEB1_A);
    lab->networks[0].settings.lease_time = 120;
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 2), 0);
    assert_int_equal(renew(lab, STRANGER, address), DHCP_ACK);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), 120);
    /* out of the pool: it has to move */
    lab->networks[0].settings.ranges[0] =
        (struct address_range){ip("10.0.0.200"), ip("10.0.0.209")};
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 2), 0);
    assert_int_equal(renew(lab, STRANGER, address), DHCP_NAK);
    assert_int_equal(renew(lab, WEB1_A, ip("10.0.0.11")), DHCP_ACK);
}

static void a_subnet_that_is_off_for_a_while_keeps_its_leases(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks + 1, 1), 0);
    assert_int_equal(discover(lab, STRANGER), 0);
    assert_int_equal(renew(lab, STRANGER, address), 0);
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 2), 0);
    assert_int_not_equal(discover(lab, OTHER), address);
    packet_u32(begin(lab, DHCP_DISCOVER, OTHER), DHCP_OPTION_REQUESTED_ADDRESS, address);
    assert_true(deliver(lab));
    assert_int_not_equal(lab->answer.yiaddr, address);
    assert_int_equal(renew(lab, STRANGER, address), DHCP_ACK);
}

/* --- what is odd --- */

static void rubbish_is_counted(void **state)
{
    struct lab *lab = *state;
    struct dhcp_arrival arrival = {.link = LINK, .source = ip("10.0.0.200")};
    const uint8_t rubbish[] = "GET / HTTP/1.0";
    assert_false(
        dhcp_server_receive(lab->server, &arrival, rubbish, sizeof(rubbish), &lab->now, &lab->raw));
    assert_odd(lab, DHCP_ODD_MALFORMED);
    assert_int_equal(lab->last_oddity.source, ip("10.0.0.200"));
    packet_header(&lab->packet, STRANGER);
    lab->arrival = arrival;
    assert_false(deliver(lab));
    assert_odd(lab, DHCP_ODD_UNSUPPORTED);
    begin(lab, DHCP_OFFER, STRANGER);
    assert_false(deliver(lab));
    const struct dhcp_counters *counters = dhcp_server_counters(lab->server);
    assert_int_equal(counter_get(&counters->oddities[DHCP_ODD_MALFORMED]), 2);
    assert_int_equal(counter_get(&counters->oddities[DHCP_ODD_UNSUPPORTED]), 1);
    assert_int_equal(counter_get(&counters->received[DHCP_OFFER]), 1);
}

static void another_servers_answers_are_told(void **state)
{
    struct lab *lab = *state;
    struct packet *p = begin(lab, DHCP_OFFER, STRANGER);
    p->bytes[0] = DHCP_BOOTREPLY;
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip("10.0.0.66"));
    assert_false(deliver(lab));
    assert_odd(lab, DHCP_ODD_FOREIGN_SERVER);
    assert_int_equal(lab->last_oddity.address, ip("10.0.0.66"));
}

static void a_request_for_nothing_is_ignored(void **state)
{
    struct lab *lab = *state;
    begin(lab, DHCP_REQUEST, STRANGER);
    assert_false(deliver(lab));
}

static void a_flood_leaves_nodes_alone(void **state)
{
    struct lab *lab = *state;
    for (unsigned i = 0; i < 2000; i++)
        discover(lab, mac_of(5000 + i));
    assert_int_equal(lease(lab, WEB1_A), ip("10.0.0.11"));
    assert_odd(lab, DHCP_ODD_NO_ADDRESS);
    pass(lab, 31);
    assert_true(in_pool(lease(lab, STRANGER)));
}

#define LAB_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(a_node_gets_its_address_and_name),
        LAB_TEST(events_tell_who_got_what),
        LAB_TEST(strangers_get_pool_addresses),
        LAB_TEST(a_node_without_address_gets_one_from_the_pool),
        LAB_TEST(firmware_ipxe_and_system_get_the_same_address),
        LAB_TEST(firmware_gets_its_loader),
        LAB_TEST(ipxe_gets_its_script),
        LAB_TEST(others_get_no_file_but_an_address),
        LAB_TEST(options_come_in_the_order_asked_for),
        LAB_TEST(answers_are_routed_as_in_rfc_2131_4_1),
        LAB_TEST(relays_are_served),
        LAB_TEST(a_renewal_past_the_relay_is_served),
        LAB_TEST(relays_of_unknown_networks_are_told),
        LAB_TEST(link_selection_and_server_override_are_honoured),
        LAB_TEST(another_interface_has_its_own_network),
        LAB_TEST(selecting_another_server_frees_the_offer),
        LAB_TEST(selecting_works_when_the_offer_was_forgotten),
        LAB_TEST(what_may_be_selected),
        LAB_TEST(init_reboot_confirms_or_refuses),
        LAB_TEST(a_renewal_prolongs),
        LAB_TEST(a_renewal_is_believed_after_total_loss),
        LAB_TEST(a_released_address_is_free_for_others),
        LAB_TEST(a_declined_address_is_set_aside),
        LAB_TEST(a_node_whose_address_is_taken_gets_another),
        LAB_TEST(foreign_declines_are_ignored),
        LAB_TEST(inform_gets_everything_but_an_address),
        LAB_TEST(a_client_may_ask_for_a_shorter_lease),
        LAB_TEST(the_second_mac_waits_for_the_first),
        LAB_TEST(the_address_of_a_running_node_stays_with_its_mac),
        LAB_TEST(a_boot_sees_one_address),
        LAB_TEST(a_new_node_whose_address_is_leased_waits),
        LAB_TEST(a_changed_node_moves_when_it_boots_and_not_before),
        LAB_TEST(an_address_that_became_another_nodes_is_given_up),
        LAB_TEST(what_is_offered_is_never_refused),
        LAB_TEST(a_stranger_that_becomes_a_node_moves),
        LAB_TEST(a_pool_lease_is_stored_before_it_is_promised),
        LAB_TEST(a_slow_disk_means_a_short_lease),
        LAB_TEST(a_short_lease_is_short),
        LAB_TEST(a_failed_or_impossible_store_means_a_short_lease),
        LAB_TEST(a_short_lease_is_never_longer_than_the_lease),
        LAB_TEST(nothing_is_promised_that_was_lost_while_it_waited),
        LAB_TEST(repeated_requests_wait_together),
        LAB_TEST(many_can_wait),
        LAB_TEST(leases_come_back),
        LAB_TEST(a_clock_set_back_makes_no_endless_lease),
        LAB_TEST(the_newer_of_two_stored_leases_counts),
        LAB_TEST(a_reload_keeps_leases),
        LAB_TEST(a_subnet_that_is_off_for_a_while_keeps_its_leases),
        LAB_TEST(rubbish_is_counted),
        LAB_TEST(another_servers_answers_are_told),
        LAB_TEST(a_request_for_nothing_is_ignored),
        LAB_TEST(a_flood_leaves_nodes_alone),
    };
    return RUN_TESTS(tests);
}
