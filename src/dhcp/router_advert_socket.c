/*
 * A packet socket sees solicitations with their hardware address, which is what a node is known
 * by, and sends the answer back there without neighbour discovery. The kernel drops all but
 * router solicitations and advertisements before they get here.
 *
 * Solicitations go to ff02::2, which a host that is no router does not listen to: the card's
 * filter is told (PACKET_ADD_MEMBERSHIP), and, for switches that watch multicast, the group is
 * joined as well where the kernel has IPv6.
 */
#include "dhcp/router_advert_socket.h"

#include "core/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>

#define BATCH          16
#define MAX_PACKET     2048
#define RECEIVE_BUFFER (256 * 1024)

struct router_advert_socket {
    struct router_advert ra;
    char interface[IF_NAMESIZE];
    unsigned link;
    int packet;
    int group; /* keeps the membership of ff02::2; -1: none */
    sd_event_source *source;
    bool told_router, told_forwarding, told_no_dhcp;
};

static int send_to(const struct router_advert_socket *socket, struct mac_address to,
                   const void *packet, size_t size)
{
    struct sockaddr_ll hardware = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_IPV6),
        .sll_ifindex = (int)socket->link,
        .sll_halen = sizeof(to.bytes),
    };
    memcpy(hardware.sll_addr, to.bytes, sizeof(to.bytes));
    ssize_t n = sendto(socket->packet, packet, size, MSG_DONTWAIT, (struct sockaddr *)&hardware,
                       sizeof(hardware));
    return n < 0 ? -errno : 0;
}

static void tell_router(struct router_advert_socket *socket)
{
    char address[INET6_ADDRSTRLEN];
    if (socket->ra.router_heard && !socket->told_router)
        log_info("%s: router %s advertises there: leaving router solicitations to it",
                 socket->interface,
                 inet_ntop(AF_INET6, socket->ra.router_address, address, sizeof(address)));
    socket->told_router = socket->ra.router_heard;
}

/* What machines that want to boot over IPv6 miss with that router. */
static void tell_flags(struct router_advert_socket *socket)
{
    char address[INET6_ADDRSTRLEN];
    const struct router_advert *ra = &socket->ra;
    bool lacks = ra->router_heard && !ra->router_for_dhcp && ra->n_prefixes > 0;
    if (lacks && !socket->told_no_dhcp)
        log_warning("%s: router %s tells machines to do without DHCPv6 (neither M nor O in its "
                    "advertisements): iPXE finds no script over IPv6 there, and the systems of "
                    "nodes get no address; set one of them on that router",
                    socket->interface,
                    inet_ntop(AF_INET6, ra->router_address, address, sizeof(address)));
    socket->told_no_dhcp = lacks;
}

/* This host is a router itself, then: whoever runs it decides what it advertises. */
static bool may_send(struct router_advert_socket *socket)
{
    bool forwards = link_forwards_ipv6(socket->interface);
    if (forwards && !socket->told_forwarding)
        log_notice("%s: this server forwards IPv6 there, so that booting nodes get no router "
                   "advertisement from it: iPXE waits 13 s for one at each start%s",
                   socket->interface,
                   socket->ra.n_prefixes ? ", and asks DHCPv6 for nothing if no router tells it to"
                                         : "");
    socket->told_forwarding = forwards;
    return !forwards;
}

static void receive(struct router_advert_socket *socket, const uint8_t *packet, size_t size,
                    const struct sockaddr_ll *from)
{
    uint8_t advert[ROUTER_ADVERT_MAX_SIZE];
    struct mac_address sender;
    if (from->sll_halen != sizeof(sender.bytes))
        return;
    memcpy(sender.bytes, from->sll_addr, sizeof(sender.bytes));
    size_t n =
        router_advert_receive(&socket->ra, packet, size, sender, clock_monotonic_usec(), advert);
    if (n > 0 && may_send(socket))
        (void)send_to(socket, sender, advert, n); /* it will ask again */
    tell_router(socket);
    tell_flags(socket);
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct router_advert_socket *socket = userdata;
    for (int i = 0; i < BATCH; i++) {
        uint8_t packet[MAX_PACKET];
        struct sockaddr_ll from = {0};
        socklen_t from_size = sizeof(from);
        ssize_t n = recvfrom(fd, packet, sizeof(packet), MSG_DONTWAIT | MSG_TRUNC,
                             (struct sockaddr *)&from, &from_size);
        if (n < 0)
            break;
        if ((size_t)n <= sizeof(packet))
            receive(socket, packet, (size_t)n, &from);
    }
    return 0;
}

