/* What the subnets of a configuration come to on this machine: which interfaces, and which of our
 * addresses in each network. */
#pragma once

#include "dhcp/arp_socket.h"
#include "dhcp/router_advert_socket.h"
#include "dhcp/server.h"
#include "dhcp/socket.h"
#include "dhcp6/socket.h"
#include "server/config.h"

/* An interface that is served. */
struct served_link {
    struct link_info info;
    struct dhcp_socket *socket;
    struct dhcp6_socket *socket6;               /* or NULL */
    struct router_advert_socket *router_advert; /* or NULL */
    struct arp_socket *arp;                     /* or NULL */
};

/* What a configuration comes to on this machine. */
struct dhcp_plan {
    struct served_link links[CONFIG_MAX_SUBNETS];
    size_t n_links;
    struct dhcp_network networks[CONFIG_MAX_SUBNETS];
    size_t n_networks;
    /* Our address in the network6 of one of these, if nothing serves scripts there: then it is not
     * served over IPv6; else "::". */
    struct in6_addr deaf6[CONFIG_MAX_SUBNETS];
    /* Why a subnet, by its index in the configuration, cannot be served now; code 0: it is. */
    struct error problems[CONFIG_MAX_SUBNETS];
};

/* Looks at the interfaces; opens nothing. listeners: where scripts are served. Subnets that cannot
 * be served are left out; an error only if none is left. plan is zeroed. */
int dhcp_plan_make(const struct config *config, const struct listeners *listeners,
                   struct dhcp_plan *plan, struct error *ret_error) MUST_CHECK;

/* Do both come to the same interfaces, addresses, networks and problems? (Settings may differ.) */
bool dhcp_plan_same_links(const struct dhcp_plan *a, const struct dhcp_plan *b);

/* NULL: not served. */
struct served_link *dhcp_plan_find_link(struct dhcp_plan *plan, const char *name);
/* Are we the proxy of another server's network there? */
bool dhcp_plan_has_proxy(const struct dhcp_plan *plan, const struct served_link *link);
/* Does anything boot over IPv6 there? */
bool dhcp_plan_wants_dhcp6(const struct dhcp_plan *plan, const struct served_link *link);
/* The networks on that wire itself for which we are the DHCPv6 server; how many. */
size_t dhcp_plan_networks6(const struct dhcp_plan *plan, const struct served_link *link,
                           struct network6 ret_networks[static CONFIG_MAX_SUBNETS]);
/* Do we have an address that its machines know us by over IPv6? */
bool dhcp_network_has_ipv6(const struct dhcp_network *network);
/* Does any subnet of the interface want router solicitations answered? */
bool dhcp_plan_wants_router_advert(const struct dhcp_plan *plan, const struct served_link *link);
/* Does any want machines to be found that use addresses of others? */
bool dhcp_plan_wants_arp(const struct dhcp_plan *plan, const struct served_link *link);
