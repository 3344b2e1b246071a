/*
 * The DHCP server of systemd-networkd (systemd.network(5), [DHCPServer]; here that of 252 to 257).
 * It has one pool, one set of options and one boot file for an interface, so that much cannot be
 * said, and is said in comments. It cannot tell iPXE from a ROM: what keeps a BIOS machine's loader
 * from being given itself for ever is the scriptlet in option 175, as in dhcp/boot_options.c.
 */
#include "server/export_internal.h"

#include "dhcp/packet.h"

#define IPXE_SCRIPTLET  81
#define IPXE_NO_PXEDHCP 176

/* --- options --- */

/* All that could mean something to its parser in hexadecimal. */
static void put_string(FILE *out, uint8_t code, const uint8_t *data, size_t size)
{
    fprintf(out, "SendOption=%u:string:", code);
    for (size_t i = 0; i < size; i++) {
        bool plain = data[i] > ' ' && data[i] < 0x7f && !strchr("\\\"'%#;", data[i]);
        fprintf(out, plain ? "%c" : "\\x%02x", data[i]);
    }
    fputc('\n', out);
}

static void put_text(FILE *out, uint8_t code, const char *text)
{
    put_string(out, code, (const uint8_t *)text, strlen(text));
}

/* Without any: none is sent, and not one that networkd finds by itself. */
static void put_addresses(FILE *out, const struct subnet *s, uint8_t code, const char *key,
                          const uint32_t *addresses, size_t count)
{
    char text[IPV4_TEXT_SIZE];
    struct dhcp_setting own;
    bool emit = count > 0 && !dhcp_options_find(&s->options, code, &own);
    fprintf(out, "Emit%s=%s\n", key, emit ? "yes" : "no");
    for (size_t i = 0; emit && i < count; i++)
        fprintf(out, "%s=%s\n", key, ipv4_format(addresses[i], text));
}

static void put_options(FILE *out, const struct subnet *s)
{
    struct dhcp_setting setting;
    put_addresses(out, s, DHCP_OPTION_ROUTER, "Router", s->routers, MIN(s->n_routers, 1U));
    put_addresses(out, s, DHCP_OPTION_DNS, "DNS", s->dns, s->n_dns);
    fputs("EmitNTP=no\nEmitSIP=no\nEmitTimezone=no\nUplinkInterface=:none\n", out);
    if (s->n_routers > 1)
        fputs("# Of several routers, only the first can be told.\n", out);
    if (s->domain[0] && !dhcp_options_find(&s->options, DHCP_OPTION_DOMAIN, &setting))
        put_text(out, DHCP_OPTION_DOMAIN, s->domain);
    for (size_t at = 0; dhcp_options_next(&s->options, &at, &setting);)
        put_string(out, setting.code, setting.data, setting.size);
}

/* --- boot --- */

static void put_scriptlet(FILE *out, const struct export_network *n)
{
    char url[EXPORT_URL_SIZE], text[EXPORT_URL_SIZE + 64];
    uint8_t option[sizeof(text) + 8] = {IPXE_NO_PXEDHCP, 1, 1, IPXE_SCRIPTLET};
    int used = snprintf(text, sizeof(text), "ifopen net0 && chain %s || autoboot",
                        export_url(n, "boot.ipxe?mac=${net0/mac:hexhyp}", url));
    option[4] = (uint8_t)used;
    memcpy(option + 5, text, (size_t)used);
    put_string(out, DHCP_OPTION_IPXE, option, 5 + (size_t)used);
}

static void put_boot(FILE *out, const struct export_network *n)
{
    char address[IPV4_TEXT_SIZE];
    const char *bios = n->subnet->loaders[LOADER_BIOS];
    const char *uefi = n->subnet->loaders[LOADER_UEFI_X64];
    fputs(
        "# One boot file for all: this one is for BIOS machines, whose loader finds in option 175\n"
        "# what to do then. A machine with UEFI needs another file, and a loader with the script\n"
        "# in it (nodisk loaders script), or it is given the loader again for ever. For both at\n"
        "# once: nodisk with mode = proxy on another server, beside this one without a boot "
        "file.\n",
        out);
    if (uefi[0])
        fprintf(out, "#BootFilename=%s\n", uefi);
    if (!bios[0])
        return;
    fprintf(out, "BootServerAddress=%s\nBootFilename=%s\n", ipv4_format(n->server, address), bios);
    put_scriptlet(out, n);
}

