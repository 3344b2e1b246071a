/* The further ways of a node to its disk, for its script. */
#include "http/nodes_internal.h"

/* The card that has the node's own address: the first that is no path's. */
static struct mac_address first_card(const struct catalog_node *node)
{
    for (size_t i = 0; i < node->n_macs; i++)
        if (catalog_node_address_of(node, node->macs[i]) == node->address)
            return node->macs[i];
    return node->macs[0];
}

/* Not in the network that the machine asks from: firmware has one card for each network. */
static void add(const struct node_http *http, struct mac_address mac, uint32_t address,
                uint32_t own, struct node_http_paths *paths)
{
    struct boot_path *path = &paths->list[paths->count];
    struct endpoint portal;
    uint32_t mask;
    if (address == own || !http->settings.network(http->settings.context, address, &mask, &portal))
        return;
    if ((address & mask) == (own & mask))
        return;
    *path = (struct boot_path){
        .mac = mac, .address = address, .mask = mask, .portal_port = endpoint_port(&portal)};
    endpoint_format_address(&portal, path->portal);
    paths->count++;
}

void node_http_find_paths(const struct node_http *http, const struct plan *plan,
                          const struct endpoint *peer, struct node_http_paths *ret_paths)
{
    const struct catalog_node *node = plan->node;
    uint32_t own;
    ret_paths->count = 0;
    if (!plan_has_disk(plan) || plan->volume->elsewhere || node->n_paths == 0 ||
        !http->settings.network || !endpoint_ipv4(peer, &own) ||
        !catalog_node_has_address(node, own))
        return;
    add(http, first_card(node), node->address, own, ret_paths);
    for (size_t i = 0; i < node->n_paths && ret_paths->count < REGISTRY_MAX_PATHS; i++)
        add(http, node->paths[i].mac, node->paths[i].address, own, ret_paths);
}
