#include "dhcp/conflicts.h"

#include "dhcp/server_internal.h"

/* So many addresses are looked at in a second to find those to probe. */
#define STEPS_PER_SECOND 4096

static bool is_watched(const struct network *n)
{
    const struct subnet *s = &n->config.settings;
    return n->served && n->config.local && s->mode == SUBNET_SERVER && s->conflict_detection &&
           s->mask != 0;
}

static bool in_ranges(const struct subnet *s, uint32_t address)
{
    for (size_t i = 0; i < s->n_ranges; i++)
        if (address >= s->ranges[i].first && address <= s->ranges[i].last)
            return true;
    return false;
}

/* --- asking --- */

uint64_t dhcp_server_probe_time(const struct dhcp_server *server)
{
    const struct conflicts *c = &server->conflicts;
    for (size_t i = 0; i < server->n_networks; i++)
        if (is_watched(&server->networks[i]))
            return c->n_offered > 0 ? 0 : c->next_at;
    return UINT64_MAX;
}

/* Nobody has to have it: its answer would be news. */
static bool is_worth_asking(const struct dhcp_server *server, const struct network *network,
                            uint32_t address, uint64_t now, uint32_t *ret_sender)
{
    const struct dhcp_policy *policy = &server->policy;
    const struct lease *lease = lease_by_address(network->leases, address);
    struct dhcp_node node;
    if (assign_is_ours(network, address))
        return false;
    bool is_nodes = policy->node_by_address(policy->context, address, &node);
    *ret_sender = is_nodes ? network->config.server : 0;
    if (is_nodes)
        return true;
    return in_ranges(&network->config.settings, address) && !(lease && lease_is_live(lease, now));
}

/* The network that the round is in, and its next address; NULL: the round is over. */
static const struct network *step(struct dhcp_server *server, uint32_t *ret_address)
{
    struct conflicts *c = &server->conflicts;
    for (; c->network < server->n_networks; c->network++, c->offset = 0) {
        const struct network *n = &server->networks[c->network];
        uint32_t last = ~n->config.settings.mask; /* broadcast */
        if (!is_watched(n) || c->offset + 1 >= last)
            continue;
        *ret_address = n->config.settings.network + ++c->offset;
        return n;
    }
    c->network = 0;
    c->offset = 0;
    return NULL;
}

static void end_round(struct conflicts *c, uint64_t now)
{
    bool first = ++c->rounds < DHCP_PROBE_FIRST;
    c->steps = 0;
    c->next_at =
        MAX(now + USEC_PER_SEC, c->round_at + (first ? DHCP_PROBE_SOON : DHCP_PROBE_EVERY));
    c->round_at = c->next_at;
}

void conflicts_begin_again(struct dhcp_server *server)
{
    struct conflicts *c = &server->conflicts;
    c->next_at = c->round_at = c->rounds = 0;
    c->network = 0;
    c->offset = 0;
    c->steps = c->probes = 0;
    c->n_offered = 0;
}

static void begin_second(struct conflicts *c, uint64_t now)
{
    if (now < c->next_at)
        return;
    if (!c->round_at)
        c->round_at = now;
    c->steps = STEPS_PER_SECOND;
    c->probes = DHCP_PROBES_PER_SECOND;
    c->next_at = now + USEC_PER_SEC;
}

bool dhcp_server_next_probe(struct dhcp_server *server, const struct dhcp_clock *now,
                            struct dhcp_probe *ret_probe)
{
    struct conflicts *c = &server->conflicts;
    if (c->n_offered > 0) {
        const struct offered *o = &c->offered[--c->n_offered];
        *ret_probe = (struct dhcp_probe){.link = o->link, .address = o->address};
        return true;
    }
    begin_second(c, now->monotonic);
    while (c->steps > 0 && c->probes > 0) {
        uint32_t address, sender;
        const struct network *n = step(server, &address);
        c->steps--;
        if (!n) {
            end_round(c, now->monotonic);
        } else if (is_worth_asking(server, n, address, now->monotonic, &sender)) {
            c->probes--;
            *ret_probe = (struct dhcp_probe){n->config.link, sender, address};
            return true;
        }
    }
    return false;
}

void conflicts_offered(const struct exchange *x, uint32_t address)
{
    struct conflicts *c = &x->server->conflicts;
    uint64_t now = x->now->monotonic;
    if (now - c->offers_at >= USEC_PER_SEC) {
        c->offers_at = now;
        c->n_offers = 0;
    }
    if (!is_watched(x->network) || c->n_offers == DHCP_OFFER_PROBES ||
        c->n_offered == ARRAY_SIZE(c->offered))
        return;
    for (size_t i = 0; i < c->n_offered; i++)
        if (c->offered[i].address == address)
            return;
    c->n_offers++;
    c->offered[c->n_offered++] = (struct offered){x->network->config.link, address};
}

/* --- claims --- */

static void report(struct dhcp_server *server, const struct network *network,
                   enum dhcp_oddity_kind kind, uint32_t address, const char *node,
                   struct mac_address mac, struct mac_address holder)
{
    const struct dhcp_oddity oddity = {
        .kind = kind,
        .mac = mac,
        .holder = holder,
        .address = address,
        .node = node,
        .subnet = network->config.settings.name,
    };
    counter_add(&server->counters.oddities[kind], 1);
    server->policy.oddity(server->policy.context, &oddity);
}

