/*
 * IPv6 packets on an interface. Input: records of MAC (1 byte, the last of its address), size (1
 * byte), bytes; a size of 0 lets half an hour pass. Bit 7 of the MAC byte: make the checksum right
 * first, so that the rest is reached.
 */
#include "dhcp/frame.h"
#include "dhcp/router_advert.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_known_node(void *context, struct mac_address mac)
{
    return mac.bytes[5] & 1;
}

static void fix_checksum(uint8_t *packet, size_t size)
{
    size_t body = size < 48 ? 0 : (size_t)(packet[4] << 8 | packet[5]);
    if (body < 8 || body > size - 40)
        return;
    packet[42] = packet[43] = 0;
    uint16_t addresses = (uint16_t)~frame_checksum(packet + 8, 32, (uint32_t)body + 58);
    uint16_t sum = frame_checksum(packet + 40, body, addresses);
    packet[42] = (uint8_t)(sum >> 8);
    packet[43] = (uint8_t)sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_reader r = wire_reader_of(data, size);
    struct router_advert ra;
    struct router_advert_counters counters = {0};
    uint64_t now = 1000 * USEC_PER_SEC;
    uint8_t advert[ROUTER_ADVERT_MAX_SIZE], packet[255];
    router_advert_init(&ra, &counters, NULL, (struct mac_address){{2, 0, 0, 0, 0, 1}}, 0);
    ra.is_known_node = is_known_node;
    static const struct network6 networks[4] = {
        {{{{0xfd, 1}}}, 64}, {{{{0xfd, 2}}}, 48}, {{{{0xfd, 3}}}, 16}, {{{{0xfd, 4}}}, 64}};
    router_advert_set_prefixes(&ra, networks, size % 5);
    while (wire_reader_left(&r) > 0) {
        uint8_t last = wire_get_u8(&r);
        size_t n = wire_get_u8(&r);
        struct mac_address sender = {{0x52, 0x54, 0, 0, 0, last}};
        if (n == 0)
            now += 1800 * USEC_PER_SEC;
        wire_get_copy(&r, packet, n);
        if (!wire_reader_ok(&r))
            break;
        if (last & 0x80)
            fix_checksum(packet, n);
        size_t sent = router_advert_receive(&ra, packet, n, sender, now, advert);
        if (sent == 0)
            continue;
        assert(sent == 56 + size % 5 * 32 && (size_t)(advert[4] << 8 | advert[5]) == sent - 40);
        assert((last & 1) && n >= 48);
        assert(advert[40] == 134 && memcmp(advert + 24, packet + 8, 16) == 0);
        assert(packet[8] == 0xfe); /* never to all, never to a routed address */
    }
    return 0;
}
