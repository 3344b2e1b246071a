/* The files that a prepared system has: data/prepare, made part of the program
 * (script/embed-files). */
#pragma once

#include "prepare/plan.h"

struct prepare_file {
    const char *kind; /* of system; "debian" are those that the others have, too, but for its own */
    const char *step; /* of the recipe */
    const char *path;
    uint32_t mode;
    const char *data; /* a 0 behind it */
    size_t size;
};

const struct prepare_file *prepare_files(size_t *ret_count);

/* Plans all files of the step that are for this system; those that an administrator may have
 * changed (below keep) only if they are not there. */
void prepare_put_files(struct plan *plan, const char *keep);
