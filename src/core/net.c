#include "core/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sys/stat.h>
#include <sys/un.h>

int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int mac_parse(const char *text, struct mac_address *ret_mac)
{
    struct mac_address mac;
    char separator = '\0';
    const char *p = text;
    for (size_t i = 0; i < sizeof(mac.bytes); i++) {
        if (i == 1 && (*p == ':' || *p == '-'))
            separator = *p;
        if (i > 0 && separator && *p++ != separator)
            return -EINVAL;
        int high = hex_value(p[0]);
        int low = high < 0 ? -1 : hex_value(p[1]);
        if (low < 0)
            return -EINVAL;
        mac.bytes[i] = (uint8_t)(high << 4 | low);
        p += 2;
    }
    static const struct mac_address zero;
    if (*p != '\0' || (mac.bytes[0] & 1) || mac_eq(mac, zero))
        return -EINVAL;
    *ret_mac = mac;
    return 0;
}

const char *mac_format(struct mac_address mac, char buffer[static MAC_TEXT_SIZE])
{
    const uint8_t *b = mac.bytes;
    snprintf(buffer, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4],
             b[5]);
    return buffer;
}

int ipv4_parse(const char *text, uint32_t *ret_address)
{
    struct in_addr a;
    if (inet_pton(AF_INET, text, &a) != 1)
        return -EINVAL;
    *ret_address = ntohl(a.s_addr);
    return 0;
}

const char *ipv4_format(uint32_t address, char buffer[static IPV4_TEXT_SIZE])
{
    struct in_addr a = {.s_addr = htonl(address)};
    inet_ntop(AF_INET, &a, buffer, IPV4_TEXT_SIZE);
    return buffer;
}

int ipv4_parse_network(const char *text, uint32_t *ret_network, uint32_t *ret_mask)
{
    char address[IPV4_TEXT_SIZE];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : 0;
    if (!slash || n >= sizeof(address))
        return -EINVAL;
    memcpy(address, text, n);
    address[n] = '\0';

    char *end;
    errno = 0;
    unsigned long bits = strtoul(slash + 1, &end, 10);
    uint32_t network;
    if (slash[1] < '0' || slash[1] > '9' || *end || errno || bits < 1 || bits > 32 ||
        ipv4_parse(address, &network) < 0)
        return -EINVAL;
    uint32_t mask = UINT32_MAX << (32 - bits);
    if (network & ~mask)
        return -EINVAL;
    *ret_network = network;
    *ret_mask = mask;
    return 0;
}

/* --- IPv6 --- */

int ipv6_parse(const char *text, struct in6_addr *ret_address)
{
    struct in6_addr a;
    if (inet_pton(AF_INET6, text, &a) != 1)
        return -EINVAL;
    *ret_address = a;
    return 0;
}

const char *ipv6_format(const struct in6_addr *address, char buffer[static INET6_ADDRSTRLEN])
{
    inet_ntop(AF_INET6, address, buffer, INET6_ADDRSTRLEN);
    return buffer;
}

static bool same_bits(const struct in6_addr *a, const struct in6_addr *b, unsigned bits)
{
    for (unsigned i = 0; i < bits; i++)
        if ((a->s6_addr[i / 8] ^ b->s6_addr[i / 8]) & 0x80 >> i % 8)
            return false;
    return true;
}

static bool is_for_machines(const struct in6_addr *prefix)
{
    static const struct in6_addr zero;
    return !IN6_IS_ADDR_MULTICAST(prefix) && !IN6_IS_ADDR_LINKLOCAL(prefix) &&
           !same_bits(prefix, &zero, 64);
}

int network6_parse(const char *text, struct network6 *ret_network)
{
    char address[INET6_ADDRSTRLEN], *end;
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : 0;
    struct network6 network;
    if (!slash || n >= sizeof(address))
        return -EINVAL;
    memcpy(address, text, n);
    address[n] = '\0';
    errno = 0;
    unsigned long bits = strtoul(slash + 1, &end, 10);
    if (slash[1] < '0' || slash[1] > '9' || *end || errno || bits < 1 || bits > 64 ||
        ipv6_parse(address, &network.prefix) < 0 || !is_for_machines(&network.prefix))
        return -EINVAL;
    for (unsigned i = (unsigned)bits; i < 128; i++)
        if (network.prefix.s6_addr[i / 8] & 0x80 >> i % 8)
            return -EINVAL;
    network.bits = (unsigned)bits;
    *ret_network = network;
    return 0;
}

const char *network6_format(const struct network6 *network, char buffer[static NETWORK6_TEXT_SIZE])
{
    ipv6_format(&network->prefix, buffer);
    size_t n = strlen(buffer);
    snprintf(buffer + n, NETWORK6_TEXT_SIZE - n, "/%u", network->bits);
    return buffer;
}

