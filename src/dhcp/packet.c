/*
 * RFC 2131 2 (fixed fields), RFC 2132 2 and 9.3 (options, overload), RFC 3396 (one option in
 * several pieces: joined in the order options, file, sname).
 */
#include "dhcp/packet.h"

#include <errno.h>

#define SNAME_SIZE 64
#define FILE_SIZE  128

#define MAGIC_COOKIE 0x63825363U

/* Option 52: where else options are */
#define OVERLOAD_FILE  1
#define OVERLOAD_SNAME 2

/* RFC 2131 2: what every client must take, as an IP datagram, headers included */
#define MIN_MAX_DATAGRAM 576
#define IP_UDP_HEADERS   28

/* Message type, server, lease times, mask and the like: always kept free for them. */
#define ESSENTIAL_SIZE 64

/* How much of each code there is, before anything is joined. */
struct option_sizes {
    uint16_t size[DHCP_OPTION_CODES];
    uint16_t pieces[DHCP_OPTION_CODES];
};

typedef void option_visitor(void *context, uint8_t code, const uint8_t *data, uint8_t size);

/* Calls visit for every option of the area, up to END or its end. -EBADMSG if one is cut off. */
static int walk(struct wire_reader area, option_visitor *visit, void *context)
{
    while (wire_reader_left(&area) > 0) {
        uint8_t code = wire_get_u8(&area);
        if (code == DHCP_OPTION_PAD)
            continue;
        if (code == DHCP_OPTION_END)
            return 0;
        uint8_t size = wire_get_u8(&area);
        const uint8_t *data = wire_get_bytes(&area, size);
        if (!wire_reader_ok(&area))
            return -EBADMSG;
        visit(context, code, data, size);
    }
    return 0; /* without END: tolerated, old clients fill the packet to the brim */
}

/* The areas that hold options, in the order in which RFC 3396 joins them. */
struct areas {
    struct wire_reader area[3];
    size_t count;
};

static int walk_all(const struct areas *areas, option_visitor *visit, void *context)
{
    for (size_t i = 0; i < areas->count; i++) {
        int r = walk(areas->area[i], visit, context);
        if (r < 0)
            return r;
    }
    return 0;
}

static void find_overload(void *context, uint8_t code, const uint8_t *data, uint8_t size)
{
    uint8_t *overload = context;
    if (code == DHCP_OPTION_OVERLOAD && size == 1)
        *overload = data[0];
}

static void measure(void *context, uint8_t code, const uint8_t *data, uint8_t size)
{
    struct option_sizes *sizes = context;
    sizes->size[code] = (uint16_t)(sizes->size[code] + size);
    sizes->pieces[code]++;
}

struct collector {
    struct dhcp_message *message;
    const struct option_sizes *sizes;
    size_t joined; /* bytes of message->joined that are taken */
};

static void collect(void *context, uint8_t code, const uint8_t *data, uint8_t size)
{
    struct collector *c = context;
    struct dhcp_option *option = &c->message->options[code];
    if (c->sizes->pieces[code] == 1) {
        *option = (struct dhcp_option){.data = data, .size = size};
        return;
    }
    /* All pieces together fit: they came in a datagram of that size. */
    if (!option->data) {
        option->data = c->message->joined + c->joined;
        c->joined += c->sizes->size[code];
    }
    memcpy(c->message->joined + (option->data - c->message->joined) + option->size, data, size);
    option->size = (uint16_t)(option->size + size);
}

static int parse_options(struct wire_reader options, struct wire_reader sname,
                         struct wire_reader file, struct dhcp_message *message)
{
    struct areas areas = {.area = {options}, .count = 1};
    uint8_t overload = 0;
    int r = walk(options, find_overload, &overload);
    if (r < 0)
        return r;
    if (overload & OVERLOAD_FILE)
        areas.area[areas.count++] = file;
    if (overload & OVERLOAD_SNAME)
        areas.area[areas.count++] = sname;

    struct option_sizes sizes = {0};
    r = walk_all(&areas, measure, &sizes);
    if (r < 0)
        return r;
    struct collector collector = {.message = message, .sizes = &sizes};
    return walk_all(&areas, collect, &collector);
}

/* An option that is an address; 0 if it is absent, -EBADMSG if it is something else. */
static int parse_address(const struct dhcp_message *message, enum dhcp_option_code code,
                         uint32_t *ret_address)
{
    const struct dhcp_option *option = dhcp_message_option(message, code);
    if (!option)
        return 0;
    if (option->size != 4)
        return -EBADMSG;
    struct wire_reader r = wire_reader_of(option->data, option->size);
    *ret_address = wire_get_be32(&r);
    return 0;
}

