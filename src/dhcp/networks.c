/*
 * The subnets that are served and the leases in them: changed by a reload, filled after a start,
 * looked at from outside.
 */
#include "dhcp/server_internal.h"

#include <errno.h>

void networks_free(struct network *networks, size_t count)
{
    for (size_t i = 0; networks && i < count; i++)
        lease_table_free(networks[i].leases);
    free(networks);
}

struct network *networks_find(const struct dhcp_server *server, uint32_t address)
{
    for (size_t i = 0; i < server->n_networks; i++)
        if (network_contains(&server->networks[i], address))
            return &server->networks[i];
    return NULL;
}

/* Leases on their way from the old networks to the new ones. */
struct move {
    struct network *networks;
    size_t count;
    struct lease_table *rest; /* for what is in none of them */
    bool failed;
};

static struct lease_table *table_for(const struct move *move, uint32_t address)
{
    for (size_t i = 0; i < move->count; i++)
        if (network_contains(&move->networks[i], address))
            return move->networks[i].leases;
    return move->rest;
}

static void copy_lease(void *context, struct lease *old)
{
    struct move *move = context;
    struct lease_table *table = table_for(move, old->address);
    if (old->state == LEASE_DECLINED) {
        (void)lease_decline_address(table, old->address, old->changed_at);
        return;
    }
    struct lease *lease =
        lease_assign(table, old->mac, old->address, old->state, old->expires, old->changed_at);
    move->failed |= !lease;
    if (!lease)
        return;
    lease->reserved = old->reserved;
    lease->remembered = old->remembered;
    lease->stored = old->stored;
    lease->storing = old->storing;
    lease->dirty = old->dirty;
}

static bool add_network(struct dhcp_server *server, struct network *networks, size_t *count,
                        const struct dhcp_network *config, bool served)
{
    struct network *network = &networks[*count];
    *network = (struct network){
        .config = *config, .served = served, .leases = lease_table_new(server->seed)};
    *count += network->leases != NULL;
    return network->leases != NULL;
}

/* Moves the leases of an old network; what no network of today covers stays behind in one of its
 * own, which is not served: a subnet that is switched off for a while must not give its nodes'
 * addresses away when it is back. */
static bool move_network(struct dhcp_server *server, const struct network *old,
                         struct network *networks, size_t served, size_t *count)
{
    if (!add_network(server, networks, count, &old->config, false))
        return false;
    struct network *rest = &networks[*count - 1];
    struct move move = {.networks = networks, .count = served, .rest = rest->leases};
    lease_each(old->leases, copy_lease, &move);
    if (lease_table_is_empty(rest->leases)) {
        lease_table_free(rest->leases);
        --*count;
    }
    return !move.failed;
}

/* *ret_count: with those that are not served any more. */
static struct network *make_networks(struct dhcp_server *server, const struct dhcp_network *configs,
                                     size_t served, size_t *ret_count)
{
    struct network *networks = calloc(served + server->n_networks + 1, sizeof(*networks));
    size_t count = 0;
    bool ok = networks != NULL;
    for (size_t i = 0; ok && i < served; i++)
        ok = add_network(server, networks, &count, &configs[i], true);
    for (size_t i = 0; ok && i < server->n_networks; i++)
        ok = move_network(server, &server->networks[i], networks, served, &count);
    if (!ok) {
        networks_free(networks, count);
        return NULL;
    }
    *ret_count = count;
    return networks;
}

int dhcp_server_set_networks(struct dhcp_server *server, const struct dhcp_network *configs,
                             size_t count)
{
    size_t with_old;
    struct network *networks = make_networks(server, configs, count, &with_old);
    if (!networks)
        return -ENOMEM;
    networks_free(server->networks, server->n_networks);
    server->networks = networks;
    server->n_networks = with_old;
    conflicts_begin_again(server);
    return 0;
}

/* --- leases from outside --- */

