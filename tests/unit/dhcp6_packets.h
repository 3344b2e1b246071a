/* DHCPv6 messages for tests, written option by option. */
#pragma once

#include "test.h"

#include "dhcp6/packet.h"

struct packet6 {
    struct wire_writer writer;
    size_t relay_length; /* where that of the relay's message stands; 0: there is none */
    uint8_t bytes[DHCP6_MAX_SIZE + 1];
};

static inline struct in6_addr ip6(const char *text)
{
    struct in6_addr address;
    assert_int_equal(ipv6_parse(text, &address), 0);
    return address;
}

static inline void packet6_option(struct packet6 *p, uint16_t code, const void *data, size_t size)
{
    wire_put_be16(&p->writer, code);
    wire_put_be16(&p->writer, (uint16_t)size);
    wire_put_bytes(&p->writer, data, size);
}

#define PACKET6_OPTION(p, code, text) packet6_option((p), (code), (text), sizeof(text) - 1)

static inline void packet6_clear(struct packet6 *p)
{
    *p = (struct packet6){.writer = wire_writer_of(p->bytes, sizeof(p->bytes))};
}

/* Before the message itself. options: of the relay, encoded. */
static inline void packet6_relay(struct packet6 *p, const char *link, const char *peer,
                                 const void *options, size_t size)
{
    struct in6_addr l = ip6(link), a = ip6(peer);
    wire_put_u8(&p->writer, DHCP6_RELAY_FORWARD);
    wire_put_u8(&p->writer, 3);
    wire_put_bytes(&p->writer, &l, sizeof(l));
    wire_put_bytes(&p->writer, &a, sizeof(a));
    wire_put_bytes(&p->writer, options, size);
    wire_put_be16(&p->writer, DHCP6_OPTION_RELAY_MESSAGE);
    p->relay_length = wire_writer_used(&p->writer);
    wire_put_be16(&p->writer, 0);
}

static inline void packet6_begin(struct packet6 *p, uint8_t type)
{
    wire_put_u8(&p->writer, type);
    wire_put_be24(&p->writer, 0xabcdef);
}

static inline void packet6_ia(struct packet6 *p, uint16_t code, uint32_t id,
                              const char *const *list)
{
    size_t n = 0;
    while (list && list[n])
        n++;
    wire_put_be16(&p->writer, code);
    wire_put_be16(&p->writer, (uint16_t)(4 + (code == DHCP6_OPTION_IA_TA ? 0 : 8) + n * 28));
    wire_put_be32(&p->writer, id);
    if (code != DHCP6_OPTION_IA_TA)
        wire_put_zeros(&p->writer, 8);
    for (size_t i = 0; i < n; i++) {
        struct in6_addr address = ip6(list[i]);
        wire_put_be16(&p->writer, DHCP6_OPTION_IA_ADDRESS);
        wire_put_be16(&p->writer, 24);
        wire_put_bytes(&p->writer, &address, sizeof(address));
        wire_put_zeros(&p->writer, 8);
    }
}

/* The size; the length of the innermost relay's message is put in. */
static inline size_t packet6_end(struct packet6 *p)
{
    size_t used = wire_writer_used(&p->writer);
    assert_true(wire_writer_ok(&p->writer));
    if (p->relay_length) {
        struct wire_writer w = wire_writer_of(p->bytes + p->relay_length, 2);
        wire_put_be16(&w, (uint16_t)(used - p->relay_length - 2));
    }
    return used;
}
