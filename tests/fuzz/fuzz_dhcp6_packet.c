/*
 * Any bytes as a DHCPv6 message; what parses is answered, and the answer, with its relays' replies
 * turned into what relays send, must be one that parses and has come through the same relays.
 */
#include "dhcp6/client.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_relay(const struct dhcp6_relay *a, const struct dhcp6_relay *b)
{
    assert(a->hops == b->hops && ipv6_eq(&a->link, &b->link) && ipv6_eq(&a->peer, &b->peer));
    assert(a->interface_id.size == b->interface_id.size);
    assert(!a->interface_id.data ||
           memcmp(a->interface_id.data, b->interface_id.data, a->interface_id.size) == 0);
}

/* Makes relay replies forwards: each message stands behind a head, an interface id or none, and the
 * head of an option. */
static void turn_around(uint8_t *bytes, const struct dhcp6_message *request)
{
    for (size_t i = 0; i < request->n_relays; i++) {
        const struct dhcp6_option *id = &request->relays[i].interface_id;
        assert(*bytes == DHCP6_RELAY_REPLY);
        *bytes = DHCP6_RELAY_FORWARD;
        bytes += 34 + (id->data ? 4 + id->size : 0) + 4;
    }
}

static void answer(const struct dhcp6_message *request)
{
    static uint8_t bytes[DHCP6_MAX_SIZE];
    static struct dhcp6_message parsed;
    struct dhcp6_builder b;
    dhcp6_builder_begin(&b, bytes, request, DHCP6_ADVERTISE);
    dhcp6_builder_add(&b, DHCP6_OPTION_CLIENT_ID, request->client_id.data, request->client_id.size);
    dhcp6_builder_add_status(&b, DHCP6_STATUS_SUCCESS, "fine");
    size_t size = dhcp6_builder_finish(&b);
    if (size == 0)
        return;
    turn_around(bytes, request);
    if (request->client_id.size == 0)
        return; /* an empty one is none */
    assert(dhcp6_message_parse(bytes, size, &parsed) == 0);
    assert(parsed.transaction == request->transaction && parsed.n_relays == request->n_relays);
    assert(parsed.client_id.size == request->client_id.size);
    for (size_t i = 0; i < parsed.n_relays; i++)
        check_relay(&parsed.relays[i], &request->relays[i]);
}

static void look_at(const struct dhcp6_message *message)
{
    static const struct subnet subnet = {
        .loaders = {[LOADER_BIOS] = "undionly.kpxe", [LOADER_UEFI_X64] = "snponly.efi"}};
    static const struct in6_addr somewhere = {{{0x20, 1}}};
    struct dhcp6_boot_place place = {.server = somewhere, .http_port = 8080};
    struct dhcp_client client = dhcp6_client_of(message, &subnet);
    char url[DHCP6_URL_SIZE];
    (void)dhcp6_client_mac(message, &somewhere, &place.mac);
    if (dhcp6_boot_url(&client, &subnet, &place, url))
        assert(strstr(url, "://[2001::]") && client.kind != DHCP_CLIENT_OTHER);
    for (size_t i = 0; i < message->n_ias; i++) {
        struct wire_reader r = dhcp6_option_reader(&message->ias[i].options);
        struct in6_addr address;
        while (dhcp6_ia_next(&r, &address))
            (void)dhcp6_message_wants(message, address.s6_addr[0]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dhcp6_message message;
    if (dhcp6_message_parse(data, size, &message) < 0)
        return 0;
    assert(message.n_relays <= DHCP6_MAX_RELAYS && message.n_ias <= DHCP6_MAX_IAS);
    look_at(&message);
    answer(&message);
    return 0;
}
