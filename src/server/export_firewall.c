/*
 * One chain says who belongs to us, and drops all others; the base chain sends there what comes to
 * a port of ours, and accepts the rest. TFTP answers from ports that the system chooses, where it
 * knows the other side already: only its first port is looked at.
 */
#include "server/export_firewall.h"

#include <errno.h>
#include <stdio.h>

static void put_machines(FILE *out, const struct subnet *subnets, size_t count)
{
    char text[IPV4_TEXT_SIZE], text6[NETWORK6_TEXT_SIZE];
    fputs("\tchain ours {\n", out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out,
                "\t\tiifname \"%s\" ip saddr %s/%d accept comment \"subnet %s\"\n"
                "\t\tiifname \"%s\" ip6 saddr fe80::/10 accept\n",
                subnets[i].interface, ipv4_format(subnets[i].network, text),
                __builtin_popcount(subnets[i].mask), subnets[i].name, subnets[i].interface);
        if (subnets[i].network6.bits)
            fprintf(out, "\t\tiifname \"%s\" ip6 saddr %s accept\n", subnets[i].interface,
                    network6_format(&subnets[i].network6, text6));
    }
    fputs("\t\tcounter drop\n\t}\n\n", out);
}

static void put_dhcp(FILE *out, const struct subnet *subnets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (subnets[i].mode == SUBNET_OFF)
            continue;
        fprintf(out, "\t\tiifname \"%s\" udp dport 67 jump dhcp\n", subnets[i].interface);
        if (subnets[i].mode == SUBNET_PROXY)
            fprintf(out, "\t\tiifname \"%s\" udp dport 4011 jump ours\n", subnets[i].interface);
        if (subnets[i].network6.bits)
            fprintf(out, "\t\tiifname \"%s\" udp dport 547 jump ours\n", subnets[i].interface);
    }
}

static void put_source(FILE *out, const struct source *source, const char *volume)
{
    char text[SOURCE_TEXT_SIZE];
    fprintf(out, "\t\t%s saddr %s accept comment \"volume %s\"\n",
            source_is_ipv4(source) ? "ip" : "ip6", source_format(source, text), volume);
}

/* Does this node log in to it, or have it as a further disk? */
static bool uses(const struct catalog *catalog, const struct catalog_node *node,
                 const struct catalog_volume *volume)
{
    char initiator[IQN_MAX_LEN + NAME_MAX_LEN + 2];
    snprintf(initiator, sizeof(initiator), "%s:%s", catalog_base_iqn(catalog), node->name);
    for (size_t i = 0; i < node->n_attachments; i++)
        if (node->attachments[i].volume_id == volume->id)
            return true;
    return catalog_may_access(catalog, initiator, volume);
}

static void put_address(FILE *out, uint32_t address, const char *volume)
{
    char text[IPV4_TEXT_SIZE];
    if (address)
        fprintf(out, "\t\tip saddr %s accept comment \"volume %s\"\n", ipv4_format(address, text),
                volume);
}

static void put_nodes(FILE *out, const struct catalog *catalog, const struct catalog_volume *volume)
{
    size_t n;
    const struct catalog_node *nodes = catalog_nodes(catalog, &n);
    for (size_t i = 0; i < n; i++) {
        if (!uses(catalog, &nodes[i], volume))
            continue;
        put_address(out, nodes[i].address, volume->name);
        for (size_t k = 0; k < nodes[i].n_paths; k++)
            put_address(out, nodes[i].paths[k].address, volume->name);
    }
}

/* From anywhere in our subnets, as long as a volume may be used from there. */
static void put_iscsi(FILE *out, const struct catalog *catalog)
{
    size_t n;
    const struct catalog_volume *volumes = catalog_volumes(catalog, &n);
    bool bound = false, unbound = false;
    fputs("\tchain iscsi {\n", out);
    for (size_t i = 0; i < n; i++) {
        const struct catalog_volume *v = &volumes[i];
        unbound |= !v->elsewhere && v->n_sources == 0;
        bound |= v->n_sources > 0;
        for (size_t k = 0; k < v->n_sources; k++)
            if (v->sources[k].node)
                put_nodes(out, catalog, v);
            else
                put_source(out, &v->sources[k], v->name);
    }
    fprintf(out, "\t\t%s\n\t}\n\n", unbound || !bound ? "jump ours" : "counter drop");
}

/* Its interface is no part of an address there. */
static const char *format_destination(const struct endpoint *e,
                                      char text[static ENDPOINT_TEXT_SIZE])
{
    endpoint_format_address(e, text);
    text[strcspn(text, "%")] = '\0';
    return text;
}

static void put_service(FILE *out, const char *name, const char *protocol, const char *chain,
                        const struct listen_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct endpoint *e = &list->endpoints[i];
        char text[ENDPOINT_TEXT_SIZE];
        uint32_t ignored;
        if (endpoint_is_loopback(e))
            continue;
        fputs("\t\t", out);
        if (!endpoint_is_any(e))
            fprintf(out, "%s daddr %s ", endpoint_ipv4(e, &ignored) ? "ip" : "ip6",
                    format_destination(e, text));
        fprintf(out, "%s dport %u jump %s comment \"%s\"\n", protocol, endpoint_port(e), chain,
                name);
    }
}

static void put_table(FILE *out, const struct subnet *subnets, size_t count,
                      const struct listeners *listeners, const struct catalog *catalog)
{
    fputs("# From nodisk export firewall, for nft -f. What is not for nodisk is accepted here.\n"
          "# A DHCP relay must speak from an address in a configured subnet.\n"
          "# Print it anew when a volume is bound to other addresses (--allow-from), or a node of\n"
          "# such a volume gets another one.\n"
          "table inet nodisk\n"
          "delete table inet nodisk\n"
          "table inet nodisk {\n",
          out);
    put_machines(out, subnets, count);
    put_iscsi(out, catalog);
    fputs("\tchain dhcp {\n\t\tip saddr 0.0.0.0 accept\n\t\tjump ours\n\t}\n\n"
          "\tchain input {\n"
          "\t\ttype filter hook input priority filter; policy accept;\n"
          "\t\tiifname \"lo\" accept\n",
          out);
    put_dhcp(out, subnets, count);
    put_service(out, "TFTP", "udp", "ours", &listeners->tftp);
    put_service(out, "HTTP", "tcp", "ours", &listeners->http);
    put_service(out, "HTTPS", "tcp", "ours", &listeners->https);
    put_service(out, "iSCSI", "tcp", "iscsi", &listeners->iscsi);
    fputs("\t}\n}\n", out);
}

int export_firewall(const struct subnet *subnets, size_t n_subnets,
                    const struct listeners *listeners, const struct catalog *catalog,
                    char **ret_text, struct error *ret_error)
{
    char *text = NULL;
    size_t size = 0;
    if (n_subnets == 0)
        return error_set(ret_error, -EINVAL,
                         "no subnet is configured, so that nobody would be let in");
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return error_set(ret_error, -ENOMEM, "out of memory");
    put_table(out, subnets, n_subnets, listeners, catalog);
    if (fclose(out) != 0) {
        free(text);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    *ret_text = text;
    return 0;
}
