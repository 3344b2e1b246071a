/*
 * Leases on their way to the disk. Each lease has at most one record under way; what changes
 * meanwhile marks it dirty and goes out when that one is done. A full table of waiting ACKs, a
 * late, a failed or an impossible store all end the same way: a short lease.
 */
#include "dhcp/server_internal.h"

static void report(struct dhcp_server *server, enum dhcp_oddity_kind kind, struct mac_address mac,
                   uint32_t address, const struct network *network)
{
    struct dhcp_oddity oddity = {
        .kind = kind,
        .mac = mac,
        .address = address,
        .subnet = network ? network->config.settings.name : NULL,
    };
    counter_add(&server->counters.oddities[kind], 1);
    server->policy.oddity(server->policy.context, &oddity);
}

static void send_record(struct dhcp_server *server, const struct network *network,
                        struct lease *lease, const struct dhcp_clock *now)
{
    struct dhcp_node node = {0};
    const struct dhcp_policy *policy = &server->policy;
    bool known = policy->node_by_mac(policy->context, lease->mac, &node);
    bool over = lease->state == LEASE_FREE || lease->expires < now->monotonic;
    uint64_t left = over ? 0 : lease->expires - now->monotonic;
    struct dhcp_lease_record record = {
        .mac = lease->mac,
        .address = lease->address,
        .state = lease->state,
        .expires_at = now->wall + left,
        .subnet = network->config.settings.name,
        .node = known ? node.name : NULL,
    };
    lease->dirty = false;
    lease->storing = policy->store(policy->context, &record);
}

void commit_store(struct dhcp_server *server, const struct network *network, struct lease *lease,
                  const struct dhcp_clock *now)
{
    if (lease->storing)
        lease->dirty = true;
    else
        send_record(server, network, lease, now);
}

/* The place of the ACK that waits for this lease; else a free one; NULL if all are taken. */
static struct waiting *place_for(struct dhcp_server *server, uint32_t address)
{
    struct waiting *unused = NULL;
    for (size_t i = 0; i < MAX_WAITING; i++) {
        struct waiting *w = &server->waiting[i];
        if (w->used && w->address == address)
            return w;
        if (!w->used && !unused)
            unused = w;
    }
    return unused;
}

/* A promise that may be forgotten must be a short one. */
static void shorten(struct lease *lease, struct dhcp_answer *answer, const struct dhcp_clock *now)
{
    uint64_t left = lease->expires - now->monotonic;
    uint64_t seconds = MIN(left / USEC_PER_SEC, DHCP_SHORT_LEASE);
    lease->expires = now->monotonic + seconds * USEC_PER_SEC;
    answer_set_times(answer, (uint32_t)seconds);
}

static bool wait_for_store(struct exchange *x, const struct lease *lease,
                           const struct dhcp_answer *answer)
{
    struct waiting *w = place_for(x->server, lease->address);
    if (!w)
        return false;
    /* A repeated request must not put off the deadline for ever. */
    if (!w->used || !mac_eq(w->mac, lease->mac))
        w->deadline = x->now->monotonic + DHCP_STORE_PATIENCE;
    w->used = true;
    w->address = lease->address;
    w->mac = lease->mac;
    w->request = x->request->type;
    w->client = x->client;
    w->relay = x->relay;
    w->answer = *answer;
    return true;
}

bool commit_lease(struct exchange *x, struct lease *lease, struct dhcp_answer *answer)
{
    bool promised = lease->stored || lease->address == x->reserved;
    commit_store(x->server, x->network, lease, x->now);
    if (promised)
        return true;
    if (lease->storing && wait_for_store(x, lease, answer))
        return false;
    shorten(lease, answer, x->now);
    return true;
}

void commit_end(struct exchange *x, struct lease *lease)
{
    commit_store(x->server, x->network, lease, x->now);
}

static struct lease *find_lease(const struct network *network, uint32_t address,
                                struct mac_address mac)
{
    struct lease *lease = network ? lease_by_address(network->leases, address) : NULL;
    bool same = lease && lease->state != LEASE_DECLINED && mac_eq(lease->mac, mac);
    return same ? lease : NULL;
}

