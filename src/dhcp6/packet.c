/* RFC 8415 8 (messages), 9 (relays), 21 (options). */
#include "dhcp6/packet.h"

#include <errno.h>

/* --- reading --- */

struct wire_reader dhcp6_option_reader(const struct dhcp6_option *option)
{
    return wire_reader_of(option->data, option->size);
}

/* The next option; false at the end, or (r failed) if what is left is none. */
static bool next_option(struct wire_reader *r, uint16_t *ret_code, struct dhcp6_option *ret_option)
{
    if (wire_reader_left(r) == 0)
        return false;
    uint16_t code = wire_get_be16(r);
    size_t size = wire_get_be16(r);
    const uint8_t *data = wire_get_bytes(r, size);
    if (!data)
        return false;
    *ret_code = code;
    *ret_option = (struct dhcp6_option){data, size};
    return true;
}

static bool take_ia(struct dhcp6_message *message, uint16_t code, const struct dhcp6_option *option)
{
    struct wire_reader r = dhcp6_option_reader(option);
    uint32_t id = wire_get_be32(&r);
    if (code != DHCP6_OPTION_IA_TA)
        wire_skip(&r, 8); /* T1, T2 */
    if (!wire_reader_ok(&r))
        return false;
    if (message->n_ias < DHCP6_MAX_IAS)
        message->ias[message->n_ias++] =
            (struct dhcp6_ia){.code = code, .id = id, .options = {r.pos, wire_reader_left(&r)}};
    return true;
}

/* Options that may be there once (RFC 8415 21): the first one counts. */
static struct dhcp6_option *place_of(struct dhcp6_message *message, uint16_t code)
{
    switch (code) {
    case DHCP6_OPTION_CLIENT_ID:
        return &message->client_id;
    case DHCP6_OPTION_SERVER_ID:
        return &message->server_id;
    case DHCP6_OPTION_REQUEST:
        return &message->wanted;
    case DHCP6_OPTION_USER_CLASS:
        return &message->user_class;
    case DHCP6_OPTION_VENDOR_CLASS:
        return &message->vendor_class;
    case DHCP6_OPTION_ARCHITECTURE:
        return &message->architectures;
    default:
        return NULL;
    }
}

static bool take_option(struct dhcp6_message *message, uint16_t code,
                        const struct dhcp6_option *option)
{
    bool is_id = code == DHCP6_OPTION_CLIENT_ID || code == DHCP6_OPTION_SERVER_ID;
    if (is_id && (option->size < 3 || option->size > DHCP6_MAX_DUID))
        return false;
    if (code == DHCP6_OPTION_IA_NA || code == DHCP6_OPTION_IA_TA || code == DHCP6_OPTION_IA_PD)
        return take_ia(message, code, option);
    if (code == DHCP6_OPTION_RAPID_COMMIT)
        message->rapid_commit = true;
    struct dhcp6_option *place = place_of(message, code);
    if (place && !place->data)
        *place = *option;
    return true;
}

/* The client's own message. */
static bool parse_client(struct wire_reader *r, uint8_t type, struct dhcp6_message *message)
{
    uint16_t code;
    struct dhcp6_option option;
    message->type = type;
    message->transaction = wire_get_be24(r);
    while (next_option(r, &code, &option))
        if (!take_option(message, code, &option))
            return false;
    return wire_reader_ok(r);
}

/* What a relay adds; *r goes on as the message that is in it. */
static bool unwrap(struct wire_reader *r, struct dhcp6_message *message)
{
    uint16_t code;
    struct dhcp6_option option, inner = {0};
    if (message->n_relays == DHCP6_MAX_RELAYS)
        return false;
    struct dhcp6_relay *relay = &message->relays[message->n_relays++];
    *relay = (struct dhcp6_relay){.hops = wire_get_u8(r)};
    wire_get_copy(r, &relay->link, sizeof(relay->link));
    wire_get_copy(r, &relay->peer, sizeof(relay->peer));
    message->client_hardware = (struct dhcp6_option){0};
    while (next_option(r, &code, &option)) {
        if (code == DHCP6_OPTION_RELAY_MESSAGE)
            inner = option;
        else if (code == DHCP6_OPTION_INTERFACE_ID)
            relay->interface_id = option;
        else if (code == DHCP6_OPTION_CLIENT_HARDWARE)
            message->client_hardware = option;
    }
    if (!wire_reader_ok(r) || !inner.data)
        return false;
    *r = dhcp6_option_reader(&inner);
    return true;
}

