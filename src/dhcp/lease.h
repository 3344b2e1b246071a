/*
 * The leases of one subnet: who holds which address until when, and which address a machine that
 * has none gets.
 *
 * A MAC has at most one lease here, an address at most one holder. An expired or released lease is
 * remembered, so that its machine finds its address again, until somebody else needs it. Memory is
 * bounded by the pool, by the number of nodes, and by LEASE_TABLE_MAX.
 *
 * Times are microseconds of the clock that never jumps.
 */
#pragma once

#include "core/list.h"
#include "core/net.h"
#include "dhcp/subnet.h"

#define LEASE_TABLE_MAX 65536

/* How long an offer waits for its request; and how long it is safe if somebody else needs the
 * address: a PXE ROM may collect offers for up to 8 s before it chooses. */
#define LEASE_OFFER_TIME         (30 * USEC_PER_SEC)
#define LEASE_OFFER_SAFE_TIME    (10 * USEC_PER_SEC)
/* How long an address that a client found taken is set aside; and how long at least, when there is
 * no other left. */
#define LEASE_DECLINED_TIME      (600 * USEC_PER_SEC)
#define LEASE_DECLINED_SAFE_TIME (60 * USEC_PER_SEC)

enum lease_state {
    LEASE_FREE,     /* expired or released: the machine's previous address */
    LEASE_OFFERED,  /* held until the client asks for it or `expires` */
    LEASE_BOUND,    /* in use until `expires` */
    LEASE_DECLINED, /* in use by somebody unknown: set aside until `expires`; no MAC */
    LEASE_STATES,
};

struct lease {
    struct lease *next_by_mac, *next_by_address;
    struct list in_state; /* among those of its state, in the order in which they came to it */
    struct mac_address mac;
    enum lease_state state;
    uint32_t address;
    uint32_t reserved;   /* its node's own address when the lease was given; 0: none */
    uint64_t expires;    /* unused when free */
    uint64_t changed_at; /* when it was last offered, given, renewed, released or declined */
    bool remembered;     /* was bound once: kept when it expires */
    /* for whoever keeps a copy on disk */
    bool stored;  /* a copy is there that says that this MAC has it */
    bool storing; /* one is on its way */
    bool dirty;   /* changed since that one left */
};

/* Where addresses come from. */
struct lease_pool {
    const struct address_range *ranges;
    size_t n_ranges;
    bool preferred; /* for a machine that goes before others: what these were only offered is its */
    void *context;
    /* May this address be given to any machine? (Not if it is a node's own, or ours.) */
    bool (*may_use)(void *context, uint32_t address);
    /* May this free lease, or this offer, be forgotten in favour of another machine? */
    bool (*may_recycle)(void *context, const struct lease *lease);
};

struct lease_table;

/* seed: random, against chosen collisions. NULL without memory. */
struct lease_table *lease_table_new(uint64_t seed);
void lease_table_free(struct lease_table *table);

struct lease *lease_by_mac(const struct lease_table *table, struct mac_address mac);
struct lease *lease_by_address(const struct lease_table *table, uint32_t address);

/* Offered or bound, and not expired yet. */
static inline bool lease_is_live(const struct lease *lease, uint64_t now)
{
    return (lease->state == LEASE_OFFERED || lease->state == LEASE_BOUND) && lease->expires > now;
}

/* May `mac` have this address as far as the table is concerned? It is nobody's, or its own. */
bool lease_available(const struct lease_table *table, uint32_t address, struct mac_address mac,
                     uint64_t now);

/* Gives the address, which must be available, to this MAC: offered or bound until `expires`. A
 * lease of another address that the MAC had is forgotten, and if the table is full, what is bound
 * takes the place of an offer. NULL if there is no memory or the table is full all the same. */
struct lease *lease_assign(struct lease_table *table, struct mac_address mac, uint32_t address,
                           enum lease_state state, uint64_t expires, uint64_t now);
void lease_release(struct lease_table *table, struct lease *lease, uint64_t now);
void lease_decline(struct lease_table *table, struct lease *lease, uint64_t now);
/* Sets an address aside that nobody has a lease of, too. False if the table is full or there is no
 * memory: it is not. */
bool lease_decline_address(struct lease_table *table, uint32_t address, uint64_t now);
void lease_forget(struct lease_table *table, struct lease *lease);

/* Turns what has expired by now into free leases and addresses. Cheap to call for every message:
 * looks at most once a second. */
void lease_expire(struct lease_table *table, uint64_t now);

/* The address for a machine without a valid lease: its previous one, else the one it asks for
 * (`requested`, 0: none), else one that depends on its MAC alone if that was never used, else the
 * one unused for longest. False if there is none. A bounded amount of work, whatever the pool. */
bool lease_pick(struct lease_table *table, const struct lease_pool *pool, struct mac_address mac,
                uint32_t requested, uint64_t now, uint32_t *ret_address);
bool lease_pool_contains(const struct lease_pool *pool, uint32_t address);

typedef void lease_visitor(void *context, struct lease *lease);
/* visit may forget the lease that it is given. */
void lease_each(struct lease_table *table, lease_visitor *visit, void *context);
/* Of a state, whether expired or not. */
size_t lease_count(const struct lease_table *table, enum lease_state state);
bool lease_table_is_empty(const struct lease_table *table);
