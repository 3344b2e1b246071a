/*
 * A sequence of messages, with time passing and the disk answering late, well, badly or not at
 * all. Input: records of
 *
 *     kind (1 byte), size (2 bytes, big-endian), bytes
 *
 * kind & 7: 0-3 a datagram (bit 3: unicast, bit 4: other interface, bit 6: that of another server's
 * network, whose proxy we are, bit 7: to port 4011, bit 5: "bytes" is patched into
 * the last datagram at the offset in its first two bytes), 4 time passes (bytes: seconds), 5 the
 * oldest record is stored (6: cannot be), 7 nodes or settings change.
 *
 * What must hold whatever comes: no address is promised to two machines at once (each ACK's own
 * lease time counts; a machine that starts anew, leaves or is refused gives up what it had), and
 * no node's address to a stranger.
 */
#include "core/names.h"
#include "dhcp/server.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECOND      USEC_PER_SEC
#define MAX_PENDING 256
#define PROXY_LINK  4

struct promise {
    uint32_t address; /* 0: unused */
    struct mac_address mac;
    uint64_t until;
};

struct world {
    struct promise promises[256];
    size_t next_promise;
    struct dhcp_server *server;
    struct dhcp_clock now;
    struct dhcp_network networks[4];
    bool changed; /* the second state of nodes and settings */
    struct dhcp_lease_record pending[MAX_PENDING];
    size_t n_pending;
    struct dhcp_answer answer;
    uint8_t last[DHCP_MAX_SIZE + 1];
    size_t last_size;
};

/* Of web1, and of the networks. */
static struct dhcp_options node_options, network_options;

static void set_options(void)
{
    static const char *const texts[] = {"mtu=9000", "always:224=text:hello",
                                        "routes=10.7.0.0/16:10.0.0.2",
                                        "domain-search=lan.example,example"};
    char long_one[600] = "225=text:";
    memset(long_one + strlen(long_one), 'x', 400);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        (void)!dhcp_options_parse(i % 2 ? &node_options : &network_options, texts[i]);
    (void)!dhcp_options_parse(&node_options, long_one);
}

/* The MACs that the corpus was recorded with belong to nodes. */
static const struct mac_address macs[] = {
    {{0x52, 0x54, 0, 0, 0, 1}}, {{0x52, 0x54, 0, 0, 0, 2}}, {{0x52, 0x54, 0, 0x12, 0x34, 1}}};

static bool node_by_mac(void *context, struct mac_address mac, struct dhcp_node *ret_node)
{
    const struct world *world = context;
    if (mac_eq(mac, macs[0]) || (mac_eq(mac, macs[1]) && !world->changed)) {
        *ret_node = (struct dhcp_node){"web1",        world->changed ? 0x0a00000c : 0x0a00000b,
                                       macs,          2,
                                       &node_options, &network_options};
        return true;
    }
    if (mac_eq(mac, macs[2])) {
        *ret_node = (struct dhcp_node){"web2", 0, macs + 2, 1};
        return true;
    }
    return false;
}

static bool node_by_address(void *context, uint32_t address, struct dhcp_node *ret_node)
{
    struct dhcp_node node;
    if (!node_by_mac(context, macs[0], &node) || node.address != address)
        return false;
    *ret_node = node;
    return true;
}

static bool node_by_name(void *context, const char *name, struct dhcp_node *ret_node)
{
    assert(name_is_host(name));
    return (str_eq(name, "web1") && node_by_mac(context, macs[0], ret_node)) ||
           (str_eq(name, "web2") && node_by_mac(context, macs[2], ret_node));
}

static bool node_is_up(void *context, const struct dhcp_node *node)
{
    const struct world *world = context;
    return !world->changed;
}

static bool store(void *context, const struct dhcp_lease_record *record)
{
    struct world *world = context;
    if (world->n_pending == MAX_PENDING)
        return false;
    world->pending[world->n_pending++] = *record;
    return true;
}

static void on_event(void *context, const struct dhcp_event *event)
{
    (void)dhcp_client_word(&event->client);
}

