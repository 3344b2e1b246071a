#include "core/iscsi_uri.h"

#include "core/net.h"

#include <arpa/inet.h>
#include <errno.h>

#define SCHEME       "iscsi://"
#define DEFAULT_PORT 3260

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* --- host --- */

static bool is_host_of_ipv4(uint32_t address)
{
    uint32_t first = address >> 24;
    return first != 0 && first != 127 && first < 224;
}

/* Of those a node reaches none without knowing the interface, or none that is another machine. */
static bool is_host_of_ipv6(const struct in6_addr *a)
{
    return !IN6_IS_ADDR_UNSPECIFIED(a) && !IN6_IS_ADDR_LOOPBACK(a) && !IN6_IS_ADDR_MULTICAST(a) &&
           !IN6_IS_ADDR_LINKLOCAL(a) && !IN6_IS_ADDR_V4MAPPED(a) && !IN6_IS_ADDR_V4COMPAT(a);
}

static bool read_ipv6(const char *text, char host[static ISCSI_URI_HOST_MAX + 1])
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr a;
    size_t n = strlen(text);
    if (n < 2 || n - 2 >= sizeof(address) || text[n - 1] != ']')
        return false;
    str_copy(address, n - 1, text + 1);
    if (inet_pton(AF_INET6, address, &a) != 1 || !is_host_of_ipv6(&a) ||
        !inet_ntop(AF_INET6, &a, address, sizeof(address)))
        return false;
    snprintf(host, ISCSI_URI_HOST_MAX + 1, "[%s]", address);
    return true;
}

/* "10.0.0" and "10.0.0.256" are no names, although their labels might be. */
static bool ends_in_number(const char *name)
{
    const char *dot = strrchr(name, '.');
    const char *last = dot ? dot + 1 : name;
    return last[strspn(last, "0123456789")] == '\0';
}

