/*
 * Another program, run over a file that a stranger made: qemu-img, a decompressor.
 *
 * It gets no shell, no environment, none of our descriptors but those named, no file but these and
 * the system's programs (storage/confine.h), a low priority, bounded memory and time, and it never
 * outlives the thread that runs it: that thread drives it and takes it down, and should the daemon
 * be killed, so is it. (posix_spawn() can ask for neither the limits nor that death, which is why
 * this forks by hand.)
 */
#pragma once

#include "core/error.h"

#include <sys/types.h>

/* Where a child finds the descriptors `files`: the names go into its arguments. */
#define CHILD_FILE_0 "/dev/fd/3"
#define CHILD_FILE_1 "/dev/fd/4"

struct child_spec {
    const char *const *argv; /* argv[0]: a program of the system's directories */
    const char *package;     /* that it is in, for the sentence if it is not there */
    int input;               /* its standard input; -1: nothing */
    int files[2];            /* become its descriptors 3 and 4; -1: none */
    uint64_t seconds;        /* of processor time */
    uint64_t file_size;      /* bytes that no file of it may pass; 0: no matter */
};

struct child {
    pid_t pid; /* 0: none */
    int output, errors;
    char program[32];
    int status;     /* when it has ended by itself: its exit status; -1: otherwise */
    char said[256]; /* the end of what it said on stderr, one line */
    size_t n_said;
};

int child_start(struct child *child, const struct child_spec *spec,
                struct error *ret_error) MUST_CHECK;
/* Reads what it writes, waiting until `until` (clock_monotonic_usec) at most. The number of bytes;
 * 0: there is no more to come; -EAGAIN: nothing yet. */
ssize_t child_read(struct child *child, void *data, size_t size, uint64_t until) MUST_CHECK;
/* After the end of its output: waits for it. 0: it ended well; else -EIO with what it said. */
int child_finish(struct child *child, struct error *ret_error) MUST_CHECK;
/* Takes it down if it is there. What it was doing is left as it is. */
void child_stop(struct child *child);

/* Runs it to its end and gathers its output, terminated, in text (size bytes); it has `seconds` of
 * real time, too. */
int child_run(const struct child_spec *spec, char *text, size_t size,
              struct error *ret_error) MUST_CHECK;