static void on_oddity(void *context, const struct dhcp_oddity *oddity)
{
    assert(oddity->kind < DHCP_ODDITIES);
    assert((oddity->kind == DHCP_ODD_SAME_MAC) == (oddity->place && oddity->other_place));
    assert((oddity->kind == DHCP_ODD_SAME_UUID) == (oddity->uuid != NULL));
    if (oddity->kind == DHCP_ODD_SAME_MAC)
        assert(memchr(oddity->place->port_text, 0, sizeof(oddity->place->port_text)));
    assert((oddity->kind == DHCP_ODD_NAMESAKE) == (oddity->host_name != NULL));
    if (oddity->kind == DHCP_ODD_SAME_UUID)
        assert(!oddity->node == !oddity->other_node &&
               (!oddity->node || !str_eq(oddity->node, oddity->other_node)));
}

static struct dhcp_network network(uint32_t address, unsigned link, bool local)
{
    struct dhcp_network n = {
        .settings =
            {
                .name = "lab",
                .network = address,
                .mask = 0xffffff00,
                .ranges = {{address + 100, address + 103}},
                .n_ranges = 1,
                .options = network_options,
                .lease_time = 3600,
                .loaders = {[LOADER_BIOS] = "undionly.kpxe", [LOADER_UEFI_X64] = "snponly.efi"},
            },
        .link = link,
        .local = local,
        .server = 0x0a000001,
        .http_port = 80,
    };
    return n;
}

/* What a proxy says is never about addresses. */
static void check_proxy(const struct dhcp_answer *answer, const struct dhcp_message *message)
{
    assert(!message->yiaddr && message->siaddr == answer->from && message->type != DHCP_NAK);
    assert(!dhcp_message_option(message, DHCP_OPTION_LEASE_TIME));
    assert(dhcp_message_option(message, DHCP_OPTION_BOOT_FILE));
    assert(message->type == (answer->route == DHCP_TO_BOOT_CLIENT ? DHCP_ACK : DHCP_OFFER));
}

static void give_up(struct world *world, struct mac_address mac, uint32_t except)
{
    for (size_t i = 0; i < ARRAY_SIZE(world->promises); i++) {
        struct promise *p = &world->promises[i];
        if (mac_eq(p->mac, mac) && p->address != except &&
            (!except || (p->address >> 8) == (except >> 8)))
            *p = (struct promise){0};
    }
}

static void promise(struct world *world, struct mac_address mac, uint32_t address, uint32_t seconds)
{
    uint64_t now = world->now.monotonic;
    for (size_t i = 0; i < ARRAY_SIZE(world->promises); i++) {
        const struct promise *p = &world->promises[i];
        assert(p->address != address || mac_eq(p->mac, mac) || p->until <= now);
    }
    give_up(world, mac, address);
    world->promises[world->next_promise++ % ARRAY_SIZE(world->promises)] =
        (struct promise){address, mac, now + (seconds - 2) * SECOND}; /* not to the second */
}

/* The answer keeps to the protocol and to what is promised. */
static void check_answer(struct world *world)
{
    static struct dhcp_message message;
    const struct dhcp_answer *answer = &world->answer;
    assert(answer->size >= DHCP_MIN_SIZE && answer->size <= DHCP_MAX_SIZE);
    assert(dhcp_message_parse(answer->data, answer->size, &message) == 0);
    assert(message.op == DHCP_BOOTREPLY);
    assert(message.type == DHCP_OFFER || message.type == DHCP_ACK || message.type == DHCP_NAK);
    if (answer->link == PROXY_LINK)
        check_proxy(answer, &message);
    if (message.type == DHCP_NAK)
        give_up(world, message.mac, 0);
    if (message.type != DHCP_ACK || !message.yiaddr)
        return;
    const struct dhcp_option *time = dhcp_message_option(&message, DHCP_OPTION_LEASE_TIME);
    assert(time && time->size == 4);
    struct wire_reader r = wire_reader_of(time->data, 4);
    promise(world, message.mac, message.yiaddr, wire_get_be32(&r));
    struct dhcp_node owner, own;
    if (node_by_address(world, message.yiaddr, &owner))
        assert(node_by_mac(world, message.mac, &own) && own.address == message.yiaddr);
}

/* What a client says by its message about the addresses that it had. */
static void note_message(struct world *world)
{
    static struct dhcp_message message;
    if (dhcp_message_parse(world->last, world->last_size, &message) == 0 &&
        (message.type == DHCP_DISCOVER || message.type == DHCP_RELEASE ||
         message.type == DHCP_DECLINE))
        give_up(world, message.mac, 0);
}

struct holders {
    const struct world *world;
    uint32_t addresses[1024];
    size_t count;
};

