/*
 * Receiving: one socket per interface, bound to it by name (SO_BINDTODEVICE), so that neither the
 * source 0.0.0.0 nor the destination 255.255.255.255 leaves a doubt about where a message is from;
 * and so that other interfaces are left to other servers.
 *
 * Sending, RFC 2131 4.1: relays and machines with an address through the UDP socket; all others
 * through the packet socket, because the kernel would have to ask by ARP for an address that
 * nobody has yet.
 */
#include "dhcp/socket.h"

#include "dhcp/frame.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sys/socket.h>

#define RECEIVE_BUFFER (1 << 22) /* a rack that powers on at once, in the middle of a flood */
#define BUFFER_SIZE    (DHCP_MAX_SIZE + 1)
#define CONTROL_SIZE   CMSG_SPACE(sizeof(struct in_pktinfo))

/* A port that is heard. */
struct port {
    int fd; /* -1: it is not */
    sd_event_source *source;
};

struct dhcp_socket {
    sd_event *loop;
    struct port server, boot; /* 67 and 4011 */
    int packet;
    unsigned link;
    dhcp_socket_handler *handler;
    void *context;
    struct mmsghdr messages[DHCP_SOCKET_BATCH];
    struct iovec iovecs[DHCP_SOCKET_BATCH];
    struct sockaddr_in senders[DHCP_SOCKET_BATCH];
    uint8_t buffers[DHCP_SOCKET_BATCH][BUFFER_SIZE];
    _Alignas(struct cmsghdr) uint8_t controls[DHCP_SOCKET_BATCH][CONTROL_SIZE];
};

static struct dhcp_arrival arrival_of(const struct dhcp_socket *socket, struct msghdr *header,
                                      const struct sockaddr_in *sender)
{
    struct dhcp_arrival arrival = {.link = socket->link,
                                   .source = ntohl(sender->sin_addr.s_addr),
                                   .source_port = ntohs(sender->sin_port)};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO)
            continue;
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof(info));
        arrival.unicast = info.ipi_addr.s_addr == info.ipi_spec_dst.s_addr;
    }
    return arrival;
}

static void prepare(struct dhcp_socket *socket)
{
    for (size_t i = 0; i < DHCP_SOCKET_BATCH; i++) {
        socket->iovecs[i] = (struct iovec){socket->buffers[i], BUFFER_SIZE};
        socket->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &socket->senders[i],
            .msg_namelen = sizeof(socket->senders[i]),
            .msg_iov = &socket->iovecs[i],
            .msg_iovlen = 1,
            .msg_control = socket->controls[i],
            .msg_controllen = CONTROL_SIZE,
        };
    }
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct dhcp_socket *socket = userdata;
    prepare(socket);
    int n = recvmmsg(fd, socket->messages, DHCP_SOCKET_BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) { /* an error (ICMP for an earlier answer) is nobody's concern */
        struct dhcp_arrival arrival =
            arrival_of(socket, &socket->messages[i].msg_hdr, &socket->senders[i]);
        arrival.boot_server = fd == socket->boot.fd;
        socket->handler(socket->context, &arrival, socket->buffers[i], socket->messages[i].msg_len);
    }
    return 0;
}

static int open_error(const struct link_info *link, uint16_t port, int errnum,
                      struct error *ret_error)
{
    switch (errnum) {
    case EADDRINUSE:
        return error_set(
            ret_error, -errnum,
            "dhcp: another DHCP server (dnsmasq, isc-dhcp-server, kea, nodisk?) listens "
            "on port %u of %s; stop it, or set mode = off for this subnet",
            port, link->name);
    case EACCES:
    case EPERM:
        return error_set(ret_error, -errnum,
                         "dhcp: not allowed to serve on %s; start as root or give the program "
                         "CAP_NET_RAW and CAP_NET_BIND_SERVICE",
                         link->name);
    default:
        return error_set(ret_error, -errnum, "dhcp: cannot serve on %s: %s", link->name,
                         strerror(errnum));
    }
}

static int open_udp(const struct link_info *link, uint16_t port, int *ret_fd)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, size = RECEIVE_BUFFER;
    if (fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, link->name, (socklen_t)strlen(link->name)) <
            0 ||
        setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) < 0 ||
        setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) < 0 ||
        bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size,
                         sizeof(size)); /* as much as is allowed */
    *ret_fd = take_fd(&fd);
    return 0;
}

