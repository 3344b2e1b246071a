/*
 * One hook, run to its end (supervise.h has the process between).
 *
 * What it is told is on its standard input, whole; what it answers is read from its standard
 * output, up to a limit; of what it says on stderr the end is kept, as one line.
 */
#pragma once

#include "core/error.h"

#include <sys/types.h>

#define HOOK_MAX_ANSWER ((size_t)(64 * KIB))

struct hook_program {
    const char *path;
    const char *const *arguments;   /* NULL at their end; or NULL */
    const char *const *environment; /* NULL at its end; all that it has */
    const char *input;
    const char *secret; /* on descriptor HOOK_SECRET_FD, a file at its beginning; NULL: none */
    uid_t uid;
    gid_t gid;
    unsigned seconds;
    int stop_fd; /* readable: it is to be ended */
};

struct hook_output {
    char *text; /* terminated, without NUL; free() it */
    size_t size;
    char said[512]; /* "": nothing */
};

/* Waits for it. 0 and *ret_output, with whatever it has said, if it ended well. Otherwise what it
 * has said is in the error: -EIO (it failed, crashed, answered too much), -ETIMEDOUT, -ECANCELED
 * (it was stopped), -EAGAIN (it could not be started). */
int hook_program_run(const struct hook_program *program, struct hook_output *ret_output,
                     struct error *ret_error) MUST_CHECK;
