/* Other programs that a command runs, and what is told of them. */
#pragma once

#include "cli/command.h"
#include "core/error.h"

/* A command line that grows. The words are not copied; argv ends with NULL once there is one. */
struct program_words {
    const char **argv;
    size_t count;
};

/* NULL: adds nothing. */
void program_add(struct program_words *words, const char *word);
/* Adds what was given to us of these options ("--size"), each with its value. */
void program_pass(struct program_words *words, const struct args *args, const char *const *options,
                  size_t n_options);
void program_words_free(struct program_words *words);
#define cleanup_words __attribute__((cleanup(program_words_free)))

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
