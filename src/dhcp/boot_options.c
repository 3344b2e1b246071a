/*
 * RFC 4578 2.1 (option 93), PXE 2.1 2.2 and UEFI 2.10 24.7.2 (option 60), RFC 3004 (option 77).
 *
 * iPXE is known by its user class or by its encapsulated options, whatever else it says: QEMU's
 * network ROM is iPXE, and so is what we send to other ROMs; giving either the loader again would
 * never end.
 */
#include "dhcp/boot_options.h"

static const char ipxe_class[] = "iPXE";
#define IPXE_CLASS_SIZE (sizeof(ipxe_class) - 1)

#define ARCHITECTURE_BIOS  0
#define IPXE_FEATURE_HTTPS 0x14

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

static bool has_loader(const struct subnet *subnet, uint16_t architecture)
{
    enum dhcp_loader loader = dhcp_architecture_loader(architecture);
    return loader != DHCP_LOADERS && subnet->loaders[loader][0];
}

uint16_t dhcp_client_architecture(const uint8_t *data, size_t size, const struct subnet *subnet)
{
    struct wire_reader r = wire_reader_of(data, size);
    uint16_t first = DHCP_ARCH_UNKNOWN;
    while (wire_reader_left(&r) >= 2) {
        uint16_t architecture = wire_get_be16(&r);
        if (has_loader(subnet, architecture))
            return architecture;
        if (first == DHCP_ARCH_UNKNOWN)
            first = architecture;
    }
    return first;
}

/* "PXEClient:Arch:00007:UNDI:003016", for ROMs without option 93; likewise "HTTPClient:...". Plain
 * "PXEClient" is BIOS. */
