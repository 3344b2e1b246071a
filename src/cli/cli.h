/* The subcommands that ask the daemon: `nodisk [--socket PATH] [--json] NOUN VERB ...`. */
#pragma once

/* argv[0] is "nodisk". Exit status: 0 ok, 1 refused or failed, 2 usage. */
int cli_main(int argc, char **argv);
