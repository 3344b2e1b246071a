/*
 * Which address a machine may have: RFC 2131 4.3.1 (what to offer) and 4.3.2 (what to confirm),
 * with the rules for nodes of server.h.
 */
#include "dhcp/server_internal.h"

bool assign_is_ours(const struct network *network, uint32_t address)
{
    const struct subnet *s = &network->config.settings;
    if (address == network->config.server)
        return true;
    for (size_t i = 0; i < s->n_routers; i++)
        if (address == s->routers[i])
            return true;
    for (size_t i = 0; i < s->n_dns; i++)
        if (address == s->dns[i])
            return true;
    return false;
}

static bool may_use(void *context, uint32_t address)
{
    const struct exchange *x = context;
    const struct dhcp_policy *policy = &x->server->policy;
    struct dhcp_node node;
    return !assign_is_ours(x->network, address) &&
           !policy->node_by_address(policy->context, address, &node);
}

/* Does the system of the node that had this lease run? It may do so for months without renewing,
 * with its disk behind that address. */
static bool is_behind(const struct exchange *x, const struct lease *lease,
                      struct dhcp_node *ret_node)
{
    const struct dhcp_policy *policy = &x->server->policy;
    return policy->node_by_mac(policy->context, lease->mac, ret_node) && policy->node_is_up &&
           policy->node_is_up(policy->context, ret_node);
}

/* A node that has its address from the pool keeps it for as long as it is registered; one that was
 * given its own meanwhile, until it has that. */
static bool may_recycle(void *context, const struct lease *lease)
{
    const struct exchange *x = context;
    const struct dhcp_policy *policy = &x->server->policy;
    struct dhcp_node node;
    if (!policy->node_by_mac(policy->context, lease->mac, &node))
        return true;
    return node.address != 0 && !is_behind(x, lease, &node);
}

static struct lease_pool pool_of(struct exchange *x)
{
    const struct subnet *s = &x->network->config.settings;
    return (struct lease_pool){
        .ranges = s->ranges,
        .n_ranges = s->n_ranges,
        .preferred = x->known,
        .context = x,
        .may_use = may_use,
        .may_recycle = may_recycle,
    };
}

static bool is_mac_of(const struct dhcp_node *node, struct mac_address mac)
{
    for (size_t i = 0; i < node->n_macs; i++)
        if (mac_eq(node->macs[i], mac))
            return true;
    return false;
}

/* Another MAC, of this node or of another one, had the address last and its lease is over, but its
 * system runs on. */
static bool is_used_without_lease(const struct exchange *x, const struct lease *lease)
{
    struct dhcp_node owner;
    if (!lease || lease->state != LEASE_FREE || mac_eq(lease->mac, x->request->mac) ||
        !is_behind(x, lease, &owner))
        return false;
    if (!is_mac_of(&x->node, lease->mac))
        exchange_report(x, DHCP_ODD_CONFLICT, lease->address, &lease->mac);
    return true;
}

/* Can this machine have its node's own address now? A stranger in it is told. */
static bool reserved_is_available(const struct exchange *x)
{
    const struct lease *holder = lease_by_address(x->network->leases, x->reserved);
    if (!x->reserved || is_used_without_lease(x, holder))
        return false;
    if (lease_available(x->network->leases, x->reserved, x->request->mac, x->now->monotonic))
        return true;
    if (holder->state == LEASE_DECLINED)
        exchange_report(x, DHCP_ODD_TAKEN, x->reserved, NULL);
    else if (!is_mac_of(&x->node, holder->mac))
        exchange_report(x, DHCP_ODD_CONFLICT, x->reserved, &holder->mac);
    return false;
}

/* Is this lease still one that its machine may have? Not if its node was given an address or lost
 * it since, nor if the address is another node's by now or no longer in the pool. */
static bool is_valid(struct exchange *x, const struct lease *lease)
{
    struct lease_pool pool = pool_of(x);
    if (lease->address == x->reserved)
        return true;
    return lease->reserved == x->reserved && lease_pool_contains(&pool, lease->address);
}

