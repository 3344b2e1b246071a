/* Makes DHCP messages as clients send them, and reads answers. */
#pragma once

#include "test.h"

#include "dhcp/packet.h"

struct packet {
    struct wire_writer writer;
    uint8_t bytes[DHCP_MAX_SIZE + 64];
};

static inline struct mac_address mac_of(unsigned n)
{
    return (struct mac_address){{0x52, 0x54, 0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
}

static inline void packet_header(struct packet *packet, struct mac_address mac)
{
    packet->writer = wire_writer_of(packet->bytes, sizeof(packet->bytes));
    struct wire_writer *w = &packet->writer;
    wire_put_u8(w, DHCP_BOOTREQUEST);
    wire_put_u8(w, DHCP_HW_ETHERNET);
    wire_put_u8(w, 6);
    wire_put_u8(w, 0);
    wire_put_be32(w, 0xfeedbeef);
    wire_put_zeros(w, 20);
    wire_put_bytes(w, mac.bytes, 6);
    wire_put_zeros(w, 10 + 64 + 128);
    wire_put_be32(w, 0x63825363);
}

static inline void packet_option(struct packet *packet, uint8_t code, const void *data,
                                 uint8_t size)
{
    wire_put_u8(&packet->writer, code);
    wire_put_u8(&packet->writer, size);
    wire_put_bytes(&packet->writer, data, size);
}

static inline void packet_text(struct packet *packet, uint8_t code, const char *text)
{
    packet_option(packet, code, text, (uint8_t)strlen(text));
}

static inline void packet_u8(struct packet *packet, uint8_t code, uint8_t value)
{
    packet_option(packet, code, &value, 1);
}

static inline void packet_u16(struct packet *packet, uint8_t code, uint16_t value)
{
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    packet_option(packet, code, bytes, 2);
}

static inline void packet_u32(struct packet *packet, uint8_t code, uint32_t value)
{
    uint8_t bytes[4];
    struct wire_writer w = wire_writer_of(bytes, 4);
    wire_put_be32(&w, value);
    packet_option(packet, code, bytes, 4);
}

static inline void packet_begin(struct packet *packet, enum dhcp_type type, struct mac_address mac)
{
    packet_header(packet, mac);
    packet_u8(packet, DHCP_OPTION_TYPE, (uint8_t)type);
}

static inline size_t packet_end(struct packet *packet)
{
    wire_put_u8(&packet->writer, DHCP_OPTION_END);
    assert_true(wire_writer_ok(&packet->writer));
    return wire_writer_used(&packet->writer);
}

/* Fixed fields, by their offset. */
#define PACKET_FLAGS  10
#define PACKET_CIADDR 12
#define PACKET_GIADDR 24
#define PACKET_SNAME  44
#define PACKET_FILE   108

static inline void packet_set_u16(struct packet *packet, size_t offset, uint16_t value)
{
    struct wire_writer w = wire_writer_of(packet->bytes + offset, 2);
    wire_put_be16(&w, value);
}

static inline void packet_set_u32(struct packet *packet, size_t offset, uint32_t value)
{
    struct wire_writer w = wire_writer_of(packet->bytes + offset, 4);
    wire_put_be32(&w, value);
}

/* --- answers --- */

static inline uint32_t option_u32(const struct dhcp_message *message, enum dhcp_option_code code)
{
    const struct dhcp_option *option = dhcp_message_option(message, code);
    assert_non_null(option);
    assert_int_equal(option->size, 4);
    struct wire_reader r = wire_reader_of(option->data, 4);
    return wire_get_be32(&r);
}

static inline void assert_option(const struct dhcp_message *message, enum dhcp_option_code code,
                                 const void *data, size_t size)
{
    const struct dhcp_option *option = dhcp_message_option(message, code);
    assert_non_null(option);
    assert_int_equal(option->size, size);
    assert_memory_equal(option->data, data, size);
}

static inline void assert_option_text(const struct dhcp_message *message,
                                      enum dhcp_option_code code, const char *text)
{
    assert_option(message, code, text, strlen(text));
}

static inline uint32_t ip(const char *text)
{
    uint32_t address;
    assert_int_equal(ipv4_parse(text, &address), 0);
    return address;
}
