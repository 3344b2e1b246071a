/*
 * What a message says about duplicates: its place, its host name (RFC 2132 3.14) and its machine's
 * UUID (RFC 4578 2.3). Nothing of it changes the answer.
 */
#include "core/facts.h"
#include "core/names.h"
#include "dhcp/server_internal.h"

/* --- places --- */

static struct dhcp_place place_of(const struct exchange *x)
{
    const struct dhcp_relay *relay = &x->relay;
    struct dhcp_place place = {.relay = x->request->giaddr};
    if (place.relay)
        (void)dhcp_relay_address(x->request, DHCP_RELAY_LINK_SELECTION, &place.relay);
    else
        place.link = x->arrival->link;
    if (*relay->circuit_id || *relay->remote_id) {
        place.port = dhcp_place_hash(relay->circuit_id, relay->remote_id);
        str_copy(place.port_text, sizeof(place.port_text),
                 *relay->circuit_id ? relay->circuit_id : relay->remote_id);
    }
    return place;
}

static void look_at_place(const struct exchange *x)
{
    const struct dhcp_message *request = x->request;
    struct dhcp_place other, place = place_of(x);
    bool broadcasts = request->type == DHCP_DISCOVER || request->type == DHCP_REQUEST;
    /* A renewal goes past the relay: it says nothing of a place. */
    if (!broadcasts || (x->arrival->unicast && !request->giaddr))
        return;
    if (dhcp_doubles_see(x->server->doubles, request->mac, request->xid, &place, x->now->monotonic,
                         &other))
        exchange_report_duplicate(x, &(struct dhcp_oddity){.kind = DHCP_ODD_SAME_MAC,
                                                           .place = &place,
                                                           .other_place = &other});
}

/* --- names --- */

/* The first label, in lower case. False: it is no host name. */
static bool read_host_name(const struct dhcp_option *option, char name[static NAME_MAX_LEN + 1])
{
    size_t n = 0;
    for (; n < option->size && n < NAME_MAX_LEN + 1 && option->data[n] && option->data[n] != '.';
         n++) {
        uint8_t c = option->data[n];
        if (n == NAME_MAX_LEN)
            return false;
        name[n] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    name[n] = '\0';
    return name_is_host(name);
}

static bool has_mac(const struct dhcp_node *node, struct mac_address mac)
{
    for (size_t i = 0; i < node->n_macs; i++)
        if (mac_eq(node->macs[i], mac))
            return true;
    return false;
}

static bool has_lease(const struct exchange *x, struct mac_address mac)
{
    for (size_t i = 0; i < x->server->n_networks; i++) {
        const struct lease *lease = lease_by_mac(x->server->networks[i].leases, mac);
        if (lease && lease->state == LEASE_BOUND && lease_is_live(lease, x->now->monotonic))
            return true;
    }
    return false;
}

/* Of two machines that are no nodes. */
static void look_at_namesake(const struct exchange *x, const char *name)
{
    const struct dhcp_policy *policy = &x->server->policy;
    struct mac_address other;
    struct dhcp_node node;
    if (!x->known && x->request->type == DHCP_REQUEST &&
        dhcp_doubles_see_name(x->server->doubles, x->request->mac, name, x->now->monotonic,
                              &other) &&
        !policy->node_by_mac(policy->context, other, &node) && has_lease(x, other))
        exchange_report_duplicate(
            x,
            &(struct dhcp_oddity){.kind = DHCP_ODD_NAMESAKE, .holder = other, .host_name = name});
}

static void look_at_name(const struct exchange *x)
{
    const struct dhcp_policy *policy = &x->server->policy;
    const struct dhcp_option *option = dhcp_message_option(x->request, DHCP_OPTION_HOST_NAME);
    char name[NAME_MAX_LEN + 1];
    struct dhcp_node owner;
    if (!option || !policy->node_by_name || !read_host_name(option, name))
        return;
    if (!policy->node_by_name(policy->context, name, &owner))
        look_at_namesake(x, name);
    else if (!has_mac(&owner, x->request->mac))
        exchange_report_duplicate(
            x, &(struct dhcp_oddity){.kind = DHCP_ODD_SAME_NAME, .other_node = owner.name});
}

/* --- UUIDs --- */

/* As SMBIOS has it (DSP0134 7.2.1): the first three fields are little-endian. */
static void format_uuid(const uint8_t *u, char text[static FACTS_UUID_SIZE])
{
    snprintf(text, FACTS_UUID_SIZE,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[3], u[2],
             u[1], u[0], u[5], u[4], u[7], u[6], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
             u[15]);
}

/* May two MACs have it? Those of one node, of course; and one of a node and one of none. */
static bool is_odd(const struct exchange *x, struct mac_address other, struct dhcp_node *ret_node)
{
    const struct dhcp_policy *policy = &x->server->policy;
    bool known = policy->node_by_mac(policy->context, other, ret_node);
    return known == x->known && !(known && str_eq(ret_node->name, x->node.name));
}

/* Of machines that are no nodes it matters where they may become some. */
static void look_at_uuid(const struct exchange *x)
{
    const struct dhcp_option *option = dhcp_message_option(x->request, DHCP_OPTION_UUID);
    bool waits = x->network->config.settings.unknown == SUBNET_REGISTER;
    char text[FACTS_UUID_SIZE];
    struct mac_address other;
    struct dhcp_node node;
    if (!(x->known || waits) || !option || option->size != 1 + DHCP_UUID_SIZE ||
        option->data[0] != 0)
        return;
    format_uuid(option->data + 1, text);
    if (facts_uuid_is_unique(text) &&
        dhcp_doubles_see_uuid(x->server->doubles, x->request->mac, option->data + 1,
                              x->now->monotonic, &other) &&
        is_odd(x, other, &node))
        exchange_report_duplicate(x,
                                  &(struct dhcp_oddity){.kind = DHCP_ODD_SAME_UUID,
                                                        .holder = other,
                                                        .other_node = x->known ? node.name : NULL,
                                                        .uuid = text});
}

void duplicates_look(const struct exchange *x)
{
    look_at_place(x);
    look_at_name(x);
    look_at_uuid(x);
}