bool network6_contains(const struct network6 *network, const struct in6_addr *address)
{
    return network->bits && same_bits(&network->prefix, address, network->bits);
}

bool network6_overlaps(const struct network6 *a, const struct network6 *b)
{
    return a->bits && b->bits && same_bits(&a->prefix, &b->prefix, MIN(a->bits, b->bits));
}

#define UNIVERSAL 2 /* the bit of a MAC that an interface identifier has the other way round */

struct in6_addr net_address6_of_mac(const struct in6_addr *prefix, struct mac_address mac)
{
    struct in6_addr address = *prefix;
    const uint8_t *m = mac.bytes;
    const uint8_t id[8] = {m[0] ^ UNIVERSAL, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
    memcpy(address.s6_addr + 8, id, sizeof(id));
    return address;
}

bool net_mac_of_address6(const struct in6_addr *address, struct mac_address *ret_mac)
{
    const uint8_t *id = address->s6_addr + 8;
    const struct mac_address mac = {{id[0] ^ UNIVERSAL, id[1], id[2], id[5], id[6], id[7]}};
    static const struct mac_address zero;
    if (id[3] != 0xff || id[4] != 0xfe || (mac.bytes[0] & 1) || mac_eq(mac, zero))
        return false;
    *ret_mac = mac;
    return true;
}

/* --- endpoints --- */

static int parse_port(const char *text, uint16_t *ret_port)
{
    char *end;
    errno = 0;
    unsigned long port = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || port > UINT16_MAX)
        return -EINVAL;
    *ret_port = (uint16_t)port;
    return 0;
}

/* "fe80::1%eth1" */
static int parse_ipv6_of_link(char *text, struct sockaddr_in6 *address)
{
    char *interface = strchr(text, '%');
    if (interface)
        *interface++ = '\0';
    if (inet_pton(AF_INET6, text, &address->sin6_addr) != 1 ||
        IN6_IS_ADDR_LINKLOCAL(&address->sin6_addr) != (interface && *interface))
        return -EINVAL;
    address->sin6_scope_id = interface ? if_nametoindex(interface) : 0;
    return interface && !address->sin6_scope_id ? -ENODEV : 0;
}

int endpoint_parse(const char *text, struct endpoint *ret_endpoint)
{
    char host[INET6_ADDRSTRLEN + IF_NAMESIZE];
    const char *colon = strrchr(text, ':');
    uint16_t port;
    if (!colon || parse_port(colon + 1, &port) < 0)
        return -EINVAL;
    bool bracketed = text[0] == '[' && colon > text && colon[-1] == ']';
    const char *start = bracketed ? text + 1 : text;
    size_t n = (size_t)((bracketed ? colon - 1 : colon) - start);
    if (n >= sizeof(host))
        return -EINVAL;
    memcpy(host, start, n);
    host[n] = '\0';

    struct endpoint e = {0};
    int r = 0;
    if (bracketed) {
        r = parse_ipv6_of_link(host, &e.v6);
        e.v6.sin6_family = AF_INET6;
        e.v6.sin6_port = htons(port);
    } else {
        r = inet_pton(AF_INET, host, &e.v4.sin_addr) == 1 ? 0 : -EINVAL;
        e.v4.sin_family = AF_INET;
        e.v4.sin_port = htons(port);
    }
    if (r == 0)
        *ret_endpoint = e;
    return r;
}

bool endpoint_ipv4(const struct endpoint *endpoint, uint32_t *ret_address)
{
    if (endpoint->any.sa_family == AF_INET) {
        *ret_address = ntohl(endpoint->v4.sin_addr.s_addr);
        return true;
    }
    if (endpoint->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&endpoint->v6.sin6_addr)) {
        uint32_t a;
        memcpy(&a, endpoint->v6.sin6_addr.s6_addr + 12, sizeof(a));
        *ret_address = ntohl(a);
        return true;
    }
    return false;
}

static const char *format_bare(const struct endpoint *endpoint,
                               char buffer[static ENDPOINT_TEXT_SIZE])
{
    uint32_t v4;
    if (endpoint_ipv4(endpoint, &v4))
        ipv4_format(v4, buffer);
    else if (endpoint->any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &endpoint->v6.sin6_addr, buffer, ENDPOINT_TEXT_SIZE);
    else
        str_copy(buffer, ENDPOINT_TEXT_SIZE, "-");
    return buffer;
}

/* "%eth1"; "": none is needed. */
static void format_scope(const struct endpoint *endpoint, char buffer[static IF_NAMESIZE + 1])
{
    unsigned index = endpoint_is_link_local(endpoint) ? endpoint->v6.sin6_scope_id : 0;
    char name[IF_NAMESIZE];
    buffer[0] = '\0';
    if (index && if_indextoname(index, name))
        snprintf(buffer, IF_NAMESIZE + 1, "%%%s", name);
    else if (index)
        snprintf(buffer, IF_NAMESIZE + 1, "%%%u", index);
}

