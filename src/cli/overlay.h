/* The verbs of `nodisk volume` that are about what an overlay consists of. */
#pragma once

#include "cli/command.h"

#define CLI_N_OVERLAY_VERBS 9
extern const struct cli_verb cli_overlay_verbs[CLI_N_OVERLAY_VERBS];