static void check_lease(void *context, const struct dhcp_network *n, const struct lease *lease)
{
    struct holders *holders = context;
    assert((lease->address & n->settings.mask) == n->settings.network);
    assert(holders->count < 1024); /* bounded by pools and nodes */
    for (size_t i = 0; i < holders->count; i++)
        assert(holders->addresses[i] != lease->address);
    holders->addresses[holders->count++] = lease->address;
}

static void receive(struct world *world, uint8_t kind, struct wire_reader bytes)
{
    struct dhcp_arrival arrival = {.link = kind & 0x40   ? PROXY_LINK
                                           : kind & 0x10 ? 3
                                                         : 2,
                                   .source = kind & 0x40 ? 0x0a030063 : 0x0a000063,
                                   .source_port = kind & 8 ? DHCP_SERVER_PORT : DHCP_CLIENT_PORT,
                                   .unicast = kind & 8,
                                   .boot_server = kind & 0x80};
    size_t size = wire_reader_left(&bytes);
    if (kind & 0x20 && size >= 2) {
        size_t offset = wire_get_be16(&bytes);
        size = wire_reader_left(&bytes);
        if (offset + size <= world->last_size)
            wire_get_copy(&bytes, world->last + offset, size);
    } else if (size <= sizeof(world->last)) {
        wire_get_copy(&bytes, world->last, size);
        world->last_size = size;
    }
    note_message(world);
    if (dhcp_server_receive(world->server, &arrival, world->last, world->last_size, &world->now,
                            &world->answer))
        check_answer(world);
}

static void stored(struct world *world, bool ok)
{
    if (world->n_pending == 0)
        return;
    struct dhcp_lease_record record = world->pending[0];
    memmove(world->pending, world->pending + 1, --world->n_pending * sizeof(record));
    if (dhcp_server_stored(world->server, record.address, record.mac, ok, &world->now,
                           &world->answer))
        check_answer(world);
}

static void pass(struct world *world, uint64_t usec)
{
    world->now.monotonic += usec;
    world->now.wall += usec;
    assert(dhcp_server_deadline(world->server) > 0);
    while (dhcp_server_expire(world->server, &world->now, &world->answer))
        check_answer(world);
}

static void change(struct world *world)
{
    world->changed = !world->changed;
    for (size_t i = 0; i < ARRAY_SIZE(world->promises); i++)
        if (world->promises[i].address >> 8 == 0x0a0200) /* this network goes */
            world->promises[i] = (struct promise){0};
    world->networks[0].settings.lease_time = world->changed ? 60 : 3600;
    if (dhcp_server_set_networks(world->server, world->networks, world->changed ? 2 : 4) < 0)
        abort();
}

static void step(struct world *world, uint8_t kind, struct wire_reader bytes)
{
    switch (kind & 7) {
    case 4:
        pass(world, kind & 8 ? 25000 : (uint64_t)wire_get_be16(&bytes) * SECOND);
        break;
    case 5:
        stored(world, true);
        break;
    case 6:
        stored(world, false);
        break;
    case 7:
        change(world);
        break;
    default:
        receive(world, kind, bytes);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    const struct dhcp_policy policy = {.context = &world,
                                       .node_by_mac = node_by_mac,
                                       .node_by_address = node_by_address,
                                       .node_by_name = node_by_name,
                                       .node_is_up = node_is_up,
                                       .store = store,
                                       .event = on_event,
                                       .oddity = on_oddity};
    struct wire_reader r = wire_reader_of(data, size);
    if (network_options.used == 0)
        set_options();
    world = (struct world){.now = {1000 * SECOND, 1700000000 * SECOND}};
    world.networks[0] = network(0x0a000000, 2, true);
    world.networks[1] = network(0x0a090000, 2, false);
    world.networks[2] = network(0x0a020000, 3, true);
    world.networks[3] = network(0x0a030000, PROXY_LINK, true);
    world.networks[3].settings.mode = SUBNET_PROXY;
    world.server = dhcp_server_new(&policy, 1);
    if (!world.server || dhcp_server_set_networks(world.server, world.networks, 4) < 0)
        abort();
    while (wire_reader_left(&r) > 0) {
        uint8_t kind = wire_get_u8(&r);
        struct wire_reader bytes = wire_get_sub(&r, wire_get_be16(&r));
        if (!wire_reader_ok(&r))
            break;
        struct holders holders = {.world = &world};
        step(&world, kind, bytes);
        dhcp_server_each_lease(world.server, check_lease, &holders);
    }
    dhcp_server_free(world.server);
    return 0;
}
