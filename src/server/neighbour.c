/* arp(7): a question to the kernel's table of neighbours, which sends nothing. */
#include "server/neighbour.h"

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
