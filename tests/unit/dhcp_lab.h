/* A DHCP server with four nodes, spoken to message by message, against a clock that the test moves.
 */
#pragma once

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
    struct dhcp_options node_options, group_options; /* of web1 */

    bool store_refuses, web1_is_up;
    uint32_t forgotten; /* that one last */
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

static inline bool fill(const struct lab *lab, const struct registered *node,
                        struct dhcp_node *ret_node)
{
    bool has_options = node == &lab->nodes[0];
    *ret_node = (struct dhcp_node){
        .name = node->name,
        .address = node->address,
        .macs = node->macs,
        .n_macs = node->n_macs,
        .options = has_options ? &lab->node_options : NULL,
        .group_options = has_options ? &lab->group_options : NULL,
    };
    return true;
}

static inline bool node_by_mac(void *context, struct mac_address mac, struct dhcp_node *ret_node)
{
    struct lab *lab = context;
    for (size_t i = 0; i < ARRAY_SIZE(lab->nodes); i++)
        for (size_t k = 0; k < lab->nodes[i].n_macs; k++)
            if (mac_eq(lab->nodes[i].macs[k], mac))
                return fill(lab, &lab->nodes[i], ret_node);
    return false;
}

static inline bool node_by_address(void *context, uint32_t address, struct dhcp_node *ret_node)
{
    struct lab *lab = context;
    for (size_t i = 0; i < ARRAY_SIZE(lab->nodes); i++)
        if (lab->nodes[i].n_macs && lab->nodes[i].address == address)
            return fill(lab, &lab->nodes[i], ret_node);
    return false;
}

static inline bool node_by_name(void *context, const char *name, struct dhcp_node *ret_node)
{
    struct lab *lab = context;
    for (size_t i = 0; i < ARRAY_SIZE(lab->nodes); i++)
        if (lab->nodes[i].n_macs && str_eq(lab->nodes[i].name, name))
            return fill(lab, &lab->nodes[i], ret_node);
    return false;
}

static inline bool node_is_up(void *context, const struct dhcp_node *node)
{
    const struct lab *lab = context;
    return lab->web1_is_up && str_eq(node->name, "web1");
}

static inline bool store(void *context, const struct dhcp_lease_record *record)
{
    struct lab *lab = context;
    if (lab->store_refuses)
        return false;
    lab->records[lab->n_records++ % ARRAY_SIZE(lab->records)] = *record;
    return true;
}

static inline void forget(void *context, uint32_t address)
{
    struct lab *lab = context;
    lab->forgotten = address;
}

static inline void on_event(void *context, const struct dhcp_event *event)
{
    struct lab *lab = context;
    lab->events[lab->n_events++ % ARRAY_SIZE(lab->events)] = *event;
}

static inline void on_oddity(void *context, const struct dhcp_oddity *oddity)
{
    struct lab *lab = context;
    lab->last_oddity = *oddity;
    lab->oddities[lab->n_oddities++ % ARRAY_SIZE(lab->oddities)] = oddity->kind;
}

static inline struct subnet subnet(const char *name, const char *network, const char *first,
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
        .loaders = {[LOADER_BIOS] = "undionly.kpxe", [LOADER_UEFI_X64] = "snponly.efi"},
    };
    str_copy(s.name, sizeof(s.name), name);
    str_copy(s.domain, sizeof(s.domain), "lan.example");
    s.routers[0] = s.network + 254;
    s.n_routers = 1;
    return s;
}

