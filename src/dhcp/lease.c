/*
 * Two hash tables over the same leases, by MAC and by address, and one list per state, so that the
 * least recently used is at hand when the pool runs dry.
 */
#include "dhcp/lease.h"

#define FIRST_BUCKETS 64

/* A search for a never-used address looks at so many from the MAC's own place on, and then at so
 * many from where the last search ended. */
#define OWN_PROBES    64
#define CURSOR_PROBES 1024

/* So many free leases of nodes are passed over in a row. */
#define RECYCLE_PROBES 64

#define SWEEP_INTERVAL USEC_PER_SEC

struct lease_table {
    struct lease **by_mac, **by_address; /* n_buckets each */
    size_t n_buckets;                    /* a power of two */
    size_t count;
    size_t count_of[LEASE_STATES];
    struct list in_state[LEASE_STATES];
    uint64_t seed;
    uint64_t swept_at;
    uint64_t cursor; /* into the pool */
    uint64_t barren; /* so many before the cursor in a row were in use, and still are */
};

/* The finaliser of splitmix64. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ULL;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

static uint64_t mac_number(struct mac_address mac)
{
    uint64_t n = 0;
    for (size_t i = 0; i < sizeof(mac.bytes); i++)
        n = n << 8 | mac.bytes[i];
    return n;
}

static struct lease **mac_bucket(const struct lease_table *table, struct mac_address mac)
{
    return &table->by_mac[mix(mac_number(mac) + table->seed) & (table->n_buckets - 1)];
}

static struct lease **address_bucket(const struct lease_table *table, uint32_t address)
{
    return &table->by_address[mix(address + table->seed) & (table->n_buckets - 1)];
}

static int allocate_buckets(struct lease_table *table, size_t n)
{
    struct lease **by_mac = calloc(n, sizeof(struct lease *));
    struct lease **by_address = calloc(n, sizeof(struct lease *));
    if (!by_mac || !by_address) {
        free(by_mac);
        free(by_address);
        return -1;
    }
    free(table->by_mac);
    free(table->by_address);
    table->by_mac = by_mac;
    table->by_address = by_address;
    table->n_buckets = n;
    return 0;
}

struct lease_table *lease_table_new(uint64_t seed)
{
    struct lease_table *table = calloc(1, sizeof(*table));
    if (!table)
        return NULL;
    table->seed = seed;
    for (size_t i = 0; i < LEASE_STATES; i++)
        list_init(&table->in_state[i]);
    if (allocate_buckets(table, FIRST_BUCKETS) < 0) {
        free(table);
        return NULL;
    }
    return table;
}

void lease_table_free(struct lease_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < LEASE_STATES; i++)
        list_for_each(l, &table->in_state[i])
            free(container_of(l, struct lease, in_state));
    free(table->by_mac);
    free(table->by_address);
    free(table);
}

struct lease *lease_by_mac(const struct lease_table *table, struct mac_address mac)
{
    struct lease *lease = *mac_bucket(table, mac);
    while (lease && (lease->state == LEASE_DECLINED || !mac_eq(lease->mac, mac)))
        lease = lease->next_by_mac;
    return lease;
}

struct lease *lease_by_address(const struct lease_table *table, uint32_t address)
{
    struct lease *lease = *address_bucket(table, address);
    while (lease && lease->address != address)
        lease = lease->next_by_address;
    return lease;
}

static void link_mac(struct lease_table *table, struct lease *lease)
{
    struct lease **bucket = mac_bucket(table, lease->mac);
    lease->next_by_mac = *bucket;
    *bucket = lease;
}

static void unlink_mac(struct lease_table *table, struct lease *lease)
{
    struct lease **p = mac_bucket(table, lease->mac);
    while (*p != lease)
        p = &(*p)->next_by_mac;
    *p = lease->next_by_mac;
}

static void link_address(struct lease_table *table, struct lease *lease)
{
    struct lease **bucket = address_bucket(table, lease->address);
    lease->next_by_address = *bucket;
    *bucket = lease;
}

static void unlink_address(struct lease_table *table, struct lease *lease)
{
    struct lease **p = address_bucket(table, lease->address);
    while (*p != lease)
        p = &(*p)->next_by_address;
    *p = lease->next_by_address;
}

static void enter_state(struct lease_table *table, struct lease *lease, enum lease_state state)
{
    if (list_linked(&lease->in_state)) {
        list_remove(&lease->in_state);
        table->count_of[lease->state]--;
    }
    lease->state = state;
    lease->stored &= state != LEASE_FREE; /* what is on the disk has run out or will be replaced */
    list_append(&table->in_state[state], &lease->in_state);
    table->count_of[state]++;
}

/* As many buckets as leases. Without memory the chains just get longer. */
static void grow(struct lease_table *table)
{
    if (table->count < table->n_buckets || allocate_buckets(table, table->n_buckets * 2) < 0)
        return;
    for (size_t i = 0; i < LEASE_STATES; i++) {
        list_for_each(l, &table->in_state[i]) {
            struct lease *lease = container_of(l, struct lease, in_state);
            link_mac(table, lease);
            link_address(table, lease);
        }
    }
}