/* --- addresses --- */

/* Without a pool: of one address, the server's own, which it gives to nobody. */
static void put_pool(FILE *out, const struct export_network *n)
{
    const struct subnet *s = n->subnet;
    char first[IPV4_TEXT_SIZE], last[IPV4_TEXT_SIZE];
    uint32_t begin = s->n_ranges ? s->ranges[0].first : n->server;
    uint32_t end = s->n_ranges ? s->ranges[0].last : n->server;
    fprintf(out, "PoolOffset=%u\nPoolSize=%u\n", begin - s->network, end - begin + 1);
    for (size_t i = 1; i < s->n_ranges; i++)
        fprintf(out, "# There can be one pool only; left out: %s-%s\n",
                ipv4_format(s->ranges[i].first, first), ipv4_format(s->ranges[i].last, last));
    fprintf(out, "DefaultLeaseTimeSec=%u\nMaxLeaseTimeSec=%u\n", s->lease_time, s->lease_time);
}

/* Has a MAC before this one the same address? There it is refused the second time. */
static bool is_given(const struct catalog_node *node, size_t mac, uint32_t address)
{
    for (size_t i = 0; i < mac; i++)
        if (catalog_node_address_of(node, node->macs[i]) == address)
            return true;
    return false;
}

static void put_node(const struct export_job *job, const struct subnet *s,
                     const struct catalog_node *node)
{
    char mac[MAC_TEXT_SIZE], text[IPV4_TEXT_SIZE];
    struct dhcp_options options;
    for (size_t i = 0; i < node->n_macs; i++) {
        uint32_t address = catalog_node_address_of(node, node->macs[i]);
        if (!address || (address & s->mask) != s->network)
            continue;
        mac_format(node->macs[i], mac);
        ipv4_format(address, text);
        if (is_given(node, i, address))
            fprintf(job->out, "\n# %s: %s has %s already; %s gets one of the pool\n", node->name,
                    "another MAC", text, mac);
        else
            fprintf(job->out, "\n# %s\n[DHCPServerStaticLease]\nMACAddress=%s\nAddress=%s\n",
                    node->name, mac, text);
    }
    export_node_options(job->catalog, node, &options);
    if (options.used > 0)
        fprintf(job->out, "\n# %s: its own options and its group's cannot be told\n", node->name);
}

static void put_network(const struct export_job *job, const struct export_network *n)
{
    char text[IPV4_TEXT_SIZE];
    size_t count;
    const struct subnet *s = n->subnet;
    const struct catalog_node *nodes = catalog_nodes(job->catalog, &count);
    fprintf(job->out, "\n# [subnet %s]: /etc/systemd/network/50-nodisk-%s.network\n", s->name,
            s->interface);
    if (!n->server) {
        fprintf(job->out,
                "# %s has no address there. networkd serves the networks of its own interfaces\n"
                "# alone, and none behind a relay.\n",
                s->interface);
        return;
    }
    fprintf(job->out,
            "[Match]\nName=%s\n\n[Network]\n# networkd sets it, and nothing else should\n"
            "Address=%s/%d\nDHCPServer=yes\n\n[DHCPServer]\n",
            s->interface, ipv4_format(n->server, text), __builtin_popcount(s->mask));
    fprintf(job->out, "ServerAddress=%s/%d\n", text, __builtin_popcount(s->mask));
    put_pool(job->out, n);
    put_options(job->out, s);
    put_boot(job->out, n);
    for (size_t i = 0; i < count; i++)
        put_node(job, s, &nodes[i]);
}

int export_networkd(const struct export_job *job)
{
    fputs("# For systemd-networkd (252 to 257), from nodisk export dhcp. Of several subnets, each\n"
          "# part belongs into a file of its own. What networkd's DHCP server cannot do: host "
          "names;\n"
          "# options of nodes and groups; several pools; other boot files for other machines; "
          "relays.\n"
          "# It knows a machine by its client identifier: one that sends another than its MAC gets "
          "an\n"
          "# address of the pool. So its addresses are a stopgap; dnsmasq, Kea or ISC's dhcpd can "
          "more.\n",
          job->out);
    for (size_t i = 0; i < job->n_networks; i++)
        put_network(job, &job->networks[i]);
    return 0;
}
