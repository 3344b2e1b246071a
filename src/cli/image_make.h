/* The commands that make images, or look into them, by other programs. */
#pragma once

#include "cli/command.h"

#define IMAGE_MAKE_VERBS 3
extern const struct cli_verb image_make_verbs[IMAGE_MAKE_VERBS];

int image_create(const struct cli *cli, const struct args *args);
int image_check(const struct cli *cli, const struct args *args);
int image_prepare(const struct cli *cli, const struct args *args);
