/*
 * A sequence of messages. Input: records of
 *
 *     kind (1 byte), size (2 bytes, big-endian), bytes
 *
 * kind: bit 0 sent to us alone, bit 1 another server's network, whose proxy we are, bit 2 from a
 * port above 1023, bit 3 from a machine that is no node, bit 4 from an address that tells no MAC,
 * bit 5 the bytes are patched into the last datagram at the offset in their first two, bit 6
 * strangers are ignored.
 *
 * What must hold whatever comes: an address is given to its machine alone, by its MAC; a proxy
 * gives none; strangers that do not boot get nothing.
 */
#include "dhcp6/server.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROXY_LINK 3

struct world {
    struct dhcp6_server server;
    struct dhcp_network networks[3];
    uint8_t last[DHCP6_MAX_SIZE + 1];
    size_t last_size;
    struct dhcp6_answer answer;
    uint64_t now;
    bool told; /* an event since the last message */
};

static bool node_by_mac(void *context, struct mac_address mac, struct dhcp_node *ret_node)
{
    static const struct mac_address first = {{0x52, 0x54, 0, 0, 0, 1}};
    if (memcmp(&mac, &first, 5) != 0 || mac.bytes[5] > 3)
        return false;
    *ret_node = (struct dhcp_node){.name = "web1", .address = 0x0a020001};
    return true;
}

static void on_event(void *context, const struct dhcp6_event *event)
{
    struct world *world = context;
    struct in6_addr own = net_address6_of_mac(&event->subnet->network6.prefix, event->mac);
    bool given = !IN6_IS_ADDR_UNSPECIFIED(&event->address);
    assert(!given || ipv6_eq(&event->address, &own));
    assert(!given || event->subnet->mode == SUBNET_SERVER);
    assert(event->node || event->client.kind != DHCP_CLIENT_OTHER);
    assert(event->node || event->subnet->unknown != SUBNET_IGNORE);
    assert(event->type == DHCP6_ADVERTISE || event->type == DHCP6_REPLY);
    world->told = true;
}

static void on_oddity(void *context, const struct dhcp6_oddity *oddity)
{
    assert(oddity->kind < DHCP6_ODDITIES);
}

static struct dhcp_network network(uint8_t number, unsigned link)
{
    struct dhcp_network n = {
        .settings =
            {.name = "lab",
             .network = 0x0a000000 + ((uint32_t)number << 16),
             .mask = 0xffff0000,
             .lease_time = 3600,
             .domain = "lan.example",
             .network6 = {{{{0x20, 1, 0x0d, 0xb8, 0, number}}}, 64},
             .n_dns6 = 2,
             .loaders = {[LOADER_BIOS] = "undionly.kpxe", [LOADER_UEFI_X64] = "snponly.efi"}},
        .link = link,
        .server6 = {{{0x20, 1, 0x0d, 0xb8, 0, number, [15] = 1}}},
        .http_port6 = 80,
        .mac = {{2, 0, 0, 0, 0, 0x77}},
    };
    return n;
}

static void take(struct world *world, uint8_t kind, struct wire_reader bytes)
{
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
}

static void receive(struct world *world, uint8_t kind)
{
    struct dhcp6_arrival arrival = {
        .link = kind & 2 ? PROXY_LINK : 2,
        .source = {{{0xfe, 0x80, [8] = 0x50, 0x54, 0, 0xff, 0xfe, 0, 0, kind & 8 ? 0x63 : 1}}},
        .source_port = kind & 4 ? 5000 : 546,
        .multicast = !(kind & 1),
    };
    if (kind & 0x10)
        arrival.source.s6_addr[11] = 0;
    for (size_t i = 0; i < ARRAY_SIZE(world->networks); i++)
        world->networks[i].settings.unknown = kind & 0x40 ? SUBNET_IGNORE : SUBNET_LOCAL;
    world->told = false;
    world->now += kind & 0x80 ? USEC_PER_SEC : 100;
    bool sent =
        dhcp6_server_receive(&world->server, world->networks, ARRAY_SIZE(world->networks), &arrival,
                             world->last, world->last_size, world->now, &world->answer);
    assert(sent == world->told);
    if (sent)
        assert(world->answer.size >= 4 && world->answer.size <= DHCP6_MAX_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    struct wire_reader r = wire_reader_of(data, size);
    world = (struct world){
        .server.policy = {&world, node_by_mac, on_event, on_oddity},
        .networks = {network(1, 2), network(2, 2), network(3, PROXY_LINK)},
    };
    world.networks[2].settings.mode = SUBNET_PROXY;
    while (wire_reader_left(&r) > 0) {
        uint8_t kind = wire_get_u8(&r);
        struct wire_reader bytes = wire_get_sub(&r, wire_get_be16(&r));
        if (!wire_reader_ok(&r))
            break;
        take(&world, kind, bytes);
        receive(&world, kind);
    }
    return 0;
}