static bool has_mac(const struct dhcp_node *node, struct mac_address mac)
{
    for (size_t i = 0; i < node->n_macs; i++)
        if (mac_eq(node->macs[i], mac))
            return true;
    return false;
}

/* Is it the one that the lease says, or another card of that node? */
static bool is_holder(const struct dhcp_server *server, const struct lease *lease,
                      struct mac_address mac)
{
    const struct dhcp_policy *policy = &server->policy;
    struct dhcp_node node;
    if (!lease || lease->state == LEASE_DECLINED)
        return false;
    return mac_eq(lease->mac, mac) ||
           (policy->node_by_mac(policy->context, lease->mac, &node) && has_mac(&node, mac));
}

/* The place of this MAC, or the one of whoever came first. */
static struct claimant *find_claimant(struct conflicts *c, struct mac_address mac)
{
    struct claimant *oldest = c->claimants;
    for (size_t i = 0; i < ARRAY_SIZE(c->claimants); i++) {
        if (mac_eq(c->claimants[i].mac, mac))
            return &c->claimants[i];
        if (c->claimants[i].seen_at < oldest->seen_at)
            oldest = &c->claimants[i];
    }
    *oldest = (struct claimant){.mac = mac};
    return oldest;
}

/* Has this MAC claimed too many others already? */
static bool claims_all(struct conflicts *c, struct mac_address mac, uint32_t address, uint64_t now)
{
    struct claimant *k = find_claimant(c, mac);
    if (now - k->seen_at > 2 * DHCP_PROBE_EVERY)
        k->count = 0;
    k->seen_at = now;
    for (size_t i = 0; i < k->count; i++)
        if (k->addresses[i] == address)
            return false;
    if (k->count == DHCP_CLAIMS_MAX)
        return true;
    k->addresses[k->count++] = address;
    return false;
}

/* May one more be set aside in this minute? */
static bool spend(struct conflicts *c, uint64_t now)
{
    if (now - c->set_aside_at >= 60 * USEC_PER_SEC) {
        c->set_aside_at = now;
        c->n_set_aside = 0;
    }
    if (c->n_set_aside == DHCP_SET_ASIDE_MAX)
        return false;
    c->n_set_aside++;
    return true;
}

/* False: it is free to be given, or will be before long. */
static bool set_aside(struct dhcp_server *server, struct network *network, uint32_t address,
                      const struct dhcp_clock *now)
{
    struct lease *lease = lease_by_address(network->leases, address);
    if (lease && lease->state == LEASE_DECLINED &&
        now->monotonic - lease->changed_at < DHCP_SET_ASIDE_AGAIN)
        return true;
    if (!spend(&server->conflicts, now->monotonic) ||
        !lease_decline_address(network->leases, address, now->monotonic))
        return false;
    commit_store(server, network, lease_by_address(network->leases, address), now);
    return true;
}

/* Of the pool, and nobody's by a lease. */
static void found(struct dhcp_server *server, struct network *network, uint32_t address,
                  struct mac_address mac, const struct dhcp_clock *now)
{
    static const struct mac_address nobody;
    enum dhcp_oddity_kind kind = DHCP_ODD_CLAIMS_ALL;
    if (!claims_all(&server->conflicts, mac, address, now->monotonic))
        kind = set_aside(server, network, address, now) ? DHCP_ODD_FOUND : DHCP_ODD_NOT_SET_ASIDE;
    report(server, network, kind, address, NULL, nobody, mac);
}

static struct network *watched_network(const struct dhcp_server *server, unsigned link,
                                       uint32_t address)
{
    for (size_t i = 0; i < server->n_networks; i++) {
        struct network *n = &server->networks[i];
        if (is_watched(n) && n->config.link == link && network_contains(n, address) &&
            !assign_is_ours(n, address))
            return n;
    }
    return NULL;
}

void dhcp_server_claimed(struct dhcp_server *server, unsigned link, uint32_t address,
                         struct mac_address mac, const struct dhcp_clock *now)
{
    const struct dhcp_policy *policy = &server->policy;
    struct network *n = watched_network(server, link, address);
    const struct lease *lease = n ? lease_by_address(n->leases, address) : NULL;
    struct dhcp_node node;
    if (!n || is_holder(server, lease, mac))
        return;
    if (policy->node_by_address(policy->context, address, &node)) {
        if (!has_mac(&node, mac))
            report(server, n, DHCP_ODD_USED_TWICE, address, node.name, node.macs[0], mac);
        return;
    }
    if (!in_ranges(&n->config.settings, address))
        return;
    if (lease && lease->state == LEASE_BOUND && lease_is_live(lease, now->monotonic)) {
        bool known = policy->node_by_mac(policy->context, lease->mac, &node);
        report(server, n, DHCP_ODD_USED_TWICE, address, known ? node.name : NULL, lease->mac, mac);
        return;
    }
    found(server, n, address, mac, now);
}
