/* nodisk loaders script */
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

static const struct cli_verb verbs[] = {
    {"script", "", 0, "The iPXE script for iPXE in a card's ROM or on a USB stick", NULL, 0, more,
     script},
};

const struct cli_noun cli_loaders = {"loaders", "Boot loaders", verbs, ARRAY_SIZE(verbs)};
