#include "server/access.h"

const char *access_refusal(const struct catalog *catalog,
                           const struct iscsi_login_identity *identity,
                           const struct catalog_volume *volume)
{
    if (catalog_may_come_from(catalog, identity->initiator, volume, &identity->source))
        return NULL;
    const struct catalog_node *node = catalog_node_by_initiator(catalog, identity->initiator);
    bool only_node = volume->n_sources == 1 && volume->sources[0].node;
    if (only_node && node && !node->address)
        return "this volume is bound to its node's own address, and the node has none; give it one "
               "(nodisk node set --address), or bind the volume to a network (nodisk volume set "
               "--allow-from)";
    return "this volume is bound to other addresses (see `nodisk volume show`); let this one in "
           "with nodisk volume set --allow-from, or find out who it is";
}
