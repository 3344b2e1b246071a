/* nodisk node list --pending, adopt, forget */
#pragma once

#include "cli/command.h"

int cli_list_pending(const struct cli *cli);
/* node: the body for the node, but for its name; taken over. */
int cli_adopt(const struct cli *cli, const struct args *args, json_t *node);
int cli_forget(const struct cli *cli, const struct args *args);

/* "Dell Inc. PowerEdge R640 (7XK2J13)", of a machine as the API has it; free() it. */
char *cli_pending_words(const json_t *machine);

#define PENDING_MATCH_OPTIONS                                                                      \
    {"all", NULL, "all that wait; NAME has a part such as %{number:02}"},                          \
        {"mac-prefix", "PREFIX", "those whose MAC begins so"},                                     \
        {"subnet", "SUBNET", "those in this subnet"},                                              \
        {"manufacturer", "PATTERN", "those of this maker: * is anything"},                         \
    {                                                                                              \
        "product", "PATTERN", "those that are this product"                                        \
    }