int dhcp6_message_parse(const void *data, size_t size, struct dhcp6_message *message)
{
    struct wire_reader r = wire_reader_of(data, size);
    *message = (struct dhcp6_message){0};
    if (size > DHCP6_MAX_SIZE)
        return -EBADMSG;
    uint8_t type = wire_get_u8(&r);
    while (type == DHCP6_RELAY_FORWARD) {
        if (!unwrap(&r, message))
            return -EBADMSG;
        type = wire_get_u8(&r);
    }
    if (!wire_reader_ok(&r) || type == 0 || type >= DHCP6_RELAY_FORWARD)
        return -EBADMSG;
    return parse_client(&r, type, message) ? 0 : -EBADMSG;
}

bool dhcp6_ia_next(struct wire_reader *iterator, struct in6_addr *ret_address)
{
    uint16_t code;
    struct dhcp6_option option;
    while (next_option(iterator, &code, &option)) {
        if (code != DHCP6_OPTION_IA_ADDRESS || option.size < 24)
            continue;
        memcpy(ret_address, option.data, sizeof(*ret_address));
        return true;
    }
    return false;
}

bool dhcp6_message_wants(const struct dhcp6_message *message, uint16_t code)
{
    struct wire_reader r = dhcp6_option_reader(&message->wanted);
    if (!message->wanted.data)
        return true;
    while (wire_reader_left(&r) >= 2)
        if (wire_get_be16(&r) == code)
            return true;
    return false;
}

/* --- writing --- */

size_t dhcp6_builder_open(struct dhcp6_builder *builder, uint16_t code)
{
    wire_put_be16(&builder->writer, code);
    size_t opened = wire_writer_used(&builder->writer);
    wire_put_be16(&builder->writer, 0);
    return opened;
}

void dhcp6_builder_close(struct dhcp6_builder *builder, size_t opened)
{
    struct wire_writer *w = &builder->writer;
    if (!wire_writer_ok(w))
        return;
    struct wire_writer length = wire_writer_of(w->start + opened, 2);
    wire_put_be16(&length, (uint16_t)(wire_writer_used(w) - opened - 2));
}

void dhcp6_builder_add(struct dhcp6_builder *builder, uint16_t code, const void *data, size_t size)
{
    size_t opened = dhcp6_builder_open(builder, code);
    wire_put_bytes(&builder->writer, data, size);
    dhcp6_builder_close(builder, opened);
}

void dhcp6_builder_add_status(struct dhcp6_builder *builder, enum dhcp6_status status,
                              const char *text)
{
    size_t opened = dhcp6_builder_open(builder, DHCP6_OPTION_STATUS);
    wire_put_be16(&builder->writer, (uint16_t)status);
    wire_put_bytes(&builder->writer, text, strlen(text));
    dhcp6_builder_close(builder, opened);
}

static void wrap(struct dhcp6_builder *builder, const struct dhcp6_relay *relay)
{
    struct wire_writer *w = &builder->writer;
    wire_put_u8(w, DHCP6_RELAY_REPLY);
    wire_put_u8(w, relay->hops);
    wire_put_bytes(w, &relay->link, sizeof(relay->link));
    wire_put_bytes(w, &relay->peer, sizeof(relay->peer));
    if (relay->interface_id.data)
        dhcp6_builder_add(builder, DHCP6_OPTION_INTERFACE_ID, relay->interface_id.data,
                          relay->interface_id.size);
    builder->lengths[builder->n_lengths++] =
        dhcp6_builder_open(builder, DHCP6_OPTION_RELAY_MESSAGE);
}

void dhcp6_builder_begin(struct dhcp6_builder *builder, uint8_t *buffer,
                         const struct dhcp6_message *request, enum dhcp6_type type)
{
    *builder = (struct dhcp6_builder){.writer = wire_writer_of(buffer, DHCP6_MAX_SIZE)};
    for (size_t i = 0; i < request->n_relays; i++)
        wrap(builder, &request->relays[i]);
    wire_put_u8(&builder->writer, (uint8_t)type);
    wire_put_be24(&builder->writer, request->transaction);
}

size_t dhcp6_builder_finish(struct dhcp6_builder *builder)
{
    for (size_t i = 0; i < builder->n_lengths; i++)
        dhcp6_builder_close(builder, builder->lengths[i]);
    return wire_writer_ok(&builder->writer) ? wire_writer_used(&builder->writer) : 0;
}
