/* The files that a prepared system has: data/prepare, made part of the program
 * (script/embed-files). */
#pragma once

#include "core/util.h"

struct prepare_file {
    const char *kind; /* of system: "debian" are those that all others have, too, but for its own */
    const char *step; /* of the recipe */
    const char *path;
    uint32_t mode;
    const char *data; /* a 0 behind it */
    size_t size;
};

const struct prepare_file *prepare_files(size_t *ret_count);
