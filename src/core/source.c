#include "core/source.h"

#include <arpa/inet.h>
#include <errno.h>

#define MAPPED_BITS 96 /* of ::ffff:0:0 */

static void map_ipv4(uint32_t address, struct in6_addr *ret_mapped)
{
    uint32_t wire = htonl(address);
    *ret_mapped = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(ret_mapped->s6_addr + 12, &wire, sizeof(wire));
}

/* Do the first bits of both agree? */
static bool same_bits(const struct in6_addr *a, const struct in6_addr *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    uint8_t mask = (uint8_t)(0xff00 >> rest);
    return memcmp(a->s6_addr, b->s6_addr, whole) == 0 &&
           (rest == 0 || ((a->s6_addr[whole] ^ b->s6_addr[whole]) & mask) == 0);
}

static bool is_clear_beyond(const struct in6_addr *a, unsigned bits)
{
    for (unsigned i = bits; i < 128; i++)
        if (a->s6_addr[i / 8] & 0x80 >> i % 8)
            return false;
    return true;
}

static int parse_bits(const char *text, unsigned max, unsigned *ret_bits)
{
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 3 || text[n])
        return -EINVAL;
    unsigned long bits = strtoul(text, NULL, 10);
    if (bits > max)
        return -EINVAL;
    *ret_bits = (unsigned)bits;
    return 0;
}

int source_parse(const char *text, struct source *ret_source)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchrnul(text, '/');
    size_t n = (size_t)(slash - text);
    struct source source = {.node = str_eq(text, "node")};
    if (source.node) {
        *ret_source = source;
        return 0;
    }
    if (n >= sizeof(address))
        return -EINVAL;
    memcpy(address, text, n);
    address[n] = '\0';

    uint32_t v4;
    bool is_v4 = ipv4_parse(address, &v4) == 0;
    unsigned max = is_v4 ? 32 : 128, bits = max;
    if (is_v4)
        map_ipv4(v4, &source.network);
    else if (inet_pton(AF_INET6, address, &source.network) != 1)
        return -EINVAL;
    if (*slash && parse_bits(slash + 1, max, &bits) < 0)
        return -EINVAL;
    source.bits = (uint8_t)(bits + (is_v4 ? MAPPED_BITS : 0));
    if (!is_clear_beyond(&source.network, source.bits))
        return -EINVAL;
    *ret_source = source;
    return 0;
}

bool source_is_ipv4(const struct source *source)
{
    return !source->node && source->bits >= MAPPED_BITS && IN6_IS_ADDR_V4MAPPED(&source->network);
}

const char *source_format(const struct source *source, char buffer[static SOURCE_TEXT_SIZE])
{
    char address[INET6_ADDRSTRLEN];
    bool v4 = source_is_ipv4(source);
    unsigned max = v4 ? 32 : 128, bits = source->bits - (v4 ? MAPPED_BITS : 0);
    if (source->node) {
        str_copy(buffer, SOURCE_TEXT_SIZE, "node");
        return buffer;
    }
    inet_ntop(v4 ? AF_INET : AF_INET6, source->network.s6_addr + (v4 ? 12 : 0), address,
              sizeof(address));
    if (bits == max)
        str_copy(buffer, SOURCE_TEXT_SIZE, address);
    else
        snprintf(buffer, SOURCE_TEXT_SIZE, "%s/%u", address, bits);
    return buffer;
}

bool source_has(const struct source *source, const struct endpoint *peer)
{
    struct in6_addr address;
    uint32_t v4;
    if (source->node)
        return false;
    if (endpoint_ipv4(peer, &v4)) {
        if (!source_is_ipv4(source)) /* ::/0 means all of IPv6 */
            return false;
        map_ipv4(v4, &address);
    } else if (peer->any.sa_family == AF_INET6) {
        address = peer->v6.sin6_addr;
    } else {
        return false;
    }
    return same_bits(&source->network, &address, source->bits);
}
