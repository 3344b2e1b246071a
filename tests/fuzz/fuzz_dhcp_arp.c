/* Packets of ARP. Input: one, without its Ethernet header. Who claims an address may be a machine.
 */
#include "dhcp/arp.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mac_address mac;
    uint32_t address;
    uint8_t probe[ARP_SIZE];
    if (!arp_read_claim(data, size, &mac, &address))
        return 0;
    assert(size >= ARP_SIZE && address != 0 && !(mac.bytes[0] & 1));
    arp_request_build(probe, mac, 0, address);
    assert(!arp_read_claim(probe, sizeof(probe), &mac, &address));
    return 0;
}