static uint16_t class_architecture(const struct dhcp_option *class, const char *prefix,
                                   uint16_t otherwise)
{
    if (!dhcp_option_has_prefix(class, prefix))
        return otherwise;
    uint32_t n = 0;
    size_t digits = 0;
    for (size_t i = strlen(prefix); i < class->size && digits < 5; i++, digits++) {
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

/* iPXE's include/ipxe/features.h: each feature a code and one byte, its version. */
static bool has_ipxe_feature(const struct dhcp_message *message, uint8_t code)
{
    const struct dhcp_option *option = dhcp_message_option(message, DHCP_OPTION_IPXE);
    struct wire_reader r =
        option ? wire_reader_of(option->data, option->size) : wire_reader_of(NULL, 0);
    while (wire_reader_left(&r) >= 2) {
        uint8_t feature = wire_get_u8(&r);
        struct wire_reader value = wire_get_sub(&r, wire_get_u8(&r));
        if (!wire_reader_ok(&r))
            return false;
        if (feature == code)
            return wire_reader_left(&value) == 1 && wire_get_u8(&value) > 0;
    }
    return false;
}

struct dhcp_client dhcp_client_of(const struct dhcp_message *message, const struct subnet *subnet)
{
    const struct dhcp_option *list = dhcp_message_option(message, DHCP_OPTION_ARCHITECTURE);
    const struct dhcp_option *class = dhcp_message_option(message, DHCP_OPTION_VENDOR_CLASS);
    struct dhcp_client client = {.kind = kind_of(message), .architecture = DHCP_ARCH_UNKNOWN};
    client.https = client.kind == DHCP_CLIENT_IPXE && has_ipxe_feature(message, IPXE_FEATURE_HTTPS);
    if (list && list->size >= 2)
        client.architecture = dhcp_client_architecture(list->data, list->size, subnet);
    else if (client.kind == DHCP_CLIENT_PXE)
        client.architecture = class_architecture(class, "PXEClient:Arch:", ARCHITECTURE_BIOS);
    else if (client.kind == DHCP_CLIENT_HTTP)
        client.architecture = class_architecture(class, "HTTPClient:Arch:", DHCP_ARCH_UNKNOWN);
    return client;
}

bool dhcp_client_wants_loader(const struct dhcp_client *client)
{
    return client->kind == DHCP_CLIENT_PXE || client->kind == DHCP_CLIENT_HTTP;
}

const char *dhcp_client_loader(const struct dhcp_client *client, const struct subnet *subnet)
{
    bool has = dhcp_client_wants_loader(client) && has_loader(subnet, client->architecture);
    return has ? subnet->loaders[dhcp_architecture_loader(client->architecture)] : "";
}

const char *dhcp_client_word(const struct dhcp_client *client)
{
    static const char *const words[] = {
        [DHCP_CLIENT_OTHER] = "system",
        [DHCP_CLIENT_PXE] = "PXE",
        [DHCP_CLIENT_IPXE] = "iPXE",
        [DHCP_CLIENT_HTTP] = "HTTP",
    };
    return words[client->kind];
}

/* "http://10.0.0.1:8080"; its length. */
static size_t put_base_url(char *buffer, size_t size, const char *scheme, uint16_t usual,
                           const char *host, uint16_t port)
{
    char colon_port[8] = "";
    if (port != usual)
        snprintf(colon_port, sizeof(colon_port), ":%u", port);
    snprintf(buffer, size, "%s://%s%s", scheme, host, colon_port);
    return strlen(buffer);
}

static void put_script(char *buffer, size_t used, size_t size, struct mac_address mac)
{
    const uint8_t *b = mac.bytes;
    snprintf(buffer + used, size - used, "/boot.ipxe?mac=%02x-%02x-%02x-%02x-%02x-%02x", b[0], b[1],
             b[2], b[3], b[4], b[5]);
}

void dhcp_boot_script_url(char *buffer, size_t size, const char *host, uint16_t port,
                          struct mac_address mac)
{
    put_script(buffer, put_base_url(buffer, size, "http", 80, host, port), size, mac);
}

void dhcp_boot_script_https_url(char *buffer, size_t size, const char *host, uint16_t port,
                                struct mac_address mac)
{
    put_script(buffer, put_base_url(buffer, size, "https", 443, host, port), size, mac);
}

/* RFC 3986 2.3; a path keeps its slashes. */
static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~/", c));
}

/* Half a name is none. */
bool dhcp_boot_put_path(char *buffer, size_t used, size_t size, const char *file)
{
    for (; *file && used < size; file++)
        used += (size_t)snprintf(buffer + used, size - used, is_plain(*file) ? "%c" : "%%%02X",
                                 (unsigned char)*file);
    if (used >= size)
        buffer[0] = '\0';
    return used < size;
}

bool dhcp_boot_loader_url(char *buffer, size_t size, const char *host, uint16_t port,
                          const char *file)
{
    size_t n = put_base_url(buffer, size, "http", 80, host, port);
    n += (size_t)snprintf(buffer + n, size - n, "/loaders/");
    return dhcp_boot_put_path(buffer, n, size, file);
}

static void script_url(char *buffer, size_t size, const struct dhcp_boot_place *place)
{
    char host[IPV4_TEXT_SIZE];
    dhcp_boot_script_url(buffer, size, ipv4_format(place->server, host), place->http_port,
                         place->mac);
}

static void https_url(char *buffer, size_t size, const struct dhcp_boot_place *place)
{
    char address[IPV4_TEXT_SIZE];
    const char *name = place->https_name;
    ipv4_format(place->server, address);
    dhcp_boot_script_https_url(buffer, size, name && name[0] ? name : address, place->https_port,
                               place->mac);
}

static void loader_url(char *buffer, size_t size, const struct dhcp_boot_place *place,
                       const char *file)
{
    char host[IPV4_TEXT_SIZE];
    (void)dhcp_boot_loader_url(buffer, size, ipv4_format(place->server, host), place->http_port,
                               file);
}

/* --- option 175 --- */

enum { IPXE_SCRIPTLET = 0x51, IPXE_NO_PXEDHCP = 0xb0 };

/* How often iPXE asks DHCP for its script, about 15 s each time without an answer, before a node
 * starts over from its firmware. */
#define AUTOBOOTS 10

/* Beside the other option and both headers. */
#define DHCP_MAX_SCRIPTLET (DHCP_MAX_IPXE_OPTIONS - 5)

/* Both URLs, the longest that there are, and a word at the end. */
_Static_assert(DHCP_MAX_HTTPS_NAME + sizeof("https://:65535/boot.ipxe?mac=52-54-00-00-00-01") +
                       sizeof("http://255.255.255.255:65535/boot.ipxe?mac=52-54-00-00-00-01") +
                       sizeof("ifopen net0 && chain  || chain  || autoboot || reboot") <=
                   DHCP_MAX_SCRIPTLET,
               "a scriptlet has room for them");

/* Each of these has room in it. */
static void append(char *text, size_t size, const char *words)
{
    size_t used = strlen(text);
    if (used + strlen(words) < size)
        str_copy(text + used, size - used, words);
}

/*
 * A loader that is iPXE, and that takes over what its firmware got from DHCP, runs this instead of
 * asking DHCP once more. (Debian 12's undionly.kpxe does; UEFI builds do since 2020. Others ask, as
 * iPXE, and are told where their script is.) It is a single line: what it can repeat is written
 * often. A script that ends well ends it, too. Whether it has HTTPS, firmware did not know: it
 * tries.
 */
static void write_scriptlet(struct wire_writer *w, const struct dhcp_boot_place *place)
{
    char url[DHCP_MAX_BOOT_FILE + 1], text[DHCP_MAX_SCRIPTLET + 1] = "ifopen net0 && chain ";
    const char *last = place->is_node ? " || reboot" : "";
    size_t size = sizeof(text) - strlen(last);
    if (place->https_port) {
        https_url(url, sizeof(url), place);
        append(text, size, url);
        append(text, size, " || chain ");
    }
    script_url(url, sizeof(url), place);
    append(text, size, url);
    for (int i = 0; i < (place->is_node ? AUTOBOOTS : 1); i++)
        append(text, size, " || autoboot");
    append(text, sizeof(text), last);
    wire_put_u8(w, IPXE_SCRIPTLET);
    wire_put_u8(w, (uint8_t)strlen(text));
    wire_put_bytes(w, text, strlen(text));
}

static void write_ipxe_options(struct dhcp_boot *boot, const struct dhcp_boot_place *place)
{
    struct wire_writer w = wire_writer_of(boot->ipxe, sizeof(boot->ipxe));
    wire_put_u8(&w, IPXE_NO_PXEDHCP); /* no wait for a proxy's offer (3 s in Debian 12's build) */
    wire_put_u8(&w, 1);
    wire_put_u8(&w, 1);
    if (boot->pxe)
        write_scriptlet(&w, place);
    boot->ipxe_size = wire_writer_used(&w);
}

void dhcp_boot_choose(const struct dhcp_client *client, const struct subnet *subnet,
                      const struct dhcp_boot_place *place, struct dhcp_boot *ret_boot)
{
    struct dhcp_boot boot = {0};
    const char *loader = dhcp_client_loader(client, subnet);
    if (client->kind == DHCP_CLIENT_IPXE) {
        if (client->https && place->https_port)
            https_url(boot.file, sizeof(boot.file), place);
        else
            script_url(boot.file, sizeof(boot.file), place);
        write_ipxe_options(&boot, place);
    } else if (client->kind == DHCP_CLIENT_HTTP && loader[0]) {
        loader_url(boot.file, sizeof(boot.file), place, loader);
        boot.http = boot.file[0] != '\0';
    } else if (client->kind == DHCP_CLIENT_PXE) {
        str_copy(boot.file, sizeof(boot.file), loader);
        boot.pxe = boot.file[0] != '\0';
        if (boot.pxe)
            write_ipxe_options(&boot, place);
    }
    *ret_boot = boot;
}
