/* nodisk loaders list | script */
#include "cli/command.h"

/*
 * For iPXE that is burnt into a card, or on a stick: every card in turn, for ever, until one of
 * them is given a boot script and that can be fetched. A port that needs 45 seconds before it lets
 * anything through (spanning tree), and a server that is away for hours, are waited for so.
 *
 * For iPXE of 2019 (Debian 12) and newer.
 */
static const char boot_script[] =
    "#!ipxe\n"
    "# Boots from nodisk, whichever card its network is on: tries them all, again and again.\n"
    ":again\n"
    "set nic:int32 0\n"
    ":card\n"
    "isset ${net${nic}/mac} || goto wait\n"
    "echo nodisk: asking for an address with net${nic} (${net${nic}/mac})\n"
    "ifclose ||\n"
    "dhcp net${nic} || goto next\n"
    "isset ${filename} || goto next\n"
    "chain --replace ${filename} || goto next\n"
    ":next\n"
    "inc nic\n"
    "goto card\n"
    ":wait\n"
    "echo nodisk: no card has got a boot script; trying again in 5 seconds\n"
    "sleep 5\n"
    "goto again\n";

static int script(const struct cli *cli, const struct args *args)
{
    if (!cli->json) {
        fputs(boot_script, stdout);
        return CLI_OK;
    }
    json_t *answer = json_pack("{s:s}", "script", boot_script);
    if (!answer || json_dumpf(answer, stdout, 0) < 0)
        fputs("nodisk: out of memory\n", stderr);
    else
        putchar('\n');
    bool ok = answer != NULL;
    json_decref(answer);
    return ok ? CLI_OK : CLI_FAILED;
}

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

    {"script", "", 0, "The iPXE script for iPXE in a card's ROM or on a USB stick", NULL, 0, more,
     script},
};

const struct cli_noun cli_loaders = {"loaders", "Boot loaders", verbs, ARRAY_SIZE(verbs)};
