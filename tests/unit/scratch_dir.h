/* A directory of its own for a test, removed with what is in it. */
#pragma once

#include "test.h"

#include <ftw.h>
#include <limits.h>

static inline char *scratch_dir_make(void)
{
    char *path = strdup("/tmp/nodisk-test-XXXXXX");
    if (!path || !mkdtemp(path))
        abort();
    return path;
}

static inline int scratch_dir_unlink(const char *path, const struct stat *st, int flag,
                                     struct FTW *walk)
{
    return remove(path);
}

static inline void scratch_dir_remove(char *path)
{
    nftw(path, scratch_dir_unlink, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}