const char *endpoint_format_address(const struct endpoint *endpoint,
                                    char buffer[static ENDPOINT_TEXT_SIZE])
{
    char scope[IF_NAMESIZE + 1];
    format_bare(endpoint, buffer);
    format_scope(endpoint, scope);
    size_t n = strlen(buffer);
    snprintf(buffer + n, ENDPOINT_TEXT_SIZE - n, "%s", scope);
    return buffer;
}

static void join_port(const char *address, uint16_t port, char buffer[static ENDPOINT_TEXT_SIZE])
{
    bool v6 = strchr(address, ':') != NULL;
    snprintf(buffer, ENDPOINT_TEXT_SIZE, v6 ? "[%.55s]:%u" : "%.55s:%u", address, port);
}

const char *endpoint_format(const struct endpoint *endpoint, char buffer[static ENDPOINT_TEXT_SIZE])
{
    char address[ENDPOINT_TEXT_SIZE];
    join_port(endpoint_format_address(endpoint, address), endpoint_port(endpoint), buffer);
    return buffer;
}

const char *endpoint_format_host(const struct endpoint *endpoint,
                                 char buffer[static ENDPOINT_TEXT_SIZE])
{
    char address[ENDPOINT_TEXT_SIZE];
    format_bare(endpoint, address);
    snprintf(buffer, ENDPOINT_TEXT_SIZE, strchr(address, ':') ? "[%.45s]" : "%.45s", address);
    return buffer;
}

const char *endpoint_format_portal(const struct endpoint *endpoint,
                                   char buffer[static ENDPOINT_TEXT_SIZE])
{
    char address[ENDPOINT_TEXT_SIZE];
    join_port(format_bare(endpoint, address), endpoint_port(endpoint), buffer);
    return buffer;
}

uint16_t endpoint_port(const struct endpoint *endpoint)
{
    switch (endpoint->any.sa_family) {
    case AF_INET:
        return ntohs(endpoint->v4.sin_port);
    case AF_INET6:
        return ntohs(endpoint->v6.sin6_port);
    default:
        return 0;
    }
}

struct endpoint endpoint_of_ipv4(uint32_t address, uint16_t port)
{
    return (struct endpoint){
        .v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons(port)}};
}

struct endpoint endpoint_of_ipv6(const struct in6_addr *address, uint16_t port)
{
    return (struct endpoint){
        .v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *address},
    };
}

struct endpoint endpoint_with_port(const struct endpoint *endpoint, uint16_t port)
{
    struct endpoint e = *endpoint;
    if (e.any.sa_family == AF_INET6)
        e.v6.sin6_port = htons(port);
    else
        e.v4.sin_port = htons(port);
    return e;
}

socklen_t endpoint_size(const struct endpoint *endpoint)
{
    return endpoint->any.sa_family == AF_INET6 ? sizeof(endpoint->v6) : sizeof(endpoint->v4);
}

bool endpoint_is_link_local(const struct endpoint *endpoint)
{
    return endpoint->any.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&endpoint->v6.sin6_addr);
}

static bool same_link(const struct endpoint *a, const struct endpoint *b)
{
    uint32_t a_link = a->v6.sin6_scope_id, b_link = b->v6.sin6_scope_id;
    return !a_link || !b_link || a_link == b_link;
}

bool endpoint_same_host(const struct endpoint *a, const struct endpoint *b)
{
    uint32_t a4, b4;
    if (endpoint_ipv4(a, &a4))
        return endpoint_ipv4(b, &b4) && a4 == b4;
    return a->any.sa_family == AF_INET6 && b->any.sa_family == AF_INET6 &&
           IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr) &&
           (!endpoint_is_link_local(a) || same_link(a, b));
}

bool endpoint_is_any(const struct endpoint *endpoint)
{
    uint32_t address;
    if (endpoint_ipv4(endpoint, &address))
        return address == INADDR_ANY;
    return IN6_IS_ADDR_UNSPECIFIED(&endpoint->v6.sin6_addr);
}

bool endpoint_is_loopback(const struct endpoint *endpoint)
{
    uint32_t address;
    if (endpoint_ipv4(endpoint, &address))
        return address >> 24 == IN_LOOPBACKNET;
    return IN6_IS_ADDR_LOOPBACK(&endpoint->v6.sin6_addr);
}

int endpoint_from_socket(int fd, struct endpoint *ret_endpoint)
{
    struct endpoint e = {0};
    socklen_t size = sizeof(e);
    if (getsockname(fd, &e.any, &size) < 0)
        return -errno;
    *ret_endpoint = e;
    return 0;
}

