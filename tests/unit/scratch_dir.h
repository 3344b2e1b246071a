/* A directory of its own for a test, removed with what is in it. */
#pragma once

#include "test.h"

#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>

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

/* Once for a test program that mounts something, before it makes threads: what it mounts goes with
 * it, however it ends. Without the right to it, mount() fails later, too. */
static inline void scratch_dir_own_mounts(void)
{
    if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        abort();
}
