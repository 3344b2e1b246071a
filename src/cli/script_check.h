#pragma once

#include "cli/command.h"

int script_check_command(const struct cli *cli, const struct args *args);