/* Much can happen while an ACK waits: its client may have left, its address may be a node's. */
static bool still_holds(const struct dhcp_server *server, const struct lease *lease,
                        const struct dhcp_node *node, const struct dhcp_clock *now)
{
    const struct dhcp_policy *policy = &server->policy;
    struct dhcp_node owner;
    if (!lease || lease->state != LEASE_BOUND || !lease_is_live(lease, now->monotonic))
        return false;
    return !policy->node_by_address(policy->context, lease->address, &owner) ||
           (node && node->address == lease->address);
}

/* Takes an ACK out of the waiting room. True if it goes out, which is told. */
static bool release_waiting(struct dhcp_server *server, struct waiting *w, bool is_stored,
                            const struct dhcp_clock *now, struct dhcp_answer *answer)
{
    const struct dhcp_policy *policy = &server->policy;
    const struct network *network = networks_find(server, w->address);
    struct lease *lease = find_lease(network, w->address, w->mac);
    struct dhcp_node node = {0};
    bool known = policy->node_by_mac(policy->context, w->mac, &node);
    struct dhcp_event event = {
        .type = DHCP_ACK,
        .request = w->request,
        .mac = w->mac,
        .node = known ? &node : NULL,
        .address = w->address,
        .client = w->client,
        .at = now->wall,
        .subnet = network ? &network->config.settings : NULL,
        .relay = &w->relay,
    };
    w->used = false;
    if (!still_holds(server, lease, event.node, now))
        return false;
    if (!is_stored)
        shorten(lease, &w->answer, now);
    *answer = w->answer;
    counter_add(&server->counters.sent[DHCP_ACK], 1);
    policy->event(policy->context, &event);
    return true;
}

/* Notes what is on the disk now. False if that is older than what was promised since, and the
 * newer record has just left. */
static bool note_stored(struct dhcp_server *server, const struct network *network, uint32_t address,
                        struct mac_address mac, bool ok, const struct dhcp_clock *now)
{
    struct lease *at_address = network ? lease_by_address(network->leases, address) : NULL;
    struct lease *lease = find_lease(network, address, mac);
    if (at_address && at_address->dirty) {
        send_record(server, network, at_address, now);
        return false;
    }
    if (at_address)
        at_address->storing = false;
    if (lease)
        lease->stored = ok && lease->state == LEASE_BOUND;
    return true;
}

bool dhcp_server_stored(struct dhcp_server *server, uint32_t address, struct mac_address mac,
                        bool ok, const struct dhcp_clock *now, struct dhcp_answer *answer)
{
    struct network *network = networks_find(server, address);
    struct waiting *w = place_for(server, address);
    if (!note_stored(server, network, address, mac, ok, now) || !w || !w->used ||
        !mac_eq(w->mac, mac))
        return false;
    if (!ok)
        report(server, DHCP_ODD_STORE_FAILED, mac, address, network);
    return release_waiting(server, w, ok, now, answer);
}

static struct waiting *first_due(const struct dhcp_server *server)
{
    const struct waiting *first = NULL;
    for (size_t i = 0; i < MAX_WAITING; i++) {
        const struct waiting *w = &server->waiting[i];
        if (w->used && (!first || w->deadline < first->deadline))
            first = w;
    }
    return (struct waiting *)first;
}

uint64_t dhcp_server_deadline(const struct dhcp_server *server)
{
    const struct waiting *w = first_due(server);
    return w ? w->deadline : UINT64_MAX;
}

bool dhcp_server_expire(struct dhcp_server *server, const struct dhcp_clock *now,
                        struct dhcp_answer *answer)
{
    for (struct waiting *w; (w = first_due(server)) && w->deadline <= now->monotonic;) {
        report(server, DHCP_ODD_STORE_LATE, w->mac, w->address, networks_find(server, w->address));
        if (release_waiting(server, w, false, now, answer))
            return true;
    }
    return false;
}
