/* arp(7), rtnetlink(7): questions to the kernel's tables of neighbours, which send nothing. */
#include "server/neighbour.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>

bool neighbour_mac(const char *interface, uint32_t address, struct mac_address *ret_mac)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    struct arpreq question = {0};
    cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(&question.arp_pa, &in, sizeof(in));
    str_copy(question.arp_dev, sizeof(question.arp_dev), interface);
    if (fd < 0 || ioctl(fd, SIOCGARP, &question) < 0 || !(question.arp_flags & ATF_COM) ||
        question.arp_ha.sa_family != ARPHRD_ETHER)
        return false;
    memcpy(ret_mac->bytes, question.arp_ha.sa_data, sizeof(ret_mac->bytes));
    return true;
}

/* It has a hardware address in these states. */
#define KNOWN (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT)

struct question {
    struct nlmsghdr header;
    struct ndmsg neighbour;
    struct rtattr attribute;
    struct in6_addr address;
};

static bool ask(int fd, unsigned interface, const struct in6_addr *address)
{
    const struct question question = {
        .header = {.nlmsg_len = sizeof(question),
                   .nlmsg_type = RTM_GETNEIGH,
                   .nlmsg_flags = NLM_F_REQUEST},
        .neighbour = {.ndm_family = AF_INET6, .ndm_ifindex = (int)interface},
        .attribute = {.rta_len = RTA_LENGTH(sizeof(*address)), .rta_type = NDA_DST},
        .address = *address,
    };
    return send(fd, &question, sizeof(question), 0) == sizeof(question);
}

/* The hardware address among the attributes. */
static bool find_mac(const uint8_t *data, size_t size, struct mac_address *ret_mac)
{
    struct rtattr attribute;
    while (size >= sizeof(attribute)) {
        memcpy(&attribute, data, sizeof(attribute));
        size_t step = RTA_ALIGN(attribute.rta_len);
        if (attribute.rta_len < sizeof(attribute) || attribute.rta_len > size)
            return false;
        if (attribute.rta_type == NDA_LLADDR &&
            attribute.rta_len == RTA_LENGTH(sizeof(ret_mac->bytes))) {
            memcpy(ret_mac->bytes, data + RTA_LENGTH(0), sizeof(ret_mac->bytes));
            return true;
        }
        if (step >= size)
            return false;
        data += step;
        size -= step;
    }
    return false;
}

static bool read_answer(const uint8_t *answer, size_t size, struct mac_address *ret_mac)
{
    struct nlmsghdr header;
    struct ndmsg neighbour;
    const size_t fixed = NLMSG_SPACE(sizeof(neighbour));
    if (size < fixed)
        return false; /* an error: it has no such neighbour */
    memcpy(&header, answer, sizeof(header));
    memcpy(&neighbour, answer + NLMSG_HDRLEN, sizeof(neighbour));
    return header.nlmsg_type == RTM_NEWNEIGH && (neighbour.ndm_state & KNOWN) &&
           find_mac(answer + fixed, size - fixed, ret_mac);
}

bool neighbour_mac6(const char *interface, const struct in6_addr *address,
                    struct mac_address *ret_mac)
{
    uint8_t answer[1024];
    unsigned index = if_nametoindex(interface);
    cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0 || !index || !ask(fd, index, address))
        return false;
    ssize_t n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
    return n > 0 && read_answer(answer, (size_t)n, ret_mac);
}
