/*
 * The DHCP server as a state machine: a datagram and the time in, at most one answer out. No
 * socket, no thread, no file; all that it must know of nodes comes through callbacks.
 *
 * Who is who: a machine is its MAC (chaddr). Client identifiers are echoed and otherwise ignored,
 * because firmware, iPXE and the system of one machine send different ones and must get the same
 * address. A node's own address goes to any of its MACs, unless another one of them has a lease of
 * it, or had it last and the node is up.
 *
 * What a lease is worth: an answer never waits for a disk, with one exception. A promise of a pool
 * address that is on no disk yet would be forgotten by a crash, so that its ACK waits until the
 * lease is stored, but for no longer than DHCP_STORE_PATIENCE: then the lease is given for
 * DHCP_SHORT_LEASE only. Reserved addresses are in the registry anyway, and renewals extend what
 * is stored already: both are answered at once and stored behind.
 *
 * A network may be another server's: then we are a proxy there, see proxy.h.
 *
 * Addresses are in host byte order.
 */
#pragma once

#include "core/counter.h"
#include "dhcp/boot_options.h"
#include "dhcp/doubles.h"
#include "dhcp/lease.h"
#include "dhcp/packet.h"
#include "dhcp/subnet.h"

/* So many messages of machines that are no nodes are looked at in a second, and so many at once:
 * more than there are machines in a network, and too few to keep the server from its nodes. */
#define DHCP_STRANGERS_PER_SECOND 5000
#define DHCP_STRANGERS_AT_ONCE    10000

#define DHCP_STORE_PATIENCE (20 * USEC_PER_SEC / 1000)
#define DHCP_SHORT_LEASE    120 /* seconds */
#define DHCP_MIN_LEASE      60  /* seconds; the shortest that a client may ask for */

/* How long a machine that got a pool address because its own was taken keeps it, once its own is
 * free again: firmware, iPXE and system must see one address during a boot. */
#define DHCP_STAND_IN_TIME (300 * USEC_PER_SEC)

struct dhcp_clock {
    uint64_t monotonic; /* usec; for intervals */
    uint64_t wall;      /* usec since 1970; for what is stored and told */
};

/* A subnet that is served. */
struct dhcp_network {
    struct subnet settings;
    unsigned link;           /* index of the interface that its messages come in on */
    bool local;              /* directly attached; false: only behind a relay */
    uint32_t server;         /* our address as its machines see it */
    struct in6_addr server6; /* likewise in network6; "::": we have none, or it has no network6 */
    uint16_t http_port;      /* of the boot scripts */
    uint16_t http_port6;     /* likewise, at server6 */
    uint16_t https_port;     /* 0: none */
    const char *https_name;  /* see struct dhcp_boot_place; outlives it */
    struct mac_address mac;  /* of the interface */
};

/* What the registry knows of a node. Strings and arrays need to live until the call into the
 * server that asked for them returns. */
struct dhcp_node {
    const char *name;
    uint32_t address; /* 0: from the pool */
    const struct mac_address *macs;
    size_t n_macs;
    const struct dhcp_options *options, *group_options; /* its own, its group's; NULL: none */
};

struct dhcp_lease_record {
    struct mac_address mac;
    uint32_t address;
    enum lease_state state; /* LEASE_BOUND; LEASE_FREE: given back, only remembered; _DECLINED */
    uint64_t expires_at;    /* usec since 1970 */
    const char *subnet;     /* its name; while the callback runs */
    const char *node;       /* its name, or NULL; likewise */
};

/* Where a relay says that it is (RFC 3046): each "" if it does not. */
struct dhcp_relay {
    char circuit_id[DHCP_RELAY_TEXT_MAX + 1];
    char remote_id[DHCP_RELAY_TEXT_MAX + 1];
};

/* An OFFER, ACK or NAK goes out. */
struct dhcp_event {
    enum dhcp_type type;
    enum dhcp_type request; /* what it answers */
    struct mac_address mac;
    const struct dhcp_node *node; /* or NULL: a machine that nobody registered */
    uint32_t address;             /* given, or refused; 0: it gets one from another server */
    bool proxy;                   /* we only say what to boot; `address` is what the client says */
    struct dhcp_client client;
    bool unprivileged;           /* from a port that any program may send from */
    uint64_t at;                 /* usec since 1970 */
    const struct subnet *subnet; /* these two while the callback runs */
    const struct dhcp_relay *relay;
};

