/* The API on the Unix socket, and all that it asks of the rest. */
#include "server/server.h"

#include "dhcp/link.h"
#include "http/admin.h"
#include "http/nodes.h"
#include "server/addresses.h"
#include "server/counters.h"
#include "server/dhcp_glue.h"
#include "server/duplicates.h"
#include "server/export_dhcp.h"
#include "server/export_firewall.h"
#include "server/hook_events.h"
#include "server/ibft_intent.h"
#include "server/lease_offers.h"
#include "server/lease_release.h"
#include "server/loaders_list.h"
#include "server/machine6.h"
#include "server/power.h"
#include "server/san.h"
#include "server/space_watch.h"
#include "server/state.h"
#include "server/tftp_glue.h"
#include "server/wake.h"

#include <errno.h>

/* Asked by the admin API, which is started last and stopped first. */
static json_t *count(void *context)
{
    const struct server *server = context;
    const struct counters counters = {
        .dhcp = dhcp_glue_counters(server->dhcp),
        .dhcp6 = dhcp_glue_counters6(server->dhcp),
        .router_adverts = dhcp_glue_router_adverts(server->dhcp),
        .tftp = tftp_glue_counters(server->tftp),
        .http = node_http_counters(server->node_http),
        .iscsi = san_counters(server->san),
    };
    return counters_to_json(&counters);
}

static int list_offers(void *context, struct admin_offer *offers, size_t max, size_t *ret_count,
                       struct error *ret_error)
{
    struct server *server = context;
    return lease_offers_list(&server->mailbox, &server->dhcp, offers, max, ret_count, ret_error);
}

static int release_lease(void *context, const char *what, struct error *ret_error)
{
    struct server *server = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(server->catalog);
    return lease_release_run(&server->mailbox, &server->dhcp, catalog, what, ret_error);
}

/* Where machines of a subnet find us, as things are now. */
static struct export_network export_network_of(const struct server *server,
                                               const struct subnet *subnet)
{
    struct link_info link;
    struct error ignored;
    struct export_network n = {.subnet = subnet, .http_port = 80};
    if (link_read(subnet->interface, &link, &ignored) >= 0)
        n.server = link_address_in(&link, subnet->network, subnet->mask);
    size_t count;
    const struct endpoint own = endpoint_of_ipv4(n.server, 0);
    const struct endpoint *http = node_http_endpoints(server->node_http, &count);
    for (size_t i = 0; i < count; i++)
        if (endpoint_same_host(&http[i], &own) || endpoint_is_any(&http[i]))
            n.http_port = endpoint_port(&http[i]);
    return n;
}

static int export_for_dhcp(void *context, const char *format, char **ret_text,
                           struct error *ret_error)
{
    struct server *server = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(server->catalog);
    cleanup_free struct subnet *subnets = NULL;
    size_t count;
    if (addresses_copy(server->addresses, &subnets, &count) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    struct export_network *networks = calloc(count + 1, sizeof(*networks));
    if (!networks)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        networks[i] = export_network_of(server, &subnets[i]);
    int r = export_dhcp(format, networks, count, catalog, ret_text, ret_error);
    free(networks);
    return r;
}

static uint32_t leased_to(void *context, struct mac_address mac)
{
    const struct server *server = context;
    return server->stages.address_of(server->stages.context, mac);
}

static int describe_ibft(void *context, const char *what, const struct mac_address *mac,
                         json_t **ret_json, struct error *ret_error)
{
    const struct server *server = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(server->catalog);
    cleanup_free struct subnet *subnets = NULL;
    size_t count;
    if (addresses_copy(server->addresses, &subnets, &count) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    const struct ibft_site site = {
        .catalog = catalog,
        .subnets = subnets,
        .n_subnets = count,
        .policy = server->policy,
        .ways = &server->config.boot_ways,
        .redirects = &server->config.redirects,
        .leased = leased_to,
        .network = server_network_of,
        .context = context,
    };
    return ibft_intent(&site, what, mac, ret_json, ret_error);
}

/* Where it reaches us: if its network is not known, at the address that we listen on. */
static int show_script(void *context, const struct catalog *catalog,
                       const struct catalog_node *node, uint32_t address, const char *stage,
                       json_t **ret_json, struct error *ret_error)
{
    struct server *server = context;
    size_t count;
    const struct endpoint *http = node_http_endpoints(server->node_http, &count);
    struct endpoint local = http[0], portal;
    uint32_t mask, ours;
    if (address && server_network_of(server, address, &mask, &portal) &&
        endpoint_ipv4(&portal, &ours))
        local = endpoint_of_ipv4(ours, endpoint_port(&http[0]));
    return node_http_show(server->node_http, catalog, node, &local, stage, ret_json, ret_error);
}

static json_t *describe_loaders(void *context)
{
    const struct server *server = context;
    cleanup_free struct subnet *subnets = NULL;
    size_t count;
    if (addresses_copy(server->addresses, &subnets, &count) < 0)
        return NULL;
    return loaders_to_json(server->loaders, subnets, count,
                           server->https.need == NODE_HTTPS_ALWAYS);
}

static int export_for_firewall(void *context, char **ret_text, struct error *ret_error)
{
    const struct server *server = context;
    struct subnet *subnets = NULL;
    size_t count;
    if (addresses_copy(server->addresses, &subnets, &count) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    cleanup_catalog struct catalog *catalog = catalog_slot_get(server->catalog);
    int r = export_firewall(subnets, count, &server->listening, catalog, ret_text, ret_error);
    free(subnets);
    return r;
}

static json_t *describe_space(void *context)
{
    const struct server *server = context;
    return space_watch_to_json(server->space);
}

static json_t *list_duplicates(void *context)
{
    const struct server *server = context;
    return duplicates_to_json(server->duplicates, clock_wall_usec());
}

static json_t *addresses6_of(void *context, const struct catalog_node *node)
{
    const struct server *server = context;
    return machine6_addresses(server->addresses, node);
}

static int wake_node(void *context, const struct admin_wake *wake, json_t **ret_sent,
                     struct error *ret_error)
{
    const struct server *server = context;
    return wake_machine(server->addresses, wake, ret_sent, ret_error);
}

static int switch_power(void *context, const char *node, const struct registry_bmc *bmc,
                        const char *action, char state[static ADMIN_POWER_STATE_SIZE],
                        struct error *ret_error)
{
    const struct server *server = context;
    return power_switch(hook_events_hooks(server->hook_events), server->catalog, node, bmc, action,
                        state, ret_error);
}

int server_start_admin(struct server *server, struct error *ret_error)
{
    struct admin_settings admin = {
        .socket = server->config.socket,
        .state_directory = server->config.state_directory,
        .registry = server->registry,
        .storage = server->storage,
        .catalog = server->catalog,
        .pending = server->newcomers.pending,
        .policy = server->policy,
        .would_ask = server_would_ask,
        .fallback_after = server->config.fallback_after,
        .ways = server->config.boot_ways,
        .stages = &server->stages,
        .sessions = &server->session_provider,
        .counters = count,
        .space = describe_space,
        .duplicates = list_duplicates,
        .certificates = server->https.certificates,
        .release_lease = release_lease,
        .offers = list_offers,
        .export_dhcp = export_for_dhcp,
        .export_firewall = export_for_firewall,
        .loaders = describe_loaders,
        .show_script = show_script,
        .ibft = describe_ibft,
        .addresses6 = addresses6_of,
        .wake = wake_node,
        .power = switch_power,
        .context = server,
    };
    int r = state_make_parent(server->config.socket, ret_error);
    return r < 0 ? r : admin_start(&admin, &server->admin, ret_error);
}
