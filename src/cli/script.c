/* nodisk script check */
#include "cli/command.h"
#include "cli/script_check.h"

static const struct cli_option check_options[] = {
    {"loader", "FILE", "the file of an iPXE that is to run them", true},
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
};

const struct cli_noun cli_script = {"script", "Scripts of your own", verbs, ARRAY_SIZE(verbs)};
