/*
 * dhcpd(8) of ISC: a host's option comes before that of a subnet. Each option that is set is
 * declared anew as a string of bytes, so that its data need no translation.
 */
#include "server/export_internal.h"

#include "dhcp/packet.h"

/* --- options --- */

/* What of options somewhere is used, and what must be sent unasked. */
struct codes {
    bool used[256], always[256];
};

static void note(struct codes *codes, const struct dhcp_options *options)
{
    struct dhcp_setting setting;
    for (size_t at = 0; dhcp_options_next(options, &at, &setting);) {
        codes->used[setting.code] = true;
        codes->always[setting.code] |= setting.always;
    }
}

static void note_all(const struct export_job *job, struct codes *codes)
{
    size_t count;
    const struct catalog_group *groups = catalog_groups(job->catalog, &count);
    for (size_t i = 0; i < count; i++)
        note(codes, groups[i].options);
    const struct catalog_node *nodes = catalog_nodes(job->catalog, &count);
    for (size_t i = 0; i < count; i++)
        note(codes, nodes[i].options);
    for (size_t i = 0; i < job->n_networks; i++)
        note(codes, &job->networks[i].subnet->options);
}

static void put_declarations(FILE *out, const struct codes *codes)
{
    for (unsigned code = 1; code < 255; code++)
        if (codes->used[code])
            fprintf(out, "option nodisk-%u code %u = string;\n", code, code);
    for (unsigned code = 1; code < 255; code++)
        if (codes->always[code])
            fprintf(out,
                    "option dhcp-parameter-request-list = concat(option "
                    "dhcp-parameter-request-list, %02x);\n",
                    code);
}

static void put_options(FILE *out, const char *indent, const struct dhcp_options *options)
{
    struct dhcp_setting setting;
    for (size_t at = 0; dhcp_options_next(options, &at, &setting);) {
        fprintf(out, "%soption nodisk-%u ", indent, setting.code);
        if (setting.size == 0)
            fputs("\"\"", out);
        for (size_t i = 0; i < setting.size; i++)
            fprintf(out, "%s%02x", i ? ":" : "", setting.data[i]);
        fputs(";\n", out);
    }
}

/* --- subnets --- */

static void put_addresses(FILE *out, const struct subnet *s, uint8_t code, const char *name,
                          const uint32_t *addresses, size_t count)
{
    char text[IPV4_TEXT_SIZE];
    struct dhcp_setting own;
    if (count == 0 || dhcp_options_find(&s->options, code, &own))
        return;
    fprintf(out, "  option %s", name);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s %s", i ? "," : "", ipv4_format(addresses[i], text));
    fputs(";\n", out);
}

static void put_subnet_options(FILE *out, const struct subnet *s)
{
    struct dhcp_setting own;
    put_addresses(out, s, DHCP_OPTION_ROUTER, "routers", s->routers, s->n_routers);
    put_addresses(out, s, DHCP_OPTION_DNS, "domain-name-servers", s->dns, s->n_dns);
    if (s->domain[0] && !dhcp_options_find(&s->options, DHCP_OPTION_DOMAIN, &own))
        fprintf(out, "  option domain-name \"%s\";\n", s->domain);
    put_options(out, "  ", &s->options);
}

/* Firmware that boots by HTTP wants its own class back (UEFI 2.10, 24.7). */
static void put_loader(FILE *out, const struct export_network *n,
                       const struct dhcp_architecture *architecture)
{
    char path[LOADER_MAX_LEN + 16], url[EXPORT_URL_SIZE];
    const char *file = n->subnet->loaders[architecture->loader];
    fprintf(out, "elsif substring(option nodisk-architecture, 0, 2) = %02x:%02x",
            architecture->code >> 8, architecture->code & 0xff);
    if (!architecture->http) {
        fprintf(out, " {\n    filename \"%s\";\n  } ", file);
        return;
    }
    snprintf(path, sizeof(path), "loaders/%s", file);
    fprintf(out,
            " and substring(option vendor-class-identifier, 0, 10) = \"HTTPClient\" {\n"
            "    option vendor-class-identifier \"HTTPClient\";\n    filename \"%s\";\n  } ",
            export_url(n, path, url));
}

