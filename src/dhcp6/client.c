/* RFC 8415 11 (DUIDs), 21.15 (user class), 21.16 (vendor class); RFC 5970 3; RFC 6939 4. */
#include "dhcp6/client.h"

#define DUID_LINK_LAYER_TIME 1
#define DUID_LINK_LAYER      3

static bool get_ethernet(struct wire_reader *r, struct mac_address *ret_mac)
{
    struct mac_address mac;
    static const struct mac_address zero;
    wire_get_copy(r, mac.bytes, sizeof(mac.bytes));
    if (!wire_reader_ok(r) || wire_reader_left(r) > 0 || (mac.bytes[0] & 1) || mac_eq(mac, zero))
        return false;
    *ret_mac = mac;
    return true;
}

static bool relay_tells(const struct dhcp6_message *message, struct mac_address *ret_mac)
{
    struct wire_reader r = dhcp6_option_reader(&message->client_hardware);
    return wire_get_be16(&r) == DHCP6_HARDWARE_ETHERNET && get_ethernet(&r, ret_mac);
}

static bool duid_tells(const struct dhcp6_message *message, struct mac_address *ret_mac)
{
    struct wire_reader r = dhcp6_option_reader(&message->client_id);
    uint16_t type = wire_get_be16(&r);
    if (type != DUID_LINK_LAYER_TIME && type != DUID_LINK_LAYER)
        return false;
    if (wire_get_be16(&r) != DHCP6_HARDWARE_ETHERNET)
        return false;
    if (type == DUID_LINK_LAYER_TIME)
        wire_skip(&r, 4);
    return get_ethernet(&r, ret_mac);
}

bool dhcp6_client_mac(const struct dhcp6_message *message, const struct in6_addr *source,
                      struct mac_address *ret_mac)
{
    if (relay_tells(message, ret_mac))
        return true;
    if (message->n_relays > 0)
        source = &message->relays[message->n_relays - 1].peer;
    return IN6_IS_ADDR_LINKLOCAL(source) ? net_mac_of_address6(source, ret_mac)
                                         : duid_tells(message, ret_mac);
}

/* --- which program --- */

/* Is there a piece (length, bytes) that begins with this text? whole: that is no longer, too. */
static bool has_piece(struct wire_reader r, const char *text, bool whole)
{
    size_t length = strlen(text);
    while (wire_reader_left(&r) > 0) {
        struct wire_reader piece = wire_get_sub(&r, wire_get_be16(&r));
        size_t size = wire_reader_left(&piece);
        if (!wire_reader_ok(&r))
            return false;
        if ((whole ? size == length : size >= length) && memcmp(piece.pos, text, length) == 0)
            return true;
    }
    return false;
}

static bool has_user_class(const struct dhcp6_message *message, const char *text)
{
    return has_piece(dhcp6_option_reader(&message->user_class), text, true);
}

static bool has_vendor_class(const struct dhcp6_message *message, const char *text)
{
    struct wire_reader r = dhcp6_option_reader(&message->vendor_class);
    wire_skip(&r, 4); /* enterprise number: EDK2 has Intel's */
    return wire_reader_ok(&r) && has_piece(r, text, false);
}

/* iPXE first: it may say the other things, too. */
enum dhcp_client_kind dhcp6_client_kind(const struct dhcp6_message *message)
{
    if (has_user_class(message, "iPXE"))
        return DHCP_CLIENT_IPXE;
    if (has_vendor_class(message, "HTTPClient"))
        return DHCP_CLIENT_HTTP;
    if (has_vendor_class(message, "PXEClient"))
        return DHCP_CLIENT_PXE;
    return DHCP_CLIENT_OTHER;
}

struct dhcp_client dhcp6_client_of(const struct dhcp6_message *message, const struct subnet *subnet)
{
    const struct dhcp6_option *list = &message->architectures;
    return (struct dhcp_client){
        .kind = dhcp6_client_kind(message),
        .architecture = dhcp_client_architecture(list->data, list->size, subnet),
    };
}

/* --- what it boots --- */

static bool tftp_url(const char *host, const char *file, char ret_url[static DHCP6_URL_SIZE])
{
    size_t n = (size_t)snprintf(ret_url, DHCP6_URL_SIZE, "tftp://%s/", host);
    return dhcp_boot_put_path(ret_url, n, DHCP6_URL_SIZE, file);
}

bool dhcp6_boot_url(const struct dhcp_client *client, const struct subnet *subnet,
                    const struct dhcp6_boot_place *place, char ret_url[static DHCP6_URL_SIZE])
{
    char address[INET6_ADDRSTRLEN], host[INET6_ADDRSTRLEN + 2];
    const char *loader = dhcp_client_loader(client, subnet);
    snprintf(host, sizeof(host), "[%s]", ipv6_format(&place->server, address));
    if (client->kind == DHCP_CLIENT_IPXE) {
        dhcp_boot_script_url(ret_url, DHCP6_URL_SIZE, host, place->http_port, place->mac);
        return true;
    }
    if (!loader[0])
        return false;
    if (client->kind == DHCP_CLIENT_PXE)
        return tftp_url(host, loader, ret_url);
    return dhcp_boot_loader_url(ret_url, DHCP6_URL_SIZE, host, place->http_port, loader);
}
