/*
 * A packet socket. The kernel drops all but answers and announcements before they get here: what
 * machines ask one another, which is most of ARP, costs nothing. A flood of the rest is lost in a
 * small buffer, and read in batches.
 */
#include "dhcp/arp_socket.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>

#define BATCH          16
#define RECEIVE_BUFFER (64 * 1024)

struct arp_socket {
    int fd;
    unsigned link;
    sd_event_source *source;
    arp_socket_handler *handler;
    void *context;
};

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    const struct arp_socket *socket = userdata;
    for (int i = 0; i < BATCH; i++) {
        uint8_t packet[64]; /* with padding */
        struct mac_address mac;
        uint32_t address;
        ssize_t n = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
        if (n < 0)
            break;
        if (arp_read_claim(packet, (size_t)n, &mac, &address))
            socket->handler(socket->context, socket->link, address, mac);
    }
    return 0;
}

/* An answer; or a request whose sender has the address that it asks for. */
static int attach_filter(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 14),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 24),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {ARRAY_SIZE(code), code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static int open_packet(unsigned link, int *ret_fd)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_ifindex = (int)link};
    int size = RECEIVE_BUFFER;
    /* protocol 0: nothing is received until the filter is there and it is bound */
    cleanup_close int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || attach_filter(fd) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    *ret_fd = take_fd(&fd);
    return 0;
}

int arp_socket_open(sd_event *loop, const struct link_info *link, arp_socket_handler *handler,
                    void *context, struct arp_socket **ret_socket, struct error *ret_error)
{
    struct arp_socket *s = calloc(1, sizeof(*s));
    if (!s)
        return error_set(ret_error, -ENOMEM, "out of memory");
    *s = (struct arp_socket){.fd = -1, .link = link->index, .handler = handler, .context = context};
    int r = open_packet(link->index, &s->fd);
    if (r >= 0)
        r = sd_event_add_io(loop, &s->source, s->fd, EPOLLIN, on_readable, s);
    if (r < 0) {
        arp_socket_close(s);
        return error_set(ret_error, r,
                         "cannot look for address conflicts on %s: %s; give the program "
                         "CAP_NET_RAW or set conflict-detection = no",
                         link->name, strerror(-r));
    }
    *ret_socket = s;
    return 0;
}

void arp_socket_close(struct arp_socket *socket)
{
    if (!socket)
        return;
    sd_event_source_disable_unref(socket->source);
    util_close_fd(&socket->fd);
    free(socket);
}

/* packet(7): that of the interface as it is now. A bridge has another one when ports come and go.
 */
static bool own_mac(const struct arp_socket *socket, struct mac_address *ret_mac)
{
    struct sockaddr_ll own = {0};
    socklen_t size = sizeof(own);
    if (getsockname(socket->fd, (struct sockaddr *)&own, &size) < 0 ||
        own.sll_halen != sizeof(ret_mac->bytes))
        return false;
    memcpy(ret_mac->bytes, own.sll_addr, sizeof(ret_mac->bytes));
    return true;
}

void arp_socket_ask(struct arp_socket *socket, uint32_t sender, uint32_t address)
{
    uint8_t packet[ARP_SIZE];
    struct mac_address mac;
    struct sockaddr_ll everybody = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_ARP),
        .sll_ifindex = (int)socket->link,
        .sll_halen = ETH_ALEN,
    };
    memset(everybody.sll_addr, 0xff, ETH_ALEN);
    if (!own_mac(socket, &mac))
        return;
    arp_request_build(packet, mac, sender, address);
    (void)!sendto(socket->fd, packet, sizeof(packet), MSG_DONTWAIT, (struct sockaddr *)&everybody,
                  sizeof(everybody));
}
