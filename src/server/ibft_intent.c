/*
 * From the catalog and the subnets, as DHCP and the boot script tell it to iPXE. What does not
 * depend on us is not told: the portal of a disk elsewhere whose host has a name, the gateway where
 * another server gives out the addresses.
 */
#include "server/ibft_intent.h"

#include "core/wire.h"
#include "dhcp/packet.h"
#include "registry/plan.h"

#include <errno.h>

#define DNS_SHOWN 2 /* an iBFT has no place for more */

struct intent {
    const struct ibft_site *site;
    const struct catalog_node *node;
    const struct catalog_group *group; /* or NULL */
    const struct subnet *subnet;       /* that the address is in, or NULL */
    struct mac_address mac;
    uint32_t address; /* 0: not known */
    json_t *json;
};

static void set(struct intent *in, const char *key, json_t *value)
{
    json_object_set_new(in->json, key, value);
}

static json_t *address_to_json(uint32_t address)
{
    char text[IPV4_TEXT_SIZE];
    return address ? json_string(ipv4_format(address, text)) : json_string("");
}

/* --- network --- */

static bool find_setting(const struct intent *in, uint8_t code, struct dhcp_setting *ret_setting)
{
    return dhcp_options_find(in->node->options, code, ret_setting) ||
           (in->group && dhcp_options_find(in->group->options, code, ret_setting));
}

/* The node's, else its group's, else the subnet's. */
static size_t addresses_of(const struct intent *in, uint8_t code, const uint32_t *of_subnet,
                           size_t n_of_subnet, uint32_t list[static DNS_SHOWN])
{
    struct dhcp_setting setting;
    size_t count = MIN(n_of_subnet, DNS_SHOWN);
    if (!find_setting(in, code, &setting)) {
        memcpy(list, of_subnet, count * sizeof(*list));
        return count;
    }
    struct wire_reader r = wire_reader_of(setting.data, setting.size);
    for (count = 0; count < DNS_SHOWN && wire_reader_left(&r) >= 4; count++)
        list[count] = wire_get_be32(&r);
    return count;
}

static void put_network(struct intent *in)
{
    const struct subnet *s = in->subnet;
    uint32_t list[DNS_SHOWN];
    size_t count = addresses_of(in, DHCP_OPTION_ROUTER, s->routers, s->n_routers, list);
    set(in, "prefix", json_integer(__builtin_popcount(s->mask)));
    if (in->node->n_paths == 0) /* else only the card has one through which the machine starts */
        set(in, "gateway", address_to_json(count ? list[0] : 0));
    json_t *dns = json_array();
    count = addresses_of(in, DHCP_OPTION_DNS, s->dns, s->n_dns, list);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(dns, address_to_json(list[i]));
    set(in, "dns", dns);
}

/* --- disk --- */

static void put_chap(struct intent *in, const struct chap_credentials *chap)
{
    enum chap_mode mode = chap ? chap->mode : CHAP_NONE;
    set(in, "chap", json_string(chap_mode_name(mode)));
    set(in, "chap_name", json_string(mode != CHAP_NONE ? chap->initiator.user : ""));
    set(in, "chap_target_name", json_string(mode == CHAP_MUTUAL ? chap->target.user : ""));
}

static bool find_redirect(const struct intent *in, const char *volume, struct endpoint *ret_portal)
{
    const struct redirect_list *list = in->site->redirects;
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(list->entries[i].volume, volume)) {
            *ret_portal = list->entries[i].portal;
            return true;
        }
    return false;
}

static void put_portal(struct intent *in, const struct endpoint *portal)
{
    char text[ENDPOINT_TEXT_SIZE];
    set(in, "portal", json_string(endpoint_format_address(portal, text)));
    set(in, "port", json_integer(endpoint_port(portal)));
}

static void put_here(struct intent *in, const struct catalog_volume *volume)
{
    struct endpoint portal;
    uint32_t mask;
    set(in, "target", json_sprintf("%s:%s", catalog_base_iqn(in->site->catalog), volume->name));
    set(in, "lun", json_integer(0));
    if (find_redirect(in, volume->name, &portal) ||
        (in->address && in->site->network(in->site->context, in->address, &mask, &portal)))
        put_portal(in, &portal);
}