static bool read_name(const char *text, char host[static ISCSI_URI_HOST_MAX + 1])
{
    uint32_t address;
    if (!str_copy(host, ISCSI_URI_HOST_MAX + 1, text))
        return false;
    if (ipv4_parse(host, &address) == 0)
        return is_host_of_ipv4(address);
    for (char *p = host; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return name_is_domain(host) && !ends_in_number(host);
}

static int read_host(const char *text, struct iscsi_uri *uri, struct error *ret_error)
{
    if (text[0] == '[' ? read_ipv6(text, uri->host) : read_name(text, uri->host))
        return 0;
    return error_set(ret_error, -EINVAL,
                     "the host of an iSCSI URI must be a name, an IPv4 address or an IPv6 address "
                     "in brackets, and one that nodes can reach");
}

/* --- port, target, LUN --- */

/* Digits alone, without zeroes before them. */
static bool read_number(const char *text, uint32_t max, uint32_t *ret_number)
{
    uint32_t number = 0;
    size_t n = strlen(text);
    if (n == 0 || n > 5 || (text[0] == '0' && n > 1))
        return false;
    for (const char *p = text; *p; p++) {
        if (!is_digit(*p))
            return false;
        number = number * 10 + (uint32_t)(*p - '0');
    }
    *ret_number = number;
    return number <= max;
}

static int read_port(const char *text, struct iscsi_uri *uri, struct error *ret_error)
{
    uint32_t port;
    if (!read_number(text, UINT16_MAX, &port) || port == 0)
        return error_set(ret_error, -EINVAL,
                         "the port of an iSCSI URI must be a number from 1 to 65535");
    uri->port = (uint16_t)port;
    return 0;
}

static bool is_hex_of(const char *text, size_t length)
{
    if (strlen(text) != length)
        return false;
    for (const char *p = text; *p; p++)
        if (!is_hex(*p))
            return false;
    return true;
}

/* Those of some makers have capitals (Synology), which are theirs to compare. */
static bool is_iqn(const char *name)
{
    char lower[IQN_MAX_LEN + 1];
    if (!str_copy(lower, sizeof(lower), name))
        return false;
    for (char *p = lower; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return str_has_prefix(name, "iqn.") && name_is_iqn(lower);
}

static bool is_target(const char *name)
{
    if (str_has_prefix(name, "eui."))
        return is_hex_of(name + 4, 16);
    if (str_has_prefix(name, "naa."))
        return is_hex_of(name + 4, 16) || is_hex_of(name + 4, 32);
    return is_iqn(name);
}

static int read_target(const char *text, struct iscsi_uri *uri, struct error *ret_error)
{
    if (!is_target(text))
        return error_set(ret_error, -EINVAL,
                         "the target of an iSCSI URI must be a name such as "
                         "iqn.2026-11.lan.example:disk1, or eui. or naa. and its hexadecimal "
                         "digits");
    str_copy(uri->target, sizeof(uri->target), text);
    return 0;
}

static bool read_hex(const char *text, uint32_t *ret_number)
{
    size_t n = strlen(text);
    if (n == 0 || n > 4 || !is_hex_of(text, n))
        return false;
    *ret_number = (uint32_t)strtoul(text, NULL, 16);
    return *ret_number <= ISCSI_URI_LUN_MAX;
}

static int read_lun(const char *text, struct iscsi_uri *uri, struct error *ret_error)
{
    uint32_t lun;
    bool ok = str_has_prefix(text, "0x") ? read_hex(text + 2, &lun)
                                         : read_number(text, ISCSI_URI_LUN_MAX, &lun);
    if (!ok)
        return error_set(ret_error, -EINVAL,
                         "the LUN of an iSCSI URI must be a number from 0 to %d",
                         ISCSI_URI_LUN_MAX);
    uri->lun = (uint16_t)lun;
    return 0;
}

/* --- the whole --- */

static int check_characters(const char *text, struct error *ret_error)
{
    if (!str_has_prefix(text, SCHEME) || strlen(text) >= ISCSI_URI_SIZE)
        return error_set(ret_error, -EINVAL,
                         "that is not the URI of a LUN of an iSCSI target, such as "
                         "iscsi://10.0.0.5/iqn.2026-11.lan.example:disk1/0");
    if (strchr(text, '@'))
        return error_set(ret_error, -EINVAL,
                         "the URI of an iSCSI target has no user name and no secret here; give "
                         "them by --chap-user NAME and --chap-secret-file PATH");
    for (const char *p = text; *p; p++)
        if (!is_alnum(*p) && !strchr(":/.-[]", *p))
            return error_set(ret_error, -EINVAL,
                             "an iSCSI URI has only letters, digits and . - : / [ ], and no "
                             "options behind its LUN");
    return 0;
}

/* The ':' before the port, outside of brackets; NULL: there is none. */
static char *find_port(char *authority)
{
    char *host_end = authority[0] == '[' ? strchr(authority, ']') : authority;
    return host_end ? strchr(host_end, ':') : NULL;
}

static int read_authority(char *text, struct iscsi_uri *uri, struct error *ret_error)
{
    char *port = find_port(text);
    uri->port = DEFAULT_PORT;
    if (port) {
        *port++ = '\0';
        int r = read_port(port, uri, ret_error);
        if (r < 0)
            return r;
    }
    return read_host(text, uri, ret_error);
}

int iscsi_uri_parse(const char *text, struct iscsi_uri *ret_uri, struct error *ret_error)
{
    char copy[ISCSI_URI_SIZE];
    struct iscsi_uri uri = {0};
    int r = check_characters(text, ret_error);
    if (r < 0)
        return r;
    str_copy(copy, sizeof(copy), text);
    char *authority = copy + strlen(SCHEME);
    char *target = strchr(authority, '/');
    char *lun = target ? strchr(target + 1, '/') : NULL;
    if (!lun)
        return error_set(ret_error, -EINVAL,
                         "an iSCSI URI has a host, a target and a LUN: iscsi://HOST/TARGET/LUN");
    *target++ = '\0';
    *lun++ = '\0';
    r = read_authority(authority, &uri, ret_error);
    if (r >= 0)
        r = read_target(target, &uri, ret_error);
    if (r >= 0)
        r = read_lun(lun, &uri, ret_error);
    if (r >= 0)
        *ret_uri = uri;
    return r;
}

const char *iscsi_uri_format(const struct iscsi_uri *uri, char text[static ISCSI_URI_SIZE])
{
    char port[8] = "";
    if (uri->port != DEFAULT_PORT)
        snprintf(port, sizeof(port), ":%u", uri->port);
    snprintf(text, ISCSI_URI_SIZE, SCHEME "%s%s/%s/%u", uri->host, port, uri->target, uri->lun);
    return text;
}

const char *iscsi_uri_format_portal(const struct iscsi_uri *uri, char text[static ISCSI_URI_SIZE])
{
    snprintf(text, ISCSI_URI_SIZE, "%s:%u", uri->host, uri->port);
    return text;
}

/* Peripheral device addressing as far as it goes, which every target knows. */
uint16_t iscsi_uri_wire_lun(const struct iscsi_uri *uri)
{
    return (uint16_t)(uri->lun < 256 ? uri->lun : 0x4000 | uri->lun);
}