/* iPXE first: it says an architecture, too, and would get the loader again for ever. It waits for
 * no proxy: suboption 176 of its option. */
static void put_boot(FILE *out, const struct export_network *n)
{
    char text[IPV4_TEXT_SIZE], url[EXPORT_URL_SIZE];
    size_t count;
    const struct dhcp_architecture *list = dhcp_architectures(&count);
    fprintf(out, "  next-server %s;\n", ipv4_format(n->server, text));
    fprintf(out,
            "  if substring(option user-class, 0, 4) = \"iPXE\"\n"
            "      or substring(option user-class, 1, 4) = \"iPXE\" or exists nodisk-ipxe {\n"
            "    option nodisk-ipxe b0:01:01;\n    filename \"%s\";\n  } ",
            export_url(n, EXPORT_SCRIPT, url));
    for (size_t i = 0; i < count; i++)
        if (n->subnet->loaders[list[i].loader][0])
            put_loader(out, n, &list[i]);
    fputc('\n', out);
}

static void put_subnet(FILE *out, const struct export_network *n)
{
    const struct subnet *s = n->subnet;
    char first[IPV4_TEXT_SIZE], last[IPV4_TEXT_SIZE];
    fprintf(out, "\n# [subnet %s]\nsubnet %s netmask %s {\n", s->name,
            ipv4_format(s->network, first), ipv4_format(s->mask, last));
    fprintf(out, "  default-lease-time %u;\n  max-lease-time %u;\n", s->lease_time, s->lease_time);
    for (size_t i = 0; i < s->n_ranges; i++)
        fprintf(out, "  range %s %s;\n", ipv4_format(s->ranges[i].first, first),
                ipv4_format(s->ranges[i].last, last));
    put_subnet_options(out, s);
    if (n->server)
        put_boot(out, n);
    else
        fprintf(out, "  # %s has no address there: nothing boots from this server\n", s->interface);
    fputs("}\n", out);
}

/* --- hosts --- */

/* Each MAC is a host of its own to dhcpd, and must be called something else. */
static void put_node(const struct export_job *job, const struct catalog_node *node)
{
    char mac[MAC_TEXT_SIZE], address[IPV4_TEXT_SIZE];
    struct dhcp_options options;
    export_node_options(job->catalog, node, &options);
    for (size_t i = 0; i < node->n_macs; i++) {
        const uint8_t *b = node->macs[i].bytes;
        fprintf(job->out,
                "host mac-%02x%02x%02x%02x%02x%02x {\n  hardware ethernet %s;\n"
                "  option host-name \"%s\";\n",
                b[0], b[1], b[2], b[3], b[4], b[5], mac_format(node->macs[i], mac), node->name);
        uint32_t own = catalog_node_address_of(node, node->macs[i]);
        if (own)
            fprintf(job->out, "  fixed-address %s;\n", ipv4_format(own, address));
        put_options(job->out, "  ", &options);
        fputs("}\n", job->out);
    }
}

int export_isc(const struct export_job *job)
{
    size_t count;
    struct codes codes = {0};
    note_all(job, &codes);
    fputs("# For ISC's dhcpd, from nodisk export dhcp.\n"
          "authoritative;\n"
          "ddns-update-style none;\n"
          "ignore-client-uids true;\n"
          "option nodisk-architecture code 93 = string;\n"
          "option nodisk-ipxe code 175 = string;\n",
          job->out);
    put_declarations(job->out, &codes);
    for (size_t i = 0; i < job->n_networks; i++)
        put_subnet(job->out, &job->networks[i]);
    fputs("\n# nodes\n", job->out);
    const struct catalog_node *nodes = catalog_nodes(job->catalog, &count);
    for (size_t i = 0; i < count; i++)
        put_node(job, &nodes[i]);
    return 0;
}
