/* getifaddrs(3), /proc/net/if_inet6 and /proc/sys/net: read when asked, nothing is kept. */
#include "dhcp/link.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>

static void read_hardware(const struct sockaddr *any, struct link_info *link, bool *ret_ethernet)
{
    struct sockaddr_ll hardware;
    memcpy(&hardware, any, sizeof(hardware));
    *ret_ethernet = hardware.sll_hatype == ARPHRD_ETHER && hardware.sll_halen == ETH_ALEN;
    if (*ret_ethernet)
        memcpy(link->mac.bytes, hardware.sll_addr, sizeof(link->mac.bytes));
}

static void read_ipv4(const struct sockaddr *any, struct link_info *link)
{
    struct sockaddr_in v4;
    memcpy(&v4, any, sizeof(v4));
    if (link->n_addresses < LINK_MAX_ADDRESSES)
        link->addresses[link->n_addresses++] = ntohl(v4.sin_addr.s_addr);
}

static void read_ipv6(const struct sockaddr *any, struct link_info *link)
{
    struct sockaddr_in6 v6;
    memcpy(&v6, any, sizeof(v6));
    if (!IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr)) {
        if (link->n_addresses6 < LINK_MAX_ADDRESSES)
            link->addresses6[link->n_addresses6++] = v6.sin6_addr;
    } else if (!link->has_link_local) {
        link->has_link_local = true;
        memcpy(link->link_local, v6.sin6_addr.s6_addr, sizeof(link->link_local));
    }
}

static void read_address(const struct sockaddr *address, struct link_info *link, bool *ethernet)
{
    switch (address->sa_family) {
    case AF_PACKET:
        read_hardware(address, link, ethernet);
        break;
    case AF_INET:
        read_ipv4(address, link);
        break;
    case AF_INET6:
        read_ipv6(address, link);
        break;
    default:
        break;
    }
}

static void set_flags(struct link_info *link, const struct in6_addr *address, uint8_t flags)
{
    for (size_t i = 0; i < link->n_addresses6; i++)
        if (IN6_ARE_ADDR_EQUAL(&link->addresses6[i], address))
            link->flags6[i] = flags;
}

/* An address in hex, and in hex, too: index, prefix length, scope and flags. */
static bool parse_ipv6_line(const char *line, unsigned *ret_index, struct in6_addr *ret_address,
                            uint8_t *ret_flags)
{
    unsigned index, flags;
    size_t digits = strspn(line, "0123456789abcdef");
    if (digits != 2 * sizeof(*ret_address) ||
        sscanf(line + digits, " %x %*x %*x %x", &index, &flags) != 2)
        return false;
    for (size_t i = 0; i < sizeof(*ret_address); i++)
        if (sscanf(line + 2 * i, "%2hhx", &ret_address->s6_addr[i]) != 1)
            return false;
    *ret_index = index;
    *ret_flags = (uint8_t)flags;
    return true;
}

/* getifaddrs() does not tell them. Without IPv6 there is no such file, and nothing to know. */
static void read_ipv6_flags(struct link_info *link)
{
    cleanup_fclose FILE *file = fopen("/proc/net/if_inet6", "re");
    char line[128];
    while (file && fgets(line, sizeof(line), file)) {
        struct in6_addr address;
        unsigned index;
        uint8_t flags;
        if (parse_ipv6_line(line, &index, &address, &flags) && index == link->index)
            set_flags(link, &address, flags);
    }
}

/* Of an address that has a label ("eth1:0", as ifupdown gives them), getifaddrs() tells that. */
static bool is_of(const struct ifaddrs *entry, const char *name)
{
    size_t n = strlen(name);
    return strncmp(entry->ifa_name, name, n) == 0 &&
           (entry->ifa_name[n] == '\0' || entry->ifa_name[n] == ':');
}

int link_read(const char *name, struct link_info *ret_link, struct error *ret_error)
{
    struct link_info link = {.index = if_nametoindex(name)};
    struct ifaddrs *all;
    bool ethernet = false;
    if (link.index == 0)
        return error_set(ret_error, -ENODEV,
                         "this server has no interface %s; correct the name or create it first",
                         name);
    if (getifaddrs(&all) < 0)
        return error_set(ret_error, -errno, "cannot list the network interfaces: %s",
                         strerror(errno));
    str_copy(link.name, sizeof(link.name), name);
    for (const struct ifaddrs *i = all; i; i = i->ifa_next)
        if (i->ifa_addr && is_of(i, name))
            read_address(i->ifa_addr, &link, &ethernet);
    freeifaddrs(all);
    read_ipv6_flags(&link);
    if (!ethernet)
        return error_set(ret_error, -EPROTONOSUPPORT,
                         "interface %s is not Ethernet: DHCP can be served on Ethernet only", name);
    *ret_link = link;
    return 0;
}

uint32_t link_address_in(const struct link_info *link, uint32_t network, uint32_t mask)
{
    for (size_t i = 0; i < link->n_addresses; i++)
        if ((link->addresses[i] & mask) == network)
            return link->addresses[i];
    return 0;
}

/* The more, the less it is one to tell others. */
static unsigned weakness(uint8_t flags)
{
    return (flags & IFA_F_DADFAILED ? 16 : 0) + (flags & IFA_F_TENTATIVE ? 8 : 0) +
           (flags & IFA_F_DEPRECATED ? 4 : 0) + (flags & IFA_F_TEMPORARY ? 2 : 0) +
           (flags & IFA_F_PERMANENT ? 0 : 1);
}

bool link_address6_in(const struct link_info *link, const struct network6 *network,
                      struct in6_addr *ret_address)
{
    size_t best = link->n_addresses6;
    for (size_t i = 0; i < link->n_addresses6; i++)
        if (network6_contains(network, &link->addresses6[i]) &&
            (best == link->n_addresses6 ||
             weakness(link->flags6[i]) < weakness(link->flags6[best])))
            best = i;
    if (best == link->n_addresses6)
        return false;
    *ret_address = link->addresses6[best];
    return true;
}

bool link_forwards_ipv6(const char *name)
{
    char path[64 + IF_NAMESIZE];
    snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/forwarding", name);
    cleanup_fclose FILE *file = fopen(path, "re");
    int c = file ? fgetc(file) : '0'; /* no IPv6 in this kernel: forwards none */
    return c != '0';
}
