/*
 * Where hooks are: DIRECTORY/EVENT, and the programs in DIRECTORY/EVENT.d in the order of their
 * names.
 *
 * They run with the daemon's rights, so what somebody else could write is not run: files and their
 * directories belong to root or to who runs the daemon, and only that user may write to them.
 */
#pragma once

#include "core/error.h"

#include <limits.h>

#define HOOK_MAX_PROGRAMS 32 /* of one event */

struct hook_list {
    size_t count;
    char paths[HOOK_MAX_PROGRAMS][PATH_MAX];
};

/* Is there anything for this event? Never waits but for the directory. */
bool hook_directory_any(const char *directory, const char *event);
/* refused: called for each that is there and is not run, with a sentence about it. Nothing there is
 * no failure: -ENOMEM, or that the directory may not be used. */
int hook_directory_list(const char *directory, const char *event,
                        void (*refused)(void *context, const char *path, const char *why),
                        void *context, struct hook_list *ret_list,
                        struct error *ret_error) MUST_CHECK;
/* May what is in this directory be run? -EACCES and why; one that is not there has nothing in it.
 */
int hook_directory_check_folder(const char *path, struct error *ret_error) MUST_CHECK;
/* May this one be run? -ENOENT, or -EACCES and why. */
int hook_directory_check(const char *path, struct error *ret_error) MUST_CHECK;
