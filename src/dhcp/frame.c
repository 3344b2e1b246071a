/* RFC 791 3.1, RFC 768, RFC 1071. */
#include "dhcp/frame.h"

#include <netinet/in.h>

#define IP_SIZE  20
#define UDP_SIZE 8
#define TTL      64

uint16_t frame_checksum(const void *data, size_t size, uint32_t sum)
{
    struct wire_reader r = wire_reader_of(data, size);
    while (wire_reader_left(&r) >= 2)
        sum += wire_get_be16(&r);
    if (wire_reader_left(&r) == 1)
        sum += (uint32_t)wire_get_u8(&r) << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void put_checksum(uint8_t *at, uint16_t checksum)
{
    struct wire_writer w = wire_writer_of(at, 2);
    wire_put_be16(&w, checksum);
}

static uint32_t halves(uint32_t address)
{
    return (address >> 16) + (address & 0xffff);
}

void frame_build(uint8_t *frame, uint32_t from, uint16_t from_port, uint32_t to, uint16_t to_port,
                 const void *payload, size_t size)
{
    struct wire_writer w = wire_writer_of(frame, FRAME_HEADERS_SIZE + size);
    uint16_t udp_size = (uint16_t)(UDP_SIZE + size);
    wire_put_u8(&w, 0x45); /* version 4, five words of header */
    wire_put_u8(&w, 0);
    wire_put_be16(&w, (uint16_t)(IP_SIZE + udp_size));
    wire_put_be32(&w, 0); /* a datagram of its own, not to be put together */
    wire_put_u8(&w, TTL);
    wire_put_u8(&w, IPPROTO_UDP);
    wire_put_be16(&w, 0);
    wire_put_be32(&w, from);
    wire_put_be32(&w, to);
    wire_put_be16(&w, from_port);
    wire_put_be16(&w, to_port);
    wire_put_be16(&w, udp_size);
    wire_put_be16(&w, 0);
    wire_put_bytes(&w, payload, size);

    put_checksum(frame + 10, frame_checksum(frame, IP_SIZE, 0));
    uint32_t pseudo_header = halves(from) + halves(to) + IPPROTO_UDP + udp_size;
    uint16_t checksum = frame_checksum(frame + IP_SIZE, udp_size, pseudo_header);
    put_checksum(frame + IP_SIZE + 6, checksum ? checksum : 0xffff); /* 0 means "none" */
}
