/*
 * RFC 4578 2.1 (option 93), PXE 2.1 2.2 (option 60), RFC 3004 (option 77).
 *
 * iPXE is known by its user class or by its encapsulated options, whatever else it says: QEMU's
 * network ROM is iPXE, and so is what we send to other ROMs; giving either the loader again would
 * never end.
 */
#include "dhcp/boot_options.h"

static const char ipxe_class[] = "iPXE";
#define IPXE_CLASS_SIZE (sizeof(ipxe_class) - 1)

/* iPXE sends the bare word; RFC 3004 wants each class preceded by its length. */
static bool has_ipxe_class(const struct dhcp_message *message)
{
    const struct dhcp_option *option = dhcp_message_option(message, DHCP_OPTION_USER_CLASS);
    if (!option)
        return false;
    if (option->size == IPXE_CLASS_SIZE && dhcp_option_has_prefix(option, ipxe_class))
        return true;
    struct wire_reader r = wire_reader_of(option->data, option->size);
    while (wire_reader_left(&r) > 0) {
        struct wire_reader one = wire_get_sub(&r, wire_get_u8(&r));
        if (!wire_reader_ok(&r))
            return false;
        if (wire_reader_left(&one) == IPXE_CLASS_SIZE &&
            memcmp(one.pos, ipxe_class, IPXE_CLASS_SIZE) == 0)
            return true;
    }
    return false;
}

static bool is_supported(uint16_t architecture)
{
    return architecture == DHCP_ARCH_BIOS || architecture == DHCP_ARCH_UEFI_X64 ||
           architecture == DHCP_ARCH_UEFI_EBC;
}

/* Option 93 is a list: the first entry that we can serve, else the first. */
static uint16_t listed_architecture(const struct dhcp_option *option)
{
    struct wire_reader r = wire_reader_of(option->data, option->size);
    uint16_t first = DHCP_ARCH_UNKNOWN;
    while (wire_reader_left(&r) >= 2) {
        uint16_t architecture = wire_get_be16(&r);
        if (is_supported(architecture))
            return architecture;
        if (first == DHCP_ARCH_UNKNOWN)
            first = architecture;
    }
    return first;
}

/* "PXEClient:Arch:00007:UNDI:003016", for ROMs without option 93. Plain "PXEClient" is BIOS. */
static uint16_t class_architecture(const struct dhcp_option *class)
{
    static const char prefix[] = "PXEClient:Arch:";
    if (!dhcp_option_has_prefix(class, prefix))
        return DHCP_ARCH_BIOS;
    uint32_t n = 0;
    size_t digits = 0;
    for (size_t i = sizeof(prefix) - 1; i < class->size && digits < 5; i++, digits++) {
        if (class->data[i] < '0' || class->data[i] > '9')
            break;
        n = n * 10 + (uint32_t)(class->data[i] - '0');
    }
    return digits > 0 && n < DHCP_ARCH_UNKNOWN ? (uint16_t)n : DHCP_ARCH_UNKNOWN;
}

static enum dhcp_client_kind kind_of(const struct dhcp_message *message)
{
    const struct dhcp_option *class = dhcp_message_option(message, DHCP_OPTION_VENDOR_CLASS);
    if (has_ipxe_class(message) || dhcp_message_option(message, DHCP_OPTION_IPXE))
        return DHCP_CLIENT_IPXE;
    if (dhcp_option_has_prefix(class, "PXEClient"))
        return DHCP_CLIENT_PXE;
    if (dhcp_option_has_prefix(class, "HTTPClient"))
        return DHCP_CLIENT_HTTP;
    return DHCP_CLIENT_OTHER;
}

struct dhcp_client dhcp_client_of(const struct dhcp_message *message)
{
    const struct dhcp_option *list = dhcp_message_option(message, DHCP_OPTION_ARCHITECTURE);
    struct dhcp_client client = {.kind = kind_of(message), .architecture = DHCP_ARCH_UNKNOWN};
    if (list && list->size >= 2)
        client.architecture = listed_architecture(list);
    else if (client.kind == DHCP_CLIENT_PXE)
        client.architecture =
            class_architecture(dhcp_message_option(message, DHCP_OPTION_VENDOR_CLASS));
    return client;
}

static bool is_uefi_x64(uint16_t architecture)
{
    return architecture == DHCP_ARCH_UEFI_X64 || architecture == DHCP_ARCH_UEFI_EBC;
}

bool dhcp_client_wants_loader(const struct dhcp_client *client)
{
    return client->kind == DHCP_CLIENT_PXE || client->kind == DHCP_CLIENT_HTTP;
}

bool dhcp_client_has_loader(const struct dhcp_client *client)
{
    return client->kind == DHCP_CLIENT_PXE && is_supported(client->architecture);
}

const char *dhcp_client_word(const struct dhcp_client *client)
{
    switch (client->kind) {
    case DHCP_CLIENT_PXE:
        if (client->architecture == DHCP_ARCH_BIOS)
            return "BIOS PXE";
        return is_uefi_x64(client->architecture) ? "UEFI PXE" : "PXE of another architecture";
    case DHCP_CLIENT_IPXE:
        return "iPXE";
    case DHCP_CLIENT_HTTP:
        return "UEFI HTTP boot";
    case DHCP_CLIENT_OTHER:
        break;
    }
    return "system";
}

static const char *loader_for(uint16_t architecture, const struct subnet *subnet)
{
    if (architecture == DHCP_ARCH_BIOS)
        return subnet->loader_bios;
    return is_uefi_x64(architecture) ? subnet->loader_uefi_x64 : "";
}

static void script_url(char *buffer, size_t size, uint32_t server, uint16_t port,
                       struct mac_address mac)
{
    char host[IPV4_TEXT_SIZE], colon_port[8] = "";
    const uint8_t *b = mac.bytes;
    if (port != 80)
        snprintf(colon_port, sizeof(colon_port), ":%u", port);
    snprintf(buffer, size, "http://%s%s/boot.ipxe?mac=%02x-%02x-%02x-%02x-%02x-%02x",
             ipv4_format(server, host), colon_port, b[0], b[1], b[2], b[3], b[4], b[5]);
}

void dhcp_boot_choose(const struct dhcp_client *client, const struct subnet *subnet,
                      uint32_t server, uint16_t http_port, struct mac_address mac,
                      struct dhcp_boot *ret_boot)
{
    struct dhcp_boot boot = {0};
    if (client->kind == DHCP_CLIENT_IPXE) {
        boot.ipxe = true;
        script_url(boot.file, sizeof(boot.file), server, http_port, mac);
    } else if (client->kind == DHCP_CLIENT_PXE) {
        str_copy(boot.file, sizeof(boot.file), loader_for(client->architecture, subnet));
        boot.pxe = boot.file[0] != '\0';
    }
    *ret_boot = boot;
}
