/*
 * Bound to its interface by name (SO_BINDTODEVICE), so that other interfaces are left to other
 * servers. A client has a link-local address before it asks, which answers neighbour discovery: so
 * there is no need of frames of our own, as there is with DHCPv4.
 */
#include "dhcp6/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#define RECEIVE_BUFFER (1 << 20) /* a rack that powers on at once */
#define BATCH          16        /* before everything else on the loop has its turn */
#define BUFFER_SIZE    (DHCP6_MAX_SIZE + 1)
#define CONTROL_SIZE   CMSG_SPACE(sizeof(struct in6_pktinfo))

/* RFC 8415 7.1: all relays and servers of the link; all servers of the site. */
static const char *const groups[] = {"ff02::1:2", "ff05::1:3"};

struct dhcp6_socket {
    int fd;
    sd_event_source *source;
    unsigned link;
    dhcp6_socket_handler *handler;
    void *context;
};

static bool came_by_multicast(struct msghdr *header)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        struct in6_pktinfo info;
        if (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_PKTINFO)
            continue;
        memcpy(&info, CMSG_DATA(c), sizeof(info));
        return IN6_IS_ADDR_MULTICAST(&info.ipi6_addr);
    }
    return false;
}

static bool receive_one(struct dhcp6_socket *socket)
{
    uint8_t buffer[BUFFER_SIZE];
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_SIZE];
    struct sockaddr_in6 from = {0};
    struct iovec iovec = {buffer, sizeof(buffer)};
    struct msghdr header = {
        .msg_name = &from,
        .msg_namelen = sizeof(from),
        .msg_iov = &iovec,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };
    ssize_t n = recvmsg(socket->fd, &header, MSG_DONTWAIT);
    if (n < 0)
        return false; /* an error (ICMP for an earlier answer) is nobody's concern */
    const struct dhcp6_arrival arrival = {
        .link = socket->link,
        .source = from.sin6_addr,
        .source_port = ntohs(from.sin6_port),
        .multicast = came_by_multicast(&header),
    };
    socket->handler(socket->context, &arrival, buffer, (size_t)n);
    return true;
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct dhcp6_socket *socket = userdata;
    for (int i = 0; i < BATCH && receive_one(socket); i++)
        ;
    return 0;
}

static int open_error(const struct link_info *link, int errnum, struct error *ret_error)
{
    switch (errnum) {
    case EADDRINUSE:
        return error_set(ret_error, -errnum,
                         "dhcp6: another DHCPv6 server (dnsmasq, isc-dhcp-server, kea, nodisk?) "
                         "listens on port %u of %s; stop it, or take network6 out of this subnet",
                         DHCP6_SERVER_PORT, link->name);
    case EACCES:
    case EPERM:
        return error_set(ret_error, -errnum,
                         "dhcp6: not allowed to serve on %s; start as root or give the program "
                         "CAP_NET_RAW and CAP_NET_BIND_SERVICE",
                         link->name);
    default:
        return error_set(ret_error, -errnum, "dhcp6: cannot serve on %s: %s (is IPv6 on there?)",
                         link->name, strerror(errnum));
    }
}

static int join(int fd, const char *group, unsigned link)
{
    struct ipv6_mreq mreq = {.ipv6mr_interface = link};
    if (inet_pton(AF_INET6, group, &mreq.ipv6mr_multiaddr) != 1)
        return -EINVAL;
    return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &mreq, sizeof(mreq)) < 0 ? -errno : 0;
}

static int open_udp(const struct link_info *link, int *ret_fd)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(DHCP6_SERVER_PORT)};
    cleanup_close int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, size = RECEIVE_BUFFER;
    if (fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, link->name, (socklen_t)strlen(link->name)) <
            0 ||
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0 ||
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) < 0 ||
        bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
        return -errno;
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        int r = join(fd, groups[i], link->index);
        if (r < 0)
            return r;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size,
                         sizeof(size)); /* as much as is allowed */
    *ret_fd = take_fd(&fd);
    return 0;
}

int dhcp6_socket_open(sd_event *loop, const struct link_info *link, dhcp6_socket_handler *handler,
                      void *context, struct dhcp6_socket **ret_socket, struct error *ret_error)
{
    struct dhcp6_socket *s = calloc(1, sizeof(*s));
    if (!s)
        return error_set(ret_error, -ENOMEM, "out of memory");
    *s = (struct dhcp6_socket){
        .fd = -1, .link = link->index, .handler = handler, .context = context};
    int r = open_udp(link, &s->fd);
    if (r >= 0)
        r = sd_event_add_io(loop, &s->source, s->fd, EPOLLIN, on_readable, s);
    if (r < 0) {
        dhcp6_socket_close(s);
        return open_error(link, -r, ret_error);
    }
    *ret_socket = s;
    return 0;
}

void dhcp6_socket_close(struct dhcp6_socket *socket)
{
    if (!socket)
        return;
    sd_event_source_disable_unref(socket->source);
    util_close_fd(&socket->fd);
    free(socket);
}

int dhcp6_socket_send(const struct dhcp6_socket *socket, const struct dhcp6_answer *answer)
{
    struct sockaddr_in6 to = {
        .sin6_family = AF_INET6, .sin6_port = htons(answer->to_port), .sin6_addr = answer->to};
    if (IN6_IS_ADDR_LINKLOCAL(&answer->to))
        to.sin6_scope_id = socket->link;
    ssize_t n = sendto(socket->fd, answer->data, answer->size, MSG_DONTWAIT, (struct sockaddr *)&to,
                       sizeof(to));
    return n < 0 ? -errno : 0;
}
