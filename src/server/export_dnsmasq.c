/*
 * dnsmasq(8): a host has tags, and what is said of an option holds where its tags are set. Which of
 * several that fit counts is not said there, so that each option is tagged to fit alone: the
 * subnet's not where a group or node has its own ("own-26"), and the group's not where a node has.
 */
#include "server/export_internal.h"

#include "dhcp/packet.h"

static void put_address(FILE *out, const char *before, uint32_t address)
{
    char text[IPV4_TEXT_SIZE];
    fprintf(out, "%s%s", before, ipv4_format(address, text));
}

/* --- options --- */

static void put_hex(FILE *out, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        fprintf(out, "%s%02x", i ? ":" : "", data[i]);
}

/* dnsmasq takes bytes for the data of any option but those that are addresses or compressed names
 * to it. One byte alone would be a number. */
static bool is_text_to_dnsmasq(uint8_t code)
{
    const struct dhcp_option_kind *kind = dhcp_option_kind_by_code(code);
    return kind && (kind->type == DHCP_TYPE_ADDRESS || kind->type == DHCP_TYPE_ADDRESSES ||
                    kind->type == DHCP_TYPE_DOMAINS);
}

static void put_setting(FILE *out, const char *tags, const struct dhcp_setting *setting)
{
    char text[DHCP_OPTION_TEXT_SIZE];
    const struct dhcp_option_kind *kind = dhcp_option_kind_by_code(setting->code);
    fprintf(out, "dhcp-option%s=%s%u,", setting->always ? "-force" : "", tags, setting->code);
    if (is_text_to_dnsmasq(setting->code) &&
        dhcp_option_value_format(kind->type, setting->data, setting->size, text))
        fputs(text, out);
    else if (setting->size == 1)
        fprintf(out, "%u", setting->data[0]);
    else
        put_hex(out, setting->data, setting->size);
    fputc('\n', out);
}

static void put_options(FILE *out, const char *tags, const char *unless,
                        const struct dhcp_options *options)
{
    struct dhcp_setting setting;
    for (size_t at = 0; dhcp_options_next(options, &at, &setting);) {
        char all[192];
        snprintf(all, sizeof(all), "%stag:!%s%u,", tags, unless, setting.code);
        put_setting(out, all, &setting);
    }
}

/* --- hosts --- */

static void put_own_tags(FILE *out, const char *prefix, const struct dhcp_options *options)
{
    struct dhcp_setting setting;
    for (size_t at = 0; dhcp_options_next(options, &at, &setting);)
        fprintf(out, "set:%s%u,", prefix, setting.code);
}

/* A name that dnsmasq would take for a lease time, or for a word of its own. */
static bool reads_otherwise(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    const char *rest = name + digits;
    return (digits > 0 && (!*rest || (strchr("smhdw", *rest) && !rest[1]))) ||
           str_eq(name, "infinite") || str_eq(name, "ignore");
}

/* Those cards of it that have the address; 0: none of their own. */
static void put_host(const struct export_job *w, const struct catalog_node *node, uint32_t address)
{
    char mac[MAC_TEXT_SIZE];
    const struct catalog_group *group = catalog_group_by_name(w->catalog, node->group);
    fputs("dhcp-host=", w->out);
    for (size_t i = 0; i < node->n_macs; i++)
        if (catalog_node_address_of(node, node->macs[i]) == address)
            fprintf(w->out, "%s,", mac_format(node->macs[i], mac));
    put_own_tags(w->out, "own-", node->options);
    put_own_tags(w->out, "node-own-", node->options);
    if (group) {
        put_own_tags(w->out, "own-", group->options);
        fprintf(w->out, "set:group-%s,", group->name);
    }
    if (node->options || reads_otherwise(node->name))
        fprintf(w->out, "set:node-%s,", node->name);
    if (address)
        put_address(w->out, "", address);
    if (!reads_otherwise(node->name))
        fprintf(w->out, "%s%s", address ? "," : "", node->name);
    fputc('\n', w->out);
}

static void put_node(const struct export_job *w, const struct catalog_node *node)
{
    char tags[NAME_MAX_LEN + 16];
    put_host(w, node, node->address);
    for (size_t i = 0; i < node->n_paths; i++)
        put_host(w, node, node->paths[i].address);
    snprintf(tags, sizeof(tags), "tag:node-%s,", node->name);
    if (reads_otherwise(node->name))
        fprintf(w->out, "dhcp-option=%s12,%s\n", tags, node->name);
    put_options(w->out, tags, "nothing-", node->options);
}

