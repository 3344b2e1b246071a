/*
 * Two sockets for as long as it takes: a machine is woken rarely, and by a thread that may wait,
 * while those of the DHCP server belong to the control thread.
 */
#include "dhcp/wake.h"

#include "dhcp/link.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sys/socket.h>

#define WAKE_PORT      9 /* discard: nobody answers */
#define WAKE_ETHERTYPE 0x0842

struct way {
    int udp, packet;
    unsigned link;
    uint32_t broadcast;
};

/* The host part of a network of one or two addresses (RFC 3021) has no broadcast address. */
static uint32_t broadcast_of(const struct subnet *subnet)
{
    return ~subnet->mask > 1 ? subnet->network | ~subnet->mask : INADDR_BROADCAST;
}

/* interface: the one it is to leave by; NULL: what the routes say. */
static int open_udp(const char *interface, int *ret_fd)
{
    cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) < 0 ||
        (interface &&
         setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) < 0))
        return -errno;
    *ret_fd = take_fd(&fd);
    return 0;
}

static int open_packet(int *ret_fd)
{
    /* protocol 0: it only sends */
    cleanup_close int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    *ret_fd = take_fd(&fd);
    return 0;
}

static int send_datagram(const struct way *way, const uint8_t *packet, size_t size)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(WAKE_PORT),
                                   .sin_addr.s_addr = htonl(way->broadcast)};
    ssize_t n = sendto(way->udp, packet, size, 0, (const struct sockaddr *)&to, sizeof(to));
    return n < 0 ? -errno : 0;
}

static int send_frame(const struct way *way, const uint8_t *packet, size_t size)
{
    struct sockaddr_ll to = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(WAKE_ETHERTYPE),
        .sll_ifindex = (int)way->link,
        .sll_halen = ETH_ALEN,
    };
    memset(to.sll_addr, 0xff, ETH_ALEN);
    ssize_t n = sendto(way->packet, packet, size, 0, (struct sockaddr *)&to, sizeof(to));
    return n < 0 ? -errno : 0;
}

static int send_all(const struct way *way, const struct mac_address *macs, size_t n_macs,
                    const struct wake_password *password)
{
    uint8_t packet[WAKE_PACKET_MAX];
    int r = 0;
    for (size_t i = 0; r >= 0 && i < n_macs; i++) {
        size_t size = wake_packet_build(packet, macs[i], password);
        r = send_datagram(way, packet, size);
        if (r >= 0 && way->packet >= 0)
            r = send_frame(way, packet, size);
    }
    return r;
}

int wake_send(const struct subnet *subnet, const struct mac_address *macs, size_t n_macs,
              const struct wake_password *password, struct wake_sent *ret_sent,
              struct error *ret_error)
{
    struct link_info link;
    int r = link_read(subnet->interface, &link, ret_error);
    if (r < 0)
        return r;
    bool local = link_address_in(&link, subnet->network, subnet->mask) != 0;
    struct way way = {
        .udp = -1, .packet = -1, .link = link.index, .broadcast = broadcast_of(subnet)};
    r = open_udp(local ? subnet->interface : NULL, &way.udp);
    if (r >= 0 && local)
        r = open_packet(&way.packet);
    if (r >= 0)
        r = send_all(&way, macs, n_macs, password);
    util_close_fd(&way.udp);
    util_close_fd(&way.packet);
    if (r < 0)
        return error_set(ret_error, r, "nothing can be sent to [subnet %s] through %s: %s",
                         subnet->name, subnet->interface, strerror(-r));
    *ret_sent = (struct wake_sent){.broadcast = way.broadcast, .frame = local};
    return 0;
}