/* A valid lease of another address than its node's own. Does the machine go on with it? */
static bool keeps_stand_in(const struct exchange *x, const struct lease *lease)
{
    return lease_is_live(lease, x->now->monotonic) &&
           x->now->monotonic - lease->changed_at < DHCP_STAND_IN_TIME;
}

/* The lease with which the machine can simply go on, or NULL. */
static const struct lease *current_lease(struct exchange *x)
{
    const struct lease *lease = lease_by_mac(x->network->leases, x->request->mac);
    if (!lease || !lease_is_live(lease, x->now->monotonic) || !is_valid(x, lease))
        return NULL;
    return lease;
}

bool assign_choose(struct exchange *x, uint32_t *ret_address)
{
    const struct lease *lease = current_lease(x);
    struct lease_pool pool = pool_of(x);
    uint32_t requested = x->request->requested;
    if (lease && (!x->reserved || lease->address == x->reserved || keeps_stand_in(x, lease))) {
        *ret_address = lease->address;
        return true;
    }
    if (reserved_is_available(x)) {
        *ret_address = x->reserved;
        return true;
    }
    if (lease) {
        *ret_address = lease->address;
        return true;
    }
    if (lease_pick(x->network->leases, &pool, x->request->mac, requested, x->now->monotonic,
                   ret_address))
        return true;
    exchange_report(x, DHCP_ODD_NO_ADDRESS, 0, NULL);
    return false;
}

/* A node that runs has its disk behind this address: it goes on with it, whatever was decided for
 * its next boot, unless the address is another node's by now. */
static bool may_go_on(const struct exchange *x, const struct lease *lease)
{
    const struct dhcp_policy *policy = &x->server->policy;
    struct dhcp_node owner;
    return x->known && !assign_is_ours(x->network, lease->address) &&
           (lease->address == x->reserved ||
            !policy->node_by_address(policy->context, lease->address, &owner)) &&
           lease_available(x->network->leases, lease->address, x->request->mac, x->now->monotonic);
}

static enum verdict judge_own(struct exchange *x, const struct lease *lease,
                              enum request_state state)
{
    if (state == REQUEST_RENEWING && may_go_on(x, lease))
        return VERDICT_GRANT;
    if (!is_valid(x, lease) ||
        !lease_available(x->network->leases, lease->address, x->request->mac, x->now->monotonic))
        return VERDICT_REFUSE;
    if (state == REQUEST_INIT_REBOOT && x->reserved && !keeps_stand_in(x, lease) &&
        reserved_is_available(x))
        return VERDICT_REFUSE; /* a good moment to move to its own address */
    return VERDICT_GRANT;
}

/* An address that we have no record of having given to this machine. */
static enum verdict judge_unrecorded(struct exchange *x, uint32_t address, enum request_state state)
{
    struct lease_pool pool = pool_of(x);
    const struct lease *lease = lease_by_address(x->network->leases, address);
    if ((x->reserved && reserved_is_available(x)) || !lease_pool_contains(&pool, address) ||
        !lease_available(x->network->leases, address, x->request->mac, x->now->monotonic) ||
        (lease && lease->state == LEASE_FREE && !may_recycle(x, lease)))
        return VERDICT_REFUSE;
    return state == REQUEST_INIT_REBOOT ? VERDICT_SILENT : VERDICT_GRANT;
}

enum verdict assign_judge(struct exchange *x, uint32_t address, enum request_state state)
{
    const struct lease *own = lease_by_mac(x->network->leases, x->request->mac);
    if (!network_contains(x->network, address))
        return VERDICT_REFUSE;
    if (x->reserved && address == x->reserved)
        return reserved_is_available(x) ? VERDICT_GRANT : VERDICT_REFUSE;
    if (own && own->address == address)
        return judge_own(x, own, state);
    return judge_unrecorded(x, address, state);
}
