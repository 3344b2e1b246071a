/* Who watches the boots of nodes, and what they read of images meanwhile; and the hooks, which are
 * told of them. */
#include "server/server.h"

#include "server/addresses.h"
#include "server/boot_cache.h"
#include "server/hook_events.h"
#include "server/machine6.h"
#include "server/neighbour.h"

bool server_neighbour(void *context, uint32_t address, struct mac_address *ret_mac)
{
    const struct server *server = context;
    char interface[IF_NAMESIZE];
    return addresses_mode(server->addresses, address, interface) == SUBNET_PROXY &&
           neighbour_mac(interface, address, ret_mac);
}

bool server_machine6(void *context, const struct endpoint *peer, struct mac_address *ret_mac)
{
    const struct server *server = context;
    return machine6_find(server->addresses, peer, ret_mac);
}

int server_start_boots(struct server *server, struct error *ret_error)
{
    server->boots.catalog = server->catalog;
    server->boots.registry = server->registry;
    int r = boot_tracker_new(server->registry, server->catalog, &server->boots.tracker, ret_error);
    if (r < 0)
        return r;
    server->boots.neighbour = server_neighbour;
    server->boots.machine6 = server_machine6;
    server->boots.context = server;
    server->stages = boot_tracker_provider(server->boots.tracker);
    const struct boot_cache_settings cache = {.catalog = server->catalog,
                                              .stages = &server->stages,
                                              .warm_up = server->config.warm_up,
                                              .warm_limit = server->config.warm_limit};
    r = boot_cache_start(&cache, &server->boot_cache, ret_error);
    if (r < 0)
        return r;
    return hook_events_start(&server->config.hooks, server->catalog, &server->stages,
                             &server->hook_events, ret_error);
}
