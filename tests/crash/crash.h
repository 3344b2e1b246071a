/* What the programs have in common that kill the registry: a database to kill it over, and their
 * end. */
#pragma once

#include "core/util.h"

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static char crash_directory[] = "/tmp/nodisk-crash-XXXXXX";
static char crash_database[128];

__attribute__((noreturn)) PRINTF_LIKE(1, 2) static inline void die(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    exit(1);
}

/* Makes the directory. Returns size bytes, zeroed, that parent and child share. */
static inline void *crash_begin(size_t size)
{
    void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || !mkdtemp(crash_directory))
        die("cannot begin: %s", strerror(errno));
    snprintf(crash_database, sizeof(crash_database), "%s/registry.db", crash_directory);
    return shared;
}

static inline int crash_remove(const char *file, const struct stat *st, int flag, struct FTW *walk)
{
    return remove(file);
}

static inline void crash_end(void)
{
    nftw(crash_directory, crash_remove, 16, FTW_DEPTH | FTW_PHYS);
}