static int parse_known_options(struct dhcp_message *message)
{
    const struct dhcp_option *type = dhcp_message_option(message, DHCP_OPTION_TYPE);
    if (!type)
        return -EPROTONOSUPPORT;
    if (type->size != 1 || type->data[0] == 0 || type->data[0] >= DHCP_TYPES)
        return -EBADMSG;
    message->type = type->data[0];
    int r = parse_address(message, DHCP_OPTION_REQUESTED_ADDRESS, &message->requested);
    if (r < 0)
        return r;
    return parse_address(message, DHCP_OPTION_SERVER_ID, &message->server_id);
}

/* htype, hlen and chaddr of a machine that can exist. */
static int check_hardware(const struct dhcp_message *message, uint8_t htype, uint8_t hlen)
{
    static const struct mac_address zero;
    if (htype != DHCP_HW_ETHERNET || hlen != sizeof(message->mac.bytes))
        return -EPROTONOSUPPORT;
    if ((message->mac.bytes[0] & 1) || mac_eq(message->mac, zero))
        return -EBADMSG;
    return 0;
}

int dhcp_message_parse(const void *data, size_t size, struct dhcp_message *message)
{
    struct wire_reader r = wire_reader_of(data, size);
    memset(message, 0, offsetof(struct dhcp_message, joined));
    if (size > DHCP_MAX_SIZE)
        return -EBADMSG;
    message->op = wire_get_u8(&r);
    uint8_t htype = wire_get_u8(&r);
    uint8_t hlen = wire_get_u8(&r);
    wire_skip(&r, 1); /* hops: the relays' own affair */
    message->xid = wire_get_be32(&r);
    message->secs = wire_get_be16(&r);
    message->flags = wire_get_be16(&r);
    message->ciaddr = wire_get_be32(&r);
    message->yiaddr = wire_get_be32(&r);
    message->siaddr = wire_get_be32(&r);
    message->giaddr = wire_get_be32(&r);
    wire_get_copy(&r, message->chaddr, sizeof(message->chaddr));
    struct wire_reader sname = wire_get_sub(&r, SNAME_SIZE);
    struct wire_reader file = wire_get_sub(&r, FILE_SIZE);
    if (!wire_reader_ok(&r) || (message->op != DHCP_BOOTREQUEST && message->op != DHCP_BOOTREPLY))
        return -EBADMSG;
    if (wire_get_be32(&r) != MAGIC_COOKIE)
        return -EPROTONOSUPPORT;
    memcpy(message->mac.bytes, message->chaddr, sizeof(message->mac.bytes));
    int result = check_hardware(message, htype, hlen);
    if (result == 0)
        result = parse_options(r, sname, file, message);
    return result < 0 ? result : parse_known_options(message);
}

bool dhcp_option_has_prefix(const struct dhcp_option *option, const char *prefix)
{
    size_t n = strlen(prefix);
    return option && option->size >= n && memcmp(option->data, prefix, n) == 0;
}

/* False: it is not there. */
static bool find_suboption(const struct dhcp_message *message, uint8_t suboption,
                           struct wire_reader *ret_data)
{
    const struct dhcp_option *option = dhcp_message_option(message, DHCP_OPTION_RELAY_AGENT);
    if (!option)
        return false;
    struct wire_reader r = wire_reader_of(option->data, option->size);
    while (wire_reader_left(&r) > 0) {
        uint8_t code = wire_get_u8(&r);
        struct wire_reader sub = wire_get_sub(&r, wire_get_u8(&r));
        if (!wire_reader_ok(&r))
            return false;
        *ret_data = sub;
        if (code == suboption)
            return true;
    }
    return false;
}

bool dhcp_relay_address(const struct dhcp_message *message, uint8_t suboption,
                        uint32_t *ret_address)
{
    struct wire_reader data;
    if (!find_suboption(message, suboption, &data) || wire_reader_left(&data) != 4)
        return false;
    *ret_address = wire_get_be32(&data);
    return true;
}

void dhcp_relay_text(const struct dhcp_message *message, uint8_t suboption,
                     char text[static DHCP_RELAY_TEXT_MAX + 1])
{
    struct wire_reader data;
    size_t n = 0;
    bool plain = true;
    text[0] = '\0';
    if (!find_suboption(message, suboption, &data) || wire_reader_left(&data) == 0)
        return;
    for (const uint8_t *p = data.pos; p < data.end; p++)
        plain = plain && *p > ' ' && *p < 0x7f;
    if (!plain)
        n = (size_t)snprintf(text, DHCP_RELAY_TEXT_MAX + 1, "0x");
    for (; wire_reader_left(&data) > 0 && n + 2 <= DHCP_RELAY_TEXT_MAX;) {
        uint8_t byte = wire_get_u8(&data);
        n += (size_t)snprintf(text + n, DHCP_RELAY_TEXT_MAX + 1 - n, plain ? "%c" : "%02x", byte);
    }
}

size_t dhcp_option_encoded_size(size_t size)
{
    size_t pieces = size ? (size + 254) / 255 : 1;
    return size + 2 * pieces;
}

static size_t echo_size(const struct dhcp_option *option)
{
    return option ? dhcp_option_encoded_size(option->size) : 0;
}

