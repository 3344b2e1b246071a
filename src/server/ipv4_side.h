/* The IPv4 of machines that boot over IPv6, for the sake of their disks. */
#pragma once

#include "http/nodes.h"
#include "server/addresses.h"

/* What IPv4 is for a machine with this IPv6 address, whose own IPv4 address is `own` (0: it has
 * none): the address that it is to set where we are the ones to give it and it is in that network,
 * and the portal by which it reaches us there, one of these. False: there is none. Any thread. */
bool ipv4_side_find(struct addresses *addresses, const struct listen_list *portals,
                    const struct endpoint *peer, uint32_t own, struct node_http_ipv4 *ret_ipv4);
