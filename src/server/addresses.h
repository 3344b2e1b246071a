/* Which addresses a node may be given: inside a configured subnet, and not the server's own. */
#pragma once

#include "server/config.h"

struct addresses;

/* NULL without memory. */
struct addresses *addresses_new(void);
void addresses_free(struct addresses *addresses);
/* From now on these subnets hold (start, reload); copied. -ENOMEM: the old ones still do. */
int addresses_set(struct addresses *addresses, const struct subnet *subnets,
                  size_t count) MUST_CHECK;

/* The subnets that hold now. *ret_subnets: an array, free() it. Any thread. -ENOMEM. */
int addresses_copy(struct addresses *addresses, struct subnet **ret_subnets,
                   size_t *ret_count) MUST_CHECK;

/* -EINVAL and the sentence if a node must not have the address. Any thread. */
int addresses_check(struct addresses *addresses, uint32_t address,
                    struct error *ret_error) MUST_CHECK;

/* The subnet that an address is in; false: in none. Any thread. */
bool addresses_find(struct addresses *addresses, uint32_t address, struct subnet *ret_subnet);

/* The subnet that a machine with this IPv6 address is in: by `network6`, or by the interface of a
 * link-local address (but one that gives out addresses over IPv4 alone has none). -ENOENT: in none;
 * -ENOTCONN: there are no subnets that we serve. Any thread.
 */
int addresses_find6(struct addresses *addresses, const struct endpoint *address,
                    struct subnet *ret_subnet) MUST_CHECK;

/* Who hands out addresses of the network that this one is in? SUBNET_OFF also if we know nothing of
 * it. Otherwise *ret_interface is where that network is. Any thread. */
enum subnet_mode addresses_mode(struct addresses *addresses, uint32_t address,
                                char ret_interface[static IF_NAMESIZE]);
