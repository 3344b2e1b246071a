/*
 * DHCP of all nodes over one raw socket, each with its own MAC (RFC 2131, RFC 4578 for firmware):
 * DISCOVER, OFFER, REQUEST, ACK; without an answer again after 1, 2, 4, ... seconds.
 */
#include "dhcp/frame.h"
#include "dhcp/packet.h"
#include "node.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/epoll.h>

#define ETHERNET_SIZE  14
#define RECEIVE_BUFFER (16 * 1024 * 1024)

/* UDP to port 68 in IPv4 without options: all else is not even copied. */
static struct sock_filter filter[] = {
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x0800, 0, 5),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 3),
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 36),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, DHCP_CLIENT_PORT, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, 65535),
    BPF_STMT(BPF_RET | BPF_K, 0),
};

static void put_option(struct wire_writer *w, enum dhcp_option_code code, const void *data,
                       size_t size)
{
    wire_put_u8(w, (uint8_t)code);
    wire_put_u8(w, (uint8_t)size);
    wire_put_bytes(w, data, size);
}

static void put_address(struct wire_writer *w, enum dhcp_option_code code, uint32_t address)
{
    wire_put_u8(w, (uint8_t)code);
    wire_put_u8(w, 4);
    wire_put_be32(w, address);
}

/* What tells firmware from iPXE from a system, besides what all of them send. */
static void put_asker(struct wire_writer *w, const struct node *node, const struct step *step)
{
    static const uint8_t network[] = {1, 2, 1}; /* UNDI 2.1 (RFC 4578 2.2) */
    static const uint8_t features[] = {0xb1, 5, 1, 0x1a, 0xf4, 0x10, 0, 0x13, 1, 1, 0x11, 1, 1};
    if (step->dhcp.asker == ASKER_SYSTEM)
        return;
    char class[40];
    uint8_t architecture[2] = {(uint8_t)(step->dhcp.architecture >> 8),
                               (uint8_t)step->dhcp.architecture};
    uint8_t uuid[17] = {0};
    memcpy(uuid + 11, node->mac.bytes, sizeof(node->mac.bytes));
    int size =
        snprintf(class, sizeof(class), "PXEClient:Arch:%05u:UNDI:002001", step->dhcp.architecture);
    put_option(w, DHCP_OPTION_ARCHITECTURE, architecture, sizeof(architecture));
    put_option(w, (enum dhcp_option_code)94, network, sizeof(network));
    put_option(w, DHCP_OPTION_VENDOR_CLASS, class, (size_t)size);
    put_option(w, DHCP_OPTION_UUID, uuid, sizeof(uuid));
    if (step->dhcp.asker == ASKER_IPXE) {
        put_option(w, DHCP_OPTION_USER_CLASS, "iPXE", 4);
        put_option(w, DHCP_OPTION_IPXE, features, sizeof(features));
    }
}

static void put_fields(struct wire_writer *w, const struct node *node, uint64_t now)
{
    const struct dhcp_exchange *exchange = &node->dhcp;
    wire_put_u8(w, DHCP_BOOTREQUEST);
    wire_put_u8(w, DHCP_HW_ETHERNET);
    wire_put_u8(w, sizeof(node->mac.bytes));
    wire_put_u8(w, 0);
    wire_put_be32(w, exchange->xid);
    wire_put_be16(w, (uint16_t)((now - exchange->began) / USEC_PER_SEC));
    wire_put_be16(w, (uint16_t)exchange->step->dhcp.flags);
    wire_put_zeros(w, 16);
    wire_put_bytes(w, node->mac.bytes, sizeof(node->mac.bytes));
    wire_put_zeros(w, DHCP_HEADER_SIZE - 4 - 28 - sizeof(node->mac.bytes));
    wire_put_be32(w, 0x63825363);
}

