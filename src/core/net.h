/*
 * Addresses as text and bytes, and the listening sockets of the daemon.
 *
 * IPv4 addresses are uint32_t in host byte order everywhere in this program, so that ranges and
 * masks are plain arithmetic; the wire reader and writer turn them around. IPv6 addresses are
 * struct in6_addr.
 */
#pragma once

#include "core/error.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct mac_address {
    uint8_t bytes[6];
};

#define MAC_TEXT_SIZE      18 /* aa:bb:cc:dd:ee:ff and NUL */
#define IPV4_TEXT_SIZE     16
#define ENDPOINT_TEXT_SIZE 64 /* [v6%interface]:port and NUL */

/* Of a hexadecimal digit; -1: it is none. */
int hex_value(char c);

/* Takes aa:bb:cc:dd:ee:ff, aa-bb-... and aabbccddeeff; refuses multicast and all-zero addresses,
 * which no machine has. -EINVAL and *ret_mac untouched otherwise. */
int mac_parse(const char *text, struct mac_address *ret_mac) MUST_CHECK;
const char *mac_format(struct mac_address mac, char buffer[static MAC_TEXT_SIZE]);
static inline bool mac_eq(struct mac_address a, struct mac_address b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

int ipv4_parse(const char *text, uint32_t *ret_address) MUST_CHECK;
const char *ipv4_format(uint32_t address, char buffer[static IPV4_TEXT_SIZE]);

/* "10.0.0.0/24" -> network and mask; -EINVAL if bits outside the mask are set. */
int ipv4_parse_network(const char *text, uint32_t *ret_network, uint32_t *ret_mask) MUST_CHECK;

/* An IPv6 network that machines have their address in by their MAC. */
struct network6 {
    struct in6_addr prefix; /* the bits behind it are zero */
    unsigned bits;          /* 1 to 64; 0: there is no such network */
};

#define NETWORK6_TEXT_SIZE (INET6_ADDRSTRLEN + 4)

int ipv6_parse(const char *text, struct in6_addr *ret_address) MUST_CHECK;
const char *ipv6_format(const struct in6_addr *address, char buffer[static INET6_ADDRSTRLEN]);
static inline bool ipv6_eq(const struct in6_addr *a, const struct in6_addr *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* "2001:db8:1::/64"; -EINVAL if bits behind the prefix are set, if it is longer than 64 bits, and
 * if no machine can have a routable address in it: multicast, link-local, loopback, mapped IPv4. */
int network6_parse(const char *text, struct network6 *ret_network) MUST_CHECK;
const char *network6_format(const struct network6 *network, char buffer[static NETWORK6_TEXT_SIZE]);
/* Is the address in it? Do both have an address in common? False of a network that is none. */
bool network6_contains(const struct network6 *network, const struct in6_addr *address);
bool network6_overlaps(const struct network6 *a, const struct network6 *b);

/* The address that a machine has in every network of this prefix: it is computed, and stored
 * nowhere. The lower 64 bits are the modified EUI-64 of its MAC (RFC 4291 app. A); what is between
 * a shorter prefix and them is zero. */
struct in6_addr net_address6_of_mac(const struct in6_addr *prefix, struct mac_address mac);
/* Back again: the MAC that an address was made from; false if it was not made from any. */
bool net_mac_of_address6(const struct in6_addr *address, struct mac_address *ret_mac);

struct endpoint {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
};

/* "10.0.0.1:3260", "[::1]:3260", "0.0.0.0:0", "[fe80::1%eth1]:69". The port is required, and for a
 * link-local address its interface; no other has one. -ENODEV: there is no such interface. */
int endpoint_parse(const char *text, struct endpoint *ret_endpoint) MUST_CHECK;
/* For people of this machine: as above. An IPv4 address mapped into IPv6 is shown as IPv4. */
const char *endpoint_format(const struct endpoint *endpoint,
                            char buffer[static ENDPOINT_TEXT_SIZE]);
/* The address alone, without port or brackets. */
const char *endpoint_format_address(const struct endpoint *endpoint,
                                    char buffer[static ENDPOINT_TEXT_SIZE]);
/* For other machines, as in a URI: "10.0.0.1", "[fe80::1]". Their interfaces have other names. */
const char *endpoint_format_host(const struct endpoint *endpoint,
                                 char buffer[static ENDPOINT_TEXT_SIZE]);
/* The same with its port. */
const char *endpoint_format_portal(const struct endpoint *endpoint,
                                   char buffer[static ENDPOINT_TEXT_SIZE]);
uint16_t endpoint_port(const struct endpoint *endpoint);
struct endpoint endpoint_of_ipv4(uint32_t address, uint16_t port);
struct endpoint endpoint_of_ipv6(const struct in6_addr *address, uint16_t port);
/* The same address with another port. */
struct endpoint endpoint_with_port(const struct endpoint *endpoint, uint16_t port);
socklen_t endpoint_size(const struct endpoint *endpoint);
/* The IPv4 address, plain or mapped; false if it has none. */
bool endpoint_ipv4(const struct endpoint *endpoint, uint32_t *ret_address);
/* An address that means something on one link only: IPv6's. */
bool endpoint_is_link_local(const struct endpoint *endpoint);
/* Same address, whatever the port; of link-local ones on the same link, too, if both are known. */
bool endpoint_same_host(const struct endpoint *a, const struct endpoint *b);
/* The wildcard address; an address that only this machine reaches. */
bool endpoint_is_any(const struct endpoint *endpoint);
bool endpoint_is_loopback(const struct endpoint *endpoint);
int endpoint_from_socket(int fd, struct endpoint *ret_endpoint) MUST_CHECK;
int endpoint_from_peer(int fd, struct endpoint *ret_endpoint) MUST_CHECK;

/* A bound socket of SOCK_STREAM (listening) or SOCK_DGRAM, close-on-exec and non-blocking.
 * `service` names it in the error ("iscsi"), with what to do if the port is taken or privileged. */
int net_listen(const char *service, const struct endpoint *endpoint, int type,
               struct error *ret_error) MUST_CHECK;
/* The same for one of a list: where net_takes_ipv4() says no, IPv4 is left to the others. */
int net_listen_one_of(const char *service, const struct endpoint *list, size_t count, size_t which,
                      int type, struct error *ret_error) MUST_CHECK;

/* Is this one of a list for IPv4? An IPv4 address is; "[::]" is for both, unless the list has an
 * IPv4 address with its port, which could not be listened on beside it. */
bool net_takes_ipv4(const struct endpoint *list, size_t count, size_t which);

/* Binds a Unix stream socket at path (0600), replacing one that nobody listens on any more. */
int net_listen_unix(const char *path, struct error *ret_error) MUST_CHECK;
