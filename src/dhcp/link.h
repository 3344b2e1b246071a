/* A network interface as the server sees it: index, hardware address, addresses. */
#pragma once

#include "core/error.h"
#include "core/net.h"

#include <net/if.h>

#define LINK_MAX_ADDRESSES 32

struct link_info {
    char name[IF_NAMESIZE];
    unsigned index;
    struct mac_address mac;
    uint32_t addresses[LINK_MAX_ADDRESSES]; /* IPv4 */
    size_t n_addresses;
    bool has_link_local;
    uint8_t link_local[16];                         /* IPv6 */
    struct in6_addr addresses6[LINK_MAX_ADDRESSES]; /* IPv6, others than link-local */
    uint8_t flags6[LINK_MAX_ADDRESSES];             /* theirs: IFA_F_... */
    size_t n_addresses6;
};

/* -ENODEV if there is no such interface, -EPROTONOSUPPORT if it is not Ethernet. */
int link_read(const char *name, struct link_info *ret_link, struct error *ret_error) MUST_CHECK;

/* Its IPv4 address inside a network; 0: none. */
uint32_t link_address_in(const struct link_info *link, uint32_t network, uint32_t mask);

/* Its IPv6 address inside a network, for others to be told: rather one that stays and can be used
 * (not temporary, deprecated or tentative), else the first; false: there is none. */
bool link_address6_in(const struct link_info *link, const struct network6 *network,
                      struct in6_addr *ret_address);

/* Does this host forward IPv6 that comes in there? */
bool link_forwards_ipv6(const char *name);
