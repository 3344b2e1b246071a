#include "server/ipv4_side.h"

#include "dhcp/link.h"

/* By its own address, else by where it is: both are of one [subnet]. */
static bool find_subnet(struct addresses *addresses, const struct endpoint *peer, uint32_t own,
                        struct subnet *ret_subnet)
{
    return own ? addresses_find(addresses, own, ret_subnet)
               : addresses_find6(addresses, peer, ret_subnet) == 0;
}

/* One that is for IPv4 elsewhere, as on a storage network: its router knows the way. */
static const struct endpoint *find_elsewhere(const struct listen_list *portals)
{
    uint32_t ignored;
    for (size_t i = 0; i < portals->count; i++) {
        const struct endpoint *e = &portals->endpoints[i];
        if (endpoint_ipv4(e, &ignored) && !endpoint_is_any(e) && !endpoint_is_loopback(e))
            return e;
    }
    return NULL;
}

/* Ours in that network, with the port of the portal that listens there; else another one. */
static bool find_portal(const struct subnet *subnet, const struct listen_list *portals,
                        struct endpoint *ret_portal)
{
    struct link_info link;
    struct error ignored;
    if (link_read(subnet->interface, &link, &ignored) < 0)
        return false;
    uint32_t address = link_address_in(&link, subnet->network, subnet->mask);
    struct endpoint ours = endpoint_of_ipv4(address, 0);
    const struct endpoint *portal = address ? listen_list_find(portals, &ours) : NULL;
    const struct endpoint *other = portal ? NULL : find_elsewhere(portals);
    if (portal)
        *ret_portal = endpoint_with_port(&ours, endpoint_port(portal));
    else if (other)
        *ret_portal = *other;
    return portal || other;
}

bool ipv4_side_find(struct addresses *addresses, const struct listen_list *portals,
                    const struct endpoint *peer, uint32_t own, struct node_http_ipv4 *ret_ipv4)
{
    struct subnet subnet;
    struct node_http_ipv4 ipv4 = {.address = 0};
    if (!find_subnet(addresses, peer, own, &subnet) || !find_portal(&subnet, portals, &ipv4.portal))
        return false;
    if (own && subnet.mode == SUBNET_SERVER) {
        ipv4.address = own;
        ipv4.mask = subnet.mask;
        ipv4.router = subnet.n_routers ? subnet.routers[0] : 0;
    }
    ipv4.dhcp = subnet.mode == SUBNET_SERVER && (own || subnet.n_ranges > 0);
    *ret_ipv4 = ipv4;
    return true;
}