static inline int set_up(void **state)
{
    struct lab *lab = calloc(1, sizeof(*lab));
    const struct dhcp_policy policy = {
        .context = lab,
        .node_by_mac = node_by_mac,
        .node_by_address = node_by_address,
        .node_by_name = node_by_name,
        .node_is_up = node_is_up,
        .store = store,
        .forget = forget,
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

static inline int tear_down(void **state)
{
    struct lab *lab = *state;
    dhcp_server_free(lab->server);
    free(lab);
    return 0;
}

static inline void pass(struct lab *lab, uint64_t seconds)
{
    lab->now.monotonic += seconds * SECOND;
    lab->now.wall += seconds * SECOND;
}

/* --- sending --- */

static inline struct packet *begin(struct lab *lab, enum dhcp_type type, struct mac_address mac)
{
    lab->arrival = (struct dhcp_arrival){.link = LINK};
    packet_begin(&lab->packet, type, mac);
    return &lab->packet;
}

static inline bool parse_answer(struct lab *lab, bool any)
{
    if (any)
        assert_int_equal(dhcp_message_parse(lab->raw.data, lab->raw.size, &lab->answer), 0);
    return any;
}

static inline bool deliver(struct lab *lab)
{
    size_t size = packet_end(&lab->packet);
    return parse_answer(lab, dhcp_server_receive(lab->server, &lab->arrival, lab->packet.bytes,
                                                 size, &lab->now, &lab->raw));
}

/* Says "stored" for the last record. */
static inline bool stored(struct lab *lab, bool ok)
{
    assert_true(lab->n_records > 0);
    const struct dhcp_lease_record *record =
        &lab->records[(lab->n_records - 1) % ARRAY_SIZE(lab->records)];
    return parse_answer(lab, dhcp_server_stored(lab->server, record->address, record->mac, ok,
                                                &lab->now, &lab->raw));
}

static inline const struct dhcp_lease_record *last_record(const struct lab *lab)
{
    assert_true(lab->n_records > 0);
    return &lab->records[(lab->n_records - 1) % ARRAY_SIZE(lab->records)];
}

static inline void assert_odd(const struct lab *lab, enum dhcp_oddity_kind kind)
{
    for (size_t i = 0; i < lab->n_oddities; i++)
        if (lab->oddities[i] == kind)
            return;
    fail_msg("oddity %d was not told", kind);
}

/* The address offered, or 0. */
static inline uint32_t discover(struct lab *lab, struct mac_address mac)
{
    begin(lab, DHCP_DISCOVER, mac);
    if (!deliver(lab))
        return 0;
    assert_int_equal(lab->answer.type, DHCP_OFFER);
    return lab->answer.yiaddr;
}

static inline enum dhcp_type answer_type(const struct lab *lab, bool any)
{
    return any ? lab->answer.type : 0;
}

static inline enum dhcp_type select_offer(struct lab *lab, struct mac_address mac, uint32_t address)
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

static inline enum dhcp_type init_reboot(struct lab *lab, struct mac_address mac, uint32_t address)
{
    packet_u32(begin(lab, DHCP_REQUEST, mac), DHCP_OPTION_REQUESTED_ADDRESS, address);
    return answer_type(lab, deliver(lab));
}

static inline enum dhcp_type renew(struct lab *lab, struct mac_address mac, uint32_t address)
{
    struct packet *p = begin(lab, DHCP_REQUEST, mac);
    packet_set_u32(p, PACKET_CIADDR, address);
    lab->arrival.unicast = true;
    return answer_type(lab, deliver(lab));
}

/* DISCOVER to ACK; the address. */
static inline uint32_t lease(struct lab *lab, struct mac_address mac)
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

static inline void look_at_lease(void *context, const struct dhcp_network *network,
                                 const struct lease *held)
{
    struct search *search = context;
    if (mac_eq(held->mac, search->mac) && held->state == LEASE_BOUND &&
        lease_is_live(held, search->lab->now.monotonic))
        search->found = held->address;
}

/* That this MAC has a lease of now; 0: none. */
static inline uint32_t address_of(struct lab *lab, struct mac_address mac)
{
    struct search search = {.lab = lab, .mac = mac};
    dhcp_server_each_lease(lab->server, look_at_lease, &search);
    return search.found;
}

static inline bool in_pool(uint32_t address)
{
    return address >= ip("10.0.0.100") && address <= ip("10.0.0.109");
}

#define LAB_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