/* An offer is no promise. */
static bool make_room(struct lease_table *table)
{
    if (table->count_of[LEASE_OFFERED] > 0)
        lease_forget(table,
                     container_of(table->in_state[LEASE_OFFERED].next, struct lease, in_state));
    return table->count < LEASE_TABLE_MAX;
}

static struct lease *add(struct lease_table *table, struct mac_address mac, uint32_t address,
                         bool may_replace)
{
    if (table->count >= LEASE_TABLE_MAX && !(may_replace && make_room(table)))
        return NULL;
    struct lease *lease = calloc(1, sizeof(*lease));
    if (!lease)
        return NULL;
    lease->mac = mac;
    lease->address = address;
    grow(table);
    link_mac(table, lease);
    link_address(table, lease);
    table->count++;
    return lease;
}

void lease_forget(struct lease_table *table, struct lease *lease)
{
    unlink_mac(table, lease);
    unlink_address(table, lease);
    list_remove(&lease->in_state);
    table->count_of[lease->state]--;
    table->count--;
    table->barren = 0;
    free(lease);
}

bool lease_available(const struct lease_table *table, uint32_t address, struct mac_address mac,
                     uint64_t now)
{
    const struct lease *lease = lease_by_address(table, address);
    if (!lease || lease->state == LEASE_FREE || lease->expires <= now)
        return true;
    return lease->state != LEASE_DECLINED && mac_eq(lease->mac, mac);
}

/* The lease of this address becomes this MAC's, as if it were new. */
static void take_over(struct lease_table *table, struct lease *lease, struct mac_address mac)
{
    if (lease->state != LEASE_DECLINED && mac_eq(lease->mac, mac))
        return;
    unlink_mac(table, lease);
    lease->mac = mac;
    link_mac(table, lease);
    lease->remembered = lease->stored = lease->dirty = false;
    lease->reserved = 0;
}

struct lease *lease_assign(struct lease_table *table, struct mac_address mac, uint32_t address,
                           enum lease_state state, uint64_t expires, uint64_t now)
{
    struct lease *old = lease_by_mac(table, mac);
    if (old && old->address != address)
        lease_forget(table, old);
    struct lease *lease = lease_by_address(table, address);
    if (lease)
        take_over(table, lease, mac);
    else
        lease = add(table, mac, address, state == LEASE_BOUND);
    if (!lease)
        return NULL;
    lease->expires = expires;
    lease->changed_at = now;
    lease->remembered |= state == LEASE_BOUND;
    enter_state(table, lease, state);
    return lease;
}

void lease_release(struct lease_table *table, struct lease *lease, uint64_t now)
{
    lease->changed_at = now;
    enter_state(table, lease, LEASE_FREE);
}

void lease_decline(struct lease_table *table, struct lease *lease, uint64_t now)
{
    lease->changed_at = now;
    lease->expires = now + LEASE_DECLINED_TIME;
    lease->remembered = false;
    enter_state(table, lease, LEASE_DECLINED);
}

bool lease_decline_address(struct lease_table *table, uint32_t address, uint64_t now)
{
    static const struct mac_address nobody;
    struct lease *lease = lease_by_address(table, address);
    if (!lease)
        lease = add(table, nobody, address, false);
    if (!lease)
        return false;
    lease_decline(table, lease, now);
    return true;
}

static void expire_state(struct lease_table *table, enum lease_state state, uint64_t now)
{
    list_for_each(l, &table->in_state[state]) {
        struct lease *lease = container_of(l, struct lease, in_state);
        if (lease->expires > now)
            continue;
        if (lease->remembered)
            enter_state(table, lease, LEASE_FREE);
        else
            lease_forget(table, lease);
    }
}

void lease_expire(struct lease_table *table, uint64_t now)
{
    if (table->swept_at && now - table->swept_at < SWEEP_INTERVAL)
        return;
    table->swept_at = now;
    table->barren = 0; /* nodes may have given up addresses of their own */
    expire_state(table, LEASE_OFFERED, now);
    expire_state(table, LEASE_BOUND, now);
    expire_state(table, LEASE_DECLINED, now);
}

/* --- choosing an address --- */

static uint64_t pool_size(const struct lease_pool *pool)
{
    uint64_t size = 0;
    for (size_t i = 0; i < pool->n_ranges; i++)
        size += (uint64_t)pool->ranges[i].last - pool->ranges[i].first + 1;
    return size;
}

static uint32_t pool_address(const struct lease_pool *pool, uint64_t index)
{
    for (size_t i = 0; i < pool->n_ranges; i++) {
        uint64_t size = (uint64_t)pool->ranges[i].last - pool->ranges[i].first + 1;
        if (index < size)
            return pool->ranges[i].first + (uint32_t)index;
        index -= size;
    }
    return 0;
}

bool lease_pool_contains(const struct lease_pool *pool, uint32_t address)
{
    for (size_t i = 0; i < pool->n_ranges; i++)
        if (address >= pool->ranges[i].first && address <= pool->ranges[i].last)
            return pool->may_use(pool->context, address);
    return false;
}

