/* RFC 4861 4.1, 4.2, 4.6.2, 6.1; RFC 8200 3 and 8.1 (checksum). */
#include "dhcp/router_advert.h"

#include "dhcp/frame.h"

#include <netinet/icmp6.h>

#define IPV6_SIZE     40
#define HOP_LIMIT     255 /* RFC 4861 6.1: proof that nothing routed it */
#define RA_FIXED_SIZE 16
#define RS_FIXED_SIZE 8
#define FOREVER       UINT32_MAX

/* Answers per interface: a rack that powers on at once needs a few hundred in some seconds. */
#define ALLOWANCE_MAX        500
#define ALLOWANCE_PER_SECOND 100

static const uint8_t all_routers[16] = {0xff, 0x02, [15] = 0x02};

_Static_assert(IPV6_SIZE + RA_FIXED_SIZE == ROUTER_ADVERT_SIZE, "layout");
_Static_assert(IPV6_SIZE + RS_FIXED_SIZE == ROUTER_SOLICIT_SIZE, "layout");

void router_advert_init(struct router_advert *ra, struct router_advert_counters *counters,
                        const uint8_t address[16], struct mac_address mac, uint64_t now)
{
    const uint8_t *m = mac.bytes;
    const uint8_t from_mac[16] = {0xfe, 0x80, [8] = m[0] ^ 2, m[1], m[2],
                                  0xff, 0xfe, m[3],           m[4], m[5]};
    *ra = (struct router_advert){.counters = counters};
    memcpy(ra->address, address ? address : from_mac, sizeof(ra->address));
    ra->quiet_until = now + ROUTER_LISTEN_TIME;
    ra->allowance_at = now;
    ra->allowance = ALLOWANCE_MAX;
}

void router_advert_set_prefixes(struct router_advert *ra, const struct network6 *prefixes,
                                size_t count)
{
    ra->n_prefixes = MIN(count, (size_t)ROUTER_ADVERT_PREFIXES);
    for (size_t i = 0; i < ra->n_prefixes; i++)
        ra->prefixes[i] = prefixes[i];
}

struct neighbour_message {
    uint8_t type;
    uint8_t flags;         /* of an advertisement */
    const uint8_t *source; /* address, 16 bytes */
};

