/* nodisk node power; and what `node set` says of BMCs. */
#pragma once

#include "cli/command.h"

#define CLI_BMC_OPTIONS                                                                            \
    {"bmc", "SCHEME://ADDRESS|none",                                                               \
     "what switches its power: ipmi://10.9.0.5, redfish://..., ssh://..."},                        \
        {"bmc-user", "NAME", "who may do that"},                                                   \
    {                                                                                              \
        "bmc-password-file", "PATH|-", "that has the password; -: standard input"                  \
    }

bool cli_bmc_given(const struct args *args);
/* An exit status; what went wrong is told. */
int cli_bmc_set(const struct cli *cli, const struct args *args, const char *node);

#define CLI_N_POWER_OPTIONS 3
extern const struct cli_option cli_power_options[CLI_N_POWER_OPTIONS];
int cli_power(const struct cli *cli, const struct args *args);