static bool pick_requested(const struct lease_table *table, const struct lease_pool *pool,
                           uint32_t requested)
{
    const struct lease *lease = lease_by_address(table, requested);
    return lease_pool_contains(pool, requested) &&
           (!lease || (lease->state == LEASE_FREE && pool->may_recycle(pool->context, lease)));
}

/* Looks at up to `probes` addresses from *index on (which is moved) for one that was never used. */
static bool pick_unused(const struct lease_table *table, const struct lease_pool *pool,
                        uint64_t size, uint64_t probes, uint64_t *index, uint32_t *ret_address)
{
    for (uint64_t i = 0; i < MIN(probes, size); i++) {
        uint32_t address = pool_address(pool, *index);
        *index = (*index + 1) % size;
        if (!lease_by_address(table, address) && pool->may_use(pool->context, address)) {
            *ret_address = address;
            return true;
        }
    }
    return false;
}

static bool pick_free(struct lease_table *table, const struct lease_pool *pool,
                      uint32_t *ret_address)
{
    size_t probes = MIN(table->count_of[LEASE_FREE], (size_t)RECYCLE_PROBES);
    while (probes-- > 0) {
        struct list *oldest = table->in_state[LEASE_FREE].next;
        struct lease *lease = container_of(oldest, struct lease, in_state);
        if (lease_pool_contains(pool, lease->address) && pool->may_recycle(pool->context, lease)) {
            *ret_address = lease->address;
            return true;
        }
        enter_state(table, lease, LEASE_FREE); /* to the end: others come first next time */
    }
    return false;
}

/* The one that has been in this state for longest, if for at least min_age. It is still there, for
 * whoever gets the address to take over. */
static bool pick_oldest(const struct lease_table *table, const struct lease_pool *pool,
                        enum lease_state state, uint64_t min_age, uint64_t now,
                        uint32_t *ret_address)
{
    list_for_each(l, &table->in_state[state]) {
        const struct lease *lease = container_of(l, struct lease, in_state);
        if (now - lease->changed_at < min_age)
            return false;
        if (lease_pool_contains(pool, lease->address)) {
            *ret_address = lease->address;
            return true;
        }
    }
    return false;
}

/* The oldest that was offered to somebody of no importance, however short ago. */
static bool pick_offered(const struct lease_table *table, const struct lease_pool *pool,
                         uint32_t *ret_address)
{
    size_t probes = RECYCLE_PROBES;
    list_for_each(l, &table->in_state[LEASE_OFFERED]) {
        const struct lease *lease = container_of(l, struct lease, in_state);
        if (probes-- == 0)
            return false;
        if (lease_pool_contains(pool, lease->address) && pool->may_recycle(pool->context, lease)) {
            *ret_address = lease->address;
            return true;
        }
    }
    return false;
}

/* Looks on where it ended last time, but not in vain: while nothing is forgotten, what was in use
 * stays so, and a flood of machines must not cost a search each. */
static bool pick_next_unused(struct lease_table *table, const struct lease_pool *pool,
                             uint64_t size, uint32_t *ret_address)
{
    if (table->barren >= size)
        return false;
    table->cursor %= size;
    if (pick_unused(table, pool, size, CURSOR_PROBES, &table->cursor, ret_address)) {
        table->barren = 0;
        return true;
    }
    table->barren += CURSOR_PROBES;
    return false;
}

bool lease_pick(struct lease_table *table, const struct lease_pool *pool, struct mac_address mac,
                uint32_t requested, uint64_t now, uint32_t *ret_address)
{
    const struct lease *previous = lease_by_mac(table, mac);
    uint64_t size = pool_size(pool);
    if (previous && lease_pool_contains(pool, previous->address)) {
        *ret_address = previous->address;
        return true;
    }
    if (pick_requested(table, pool, requested)) {
        *ret_address = requested;
        return true;
    }
    if (size == 0)
        return false;
    if (table->count < LEASE_TABLE_MAX && table->barren < size) {
        uint64_t own = mix(mac_number(mac)) % size; /* no seed: the same after a restart */
        if (pick_unused(table, pool, size, OWN_PROBES, &own, ret_address))
            return true;
        if (pick_next_unused(table, pool, size, ret_address))
            return true;
    }
    return pick_free(table, pool, ret_address) ||
           (pool->preferred && pick_offered(table, pool, ret_address)) ||
           pick_oldest(table, pool, LEASE_OFFERED, LEASE_OFFER_SAFE_TIME, now, ret_address) ||
           pick_oldest(table, pool, LEASE_DECLINED, LEASE_DECLINED_SAFE_TIME, now, ret_address);
}

void lease_each(struct lease_table *table, lease_visitor *visit, void *context)
{
    for (size_t i = 0; i < LEASE_STATES; i++)
        list_for_each(l, &table->in_state[i])
            visit(context, container_of(l, struct lease, in_state));
}

size_t lease_count(const struct lease_table *table, enum lease_state state)
{
    return table->count_of[state];
}

bool lease_table_is_empty(const struct lease_table *table)
{
    return table->count == 0;
}
