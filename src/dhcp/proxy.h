/*
 * Beside somebody else's DHCP server (PXE 2.1, 2.2): that gives out the addresses, and we tell
 * those that boot what to boot.
 *
 *   port 67    to the DISCOVER of a boot client, and to nothing else, an OFFER without an address
 *   port 4011  to its REQUEST or INFORM, when it has an address, the same as an ACK
 *
 * What BIOS firmware, iPXE and UEFI HTTP boot need is in the first of them. UEFI's PXE client asks
 * again on port 4011, if the offer has no option 43; and if it has, EDK II has thrown such an offer
 * away for years.
 */
#pragma once

#include "dhcp/server_internal.h"

/* True if *answer is to be sent. */
bool proxy_receive(struct exchange *x, struct dhcp_answer *answer);
/* The network that a message to port 4011 is about, by the address that it comes from; NULL: none
 * that we are the proxy of. */
struct network *proxy_network(struct exchange *x);