static void put_elsewhere(struct intent *in, const struct iscsi_uri *uri)
{
    uint32_t address;
    set(in, "target", json_string(uri->target));
    set(in, "lun", json_integer(uri->lun));
    set(in, "port", json_integer(uri->port));
    if (ipv4_parse(uri->host, &address) >= 0)
        set(in, "portal", json_string(uri->host));
}

static void put_disk(struct intent *in)
{
    cleanup_policy struct policy *policy = policy_slot_get(in->site->policy);
    const struct plan_moment moment = {.now = clock_wall_usec(), .policy = policy};
    const struct plan plan = plan_for_mac(in->site->catalog, in->mac, &moment);
    const struct catalog_volume *volume = plan.volume;
    if (!volume)
        return;
    if (volume->elsewhere)
        put_elsewhere(in, volume->elsewhere);
    else
        put_here(in, volume);
    put_chap(in, plan_chap(&plan));
}

/* --- all of it --- */

static void put_card(struct intent *in)
{
    char text[MAC_TEXT_SIZE];
    json_t *macs = json_array();
    for (size_t i = 0; i < in->node->n_macs; i++)
        json_array_append_new(macs, json_string(mac_format(in->node->macs[i], text)));
    set(in, "macs", macs);
    set(in, "card", json_string(mac_format(in->mac, text)));
}

static void put_node(struct intent *in)
{
    const struct ibft_site *site = in->site;
    struct boot_ways ways = boot_ways_of(&in->node->ways, site->ways);
    set(in, "node", json_string(in->node->name));
    put_card(in);
    if (in->address)
        set(in, "address", address_to_json(in->address));
    if (in->subnet && in->subnet->mode == SUBNET_SERVER)
        put_network(in);
    set(in, "host_name", json_string(in->node->name));
    set(in, "initiator", json_sprintf("%s:%s", catalog_base_iqn(site->catalog), in->node->name));
    set(in, "origin", json_string(ibft_origin_name(ways.ibft_origin)));
    put_disk(in);
}

static const struct subnet *subnet_of(const struct ibft_site *site, uint32_t address)
{
    for (size_t i = 0; address && i < site->n_subnets; i++)
        if ((address & site->subnets[i].mask) == site->subnets[i].network)
            return &site->subnets[i];
    return NULL;
}

static const struct catalog_node *find_node(const struct catalog *catalog, const char *what)
{
    struct mac_address mac;
    const struct catalog_node *node = catalog_node_by_name(catalog, what);
    if (!node && mac_parse(what, &mac) >= 0)
        node = catalog_node_by_mac(catalog, mac);
    return node;
}

static bool has_mac(const struct catalog_node *node, struct mac_address mac)
{
    for (size_t i = 0; i < node->n_macs; i++)
        if (mac_eq(node->macs[i], mac))
            return true;
    return false;
}

/* One that is the node's; `what` may be one itself. */
static struct mac_address card_of(const struct catalog_node *node, const char *what,
                                  const struct mac_address *mac)
{
    struct mac_address own;
    if (mac && has_mac(node, *mac))
        return *mac;
    return mac_parse(what, &own) >= 0 && has_mac(node, own) ? own : node->macs[0];
}

int ibft_intent(const struct ibft_site *site, const char *what, const struct mac_address *mac,
                json_t **ret_json, struct error *ret_error)
{
    const struct catalog_node *node = find_node(site->catalog, what);
    if (!node)
        return error_set(ret_error, -ENOENT, "there is no node '%.64s'; see: nodisk node list",
                         what);
    struct intent in = {.site = site, .node = node, .json = json_object()};
    if (!in.json)
        return error_set(ret_error, -ENOMEM, "out of memory");
    in.group = catalog_group_by_name(site->catalog, node->group);
    in.mac = card_of(node, what, mac);
    in.address = catalog_node_address_of(node, in.mac);
    if (!in.address)
        in.address = site->leased(site->context, in.mac);
    in.subnet = subnet_of(site, in.address);
    put_node(&in);
    *ret_json = in.json;
    return 0;
}
