#include "dhcp/arp.h"

#include "core/wire.h"

#define HARDWARE_ETHERNET 1
#define PROTOCOL_IPV4     0x0800
#define REQUEST           1
#define REPLY             2

void arp_request_build(uint8_t packet[static ARP_SIZE], struct mac_address mac, uint32_t sender,
                       uint32_t address)
{
    struct wire_writer w = wire_writer_of(packet, ARP_SIZE);
    wire_put_be16(&w, HARDWARE_ETHERNET);
    wire_put_be16(&w, PROTOCOL_IPV4);
    wire_put_u8(&w, sizeof(mac.bytes));
    wire_put_u8(&w, sizeof(address));
    wire_put_be16(&w, REQUEST);
    wire_put_bytes(&w, mac.bytes, sizeof(mac.bytes));
    wire_put_be32(&w, sender);
    wire_put_zeros(&w, sizeof(mac.bytes));
    wire_put_be32(&w, address);
}

static bool is_machine(struct mac_address mac)
{
    static const struct mac_address zero;
    return !(mac.bytes[0] & 1) && !mac_eq(mac, zero);
}

bool arp_read_claim(const void *packet, size_t size, struct mac_address *ret_mac,
                    uint32_t *ret_address)
{
    struct wire_reader r = wire_reader_of(packet, size);
    struct mac_address mac = {0};
    bool ethernet = wire_get_be16(&r) == HARDWARE_ETHERNET;
    bool ipv4 = wire_get_be16(&r) == PROTOCOL_IPV4;
    bool sizes = wire_get_be16(&r) == (sizeof(mac.bytes) << 8 | sizeof(uint32_t));
    uint16_t operation = wire_get_be16(&r);
    wire_get_copy(&r, mac.bytes, sizeof(mac.bytes));
    uint32_t sender = wire_get_be32(&r);
    wire_skip(&r, sizeof(mac.bytes));
    uint32_t target = wire_get_be32(&r);
    bool announces = operation == REQUEST && sender == target; /* RFC 5227 2.3 */
    if (!wire_reader_ok(&r) || !ethernet || !ipv4 || !sizes || sender == 0 ||
        (operation != REPLY && !announces) || !is_machine(mac))
        return false;
    *ret_mac = mac;
    *ret_address = sender;
    return true;
}