static bool restore_lease(struct dhcp_server *server, struct network *network,
                          const struct dhcp_lease_record *record, uint64_t left,
                          const struct dhcp_clock *now)
{
    const struct lease *other = lease_by_mac(network->leases, record->mac);
    if (other && (other->state == LEASE_BOUND ? other->expires - now->monotonic : 0) >= left)
        return false;
    struct lease *lease = lease_assign(network->leases, record->mac, record->address, LEASE_BOUND,
                                       now->monotonic + left, now->monotonic);
    if (!lease)
        return false;
    struct exchange x = {.server = server, .network = network, .now = now};
    exchange_identify(&x, record->mac);
    lease->reserved = x.reserved;
    lease->stored = true;
    if (record->state == LEASE_FREE || left == 0)
        lease_release(network->leases, lease, now->monotonic);
    return true;
}

bool dhcp_server_restore(struct dhcp_server *server, const struct dhcp_lease_record *record,
                         const struct dhcp_clock *now)
{
    struct network *network = networks_find(server, record->address);
    uint64_t left = record->expires_at > now->wall ? record->expires_at - now->wall : 0;
    if (!network || lease_by_address(network->leases, record->address))
        return false;
    if (record->state == LEASE_DECLINED)
        return left > 0 && lease_decline_address(network->leases, record->address, now->monotonic);
    /* The wall clock may have been set back: no lease is longer than those we give. */
    left = MIN(left, network->config.settings.lease_time * USEC_PER_SEC);
    return restore_lease(server, network, record, left, now);
}

/* --- what an operator releases --- */

struct releasing {
    struct dhcp_server *server;
    const struct dhcp_release *what;
    struct lease_table *leases; /* the table being gone through */
    struct dhcp_node node;      /* which is up */
    bool busy;
    size_t count;
};

static bool is_meant(const struct dhcp_release *what, const struct lease *lease)
{
    for (size_t i = 0; i < what->n_macs; i++)
        if (lease->state != LEASE_DECLINED && mac_eq(what->macs[i], lease->mac))
            return true;
    return !what->macs && lease->address == what->address;
}

static void look_for_users(void *context, struct lease *lease)
{
    struct releasing *r = context;
    const struct dhcp_policy *policy = &r->server->policy;
    struct dhcp_node node;
    if (!is_meant(r->what, lease))
        return;
    r->count++;
    if (lease->state == LEASE_DECLINED || !policy->node_is_up ||
        !policy->node_by_mac(policy->context, lease->mac, &node) ||
        !policy->node_is_up(policy->context, &node))
        return;
    r->node = node;
    r->busy = true;
}

static void release_lease(void *context, struct lease *lease)
{
    struct releasing *r = context;
    const struct dhcp_policy *policy = &r->server->policy;
    if (!is_meant(r->what, lease))
        return;
    uint32_t address = lease->address;
    lease_forget(r->leases, lease);
    if (policy->forget)
        policy->forget(policy->context, address);
}

int dhcp_server_release(struct dhcp_server *server, const struct dhcp_release *release,
                        struct dhcp_node *ret_node)
{
    struct releasing r = {.server = server, .what = release};
    for (size_t i = 0; i < server->n_networks; i++)
        lease_each(server->networks[i].leases, look_for_users, &r);
    if (r.busy) {
        *ret_node = r.node;
        return -EBUSY;
    }
    for (size_t i = 0; i < server->n_networks; i++) {
        r.leases = server->networks[i].leases;
        lease_each(r.leases, release_lease, &r);
    }
    return r.count > 0 ? 0 : -ENOENT;
}

struct visit {
    dhcp_lease_visitor *visit;
    void *context;
    const struct dhcp_network *network;
};

static void visit_lease(void *context, struct lease *lease)
{
    struct visit *v = context;
    v->visit(v->context, v->network, lease);
}

void dhcp_server_each_lease(struct dhcp_server *server, dhcp_lease_visitor *visit, void *context)
{
    for (size_t i = 0; i < server->n_networks; i++) {
        struct visit v = {visit, context, &server->networks[i].config};
        lease_each(server->networks[i].leases, visit_lease, &v);
    }
}
