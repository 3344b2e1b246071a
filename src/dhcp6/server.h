/*
 * The DHCPv6 server as a function: a datagram in, at most one answer out. No socket, no thread, no
 * file, and no lease: the address of a machine follows from its MAC (core/net.h), so that there is
 * nothing to give out twice, to run out of or to store.
 *
 * Whom it answers, in a network where it is the server:
 *   - registered nodes, whatever program of theirs asks;
 *   - of other machines those that boot (firmware, iPXE), unless the subnet ignores them.
 * The systems of machines that are no nodes never hear of us. What such machines are answered is
 * limited: each answer has the kernel look for another neighbour, and of those it keeps only some
 * in mind. So are answers to nodes by way of ever other relays, or at addresses that say nothing of
 * their MACs, which anybody may forge as he likes; the last few of these places are not counted.
 *
 * In a network whose addresses come from elsewhere (mode = proxy), it never gives one. It tells
 * boot clients what to boot: those that ask for information only, which is what iPXE does
 * if its router says that addresses are had without DHCPv6 (O without M); and UEFI firmware
 * that boots by HTTP, which takes an ADVERTISE without an address beside the other server's. UEFI's
 * PXE over IPv6 would ask once more, on port 4011: it gets no answer.
 */
#pragma once

#include "core/counter.h"
#include "dhcp/server.h"
#include "dhcp6/client.h"

/* The last places that nodes were answered at and that their MACs do not tell: relays, mostly. */
#define DHCP6_PLACES 16

/* So many answers go to machines that are no nodes in a second, and so many at once: more than
 * unknown machines are switched on at a time, and less than fills the kernel's neighbour table
 * (1024 entries by default, which live for seconds) for good. */
#define DHCP6_STRANGERS_PER_SECOND 100
#define DHCP6_STRANGERS_AT_ONCE    500

/* Something is answered. */
struct dhcp6_event {
    enum dhcp6_type type;
    enum dhcp6_type request; /* what it answers */
    struct mac_address mac;
    const struct dhcp_node *node; /* or NULL; these two while the callback runs */
    const struct subnet *subnet;
    struct in6_addr address; /* given; "::": none */
    struct dhcp_client client;
    bool unprivileged; /* from a port that any program may send from */
};

enum dhcp6_oddity_kind {
    DHCP6_ODD_MALFORMED, /* bytes that are no DHCPv6 message, from `source` */
    DHCP6_ODD_NO_SUBNET, /* relayed from (`source`) a network that we do not serve */
    DHCP6_ODD_NO_MAC,    /* `source` asks, a `client` of that kind, and nothing tells its MAC */
    DHCP6_ODD_STRANGER,  /* a system that is no node's: not answered */
    DHCP6_ODD_IGNORED,   /* `mac`, a `client` that boots, is no node: `subnet` ignores it */
    DHCP6_ODD_NO_LOADER, /* `mac`, a `client` that boots, gets an address but no boot file */
    DHCP6_ODD_TAKEN,     /* `mac` found `address`, its own, in use */
    DHCP6_ODD_FOREIGN_SERVER, /* `mac` chose another server */
    DHCP6_ODD_FLOOD,     /* more from machines that are no nodes, or new relays, than is answered */
    DHCP6_ODD_TOO_LARGE, /* the answer for `mac` does not fit into a datagram */
    DHCP6_ODDITIES,
};

struct dhcp6_oddity {
    enum dhcp6_oddity_kind kind;
    struct in6_addr source, address;
    struct mac_address mac;
    const char *node;   /* or NULL */
    const char *subnet; /* or NULL */
    struct dhcp_client client;
};

struct dhcp6_policy {
    void *context;
    bool (*node_by_mac)(void *context, struct mac_address mac, struct dhcp_node *ret_node);
    void (*event)(void *context, const struct dhcp6_event *event);
    void (*oddity)(void *context, const struct dhcp6_oddity *oddity);
};

struct dhcp6_counters {
    struct counter received[DHCP6_TYPES]; /* by message type, without the relays' */
    struct counter sent[DHCP6_TYPES];
    struct counter oddities[DHCP6_ODDITIES];
};

/* Where a datagram came in. */
struct dhcp6_arrival {
    unsigned link;
    struct in6_addr source;
    uint16_t source_port;
    bool multicast; /* sent to a group; false: to an address of ours */
};

struct dhcp6_answer {
    unsigned link;
    struct in6_addr to;
    uint16_t to_port;
    size_t size;
    uint8_t data[DHCP6_MAX_SIZE];
};

/* Zeroed but for the policy: ready for use. */
struct dhcp6_server {
    struct dhcp6_policy policy;
    struct dhcp6_counters counters;
    uint64_t strangers;    /* answers to them that count... */
    uint64_t strangers_at; /* ...at this time (monotonic): some are forgotten each second */
    struct in6_addr places[DHCP6_PLACES];
    unsigned next_place; /* which is replaced next */
};

/* networks: those that are served (dhcp/server.h), of which the ones with an address of ours in
 * their network6 concern us. now: monotonic usec. True if *answer is to be sent. The callbacks must
 * not call back into the server. */
bool dhcp6_server_receive(struct dhcp6_server *server, const struct dhcp_network *networks,
                          size_t n_networks, const struct dhcp6_arrival *arrival, const void *data,
                          size_t size, uint64_t now, struct dhcp6_answer *answer);
