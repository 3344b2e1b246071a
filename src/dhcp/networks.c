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

struct move {
    struct network *networks;
    size_t count;
    bool failed;
};

static void copy_lease(void *context, struct lease *old)
{
    struct move *move = context;
    for (size_t i = 0; i < move->count; i++) {
        if (!network_contains(&move->networks[i], old->address))
            continue;
        struct lease_table *table = move->networks[i].leases;
        if (old->state == LEASE_DECLINED) {
            lease_decline_address(table, old->address, old->changed_at);
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
}

static struct network *make_networks(struct dhcp_server *server, const struct dhcp_network *configs,
                                     size_t count)
{
    struct network *networks = calloc(count ? count : 1, sizeof(*networks));
    struct move move = {.networks = networks, .count = count};
    for (size_t i = 0; networks && i < count; i++) {
        networks[i].config = configs[i];
        networks[i].leases = lease_table_new(server->seed);
        move.failed |= !networks[i].leases;
    }
    for (size_t i = 0; networks && !move.failed && i < server->n_networks; i++)
        lease_each(server->networks[i].leases, copy_lease, &move);
    if (networks && move.failed) {
        networks_free(networks, count);
        return NULL;
    }
    return networks;
}

int dhcp_server_set_networks(struct dhcp_server *server, const struct dhcp_network *configs,
                             size_t count)
{
    struct network *networks = make_networks(server, configs, count);
    if (!networks)
        return -ENOMEM;
    networks_free(server->networks, server->n_networks);
    server->networks = networks;
    server->n_networks = count;
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
    if (record->state == LEASE_DECLINED) {
        if (left > 0)
            lease_decline_address(network->leases, record->address, now->monotonic);
        return left > 0;
    }
    /* The wall clock may have been set back: no lease is longer than those we give. */
    left = MIN(left, network->config.settings.lease_time * USEC_PER_SEC);
    return restore_lease(server, network, record, left, now);
}

uint32_t dhcp_server_address_of(const struct dhcp_server *server, struct mac_address mac,
                                uint64_t now)
{
    for (size_t i = 0; i < server->n_networks; i++) {
        const struct lease *lease = lease_by_mac(server->networks[i].leases, mac);
        if (lease && lease->state == LEASE_BOUND && lease_is_live(lease, now))
            return lease->address;
    }
    return 0;
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
