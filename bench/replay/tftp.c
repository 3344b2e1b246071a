/*
 * TFTP of a ROM (RFC 1350, options of RFC 2347): one socket for each transfer; what was said last
 * is said again after 1, 2, 4, ... seconds without anything new.
 */
#include "node.h"
#include "tftp/packet.h"

#include <errno.h>
#include <sys/epoll.h>

#define TRIES 4 /* of what was said last, in a transfer that has begun */

static void send_packet(struct transfer *transfer, const uint8_t *packet, size_t size)
{
    struct loop *loop = &transfer->node->storm->loop;
    (void)sendto(transfer->source.fd, packet, size, 0, &transfer->peer.any,
                 endpoint_size(&transfer->peer)); /* lost: sent again */
    transfer->sent++;
    loop_set_timer(loop, &transfer->timer,
                   loop->now + backoff_usec(transfer->node->storm, transfer->sent));
}

static void put_option(struct wire_writer *w, const char *name, unsigned value)
{
    char text[16];
    wire_put_bytes(w, name, strlen(name) + 1);
    int size = snprintf(text, sizeof(text), "%u", value);
    wire_put_bytes(w, text, (size_t)size + 1);
}

static void send_request(struct transfer *transfer)
{
    const struct step *step = transfer->step;
    const char *file = transfer->node->boot_file;
    uint8_t packet[TFTP_MAX_REQUEST];
    struct wire_writer w = wire_writer_of(packet, sizeof(packet));
    wire_put_be16(&w, TFTP_RRQ);
    wire_put_bytes(&w, file, strlen(file) + 1);
    wire_put_bytes(&w, "octet", 6);
    put_option(&w, "tsize", 0);
    if (step->tftp.blksize > 0)
        put_option(&w, "blksize", step->tftp.blksize);
    if (step->tftp.window > 0)
        put_option(&w, "windowsize", step->tftp.window);
    send_packet(transfer, packet, wire_writer_used(&w));
}

static void send_ack(struct transfer *transfer)
{
    uint8_t packet[4];
    struct wire_writer w = wire_writer_of(packet, sizeof(packet));
    wire_put_be16(&w, TFTP_ACK);
    wire_put_be16(&w, (uint16_t)transfer->block);
    transfer->in_window = 0;
    send_packet(transfer, packet, wire_writer_used(&w));
}

static bool has_begun(const struct transfer *transfer)
{
    return endpoint_port(&transfer->peer) != TFTP_PORT;
}

static void begin(struct transfer *transfer);

/* Whoever gets nothing more of a transfer that has begun starts anew, from another port. */
static void timer_fired(struct timer *timer)
{
    struct transfer *transfer = container_of(timer, struct transfer, timer);
    node_retry(transfer->node, RETRY_TFTP, "TFTP is said again");
    if (has_begun(transfer) && transfer->sent >= TRIES) {
        loop_drop(&transfer->source);
        begin(transfer);
    } else if (has_begun(transfer))
        send_ack(transfer);
    else
        send_request(transfer);
}

static void end(struct transfer *transfer)
{
    loop_clear_timer(&transfer->node->storm->loop, &transfer->timer);
    loop_drop(&transfer->source);
    node_step_done(transfer->node);
}

/* RFC 2347: what the server takes of the options, each a name and a value. */
static void take_options(struct transfer *transfer, const char *text, size_t size)
{
    while (size > 0) {
        size_t name = strnlen(text, size) + 1;
        size_t value = name < size ? strnlen(text + name, size - name) + 1 : 0;
        if (value == 0 || name + value > size)
            return;
        unsigned number = (unsigned)strtoul(text + name, NULL, 10);
        if (strcasecmp(text, "blksize") == 0)
            transfer->blksize = number;
        else if (strcasecmp(text, "windowsize") == 0)
            transfer->window = MAX(number, 1U);
        text += name + value;
        size -= name + value;
    }
}

static void take_oack(struct transfer *transfer, const char *text, size_t size)
{
    static const uint8_t enough[] = {0, TFTP_ERROR, 0, TFTP_ERROR_OPTIONS, 0};
    if (!transfer->step->tftp.whole) {
        send_packet(transfer, enough, sizeof(enough));
        end(transfer);
        return;
    }
    take_options(transfer, text, size);
    transfer->sent = 0;
    send_ack(transfer);
}

/* A block out of turn is answered with the last one that was in turn (RFC 7440 4), once. */
static void take_data(struct transfer *transfer, uint16_t block, size_t size)
{
    if (block != (uint16_t)(transfer->block + 1)) {
        if (transfer->in_window > 0)
            send_ack(transfer);
        return;
    }
    transfer->block++;
    transfer->sent = 0;
    bool last = size < transfer->blksize;
    if (last || ++transfer->in_window >= transfer->window)
        send_ack(transfer);
    else
        loop_set_timer(&transfer->node->storm->loop, &transfer->timer,
                       transfer->node->storm->loop.now + backoff_usec(transfer->node->storm, 1));
    if (last)
        end(transfer);
}

/* size: of the packet, of which only the beginning is there if it is long. */
static void take_packet(struct transfer *transfer, const uint8_t *packet, size_t size)
{
    struct wire_reader r = wire_reader_of(packet, MIN(size, (size_t)TFTP_MAX_OACK));
    unsigned opcode = wire_get_be16(&r);
    if (opcode == TFTP_OACK) {
        take_oack(transfer, (const char *)r.pos, wire_reader_left(&r));
        return;
    }
    uint16_t number = wire_get_be16(&r);
    if (!wire_reader_ok(&r))
        return;
    if (opcode == TFTP_DATA)
        take_data(transfer, number, size - TFTP_HEADER_SIZE);
    else if (opcode == TFTP_ERROR)
        node_fail(transfer->node, "TFTP: error %u for %s", number, transfer->node->boot_file);
}

/* Of data, only the header is taken from the kernel. */
static void ready(struct source *source, uint32_t events)
{
    struct transfer *transfer = container_of(source, struct transfer, source);
    uint8_t packet[TFTP_MAX_OACK];
    while (source->fd >= 0 && !transfer->node->failed) {
        struct endpoint from;
        socklen_t from_size = sizeof(from);
        ssize_t n = recvfrom(source->fd, packet, sizeof(packet), MSG_TRUNC, &from.any, &from_size);
        if (n < 2)
            return;
        if (!has_begun(transfer))
            transfer->peer = from;
        take_packet(transfer, packet, (size_t)n);
    }
}

void tftp_setup(struct node *node)
{
    node->tftp = (struct transfer){
        .source = {.fd = -1, .ready = ready}, .timer.fire = timer_fired, .node = node};
}

static void begin(struct transfer *transfer)
{
    struct node *node = transfer->node;
    transfer->peer = endpoint_of_ipv4(node->server, TFTP_PORT);
    transfer->sent = transfer->block = transfer->in_window = 0;
    transfer->blksize = TFTP_DEFAULT_BLKSIZE;
    transfer->window = 1;
    int fd = node_socket(node, SOCK_DGRAM);
    int r = fd < 0 ? fd : loop_add(&node->storm->loop, &transfer->source, fd, EPOLLIN);
    if (r < 0)
        node_fail(node, "no socket for TFTP: %s", strerror(-r));
    else if (node->boot_file[0] == '\0')
        node_fail(node, "DHCP has told no boot file");
    else
        send_request(transfer);
}

void tftp_begin(struct node *node, const struct step *step)
{
    node->tftp.step = step;
    begin(&node->tftp);
}
