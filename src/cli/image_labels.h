/* What the commands on images share. */
#pragma once

#include "cli/command.h"

/* Puts each "KEY=VALUE" of --label or, to be taken away, "KEY" of --unlabel into the object. An
 * exit status. */
int image_set_labels(const struct args *args, const char *option, json_t *labels) MUST_CHECK;
