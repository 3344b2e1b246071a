/* nodisk loaders list | script */
#include "cli/command.h"

#include <ctype.h>

/*
 * For iPXE that is burnt into a card, or on a stick: every card in turn, for ever, until one of
 * them is given a boot script and that can be fetched. A server that is away for hours is waited
 * for so. A port that lets nothing through for 30 to 50 seconds (spanning tree) is one that iPXE
 * itself waits for if it says so by RSTP; of STP (802.1D) iPXE understands nothing (net/stp.c). If
 * the card also takes its link down when it is closed, which iPXE does after each DHCP without an
 * answer, asking quickly would never end: so in the third round, and then in each thirtieth, the
 * links are up for longer than that before.
 *
 * For iPXE of 2019 (Debian 12) and newer.
 */
static const char until_a_card[] =
    "#!ipxe\n"
    "# Boots from nodisk, whichever card its network is on: tries them all, again and again.\n"
    "set round:int32 27\n"
    ":again\n"
    "set nic:int32 0\n"
    ":card\n"
    "isset ${net${nic}/mac} || goto wait\n"
    "echo nodisk: asking for an address with net${nic} (${net${nic}/mac})\n";

static const char by_dhcp[] =
    "isset ${filename} && chain --timeout 30000 --replace ${filename} ||\n";

static const char after_script[] =
    "ifclose ||\n"
    ":next\n"
    "inc nic\n"
    "goto card\n"
    ":wait\n"
    "inc round\n"
    "iseq ${round} 30 && goto patient ||\n"
    "echo nodisk: no card has got a boot script; trying again in 5 seconds\n"
    "sleep 5\n"
    "goto again\n"
    ":patient\n"
    "set round:int32 0\n"
    "echo nodisk: no card has got a boot script; trying again in 50 seconds (spanning tree?)\n"
    "ifopen ||\n"
    "sleep 50\n"
    "goto again\n";

#define MAX_VLAN 4094 /* IEEE 802.1Q */

/* iPXE calls the interface of a VLAN after its card's. vlan: 0: the network is not tagged. */
static void put_dhcp(FILE *f, unsigned vlan)
{
    if (vlan)
        fprintf(f,
                "vcreate --tag %u net${nic} || echo nodisk: net${nic} has no VLAN %u (was this "
                "iPXE built with VLAN_CMD?)\n"
                "dhcp net${nic}-%u || goto next\n",
                vlan, vlan, vlan);
    else
        fputs("dhcp net${nic} || goto next\n", f);
}

/* server: who is asked over HTTPS, whatever DHCP says; NULL: whom DHCP names. */
static void put_chain(FILE *f, const char *server)
{
    if (server)
        fprintf(f,
                "chain --timeout 30000 --replace "
                "https://%s/boot.ipxe?mac=${net${nic}/mac:hexhyp} ||\n",
                server);
    else
        fputs(by_dhcp, f);
}

static char *make_script(unsigned vlan, const char *server)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    fputs(until_a_card, f);
    put_dhcp(f, vlan);
    put_chain(f, server);
    fputs(after_script, f);
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}

/* 1 to MAX_VLAN. */
static bool parse_vlan(const char *word, unsigned *ret_vlan)
{
    char *end;
    unsigned long vlan = strtoul(word, &end, 10);
    if (!isdigit((unsigned char)word[0]) || *end || vlan < 1 || vlan > MAX_VLAN)
        return false;
    *ret_vlan = (unsigned)vlan;
    return true;
}

/* A name or an address, with or without a port: nothing that iPXE would take for more. */
static bool is_server(const char *word)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]");
    return (word[0] == '[' || (word[0] && strchr(letters, word[0]))) && word[n] == '\0' && n < 255;
}

static int script(const struct cli *cli, const struct args *args)
{
    const char *word = args_value(args, "vlan"), *server = args_value(args, "https");
    unsigned vlan = 0;
    if (server && !is_server(server))
        return cli_bad_value("https", server,
                             "must be a name or an address, such as boot.example, 10.0.0.1:8443 or "
                             "[2001:db8::1]");
    if (word && !parse_vlan(word, &vlan))
        return cli_bad_value("vlan", word, "must be a number from 1 to 4094");
    cleanup_free char *text = make_script(vlan, server);
    json_t *answer = text ? json_pack("{s:s}", "script", text) : NULL;
    bool ok = answer != NULL;
    if (!ok) {
        fputs("nodisk: out of memory\n", stderr);
    } else if (cli->json) {
        json_dumpf(answer, stdout, 0);
        putchar('\n');
    } else {
        fputs(text, stdout);
    }
    json_decref(answer);
    return ok ? CLI_OK : CLI_FAILED;
}

static const struct cli_option script_options[] = {
    {"vlan", "ID",
     "its network is tagged: the script makes an interface of this VLAN on each card"},
    {"https", "SERVER",
     "boot scripts are fetched from there over HTTPS, whatever the DHCP server says"},
};

static const char more[] =
    "Build it into iPXE (make bin-x86_64-efi/ipxe.efi EMBED=boot.ipxe), hand it to ipxe.lkrn as "
    "its\n"
    "initrd, or put it beside an UEFI iPXE of 2021 or newer as autoexec.ipxe.\n";

/* "unknown" for what cannot be told of a file that is there. */
static void add_row(struct table *table, const json_t *loader)
{
    const json_t *features = json_object_get(loader, "features");
    cleanup_free char *names = json_is_array(features) ? cli_join(features) : NULL;
    bool is_read = json_is_integer(json_object_get(loader, "size"));
    table_add(table, print_text(loader, "subnet"));
    table_add(table, print_text(loader, "key"));
    table_add(table, print_text(loader, "file"));
    if (is_read)
        table_add_size(table, print_number(loader, "size"));
    else
        table_add(table, NULL);
    table_add(table, print_text(loader, "state"));
    table_add(table, print_text(loader, "version") ?: is_read ? "unknown" : NULL);
    table_add(table, names ?: is_read ? "unknown" : NULL);
}

static void print_advice(const json_t *loaders)
{
    size_t i;
    const json_t *loader;
    json_array_foreach(loaders, i, loader)
    {
        const char *advice = print_text(loader, "advice");
        if (advice)
            printf("%s of %s, %s: %s\n", print_text(loader, "key"), print_text(loader, "subnet"),
                   print_text(loader, "file"), advice);
    }
}

static void print_loaders(const json_t *answer)
{
    static const char *const headings[] = {"SUBNET", "KEY",          "FILE",     ">SIZE",
                                           "STATE",  "IPXE VERSION", "FEATURES", NULL};
    const json_t *loaders = json_object_get(answer, "loaders");
    table_print_all(headings, loaders, add_row, "no subnets are configured");
    if (json_array_size(loaders) == 0)
        return;
    printf("\nin %s\n", print_text(answer, "directory"));
    print_advice(loaders);
}

static int list(const struct cli *cli, const struct args *args)
{
    return cli_show(cli, "/v1/loaders", print_loaders);
}

static const struct cli_verb verbs[] = {
    {"list", "", 0, "Which machines have a boot loader, and what it can do", NULL, 0,
     "Version and features are what the file itself shows; those for BIOS are compressed and show "
     "none.\n"
     "Machines whose key has no file get an address and nothing to boot.\n",
     list},

    {"script", "", 0, "The iPXE script for iPXE in a card's ROM or on a USB stick", script_options,
     ARRAY_SIZE(script_options), more, script},
};

const struct cli_noun cli_loaders = {"loaders", "Boot loaders", verbs, ARRAY_SIZE(verbs)};
