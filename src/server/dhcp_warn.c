#include "server/dhcp_warn.h"

#include "core/log.h"
#include "http/certificate.h"
#include "http/nodes.h"

static void tell_problems(const struct dhcp_plan *plan, const struct dhcp_plan *old)
{
    for (size_t i = 0; i < CONFIG_MAX_SUBNETS; i++)
        if (plan->problems[i].code && (!old || old->problems[i].code != plan->problems[i].code))
            log_error("dhcp: not served until that is mended: %s", plan->problems[i].text);
}

static bool is_deaf6(const struct dhcp_plan *plan, size_t i)
{
    return !IN6_IS_ADDR_UNSPECIFIED(&plan->deaf6[i]);
}

static bool lacks_address6(const struct dhcp_plan *plan, size_t i)
{
    const struct dhcp_network *network = &plan->networks[i];
    return network->settings.network6.bits && !dhcp_network_has_ipv6(network) && !is_deaf6(plan, i);
}

/* Was it so of this subnet, and told? */
static bool was(const struct dhcp_plan *old, const char *subnet,
                bool (*is)(const struct dhcp_plan *plan, size_t i))
{
    for (size_t i = 0; old && i < old->n_networks; i++)
        if (str_eq(old->networks[i].settings.name, subnet))
            return is(old, i);
    return false;
}

static void warn_without_ipv6(const struct dhcp_plan *plan, const struct dhcp_plan *old)
{
    char text[NETWORK6_TEXT_SIZE], address[INET6_ADDRSTRLEN];
    for (size_t i = 0; i < plan->n_networks; i++) {
        const struct subnet *subnet = &plan->networks[i].settings;
        if (lacks_address6(plan, i) && !was(old, subnet->name, lacks_address6))
            log_warning("[subnet %s]: %s has no address in %s: nothing boots over IPv6 there; give "
                        "it one, or correct `network6`",
                        subnet->name, subnet->interface, network6_format(&subnet->network6, text));
        if (is_deaf6(plan, i) && !was(old, subnet->name, is_deaf6))
            log_warning("[subnet %s]: nothing of [http] listens at %s: nothing boots over IPv6 "
                        "there; if `listen` of [http] and [tftp] is set, have IPv6 in it, and "
                        "restart nodisk, which opens its sockets only then",
                        subnet->name, ipv6_format(&plan->deaf6[i], address));
    }
}

void dhcp_warn_of_problems(const struct dhcp_plan *plan, const struct dhcp_plan *old)
{
    tell_problems(plan, old);
    warn_without_ipv6(plan, old);
}

static void warn_unreachable(const struct dhcp_network *network, const struct endpoint *address,
                             const char *section, const struct listen_list *list,
                             uint16_t only_port)
{
    char text[ENDPOINT_TEXT_SIZE];
    const struct endpoint *found = listen_list_find(list, address);
    endpoint_format_address(address, text);
    if (!found)
        log_warning("[subnet %s]: its machines know this server as %s, where nothing of [%s] "
                    "listens: they cannot boot",
                    network->settings.name, text, section);
    else if (only_port && endpoint_port(found) != only_port)
        log_warning("[subnet %s]: [%s] listens on port %u of %s, but firmware asks port %u only: "
                    "its machines cannot boot",
                    network->settings.name, section, endpoint_port(found), text, only_port);
}

/* iPXE compares what stands in the URL. */
static void warn_of_certificate(const struct dhcp_network *network, const struct endpoint *address,
                                const struct listeners *listeners)
{
    char host[MAX(ENDPOINT_TEXT_SIZE, NODE_HTTPS_NAME_MAX + 1)];
    cleanup_certificate struct certificate *certificate =
        certificate_slot_get(listeners->certificates);
    str_copy(host, sizeof(host), listeners->https_name);
    if (!host[0])
        endpoint_format_address(address, host);
    if (!certificate_is_for(certificate, host))
        log_warning("[subnet %s]: its machines know this server as %s, which the certificate of "
                    "[https] (of %s) is not for: they refuse it; have that name or address among "
                    "its alternative ones (subjectAltName), or set `name`",
                    network->settings.name, host, certificate_name(certificate));
}

void dhcp_warn_of_unreachable(const struct dhcp_plan *plan, const struct listeners *listeners)
{
    for (size_t i = 0; i < plan->n_networks; i++) {
        const struct dhcp_network *n = &plan->networks[i];
        struct endpoint address = endpoint_of_ipv4(n->server, 0);
        warn_unreachable(n, &address, "iscsi", &listeners->iscsi, 0);
        warn_unreachable(n, &address, "http", &listeners->http, 0);
        warn_unreachable(n, &address, "tftp", &listeners->tftp, 69);
        if (listeners->certificates) {
            warn_unreachable(n, &address, "https", &listeners->https, 0);
            warn_of_certificate(n, &address, listeners);
        }
        if (!dhcp_network_has_ipv6(n))
            continue;
        address = endpoint_of_ipv6(&n->server6, 0); /* where [http] listens, or it would not be */
        warn_unreachable(n, &address, "tftp", &listeners->tftp, 69);
    }
}
