/* What nodes fetch over HTTP, and what this has to know of the rest. */
#include "server/server.h"

#include "dhcp/link.h"
#include "http/nodes.h"
#include "server/addresses.h"
#include "server/disk_reads.h"
#include "server/hook_events.h"
#include "server/ipv4_side.h"
#include "server/loaders.h"
#include "server/plan_hook.h"
#include "server/san.h"
#include "server/scripts.h"

static enum node_http_giver giver(void *context, uint32_t address)
{
    static const enum node_http_giver givers[] = {
        [SUBNET_SERVER] = NODE_HTTP_OURS,
        [SUBNET_PROXY] = NODE_HTTP_PROXIED,
        [SUBNET_OFF] = NODE_HTTP_ELSEWHERE,
    };
    const struct server *server = context;
    char interface[IF_NAMESIZE];
    return givers[addresses_mode(server->addresses, address, interface)];
}

static void portal_for(void *context, const struct endpoint *local, struct endpoint *ret_portal)
{
    const struct server *server = context;
    san_portal_for(server->san, local, ret_portal);
}

bool server_network_of(void *context, uint32_t address, uint32_t *ret_mask,
                       struct endpoint *ret_portal)
{
    const struct server *server = context;
    struct subnet subnet;
    struct link_info link;
    struct error ignored;
    uint32_t own = 0;
    if (addresses_find(server->addresses, address, &subnet) &&
        link_read(subnet.interface, &link, &ignored) >= 0)
        own = link_address_in(&link, subnet.network, subnet.mask);
    const struct endpoint local = endpoint_of_ipv4(own, 0);
    if (!own || !listen_list_find(san_portals(server->san), &local))
        return false;
    san_portal_for(server->san, &local, ret_portal);
    *ret_mask = subnet.mask;
    return true;
}

static bool ipv4_side(void *context, const struct endpoint *peer, uint32_t own,
                      struct node_http_ipv4 *ret_ipv4)
{
    const struct server *server = context;
    return ipv4_side_find(server->addresses, san_portals(server->san), peer, own, ret_ipv4);
}

static void on_http_oddity(void *context, const struct node_http_oddity *oddity)
{
    struct server *server = context;
    http_log_oddity(&server->http_log, oddity);
}

static void read_disk(void *context, struct node_disk_read *read)
{
    const struct server *server = context;
    disk_reads_submit(san_targets(server->san), read);
}

static void on_claimed(void *context, const char *node, const char *target, uint32_t left)
{
    http_log_claimed(node, target, left);
}

static void on_refused(void *context, const char *node, const char *target, const struct error *why)
{
    http_log_refused(node, target, why);
}

static void on_rotated(void *context, const char *node)
{
    http_log_rotated(node);
}

static void on_installed(void *context, const char *node, const char *entry)
{
    http_log_installed(node, entry);
}

static void on_fell_back(void *context, const char *node, const char *target, uint32_t failures)
{
    http_log_fell_back(node, target, failures);
}

static void on_direct(void *context, const struct node_http_direct *told)
{
    http_log_direct(told);
}

static bool is_registered(void *context, const struct endpoint *peer,
                          struct node_http_place *ret_place)
{
    const struct server *server = context;
    return newcomers_place(&server->newcomers, peer, ret_place);
}

static int open_loader(void *context, const char *name, int *ret_fd, uint64_t *ret_size)
{
    const struct server *server = context;
    return loaders_open_file(server->loaders, name, ret_fd, ret_size);
}

static int open_script(void *context, const char *name, int *ret_fd, uint64_t *ret_size)
{
    const struct server *server = context;
    return scripts_open_file(server->scripts, name, ret_fd, ret_size);
}

/* Where things really are: a port that was 0 was chosen by the system. */
static struct listeners real_listeners(const struct server *server)
{
    struct listeners l = {
        .iscsi = *san_portals(server->san),
        .tftp = server->config.tftp,
        .https_name = server->https.name,
        .certificates = server->https.certificates,
    };
    const struct endpoint *endpoints = node_http_endpoints(server->node_http, &l.http.count);
    memcpy(l.http.endpoints, endpoints, l.http.count * sizeof(*endpoints));
    endpoints = node_http_secure_endpoints(server->node_http, &l.https.count);
    memcpy(l.https.endpoints, endpoints, l.https.count * sizeof(*endpoints));
    return l;
}

bool server_would_ask(void *context)
{
    const struct server *server = context;
    return hooks_any(hook_events_hooks(server->hook_events), HOOK_PLAN);
}

static bool ask(void *context, struct node_http_question *question)
{
    const struct server *server = context;
    return plan_hook_ask(hook_events_hooks(server->hook_events), server->catalog, question);
}

/* Loaders come first: an address without one is a boot that fails. */
int server_start_node_http(struct server *server, struct error *ret_error)
{
    const struct listen_list *listen = &server->config.http;
    const struct https_config *https = &server->config.https;
    struct node_http_settings settings = {
        .listen = listen->endpoints,
        .n_listen = listen->count,
        .https = {.listen = https->listen.endpoints,
                  .n_listen = https->listen.count,
                  .certificates = server->https.certificates,
                  .priorities = server->https.priorities,
                  .name = server->https.name,
                  .need = server->https.need,
                  .for_systems = https->installers},
        .catalog = server->catalog,
        .tracker = server->boots.tracker,
        .portal = portal_for,
        .network = server_network_of,
        .giver = giver,
        .neighbour = server_neighbour,
        .machine6 = server_machine6,
        .ipv4 = ipv4_side,
        .pending = server->newcomers.pending,
        .registers = is_registered,
        .registry = server->registry,
        .policy = server->policy,
        .ways = server->config.boot_ways,
        .menu_timeout = server->config.menu_timeout,
        .menu_snapshots = server->config.menu_snapshots,
        .fallback_after = server->config.fallback_after,
        .memtest = server->config.memtest,
        .claimed = on_claimed,
        .refused = on_refused,
        .rotated = on_rotated,
        .installed = on_installed,
        .fell_back = on_fell_back,
        .read_disk = read_disk,
        .direct_told = on_direct,
        .open_loader = open_loader,
        .open_script = open_script,
        .boot_by_scripts = server->config.boot_by_scripts,
        .would_ask = server_would_ask,
        .ask = ask,
        .oddity = on_http_oddity,
        .context = server,
    };
    scripts_set(server->scripts, &server->config);
    int r = loaders_set(server->loaders, &server->config, ret_error);
    if (r >= 0)
        r = node_http_start(&settings, &server->node_http, ret_error);
    if (r >= 0)
        server->listening = real_listeners(server);
    return r;
}
