/* nodisk ibft --compare */
#pragma once

#include "cli/command.h"
#include "ibft/ibft.h"

/* With what the server intends for the node (NULL: the one that has the table's card); without a
 * daemon and a node's name, here only, with what this machine has come to. is_own: the table is
 * this machine's. Returns the exit status: CLI_FAILED also if something differs. */
int cli_ibft_compare(const struct cli *cli, const struct ibft *ibft, const char *node, bool is_own);
