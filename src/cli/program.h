/* Other programs that a command runs, and what is told of them. */
#pragma once

#include "core/error.h"

/* Runs it with its output on our standard error, and waits. It ends with us; on Ctrl-C or SIGTERM
 * it is told so (SIGTERM) and may clean up. -EINTR: that; -ENOENT: there is no such program;
 * -ECHILD: it failed, and has said why. */
int program_run(const char *const *argv, struct error *ret_error) MUST_CHECK;

/* The same, with its output where ours goes. *ret_status: with what it exited. */
int program_show(const char *const *argv, int *ret_status, struct error *ret_error) MUST_CHECK;

/* Where something of ours is installed: "image/debian12/build" below the directory of data. free()
 * it. NODISK_DATA in the environment names another directory, such as a source tree. */
char *program_data_path(const char *path);

/* A program of ours that only we run; free() it. NODISK_LIBEXEC names another directory. */
char *program_libexec_path(const char *name);