int endpoint_from_peer(int fd, struct endpoint *ret_endpoint)
{
    struct endpoint e = {0};
    socklen_t size = sizeof(e);
    if (getpeername(fd, &e.any, &size) < 0)
        return -errno;
    *ret_endpoint = e;
    return 0;
}

static int listen_error(const char *service, const char *where, int errnum, struct error *ret_error)
{
    switch (errnum) {
    case EADDRINUSE:
        return error_set(ret_error, -errnum,
                         "%s: %s is in use by another program; stop it or set another address "
                         "under [%s]",
                         service, where, service);
    case EACCES:
        return error_set(ret_error, -errnum,
                         "%s: not allowed to listen on %s; start as root or give the program "
                         "CAP_NET_BIND_SERVICE",
                         service, where);
    case EAFNOSUPPORT:
        return error_set(ret_error, -errnum,
                         "%s: this server's kernel has no IPv6 for %s; switch it on, or take that "
                         "address out of [%s] listen",
                         service, where, service);
    case EADDRNOTAVAIL:
        return error_set(ret_error, -errnum,
                         "%s: this server has no address %s; bring the interface up first or set "
                         "another address under [%s]",
                         service, where, service);
    default:
        return error_set(ret_error, -errnum, "%s: cannot listen on %s: %s", service, where,
                         strerror(errnum));
    }
}

bool net_takes_ipv4(const struct endpoint *list, size_t count, size_t which)
{
    const struct endpoint *e = &list[which];
    uint32_t ignored;
    if (endpoint_ipv4(e, &ignored))
        return true;
    for (size_t i = 0; endpoint_port(e) && i < count; i++)
        if (endpoint_ipv4(&list[i], &ignored) && endpoint_port(&list[i]) == endpoint_port(e))
            return false;
    return endpoint_is_any(e);
}

/* On a wildcard alone it makes a difference, and mapped addresses would not do with it. */
static int set_v6_only(int fd, const struct endpoint *endpoint, bool v6_only)
{
    int on = v6_only;
    if (endpoint->any.sa_family != AF_INET6 || !endpoint_is_any(endpoint))
        return 0;
    return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
}

int net_listen(const char *service, const struct endpoint *endpoint, int type,
               struct error *ret_error)
{
    return net_listen_one_of(service, endpoint, 1, 0, type, ret_error);
}

int net_listen_one_of(const char *service, const struct endpoint *list, size_t count, size_t which,
                      int type, struct error *ret_error)
{
    const struct endpoint *endpoint = &list[which];
    bool v6_only = !net_takes_ipv4(list, count, which);
    char where[ENDPOINT_TEXT_SIZE];
    endpoint_format(endpoint, where);
    cleanup_close int fd = socket(endpoint->any.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (fd < 0 ||
        (type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0) ||
        set_v6_only(fd, endpoint, v6_only) < 0 ||
        bind(fd, &endpoint->any, endpoint_size(endpoint)) < 0 ||
        (type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0))
        return listen_error(service, where, errno, ret_error);
    return take_fd(&fd);
}

static bool is_socket(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* A socket file left behind by a killed daemon refuses connections; a live one accepts them. (So
 * do files that are no sockets: look at that first.) */
static bool unix_socket_is_dead(const struct sockaddr_un *address)
{
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
           errno == ECONNREFUSED;
}

int net_listen_unix(const char *path, struct error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!str_copy(address.sun_path, sizeof(address.sun_path), path))
        return error_set(ret_error, -ENAMETOOLONG,
                         "socket path %s is longer than %zu bytes; set a shorter one", path,
                         sizeof(address.sun_path) - 1);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set(ret_error, -errno, "cannot make a socket: %s", strerror(errno));

    mode_t old = umask(0177);
    int r = bind(fd, (struct sockaddr *)&address, sizeof(address));
    if (r < 0 && errno == EADDRINUSE && !is_socket(path)) {
        umask(old);
        return error_set(ret_error, -EEXIST,
                         "%s is in the way and is no socket; move it away, or set another socket",
                         path);
    }
    if (r < 0 && errno == EADDRINUSE && unix_socket_is_dead(&address) && unlink(path) == 0)
        r = bind(fd, (struct sockaddr *)&address, sizeof(address));
    int bind_errno = errno;
    umask(old);
    if (r < 0 && bind_errno == EADDRINUSE)
        return error_set(ret_error, -bind_errno,
                         "another nodisk already listens on %s; stop it or set another socket",
                         path);
    if (r < 0)
        return error_set(ret_error, -bind_errno, "cannot listen on %s: %s", path,
                         strerror(bind_errno));
    if (listen(fd, SOMAXCONN) < 0)
        return error_set(ret_error, -errno, "cannot listen on %s: %s", path, strerror(errno));
    return take_fd(&fd);
}
