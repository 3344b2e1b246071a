#include "server/machine6.h"

#include "server/neighbour.h"

#include <errno.h>

/* The address that we, or its own firmware where it is of the link alone, have made from a MAC. */
static bool is_computed(const struct subnet *subnet, const struct endpoint *address,
                        struct mac_address *ret_mac)
{
    struct in6_addr prefix = subnet->network6.prefix;
    struct mac_address mac;
    if (endpoint_is_link_local(address))
        prefix = (struct in6_addr){.s6_addr = {0xfe, 0x80}};
    if (!net_mac_of_address6(&address->v6.sin6_addr, &mac))
        return false;
    const struct in6_addr computed = net_address6_of_mac(&prefix, mac);
    if (!ipv6_eq(&computed, &address->v6.sin6_addr))
        return false;
    *ret_mac = mac;
    return true;
}

bool machine6_find(struct addresses *addresses, const struct endpoint *address,
                   struct mac_address *ret_mac)
{
    static const struct mac_address nobody;
    const struct in6_addr *bytes = &address->v6.sin6_addr;
    struct subnet subnet;
    int r = addresses_find6(addresses, address, &subnet);
    if (r == -ENOENT)
        *ret_mac = nobody;
    if (r < 0)
        return r == -ENOENT;
    switch (subnet.mode) {
    case SUBNET_SERVER:
        /* Whoever is on the wire itself may take the address that follows from another's MAC. */
        if (!neighbour_mac6(subnet.interface, bytes, ret_mac) &&
            !is_computed(&subnet, address, ret_mac))
            *ret_mac = nobody;
        return true;
    case SUBNET_PROXY:
        return neighbour_mac6(subnet.interface, bytes, ret_mac);
    case SUBNET_OFF:
        break;
    }
    return false;
}

static bool is_in(const struct subnet *subnet, const struct catalog_node *node,
                  struct mac_address mac)
{
    uint32_t own = catalog_node_address_of(node, mac);
    return subnet->mode == SUBNET_SERVER && subnet->network6.bits &&
           (!own || (own & subnet->mask) == subnet->network);
}

json_t *machine6_addresses(struct addresses *addresses, const struct catalog_node *node)
{
    cleanup_free struct subnet *subnets = NULL;
    size_t count;
    char text[INET6_ADDRSTRLEN];
    json_t *list = json_array();
    if (addresses_copy(addresses, &subnets, &count) < 0)
        return list;
    for (size_t i = 0; i < node->n_macs; i++) {
        for (size_t k = 0; k < count; k++) {
            if (!is_in(&subnets[k], node, node->macs[i]))
                continue;
            const struct in6_addr address =
                net_address6_of_mac(&subnets[k].network6.prefix, node->macs[i]);
            json_array_append_new(list, json_string(ipv6_format(&address, text)));
        }
    }
    return list;
}