static void put_nodes(const struct export_job *w)
{
    size_t count;
    const struct catalog_node *nodes = catalog_nodes(w->catalog, &count);
    fputs("\n# nodes\n", w->out);
    for (size_t i = 0; i < count; i++)
        put_node(w, &nodes[i]);
}

static void put_groups(const struct export_job *w)
{
    size_t count;
    const struct catalog_group *groups = catalog_groups(w->catalog, &count);
    for (size_t i = 0; i < count; i++) {
        char tags[NAME_MAX_LEN + 16];
        snprintf(tags, sizeof(tags), "tag:group-%s,", groups[i].name);
        put_options(w->out, tags, "node-own-", groups[i].options);
    }
}

/* --- subnets --- */

static void put_ranges(FILE *out, const struct subnet *s)
{
    char mask[IPV4_TEXT_SIZE];
    ipv4_format(s->mask, mask);
    for (size_t i = 0; i < s->n_ranges; i++) {
        fprintf(out, "dhcp-range=set:%s,", s->name);
        put_address(out, "", s->ranges[i].first);
        put_address(out, ",", s->ranges[i].last);
        fprintf(out, ",%s,%u\n", mask, s->lease_time);
    }
    if (s->n_ranges > 0)
        return;
    fprintf(out, "dhcp-range=set:%s,", s->name); /* nodes with an address of their own */
    put_address(out, "", s->network);
    fprintf(out, ",static,%s,%u\n", mask, s->lease_time);
}

static void put_addresses(FILE *out, const struct subnet *s, unsigned code,
                          const uint32_t *addresses, size_t count)
{
    fprintf(out, "dhcp-option=tag:%s,tag:!own-%u,%u", s->name, code, code);
    for (size_t i = 0; i < count; i++)
        put_address(out, ",", addresses[i]);
    fputc('\n', out); /* without any: none is sent, and not dnsmasq's own address */
}

static void put_subnet_options(FILE *out, const struct subnet *s)
{
    char tags[NAME_MAX_LEN + 16];
    put_addresses(out, s, DHCP_OPTION_ROUTER, s->routers, s->n_routers);
    put_addresses(out, s, DHCP_OPTION_DNS, s->dns, s->n_dns);
    if (s->domain[0])
        fprintf(out, "dhcp-option=tag:%s,tag:!own-15,15,%s\n", s->name, s->domain);
    snprintf(tags, sizeof(tags), "tag:%s,", s->name);
    put_options(out, tags, "own-", &s->options);
}

static void put_loaders(FILE *out, const struct export_network *n)
{
    const struct subnet *s = n->subnet;
    char host[IPV4_TEXT_SIZE], script[EXPORT_URL_SIZE];
    size_t count;
    const struct dhcp_architecture *list = dhcp_architectures(&count);
    ipv4_format(n->server, host);
    export_url(n, EXPORT_SCRIPT, script);
    for (size_t i = 0; i < count; i++) {
        const char *file = s->loaders[list[i].loader];
        if (file[0] && !list[i].http)
            fprintf(out, "dhcp-boot=tag:%s,tag:!ipxe,tag:arch-%u,%s,%s,%s\n", s->name, list[i].code,
                    file, host, host);
    }
    fprintf(out, "dhcp-boot=tag:%s,tag:ipxe,%s,%s,%s\n", s->name, script, host, host);
}

static void put_subnet(FILE *out, const struct export_network *n)
{
    fprintf(out, "\n# [subnet %s]\n", n->subnet->name);
    put_ranges(out, n->subnet);
    put_subnet_options(out, n->subnet);
    if (n->server)
        put_loaders(out, n);
    else
        fprintf(out, "# %s has no address there: nothing boots from this server\n",
                n->subnet->interface);
}

static void put_machines(FILE *out)
{
    size_t count;
    const struct dhcp_architecture *list = dhcp_architectures(&count);
    fputs("\n# iPXE says so, in one way or another; it gets its script, and waits for no proxy\n"
          "dhcp-userclass=set:ipxe,iPXE\n"
          "dhcp-match=set:ipxe,175\n"
          "dhcp-option=tag:ipxe,encap:175,176,1b\n",
          out);
    for (size_t i = 0; i < count; i++)
        if (!list[i].http)
            fprintf(out, "dhcp-match=set:arch-%u,option:client-arch,%u\n", list[i].code,
                    list[i].code);
}

int export_dnsmasq(const struct export_job *w)
{
    fputs(
        "# For dnsmasq, from nodisk export dhcp. Say on which interfaces it serves (interface=).\n"
        "dhcp-authoritative\n",
        w->out);
    put_machines(w->out);
    for (size_t i = 0; i < w->n_networks; i++)
        put_subnet(w->out, &w->networks[i]);
    put_nodes(w);
    put_groups(w);
    return 0;
}
