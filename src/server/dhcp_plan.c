#include "server/dhcp_plan.h"

#include "core/log.h"

#include <errno.h>

static uint16_t http_port_for(uint32_t server, const struct listen_list *http)
{
    const struct endpoint address = endpoint_of_ipv4(server, 0);
    const struct endpoint *found = listen_list_find(http, &address);
    return found ? endpoint_port(found) : 80;
}

static void set_https(struct dhcp_network *network, const struct listeners *listeners)
{
    const struct endpoint address = endpoint_of_ipv4(network->server, 0);
    const struct endpoint *found = listen_list_find(&listeners->https, &address);
    network->https_port = found ? endpoint_port(found) : 0;
    network->https_name = listeners->https_name;
}

struct served_link *dhcp_plan_find_link(struct dhcp_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->n_links; i++)
        if (str_eq(plan->links[i].info.name, name))
            return &plan->links[i];
    return NULL;
}

/* Our address for a network that is only behind a relay: that of a subnet which the interface is
 * in itself (a subnet with mode = off will do). */
static uint32_t relay_side_address(const struct config *config, const struct link_info *link)
{
    for (size_t i = 0; i < config->n_subnets; i++) {
        const struct subnet *s = &config->subnets[i];
        uint32_t address =
            str_eq(s->interface, link->name) ? link_address_in(link, s->network, s->mask) : 0;
        if (address)
            return address;
    }
    return 0;
}

/* Likewise of a network6 that is only behind a relay. */
static struct in6_addr relay_side_address6(const struct config *config,
                                           const struct link_info *link)
{
    struct in6_addr address = {0};
    for (size_t i = 0; i < config->n_subnets; i++) {
        const struct subnet *s = &config->subnets[i];
        if (str_eq(s->interface, link->name) && link_address6_in(link, &s->network6, &address))
            break;
    }
    return address;
}

/* Without an address in its network6, or where nobody would give them their scripts, its machines
 * boot over IPv4 all the same. The latter is so when network6 is new: sockets are opened once. */
static void add_ipv6(struct dhcp_plan *plan, const struct config *config,
                     const struct link_info *link, const struct listen_list *http)
{
    struct dhcp_network *network = &plan->networks[plan->n_networks];
    const struct network6 *network6 = &network->settings.network6;
    struct in6_addr server = {0};
    network->mac = link->mac;
    if (network6->bits && !link_address6_in(link, network6, &server))
        server = relay_side_address6(config, link);
    if (IN6_IS_ADDR_UNSPECIFIED(&server))
        return;
    const struct endpoint address = endpoint_of_ipv6(&server, 0);
    const struct endpoint *listener = listen_list_find(http, &address);
    if (listener) {
        network->server6 = server;
        network->http_port6 = endpoint_port(listener);
    } else {
        plan->deaf6[plan->n_networks] = server;
    }
}

static int add_network(struct dhcp_plan *plan, const struct config *config,
                       const struct subnet *subnet, const struct link_info *link,
                       const struct listeners *listeners, struct error *ret_error)
{
    char text[IPV4_TEXT_SIZE];
    uint32_t address = link_address_in(link, subnet->network, subnet->mask);
    struct dhcp_network *network = &plan->networks[plan->n_networks];
    *network = (struct dhcp_network){
        .settings = *subnet, .link = link->index, .local = address != 0, .server = address};
    if (!address) {
        network->server = relay_side_address(config, link);
        if (!network->server)
            return error_set(
                ret_error, -EADDRNOTAVAIL,
                "[subnet %s]: %s has no address in %s/%d; give it one, or correct `network`",
                subnet->name, link->name, ipv4_format(subnet->network, text),
                __builtin_popcount(subnet->mask));
        log_info("[subnet %s]: %s has no address in it: served through relays only", subnet->name,
                 link->name);
    }
    add_ipv6(plan, config, link, &listeners->http);
    network->http_port = http_port_for(network->server, &listeners->http);
    set_https(network, listeners);
    plan->n_networks++;
    return 0;
}