/* ICMPv6 directly after the IPv6 header, of the two types. */
static int attach_filter(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 4),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 40),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ND_ROUTER_SOLICIT, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ND_ROUTER_ADVERT, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {ARRAY_SIZE(code), code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

/* 33:33:00:00:00:01 for advertisements, ...:02 for solicitations. */
static int add_memberships(int fd, unsigned link)
{
    for (uint8_t group = 1; group <= 2; group++) {
        struct packet_mreq request = {
            .mr_ifindex = (int)link,
            .mr_type = PACKET_MR_MULTICAST,
            .mr_alen = ETH_ALEN,
            .mr_address = {0x33, 0x33, 0, 0, 0, group},
        };
        if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof(request)) < 0)
            return -1;
    }
    return 0;
}

static int join_all_routers(unsigned link)
{
    struct ipv6_mreq request = {.ipv6mr_interface = link};
    cleanup_close int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    request.ipv6mr_multiaddr.s6_addr[0] = 0xff;
    request.ipv6mr_multiaddr.s6_addr[1] = 0x02;
    request.ipv6mr_multiaddr.s6_addr[15] = 0x02;
    if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof(request)) < 0)
        return -1;
    return take_fd(&fd);
}

static int open_packet(unsigned link, int *ret_fd)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IPV6), .sll_ifindex = (int)link};
    int size = RECEIVE_BUFFER;
    /* protocol 0: nothing is received until the filter is there and it is bound */
    cleanup_close int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || attach_filter(fd) < 0 || add_memberships(fd, link) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    *ret_fd = take_fd(&fd);
    return 0;
}

static void solicit(const struct router_advert_socket *socket)
{
    static const struct mac_address all_routers = {{0x33, 0x33, 0, 0, 0, 2}};
    uint8_t packet[ROUTER_SOLICIT_SIZE];
    router_advert_solicit(packet);
    (void)send_to(socket, all_routers, packet, sizeof(packet));
}

int router_advert_open(sd_event *loop, const struct link_info *link,
                       struct router_advert_counters *counters,
                       bool (*is_known_node)(void *context, struct mac_address mac), void *context,
                       struct router_advert_socket **ret_socket, struct error *ret_error)
{
    struct router_advert_socket *s = calloc(1, sizeof(*s));
    if (!s)
        return error_set(ret_error, -ENOMEM, "out of memory");
    *s = (struct router_advert_socket){.link = link->index, .packet = -1};
    str_copy(s->interface, sizeof(s->interface), link->name);
    s->group = join_all_routers(link->index);
    router_advert_init(&s->ra, counters, link->has_link_local ? link->link_local : NULL, link->mac,
                       clock_monotonic_usec());
    s->ra.is_known_node = is_known_node;
    s->ra.context = context;
    int r = open_packet(link->index, &s->packet);
    if (r >= 0)
        r = sd_event_add_io(loop, &s->source, s->packet, EPOLLIN, on_readable, s);
    if (r < 0) {
        router_advert_close(s);
        return error_set(ret_error, r,
                         "cannot answer router solicitations on %s: %s; give the program "
                         "CAP_NET_RAW or set router-advertisement = no",
                         link->name, strerror(-r));
    }
    solicit(s);
    *ret_socket = s;
    return 0;
}

void router_advert_boot_in(struct router_advert_socket *socket, const struct network6 *networks,
                           size_t count)
{
    router_advert_set_prefixes(&socket->ra, networks, count);
    tell_flags(socket);
}

void router_advert_close(struct router_advert_socket *socket)
{
    if (!socket)
        return;
    sd_event_source_disable_unref(socket->source);
    util_close_fd(&socket->packet);
    util_close_fd(&socket->group);
    free(socket);
}
