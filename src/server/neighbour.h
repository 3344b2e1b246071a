/* Whose address is it, by what the wire says? */
#pragma once

#include "core/net.h"

/* The machine that answers ARP for this address on this interface, as the kernel knows it: for one
 * that we have a TCP connection with, it has just been asked. False: nobody there does, since it is
 * behind a router, or the kernel has no answer. Any thread; never waits. */
bool neighbour_mac(const char *interface, uint32_t address, struct mac_address *ret_mac);

/* The same over IPv6, by what it answers to neighbour discovery. */
bool neighbour_mac6(const char *interface, const struct in6_addr *address,
                    struct mac_address *ret_mac);
