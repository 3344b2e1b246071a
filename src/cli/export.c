/* nodisk export dhcp, firewall */
#include "cli/command.h"

static void print_text_of(const json_t *answer)
{
    fputs(print_text(answer, "text") ?: "", stdout);
}

static int dhcp(const struct cli *cli, const struct args *args)
{
    const char *format = args_value(args, "format");
    if (!format) {
        fprintf(stderr, "nodisk: say for which server with --format, such as --format dnsmasq\n");
        return CLI_USAGE;
    }
    cleanup_free char *path = cli_path("/v1/dhcp-exports", format);
    return cli_show(cli, path, print_text_of);
}

static int firewall(const struct cli *cli, const struct args *args)
{
    (void)args;
    return cli_show(cli, "/v1/firewall", print_text_of);
}

static const struct cli_option dhcp_options[] = {
    {"format", "dnsmasq|kea|isc|networkd", "the server that is to read it"},
};

static const struct cli_verb verbs[] = {
    {"dhcp", "", 0, "Prints configuration for another DHCP server", dhcp_options,
     ARRAY_SIZE(dhcp_options),
     "For subnets with mode = off in nodisk.conf(5): addresses and options of all nodes, loaders, "
     "and\n"
     "iPXE's script. To be printed anew when nodes change.\n"
     "\n"
     "  nodisk export dhcp --format dnsmasq > /etc/dnsmasq.d/nodisk.conf\n"
     "  nodisk export dhcp --format kea > /etc/kea/kea-dhcp4.conf\n",
     dhcp},
    {"firewall", "", 0, "Prints rules of nftables for what nodisk listens on", NULL, 0,
     "Machines of the configured subnets reach DHCP, TFTP, HTTP and iSCSI here, others do not.\n"
     "What belongs to other programs is accepted.\n"
     "\n"
     "  nodisk export firewall | nft -f -\n",
     firewall},
};

const struct cli_noun cli_export = {"export", "Configuration for other programs", verbs,
                                    ARRAY_SIZE(verbs)};