static int add_subnet(struct dhcp_plan *plan, const struct config *config,
                      const struct subnet *subnet, const struct listeners *listeners,
                      struct error *ret_error)
{
    struct served_link *link = dhcp_plan_find_link(plan, subnet->interface);
    if (link)
        return add_network(plan, config, subnet, &link->info, listeners, ret_error);
    link = &plan->links[plan->n_links];
    if (link_read(subnet->interface, &link->info, ret_error) < 0)
        return error_prefix(ret_error, "[subnet %s]", subnet->name);
    int r = add_network(plan, config, subnet, &link->info, listeners, ret_error);
    plan->n_links += r >= 0;
    return r;
}

/* An interface that is missing must not keep the machines on the others from booting. */
int dhcp_plan_make(const struct config *config, const struct listeners *listeners,
                   struct dhcp_plan *plan, struct error *ret_error)
{
    const struct error *first = NULL;
    for (size_t i = 0; i < config->n_subnets; i++) {
        struct error *problem = &plan->problems[i];
        if (config->subnets[i].mode != SUBNET_OFF &&
            add_subnet(plan, config, &config->subnets[i], listeners, problem) < 0 && !first)
            first = problem;
    }
    if (!first || plan->n_networks > 0)
        return 0;
    *ret_error = *first;
    return first->code;
}

bool dhcp_plan_has_proxy(const struct dhcp_plan *plan, const struct served_link *link)
{
    for (size_t i = 0; i < plan->n_networks; i++)
        if (plan->networks[i].link == link->info.index &&
            plan->networks[i].settings.mode == SUBNET_PROXY)
            return true;
    return false;
}

bool dhcp_plan_wants_router_advert(const struct dhcp_plan *plan, const struct served_link *link)
{
    for (size_t i = 0; i < plan->n_networks; i++)
        if (plan->networks[i].link == link->info.index &&
            plan->networks[i].settings.router_advertisement)
            return true;
    return false;
}

bool dhcp_network_has_ipv6(const struct dhcp_network *network)
{
    return !IN6_IS_ADDR_UNSPECIFIED(&network->server6);
}

bool dhcp_plan_wants_dhcp6(const struct dhcp_plan *plan, const struct served_link *link)
{
    for (size_t i = 0; i < plan->n_networks; i++)
        if (plan->networks[i].link == link->info.index && dhcp_network_has_ipv6(&plan->networks[i]))
            return true;
    return false;
}

size_t dhcp_plan_networks6(const struct dhcp_plan *plan, const struct served_link *link,
                           struct network6 ret_networks[static CONFIG_MAX_SUBNETS])
{
    size_t count = 0;
    for (size_t i = 0; i < plan->n_networks; i++) {
        const struct dhcp_network *n = &plan->networks[i];
        if (n->link == link->info.index && n->settings.mode == SUBNET_SERVER &&
            network6_contains(&n->settings.network6, &n->server6))
            ret_networks[count++] = n->settings.network6;
    }
    return count;
}

bool dhcp_plan_wants_arp(const struct dhcp_plan *plan, const struct served_link *link)
{
    for (size_t i = 0; i < plan->n_networks; i++) {
        const struct dhcp_network *n = &plan->networks[i];
        if (n->link == link->info.index && n->local && n->settings.mode == SUBNET_SERVER &&
            n->settings.conflict_detection)
            return true;
    }
    return false;
}

bool dhcp_plan_same_links(const struct dhcp_plan *a, const struct dhcp_plan *b)
{
    if (a->n_links != b->n_links || a->n_networks != b->n_networks)
        return false;
    for (size_t i = 0; i < CONFIG_MAX_SUBNETS; i++)
        if (a->problems[i].code != b->problems[i].code)
            return false;
    for (size_t i = 0; i < a->n_links; i++)
        if (a->links[i].info.index != b->links[i].info.index)
            return false;
    for (size_t i = 0; i < a->n_networks; i++)
        if (a->networks[i].link != b->networks[i].link ||
            a->networks[i].local != b->networks[i].local ||
            a->networks[i].server != b->networks[i].server ||
            !ipv6_eq(&a->networks[i].server6, &b->networks[i].server6))
            return false;
    return true;
}
