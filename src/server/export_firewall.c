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
    char text[IPV4_TEXT_SIZE];
    fputs("\tchain ours {\n", out);
    for (size_t i = 0; i < count; i++)
        fprintf(out,
                "\t\tiifname \"%s\" ip saddr %s/%d accept comment \"subnet %s\"\n"
                "\t\tiifname \"%s\" ip6 saddr fe80::/10 accept\n",
                subnets[i].interface, ipv4_format(subnets[i].network, text),
                __builtin_popcount(subnets[i].mask), subnets[i].name, subnets[i].interface);
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
    }
}

static void put_service(FILE *out, const char *name, const char *protocol,
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
                    endpoint_format_address(e, text));
        fprintf(out, "%s dport %u jump ours comment \"%s\"\n", protocol, endpoint_port(e), name);
    }
}

static void put_table(FILE *out, const struct subnet *subnets, size_t count,
                      const struct listeners *listeners)
{
    fputs("# From nodisk export firewall, for nft -f. What is not for nodisk is accepted here.\n"
          "# A DHCP relay must speak from an address in a configured subnet.\n"
          "table inet nodisk\n"
          "delete table inet nodisk\n"
          "table inet nodisk {\n",
          out);
    put_machines(out, subnets, count);
    fputs("\tchain dhcp {\n\t\tip saddr 0.0.0.0 accept\n\t\tjump ours\n\t}\n\n"
          "\tchain input {\n"
          "\t\ttype filter hook input priority filter; policy accept;\n"
          "\t\tiifname \"lo\" accept\n",
          out);
    put_dhcp(out, subnets, count);
    put_service(out, "TFTP", "udp", &listeners->tftp);
    put_service(out, "HTTP", "tcp", &listeners->http);
    put_service(out, "iSCSI", "tcp", &listeners->iscsi);
    fputs("\t}\n}\n", out);
}

int export_firewall(const struct subnet *subnets, size_t n_subnets,
                    const struct listeners *listeners, char **ret_text, struct error *ret_error)
{
    char *text = NULL;
    size_t size = 0;
    if (n_subnets == 0)
        return error_set(ret_error, -EINVAL,
                         "no subnet is configured, so that nobody would be let in");
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return error_set(ret_error, -ENOMEM, "out of memory");
    put_table(out, subnets, n_subnets, listeners);
    if (fclose(out) != 0) {
        free(text);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    *ret_text = text;
    return 0;
}