static size_t build_message(const struct node *node, uint8_t *buffer, size_t size)
{
    static const uint8_t wanted[] = {1,  3,  6,  7,  12,  15,  17,  26,
                                     43, 60, 66, 67, 119, 128, 175, 203};
    const struct dhcp_exchange *exchange = &node->dhcp;
    struct wire_writer w = wire_writer_of(buffer, size);
    put_fields(&w, node, clock_monotonic_usec());
    put_option(&w, DHCP_OPTION_TYPE, &(uint8_t){exchange->requested ? DHCP_REQUEST : DHCP_DISCOVER},
               1);
    put_option(&w, DHCP_OPTION_MAX_SIZE, (uint8_t[]){DHCP_MAX_SIZE >> 8, DHCP_MAX_SIZE & 0xff}, 2);
    put_asker(&w, node, exchange->step);
    put_option(&w, DHCP_OPTION_PARAMETER_LIST, wanted, sizeof(wanted));
    if (exchange->requested) {
        put_address(&w, DHCP_OPTION_SERVER_ID, exchange->server);
        put_address(&w, DHCP_OPTION_REQUESTED_ADDRESS, exchange->offered);
    }
    wire_put_u8(&w, DHCP_OPTION_END);
    return wire_writer_used(&w);
}

/* A message that the socket does not take is as good as one that was lost: it will be sent again.
 */
static void send_message(struct node *node)
{
    struct storm *storm = node->storm;
    uint8_t message[DHCP_MAX_SIZE], packet[ETHERNET_SIZE + FRAME_HEADERS_SIZE + DHCP_MAX_SIZE];
    size_t size = build_message(node, message, sizeof(message));
    struct wire_writer w = wire_writer_of(packet, ETHERNET_SIZE);
    wire_put_bytes(&w, "\xff\xff\xff\xff\xff\xff", 6);
    wire_put_bytes(&w, node->mac.bytes, sizeof(node->mac.bytes));
    wire_put_be16(&w, ETHERTYPE_IP);
    frame_build(packet + ETHERNET_SIZE, INADDR_ANY, DHCP_CLIENT_PORT, INADDR_BROADCAST,
                DHCP_SERVER_PORT, message, size);
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)storm->interface_index};
    (void)sendto(storm->dhcp.fd, packet, ETHERNET_SIZE + FRAME_HEADERS_SIZE + size, 0,
                 (struct sockaddr *)&to, sizeof(to));
    node->dhcp.sent++;
    loop_set_timer(&storm->loop, &node->dhcp.timer,
                   storm->loop.now + backoff_usec(storm, node->dhcp.sent));
}

/* No answer, or the time to ask for what was offered has come. After four requests it begins anew.
 */
static void timer_fired(struct timer *timer)
{
    struct dhcp_exchange *exchange = container_of(timer, struct dhcp_exchange, timer);
    struct node *node = container_of(exchange, struct node, dhcp);
    if (exchange->sent > 0)
        node_retry(node, RETRY_DHCP, "DHCP is asked again");
    if (exchange->requested && exchange->sent >= 4) {
        exchange->requested = false;
        exchange->sent = 0;
    }
    send_message(node);
}

void dhcp_setup(struct node *node)
{
    node->dhcp.timer.fire = timer_fired;
}

void dhcp_begin(struct node *node, const struct step *step)
{
    struct dhcp_exchange *exchange = &node->dhcp;
    uint32_t xid = exchange->xid + 0x10000;
    *exchange = (struct dhcp_exchange){
        .timer = exchange->timer, .step = step, .xid = xid, .began = clock_monotonic_usec()};
    send_message(node);
}

static void take_offer(struct node *node, const struct dhcp_message *message)
{
    struct dhcp_exchange *exchange = &node->dhcp;
    struct storm *storm = node->storm;
    uint64_t hold = (uint64_t)((double)exchange->step->dhcp.hold * storm->pace);
    exchange->offered = message->yiaddr;
    exchange->server = message->server_id;
    exchange->requested = true;
    exchange->sent = 0;
    exchange->began += hold; /* the machine's own time does not count */
    if (hold > 0)
        loop_set_timer(&storm->loop, &exchange->timer, storm->loop.now + hold);
    else
        send_message(node);
}

/* An option of text, or a field of the header in its place. */
static void take_text(const struct dhcp_message *message, enum dhcp_option_code code, char *text,
                      size_t size)
{
    const struct dhcp_option *option = dhcp_message_option(message, code);
    if (!option)
        return;
    size_t length = strnlen((const char *)option->data, MIN(option->size, size - 1));
    memcpy(text, option->data, length);
    text[length] = '\0';
}