static bool is_link_local(const uint8_t address[16])
{
    return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

/* The ICMPv6 checksum over body and pseudo-header (RFC 8200 8.1); 0 if a received one is right. */
static uint16_t icmp_checksum(const uint8_t *packet, size_t body_size)
{
    const uint8_t *addresses = packet + 8;
    uint32_t sum = (uint32_t)body_size + IPPROTO_ICMPV6;
    uint16_t of_addresses = (uint16_t)~frame_checksum(addresses, 32, sum);
    return frame_checksum(packet + IPV6_SIZE, body_size, of_addresses);
}

/* Options must add up: each has a length, none of them zero. */
static bool options_add_up(struct wire_reader *r)
{
    while (wire_reader_left(r) > 0) {
        wire_skip(r, 1);
        size_t units = wire_get_u8(r);
        if (units == 0)
            return false;
        wire_skip(r, units * 8 - 2);
        if (!wire_reader_ok(r))
            return false;
    }
    return true;
}

/* RFC 4861 6.1.1 and 6.1.2. */
static bool parse(const uint8_t *packet, size_t size, struct neighbour_message *ret_message)
{
    struct wire_reader r = wire_reader_of(packet, size);
    uint32_t version = wire_get_be32(&r) >> 28;
    size_t body_size = wire_get_be16(&r);
    uint8_t next_header = wire_get_u8(&r);
    uint8_t hop_limit = wire_get_u8(&r);
    const uint8_t *source = wire_get_bytes(&r, 16);
    wire_skip(&r, 16);
    struct wire_reader body = wire_get_sub(&r, body_size); /* what follows is Ethernet padding */
    if (!wire_reader_ok(&r) || version != 6 || next_header != IPPROTO_ICMPV6 ||
        hop_limit != HOP_LIMIT || icmp_checksum(packet, body_size) != 0)
        return false;
    uint8_t type = wire_get_u8(&body);
    uint8_t code = wire_get_u8(&body);
    wire_skip(&body, 3); /* checksum; hop limit */
    uint8_t flags = wire_get_u8(&body);
    wire_skip(&body, (type == ND_ROUTER_ADVERT ? RA_FIXED_SIZE : RS_FIXED_SIZE) - 6);
    if (!wire_reader_ok(&body) || code != 0 || !options_add_up(&body))
        return false;
    *ret_message = (struct neighbour_message){.type = type, .flags = flags, .source = source};
    return true;
}

static bool take_allowance(struct router_advert *ra, uint64_t now)
{
    uint64_t seconds = (now - ra->allowance_at) / USEC_PER_SEC;
    if (seconds > 0) {
        ra->allowance =
            (uint32_t)MIN(ra->allowance + seconds * ALLOWANCE_PER_SECOND, (uint64_t)ALLOWANCE_MAX);
        ra->allowance_at += seconds * USEC_PER_SEC;
    }
    if (ra->allowance == 0)
        return false;
    ra->allowance--;
    return true;
}

static struct wire_writer begin(uint8_t *packet, size_t body_size, const uint8_t from[16],
                                const uint8_t to[16])
{
    struct wire_writer w = wire_writer_of(packet, IPV6_SIZE + body_size);
    wire_put_be32(&w, 6U << 28);
    wire_put_be16(&w, (uint16_t)body_size);
    wire_put_u8(&w, IPPROTO_ICMPV6);
    wire_put_u8(&w, HOP_LIMIT);
    wire_put_bytes(&w, from, 16);
    wire_put_bytes(&w, to, 16);
    return w;
}

/* The body is whole. */
static void end(uint8_t *packet, size_t body_size)
{
    struct wire_writer checksum = wire_writer_of(packet + IPV6_SIZE + 2, 2);
    wire_put_be16(&checksum, icmp_checksum(packet, body_size));
}

void router_advert_solicit(uint8_t ret_packet[static ROUTER_SOLICIT_SIZE])
{
    static const uint8_t unspecified[16];
    struct wire_writer w = begin(ret_packet, RS_FIXED_SIZE, unspecified, all_routers);
    wire_put_u8(&w, ND_ROUTER_SOLICIT);
    wire_put_zeros(&w, RS_FIXED_SIZE - 1);
    end(ret_packet, RS_FIXED_SIZE);
}

static void put_prefix(struct wire_writer *w, const struct network6 *network)
{
    wire_put_u8(w, ND_OPT_PREFIX_INFORMATION);
    wire_put_u8(w, ROUTER_ADVERT_PREFIX / 8);
    wire_put_u8(w, (uint8_t)network->bits);
    wire_put_u8(w, ND_OPT_PI_FLAG_ONLINK);
    wire_put_be32(w, FOREVER); /* valid... */
    wire_put_be32(w, FOREVER); /* ...and preferred */
    wire_put_be32(w, 0);
    wire_put_bytes(w, &network->prefix, sizeof(network->prefix));
}

/* What is zero means "unspecified", "none" or "no". No link-layer address either: nobody need keep
 * us in mind. */
static size_t build_advert(const struct router_advert *ra, const uint8_t to[16], uint8_t *packet)
{
    size_t body_size = RA_FIXED_SIZE + ra->n_prefixes * ROUTER_ADVERT_PREFIX;
    struct wire_writer w = begin(packet, body_size, ra->address, to);
    wire_put_u8(&w, ND_ROUTER_ADVERT);
    wire_put_zeros(&w, 4); /* code, checksum, hop limit */
    wire_put_u8(&w, ra->n_prefixes ? ND_RA_FLAG_MANAGED | ND_RA_FLAG_OTHER : 0);
    wire_put_zeros(&w, RA_FIXED_SIZE - 6); /* lifetime of the router, times */
    for (size_t i = 0; i < ra->n_prefixes; i++)
        put_prefix(&w, &ra->prefixes[i]);
    end(packet, body_size);
    return IPV6_SIZE + body_size;
}

static void hear_router(struct router_advert *ra, const struct neighbour_message *message,
                        uint64_t now)
{
    counter_add(&ra->counters->from_routers, 1);
    ra->quiet_until = MAX(ra->quiet_until, now + ROUTER_HOLD_TIME);
    ra->router_heard = true;
    ra->router_for_dhcp = message->flags & (ND_RA_FLAG_MANAGED | ND_RA_FLAG_OTHER);
    memcpy(ra->router_address, message->source, sizeof(ra->router_address));
}

/* May this solicitation be answered? Its sender must have an address already: an answer to "::"
 * would have to be multicast (RFC 4861 6.2.6). */
static bool may_answer(struct router_advert *ra, const struct neighbour_message *message,
                       struct mac_address sender, uint64_t now)
{
    if (!is_link_local(message->source) || now < ra->quiet_until)
        return false;
    ra->router_heard = false;
    if (!ra->is_known_node(ra->context, sender)) {
        counter_add(&ra->counters->unknown, 1);
        return false;
    }
    if (!take_allowance(ra, now)) {
        counter_add(&ra->counters->limited, 1);
        return false;
    }
    return true;
}

size_t router_advert_receive(struct router_advert *ra, const void *packet, size_t size,
                             struct mac_address sender, uint64_t now,
                             uint8_t ret_advert[static ROUTER_ADVERT_MAX_SIZE])
{
    struct neighbour_message message;
    if (!parse(packet, size, &message)) {
        counter_add(&ra->counters->malformed, 1);
        return 0;
    }
    if (message.type == ND_ROUTER_ADVERT) {
        if (is_link_local(message.source))
            hear_router(ra, &message, now);
        return 0;
    }
    if (message.type != ND_ROUTER_SOLICIT)
        return 0;
    counter_add(&ra->counters->solicitations, 1);
    if (!may_answer(ra, &message, sender, now))
        return 0;
    counter_add(&ra->counters->answered, 1);
    return build_advert(ra, message.source, ret_advert);
}