/* Option 57 counts the IP and UDP headers for some clients and not for others: assume it does. */
static size_t size_limit(const struct dhcp_message *request)
{
    const struct dhcp_option *option = dhcp_message_option(request, DHCP_OPTION_MAX_SIZE);
    size_t datagram = MIN_MAX_DATAGRAM;
    if (option && option->size == 2)
        datagram = (size_t)(option->data[0] << 8 | option->data[1]);
    return MAX(datagram, MIN_MAX_DATAGRAM) - IP_UDP_HEADERS;
}

/* What is echoed must leave room for what the client cannot do without. A relay takes its own
 * option away again (RFC 3046 2.1), so that the client's limit does not count it. */
static void plan_echo(struct dhcp_builder *builder, const struct dhcp_message *request,
                      size_t *ret_limit)
{
    builder->client_id = dhcp_message_option(request, DHCP_OPTION_CLIENT_ID);
    builder->relay_agent = dhcp_message_option(request, DHCP_OPTION_RELAY_AGENT);
    if (echo_size(builder->relay_agent) > DHCP_MAX_SIZE / 2)
        builder->relay_agent = NULL;
    size_t relay = echo_size(builder->relay_agent);
    size_t limit = MIN(size_limit(request) + relay, DHCP_MAX_SIZE);
    if (echo_size(builder->client_id) + relay + DHCP_HEADER_SIZE + ESSENTIAL_SIZE > limit)
        builder->client_id = NULL;
    builder->tail = echo_size(builder->client_id) + relay + 1;
    *ret_limit = limit;
}

void dhcp_builder_begin(struct dhcp_builder *builder, uint8_t *buffer,
                        const struct dhcp_message *request, const struct dhcp_reply *reply)
{
    size_t limit;
    plan_echo(builder, request, &limit);
    builder->writer = wire_writer_of(buffer, limit);
    struct wire_writer *w = &builder->writer;
    wire_put_u8(w, DHCP_BOOTREPLY);
    wire_put_u8(w, DHCP_HW_ETHERNET);
    wire_put_u8(w, sizeof(request->mac.bytes));
    wire_put_u8(w, 0); /* hops */
    wire_put_be32(w, request->xid);
    wire_put_be16(w, 0); /* secs */
    wire_put_be16(w, reply->flags);
    wire_put_be32(w, reply->ciaddr);
    wire_put_be32(w, reply->yiaddr);
    wire_put_be32(w, reply->siaddr);
    wire_put_be32(w, request->giaddr);
    wire_put_bytes(w, request->chaddr, sizeof(request->chaddr));
    wire_put_zeros(w, SNAME_SIZE);
    bool fits = reply->file && strlen(reply->file) < FILE_SIZE;
    wire_put_padded(w, fits ? reply->file : "", FILE_SIZE, '\0');
    wire_put_be32(w, MAGIC_COOKIE);
    wire_put_u8(w, DHCP_OPTION_TYPE);
    wire_put_u8(w, 1);
    wire_put_u8(w, (uint8_t)reply->type);
}

static void put_option(struct wire_writer *w, uint8_t code, const uint8_t *data, size_t size)
{
    do {
        size_t piece = MIN(size, (size_t)255);
        wire_put_u8(w, code);
        wire_put_u8(w, (uint8_t)piece);
        wire_put_bytes(w, data, piece);
        data += piece;
        size -= piece;
    } while (size > 0);
}

size_t dhcp_builder_room(const struct dhcp_builder *builder)
{
    size_t left = wire_writer_left(&builder->writer);
    return left > builder->tail ? left - builder->tail : 0;
}

bool dhcp_builder_add(struct dhcp_builder *builder, uint8_t code, const void *data, size_t size)
{
    if (dhcp_builder_room(builder) < dhcp_option_encoded_size(size))
        return false;
    put_option(&builder->writer, code, data, size);
    return true;
}

bool dhcp_builder_add_u32(struct dhcp_builder *builder, uint8_t code, uint32_t value)
{
    uint8_t bytes[4];
    struct wire_writer w = wire_writer_of(bytes, sizeof(bytes));
    wire_put_be32(&w, value);
    return dhcp_builder_add(builder, code, bytes, sizeof(bytes));
}

static void echo(struct wire_writer *w, enum dhcp_option_code code,
                 const struct dhcp_option *option)
{
    if (option)
        put_option(w, (uint8_t)code, option->data, option->size);
}

size_t dhcp_builder_finish(struct dhcp_builder *builder)
{
    struct wire_writer *w = &builder->writer;
    echo(w, DHCP_OPTION_CLIENT_ID, builder->client_id);
    echo(w, DHCP_OPTION_RELAY_AGENT, builder->relay_agent);
    wire_put_u8(w, DHCP_OPTION_END);
    size_t used = wire_writer_used(w);
    if (used < DHCP_MIN_SIZE)
        wire_put_zeros(w, DHCP_MIN_SIZE - used);
    return wire_writer_used(w);
}