/* In its field of the header, RFC 2131 2. */
static void take_file_field(struct node *node, const uint8_t *packet, size_t size)
{
    if (size < DHCP_HEADER_SIZE || node->boot_file[0] != '\0')
        return;
    memcpy(node->boot_file, packet + 108, 128);
    node->boot_file[128] = '\0';
}

static void take_ack(struct node *node, const struct dhcp_message *message, const uint8_t *packet,
                     size_t size)
{
    struct dhcp_exchange *exchange = &node->dhcp;
    struct storm *storm = node->storm;
    loop_clear_timer(&storm->loop, &exchange->timer);
    node->address = message->yiaddr;
    take_text(message, DHCP_OPTION_HOST_NAME, node->name, sizeof(node->name));
    if (exchange->step->dhcp.asker != ASKER_SYSTEM) {
        node->server = message->siaddr ? message->siaddr : message->server_id;
        node->boot_file[0] = '\0';
        take_text(message, DHCP_OPTION_BOOT_FILE, node->boot_file, sizeof(node->boot_file));
        take_file_field(node, packet, size);
    }
    if (node->dhcp_time == 0)
        node->dhcp_time = MAX(clock_monotonic_usec() - exchange->began, (uint64_t)1);
    exchange->step = NULL;
    node_step_done(node);
}

/* The last three bytes of a MAC are its node's number. */
static struct node *node_of(struct storm *storm, struct mac_address mac)
{
    unsigned number = (unsigned)(mac.bytes[3] << 16 | mac.bytes[4] << 8 | mac.bytes[5]);
    struct node *node = number < storm->n_nodes ? &storm->nodes[number] : NULL;
    return node && mac_eq(node->mac, mac) ? node : NULL;
}

static void take_message(struct storm *storm, const uint8_t *packet, size_t size)
{
    struct dhcp_message message;
    if (dhcp_message_parse(packet, size, &message) < 0 || message.op == DHCP_BOOTREQUEST)
        return;
    struct node *node = node_of(storm, message.mac);
    if (!node || !node->dhcp.step || message.xid != node->dhcp.xid || node->failed)
        return;
    if (message.type == DHCP_OFFER && !node->dhcp.requested)
        take_offer(node, &message);
    else if (message.type == DHCP_ACK && node->dhcp.requested)
        take_ack(node, &message, packet, size);
    else if (message.type == DHCP_NAK)
        node_fail(node, "the server has refused the address that it offered");
}

static void ready(struct source *source, uint32_t events)
{
    struct storm *storm = container_of(source, struct storm, dhcp);
    uint8_t packet[ETHERNET_SIZE + FRAME_HEADERS_SIZE + DHCP_MAX_SIZE];
    for (unsigned i = 0; i < 64; i++) {
        ssize_t n = recv(source->fd, packet, sizeof(packet), 0);
        if (n < ETHERNET_SIZE + FRAME_HEADERS_SIZE)
            return;
        size_t headers = ETHERNET_SIZE + FRAME_HEADERS_SIZE;
        take_message(storm, packet + headers, (size_t)n - headers);
    }
}

int dhcp_open(struct storm *storm, struct error *ret_error)
{
    struct sock_fprog program = {.len = ARRAY_SIZE(filter), .filter = filter};
    storm->interface_index = if_nametoindex(storm->interface);
    if (storm->interface_index == 0)
        return error_set(ret_error, -errno, "there is no interface %s", storm->interface);
    struct sockaddr_ll own = {.sll_family = AF_PACKET,
                              .sll_protocol = htons(ETH_P_IP),
                              .sll_ifindex = (int)storm->interface_index};
    cleanup_close int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &(int){RECEIVE_BUFFER}, sizeof(int)) < 0 ||
        bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0)
        return error_set(ret_error, -errno, "no raw socket on %s: %m", storm->interface);
    storm->dhcp.ready = ready;
    int r = loop_add(&storm->loop, &storm->dhcp, take_fd(&fd), EPOLLIN);
    return r < 0 ? error_set(ret_error, r, "the raw socket cannot be waited for") : 0;
}
