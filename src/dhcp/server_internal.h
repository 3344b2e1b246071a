/* Shared by the parts of the server: server.c (messages), networks.c (subnets and their leases),
 * assign.c (which address), answer.c (what an answer holds), commit.c (leases on their way to the
 * disk), proxy.c (networks of another server), duplicates.c (what is there twice), conflicts.c
 * (addresses in use). */
#pragma once

#include "dhcp/conflicts.h"
#include "dhcp/server.h"

#define MAX_WAITING 64

struct network {
    struct dhcp_network config;
    bool served; /* false: not any more; its leases are kept for when it is again */
    struct lease_table *leases;
};

/* An ACK that waits for its lease to be stored. */
struct waiting {
    bool used;
    uint64_t deadline;
    enum dhcp_type request;
    struct dhcp_client client;
    uint32_t address;
    struct mac_address mac; /* the client's; with address: what is stored */
    struct dhcp_relay relay;
    struct dhcp_answer answer;
};

/* See conflicts.h. */
struct claimant {
    struct mac_address mac;
    uint64_t seen_at;
    uint32_t addresses[DHCP_CLAIMS_MAX];
    size_t count;
};

struct offered {
    unsigned link;
    uint32_t address;
};

struct conflicts {
    uint64_t next_at;           /* when it goes on (monotonic) */
    uint64_t round_at;          /* when this round has begun, or will; 0: none yet */
    uint64_t rounds;            /* that are over */
    size_t network;             /* where it is: the index of the network... */
    uint32_t offset;            /* ...and the address in it, that was looked at last */
    unsigned steps, probes;     /* so many more until next_at */
    struct offered offered[16]; /* to be probed at once */
    size_t n_offered;
    uint64_t offers_at; /* in the second from here on... */
    unsigned n_offers;  /* ...so many were */
    struct claimant claimants[16];
    uint64_t set_aside_at; /* in the minute from here on... */
    unsigned n_set_aside;  /* ...so many were */
};

struct dhcp_server {
    struct dhcp_policy policy;
    uint64_t seed;
    struct network *networks;
    size_t n_networks;
    struct dhcp_counters counters;
    struct waiting waiting[MAX_WAITING];
    struct dhcp_doubles *doubles;
    struct conflicts conflicts;
    uint64_t strangers;          /* messages of no nodes that may still come... */
    uint64_t strangers_at;       /* ...since this time (monotonic) */
    struct dhcp_message message; /* the one being handled: large, so not on the stack */
};

/* One message being handled. */
struct exchange {
    struct dhcp_server *server;
    const struct dhcp_arrival *arrival;
    const struct dhcp_message *request;
    const struct dhcp_clock *now;
    struct network *network;
    uint32_t server_id; /* option 54 of our answers */
    bool known;         /* a registered node's MAC... */
    struct dhcp_node node;
    uint32_t reserved; /* ...whose own address this is, if it is in this network; else 0 */
    struct dhcp_client client;
    struct dhcp_relay relay;
};

static inline bool network_contains(const struct network *network, uint32_t address)
{
    const struct subnet *s = &network->config.settings;
    return (address & s->mask) == s->network;
}

void exchange_report(const struct exchange *x, enum dhcp_oddity_kind kind, uint32_t address,
                     const struct mac_address *holder);
/* An option did not fit. */
void exchange_report_option(const struct exchange *x, uint8_t option);
/* found: what is odd; what the message itself says is filled in. */
void exchange_report_duplicate(const struct exchange *x, const struct dhcp_oddity *found);
/* Counts an answer of this type, and tells of it. */
void exchange_tell(const struct exchange *x, enum dhcp_type type, uint32_t address);
/* Fills known, node and reserved for this MAC in x->network. */
void exchange_identify(struct exchange *x, struct mac_address mac);

/* --- networks.c --- */

void networks_free(struct network *networks, size_t count);
/* The one that the address is in; NULL: none. */
struct network *networks_find(const struct dhcp_server *server, uint32_t address);

/* --- assign.c --- */

enum verdict {
    VERDICT_GRANT,
    VERDICT_REFUSE, /* NAK: it cannot have this address */
    VERDICT_SILENT, /* no record of it: RFC 2131 4.3.2 */
};

enum request_state {
    REQUEST_SELECTING,
    REQUEST_INIT_REBOOT,
    REQUEST_RENEWING, /* or rebinding */
};

/* The server's, a router's or a name server's? */
bool assign_is_ours(const struct network *network, uint32_t address);
/* The address to offer; false (told) if there is none. */
bool assign_choose(struct exchange *x, uint32_t *ret_address);
/* May the client have the address that it asks for? */
enum verdict assign_judge(struct exchange *x, uint32_t address, enum request_state state);

/* --- conflicts.c --- */

/* The networks are others now: a round from the beginning. Who claimed what is not forgotten. */
void conflicts_begin_again(struct dhcp_server *server);
/* This address of the pool is being offered. */
void conflicts_offered(const struct exchange *x, uint32_t address);

/* --- duplicates.c --- */

/* Tells what this message, whose network is known, shows to be there twice. */
void duplicates_look(const struct exchange *x);

/* --- answer.c --- */

/* lease_time: seconds; 0: none (INFORM). */
void answer_build(const struct exchange *x, enum dhcp_type type, uint32_t yiaddr,
                  uint32_t lease_time, struct dhcp_answer *answer);
void answer_refuse(const struct exchange *x, const char *reason, struct dhcp_answer *answer);
/* Makes a built answer one of a lease of this many seconds. */
void answer_set_times(struct dhcp_answer *answer, uint32_t lease_time);

/* --- commit.c --- */

/* Sees to it that the lease gets stored, and holds the answer back if it must wait for that. True
 * if it is to be sent now. */
bool commit_lease(struct exchange *x, struct lease *lease, struct dhcp_answer *answer);
/* Sees to it that the disk learns that nobody has this lease any more: it is free or declined. */
void commit_end(struct exchange *x, struct lease *lease);
/* The same, of no message. */
void commit_store(struct dhcp_server *server, const struct network *network, struct lease *lease,
                  const struct dhcp_clock *now);
