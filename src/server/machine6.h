/* Which machine has an IPv6 address? */
#pragma once

#include "registry/catalog.h"
#include "server/addresses.h"

#include <jansson.h>

/* The machine with this IPv6 address, as far as anybody here can know: where we give out addresses,
 * by what the wire says, and where it says nothing, behind a relay, by the address itself, which
 * follows from the MAC; beside another server by the wire alone. A MAC of zeros: a machine that has
 * no business to have it. False: nobody can know. Any thread; never waits. */
bool machine6_find(struct addresses *addresses, const struct endpoint *address,
                   struct mac_address *ret_mac);

/* The addresses that a node has where we give them out, for each card those of its own subnet, or
 * of all if it has no IPv4 address that tells which that is: a new array of texts. Any thread. */
json_t *machine6_addresses(struct addresses *addresses, const struct catalog_node *node);
