/* nodisk node wake */
#pragma once

#include "cli/command.h"

#define CLI_N_WAKE_VERBS 1
extern const struct cli_verb cli_wake_verbs[CLI_N_WAKE_VERBS];
