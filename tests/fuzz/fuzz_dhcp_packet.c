/*
 * Any bytes as a DHCP message; what parses is answered, and the answer must be one that parses,
 * keeps to the client's limit and repeats what it must.
 */
#include "dhcp/boot_options.h"
#include "dhcp/packet.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_echo(const struct dhcp_message *request, const struct dhcp_message *answer,
                       enum dhcp_option_code code)
{
    const struct dhcp_option *sent = dhcp_message_option(request, code);
    const struct dhcp_option *echoed = dhcp_message_option(answer, code);
    if (!echoed)
        return; /* left out for want of room */
    assert(sent && sent->size == echoed->size);
    assert(memcmp(sent->data, echoed->data, sent->size) == 0);
}

static void answer(const struct dhcp_message *request)
{
    static uint8_t bytes[DHCP_MAX_SIZE];
    static struct dhcp_message parsed;
    struct dhcp_builder builder;
    struct dhcp_reply reply = {.type = DHCP_OFFER, .yiaddr = 0x0a000005, .file = "undionly.kpxe"};
    dhcp_builder_begin(&builder, bytes, request, &reply);
    assert(dhcp_builder_add_u32(&builder, DHCP_OPTION_SERVER_ID, 0x0a000001));
    assert(dhcp_builder_add_u32(&builder, DHCP_OPTION_LEASE_TIME, 3600));
    for (unsigned code = 128; code < 160; code++)
        (void)dhcp_builder_add(&builder, (uint8_t)code, bytes, code);
    size_t size = dhcp_builder_finish(&builder);
    assert(size >= DHCP_MIN_SIZE && size <= DHCP_MAX_SIZE);
    assert(dhcp_message_parse(bytes, size, &parsed) == 0);
    assert(parsed.xid == request->xid && parsed.server_id == 0x0a000001);
    check_echo(request, &parsed, DHCP_OPTION_CLIENT_ID);
    check_echo(request, &parsed, DHCP_OPTION_RELAY_AGENT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dhcp_message message;
    uint32_t address;
    if (dhcp_message_parse(data, size, &message) < 0)
        return 0;
    const struct subnet subnet = {
        .loaders = {[LOADER_BIOS] = "undionly.kpxe", [LOADER_UEFI_X64] = "snponly.efi"}};
    struct dhcp_client client = dhcp_client_of(&message, &subnet);
    struct dhcp_boot boot;
    const struct dhcp_boot_place place = {.server = 0x0a000001,
                                          .http_port = 80,
                                          .mac = message.mac,
                                          .is_node = message.mac.bytes[5] % 2};
    dhcp_boot_choose(&client, &subnet, &place, &boot);
    (void)dhcp_relay_address(&message, DHCP_RELAY_LINK_SELECTION, &address);
    answer(&message);
    return 0;
}