enum dhcp_oddity_kind {
    DHCP_ODD_MALFORMED,      /* bytes that are no DHCP message; from `source` */
    DHCP_ODD_UNSUPPORTED,    /* BOOTP, or hardware other than Ethernet; from `source` */
    DHCP_ODD_NO_SUBNET,      /* relayed from (`address`) a network that we do not serve */
    DHCP_ODD_NO_ADDRESS,     /* the pool of `subnet` is empty or used up; `mac` got no answer */
    DHCP_ODD_CONFLICT,       /* `address` of `node` is leased to `holder`: `mac` got another */
    DHCP_ODD_TAKEN,          /* `mac` found `address` in use by a machine without a lease */
    DHCP_ODD_NO_LOADER,      /* `mac`, a `client` that boots, gets an address but no boot file */
    DHCP_ODD_LEFT_OUT,       /* `option` did not fit into the answer for `mac` */
    DHCP_ODD_FOREIGN_SERVER, /* another DHCP server, `address`, answers in our subnet */
    DHCP_ODD_IGNORED,        /* `mac`, a `client` that boots, is no node: `subnet` ignores it */
    DHCP_ODD_STORE_LATE,     /* short lease: the registry did not store it in time */
    DHCP_ODD_STORE_FAILED,   /* short lease: the registry could not store it */
    DHCP_ODD_NO_MEMORY,
    DHCP_ODD_FLOOD,     /* more from machines that are no nodes than are answered */
    DHCP_ODD_SAME_MAC,  /* `mac` speaks at `place` and at `other_place` in turn: see doubles.h */
    DHCP_ODD_SAME_NAME, /* `mac` calls itself `other_node`, which it is none of the MACs of */
    DHCP_ODD_SAME_UUID, /* `mac` of `node` and `holder` of `other_node` (or both of none): `uuid` */
    DHCP_ODD_NAMESAKE,  /* `mac` and `holder`, both no nodes, have leases as `host_name` */
    DHCP_ODD_FOUND,     /* `holder` uses `address` of the pool without a lease: set aside */
    DHCP_ODD_USED_TWICE,    /* `holder` uses `address`, which is `mac`'s, of `node` if it is one */
    DHCP_ODD_NOT_SET_ASIDE, /* as FOUND, but too many are, or the table of leases is full */
    DHCP_ODD_CLAIMS_ALL, /* `holder` claims `address`, too, after many others: it is not believed */
    DHCP_ODDITIES,
};

struct dhcp_oddity {
    enum dhcp_oddity_kind kind;
    uint32_t source; /* the datagram's sender; may be 0 */
    struct mac_address mac;
    struct mac_address holder;
    uint32_t address;
    const char *node;   /* or NULL */
    const char *subnet; /* or NULL */
    struct dhcp_client client;
    uint8_t option;                               /* code */
    const char *other_node;                       /* these four: NULL of other kinds */
    const struct dhcp_place *place, *other_place; /* while the callback runs */
    const char *uuid;
    const char *host_name;
};

struct dhcp_policy {
    void *context;
    /* The node that owns this MAC, or that owns this address. */
    bool (*node_by_mac)(void *context, struct mac_address mac, struct dhcp_node *ret_node);
    bool (*node_by_address)(void *context, uint32_t address, struct dhcp_node *ret_node);
    /* The node of this name. NULL: nobody looks for machines that have a node's name. */
    bool (*node_by_name)(void *context, const char *name, struct dhcp_node *ret_node);
    /* Is this node's system running, with its disk in use? Then its address is taken, whatever
     * became of its lease: a system need not renew what its firmware got. NULL: nobody knows. */
    bool (*node_is_up)(void *context, const struct dhcp_node *node);
    /* Store this instead of what is known of its address, later records after earlier ones;
     * dhcp_server_stored() says when done, never before this callback returned. False: it cannot
     * even be tried, and nothing will be said. */
    bool (*store)(void *context, const struct dhcp_lease_record *record);
    /* Nobody has anything to do with this address any more: what was stored of it goes. NULL:
     * nothing ever is. */
    void (*forget)(void *context, uint32_t address);
    void (*event)(void *context, const struct dhcp_event *event);
    void (*oddity)(void *context, const struct dhcp_oddity *oddity);
};

