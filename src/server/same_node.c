#include "server/same_node.h"

static bool is_at_home(const struct catalog_node *node, const struct iscsi_login_identity *identity)
{
    uint32_t address;
    return endpoint_ipv4(&identity->source, &address) && catalog_node_has_address(node, address);
}

bool same_node(const struct catalog *catalog, const struct iscsi_login_identity *a,
               const struct iscsi_login_identity *b)
{
    const struct catalog_node *node = catalog_node_by_initiator(catalog, a->initiator);
    return node && node->n_paths > 0 && catalog_node_by_initiator(catalog, b->initiator) == node &&
           is_at_home(node, a) && is_at_home(node, b);
}