static int open_port(struct dhcp_socket *socket, const struct link_info *link, uint16_t number,
                     struct port *port)
{
    int r = open_udp(link, number, &port->fd);
    return r < 0 ? r
                 : sd_event_add_io(socket->loop, &port->source, port->fd, EPOLLIN, on_readable,
                                   socket);
}

static void close_port(struct port *port)
{
    port->source = sd_event_source_disable_unref(port->source);
    util_close_fd(&port->fd);
    port->fd = -1;
}

static int open_packet(int *ret_fd)
{
    /* protocol 0: it only sends */
    cleanup_close int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    *ret_fd = take_fd(&fd);
    return 0;
}

int dhcp_socket_open(sd_event *loop, const struct link_info *link, dhcp_socket_handler *handler,
                     void *context, struct dhcp_socket **ret_socket, struct error *ret_error)
{
    struct dhcp_socket *s = calloc(1, sizeof(*s));
    if (!s)
        return error_set(ret_error, -ENOMEM, "out of memory");
    *s = (struct dhcp_socket){.loop = loop,
                              .server.fd = -1,
                              .boot.fd = -1,
                              .packet = -1,
                              .link = link->index,
                              .handler = handler,
                              .context = context};
    int r = open_port(s, link, DHCP_SERVER_PORT, &s->server);
    if (r >= 0)
        r = open_packet(&s->packet);
    if (r < 0) {
        dhcp_socket_close(s);
        return open_error(link, DHCP_SERVER_PORT, -r, ret_error);
    }
    *ret_socket = s;
    return 0;
}

int dhcp_socket_set_boot_server(struct dhcp_socket *socket, const struct link_info *link, bool on,
                                struct error *ret_error)
{
    if (on == (socket->boot.fd >= 0))
        return 0;
    int r = on ? open_port(socket, link, DHCP_BOOT_PORT, &socket->boot) : 0;
    if (!on || r < 0)
        close_port(&socket->boot);
    return r < 0 ? open_error(link, DHCP_BOOT_PORT, -r, ret_error) : 0;
}

void dhcp_socket_close(struct dhcp_socket *socket)
{
    if (!socket)
        return;
    close_port(&socket->server);
    close_port(&socket->boot);
    util_close_fd(&socket->packet);
    free(socket);
}

static int send_routed(const struct port *port, const struct dhcp_answer *answer, uint16_t to_port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(to_port), .sin_addr.s_addr = htonl(answer->to)};
    struct in_pktinfo from = {.ipi_spec_dst.s_addr = htonl(answer->from)};
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_SIZE] = {0};
    struct iovec iovec = {(void *)answer->data, answer->size};
    struct msghdr message = {
        .msg_name = &to,
        .msg_namelen = sizeof(to),
        .msg_iov = &iovec,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof(from));
    memcpy(CMSG_DATA(c), &from, sizeof(from));
    return sendmsg(port->fd, &message, MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int send_frame(struct dhcp_socket *socket, const struct dhcp_answer *answer, uint32_t to,
                      struct mac_address mac)
{
    uint8_t frame[FRAME_HEADERS_SIZE + DHCP_MAX_SIZE];
    struct sockaddr_ll hardware = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_IP),
        .sll_ifindex = (int)socket->link,
        .sll_halen = sizeof(mac.bytes),
    };
    memcpy(hardware.sll_addr, mac.bytes, sizeof(mac.bytes));
    frame_build(frame, answer->from, DHCP_SERVER_PORT, to, DHCP_CLIENT_PORT, answer->data,
                answer->size);
    ssize_t n = sendto(socket->packet, frame, FRAME_HEADERS_SIZE + answer->size, MSG_DONTWAIT,
                       (struct sockaddr *)&hardware, sizeof(hardware));
    return n < 0 ? -errno : 0;
}

int dhcp_socket_send(struct dhcp_socket *socket, const struct dhcp_answer *answer)
{
    static const struct mac_address everybody = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    switch (answer->route) {
    case DHCP_TO_RELAY:
        return send_routed(&socket->server, answer, DHCP_SERVER_PORT);
    case DHCP_TO_CLIENT:
        return send_routed(&socket->server, answer, DHCP_CLIENT_PORT);
    case DHCP_TO_BOOT_CLIENT:
        return send_routed(&socket->boot, answer, answer->to_port);
    case DHCP_TO_HARDWARE:
        return send_frame(socket, answer, answer->to, answer->mac);
    case DHCP_TO_ALL:
        break;
    }
    return send_frame(socket, answer, INADDR_BROADCAST, everybody);
}
