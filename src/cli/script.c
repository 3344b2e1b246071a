/* nodisk script check, show */
#include "cli/command.h"
#include "cli/script_check.h"

#include <errno.h>

static const struct cli_option check_options[] = {
    {"loader", "FILE", "the file of an iPXE that is to run them", true},
};

static void print_parts(const json_t *answer)
{
    const json_t *parts = json_object_get(answer, "parts");
    size_t i;
    const json_t *part;
    json_array_foreach(parts, i, part)
    {
        const char *text = print_text(part, "text");
        printf("%s### %s, %s\n", i ? "\n" : "", print_text(part, "file"),
               print_text(part, "origin"));
        fputs(text ? text : "(no text)\n", stdout);
        if (text && text[0] && text[strlen(text) - 1] != '\n')
            putchar('\n');
    }
}

static int show(const struct cli *cli, const struct args *args)
{
    const char *stage = args_value(args, "stage") ?: "boot";
    cleanup_free char *name = cli_path("/v1/scripts", args->words[0]);
    cleanup_free char *value = cli_path("", stage); /* encoded, behind a slash */
    cleanup_free char *path = NULL;
    if (asprintf(&path, "%s?stage=%s", name, value + 1) < 0)
        return cli_fail(&(struct error){-ENOMEM, "out of memory"});
    return cli_show(cli, path, print_parts);
}

static const struct cli_option show_options[] = {
    {"stage", "boot|scripts|FILE", "its boot script (the default), the tree, or one of its files"},
};

static const struct cli_verb verbs[] = {
    {"check", "[FILE|DIRECTORY]", 0, "Looks for what is wrong with scripts, without running them",
     check_options, ARRAY_SIZE(check_options),
     "Commands that iPXE, or the loader, does not have, labels and files that are missing, "
     "settings\n"
     "that nothing sets, mistakes of templates. Without a path: /etc/nodisk/scripts. Without\n"
     "--loader: /usr/lib/ipxe/snponly.efi, if it is there. Needs no daemon. Exit status 1: a "
     "script\n"
     "has an error; warnings are none.\n"
     "\n"
     "  nodisk script check\n"
     "  nodisk script check menu.ipxe --loader /srv/loaders/snponly.efi\n",
     script_check_command, 1},
    {"show", "NODE", 1, "What a node would get now, without its booting", show_options,
     ARRAY_SIZE(show_options),
     "Of a tree of scripts: boot.ipxe and boot.ipxe.cfg as the node gets them, then what it has "
     "of\n"
     "its own there, by its name or MAC, and the menu. Secrets are hidden.\n"
     "\n"
     "  nodisk script show web1\n"
     "  nodisk script show web1 --stage boot.ipxe.cfg\n",
     show},
};

const struct cli_noun cli_script = {"script", "Scripts of your own", verbs, ARRAY_SIZE(verbs)};