struct dhcp_counters {
    struct counter received[DHCP_TYPES]; /* by message type */
    struct counter sent[DHCP_TYPES];
    struct counter oddities[DHCP_ODDITIES];
};

/* Where a datagram came in. */
struct dhcp_arrival {
    unsigned link;
    uint32_t source; /* IP address of the sender, 0.0.0.0 mostly */
    uint16_t source_port;
    bool unicast;     /* sent to our address, not broadcast */
    bool boot_server; /* to port 4011 instead of 67 */
};

/* RFC 2131 4.1: where an answer goes, from port 67 unless otherwise said. */
enum dhcp_route {
    DHCP_TO_RELAY,       /* to:67 */
    DHCP_TO_CLIENT,      /* to:68, which the client has already */
    DHCP_TO_HARDWARE,    /* to:68 in a frame to `mac`: the client does not answer ARP for it yet */
    DHCP_TO_ALL,         /* 255.255.255.255:68 */
    DHCP_TO_BOOT_CLIENT, /* from port 4011 to:to_port, which the client has already */
};

struct dhcp_answer {
    enum dhcp_route route;
    unsigned link;
    uint32_t from, to;
    uint16_t to_port; /* of DHCP_TO_BOOT_CLIENT */
    struct mac_address mac;
    size_t size;
    size_t times_at; /* offset of the data of option 51; 58 and 59 follow; 0: none */
    uint8_t data[DHCP_MAX_SIZE];
};

struct dhcp_server;

/* The policy is copied; none of its callbacks may call back into the server. NULL without
 * memory. */
struct dhcp_server *dhcp_server_new(const struct dhcp_policy *policy, uint64_t seed);
void dhcp_server_free(struct dhcp_server *server);

/* Serves these subnets from now on. All leases stay; those in none of them until they are in one
 * again. -ENOMEM, and nothing has changed. */
int dhcp_server_set_networks(struct dhcp_server *server, const struct dhcp_network *networks,
                             size_t count) MUST_CHECK;

/* Takes back a lease that was stored. False if it is of no subnet that is served, or if there is a
 * newer one. Call before anything is received. */
bool dhcp_server_restore(struct dhcp_server *server, const struct dhcp_lease_record *record,
                         const struct dhcp_clock *now);

/* True if *answer is to be sent. */
bool dhcp_server_receive(struct dhcp_server *server, const struct dhcp_arrival *arrival,
                         const void *data, size_t size, const struct dhcp_clock *now,
                         struct dhcp_answer *answer);

/* The record handed to policy.store is on the disk, or (ok false) will not be. True if *answer,
 * which waited for it, is to be sent. */
bool dhcp_server_stored(struct dhcp_server *server, uint32_t address, struct mac_address mac,
                        bool ok, const struct dhcp_clock *now, struct dhcp_answer *answer);

/* When an answer has waited for long enough (monotonic usec); UINT64_MAX: none waits. */
uint64_t dhcp_server_deadline(const struct dhcp_server *server);
/* Call when that time has come, until it gives false. */
bool dhcp_server_expire(struct dhcp_server *server, const struct dhcp_clock *now,
                        struct dhcp_answer *answer);

/* What an operator wants to be free again: an address (with macs NULL), or what these MACs have. */
struct dhcp_release {
    uint32_t address;
    const struct mac_address *macs;
    size_t n_macs;
};

/* Forgets leases, also of addresses that were declined. -ENOENT: there are none; -EBUSY: the system
 * of the node that has one (ret_node, while the callbacks' catalog lives) is up, and none was. */
int dhcp_server_release(struct dhcp_server *server, const struct dhcp_release *release,
                        struct dhcp_node *ret_node) MUST_CHECK;

/* Lives as long as the server; any thread may read it. */
const struct dhcp_counters *dhcp_server_counters(const struct dhcp_server *server);

/* Every lease there is, also of networks that are not served any more. */
typedef void dhcp_lease_visitor(void *context, const struct dhcp_network *network,
                                const struct lease *lease);
void dhcp_server_each_lease(struct dhcp_server *server, dhcp_lease_visitor *visit, void *context);
