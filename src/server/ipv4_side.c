#include "server/ipv4_side.h"

#include "dhcp/link.h"

/* Is a machine that asks from `place` on the wire of the subnet that its IPv4 address is in?
 * Several are on one wire if we have an address in each there: otherwise a relay is between. */
static bool is_on_wire(const struct subnet *own, const struct subnet *place,
                       const struct endpoint *peer)
{
    struct link_info link;
    struct error ignored;
    struct in6_addr ours;
    if (network6_contains(&own->network6, &peer->v6.sin6_addr))
        return true;
    return str_eq(own->interface, place->interface) &&
           link_read(place->interface, &link, &ignored) >= 0 &&
           link_address_in(&link, own->network, own->mask) &&
           (endpoint_is_link_local(peer) || link_address6_in(&link, &place->network6, &ours));
}

/* Where it is; or the subnet of its own address, if that is of use there. Elsewhere it has none. */
static bool find_subnet(struct addresses *addresses, const struct endpoint *peer, uint32_t *own,
                        struct subnet *ret_subnet)
{
    struct subnet of_own;
    if (addresses_find6(addresses, peer, ret_subnet) < 0)
        return false;
    if (*own && addresses_find(addresses, *own, &of_own) && is_on_wire(&of_own, ret_subnet, peer))
        *ret_subnet = of_own;
    else
        *own = 0;
    return true;
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
    if (!find_subnet(addresses, peer, &own, &subnet) ||
        !find_portal(&subnet, portals, &ipv4.portal))
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
