/*
 * The process between the daemon and a hook: a program of its own (this one, under another name),
 * so that a hook ends when it should whatever becomes of the daemon, and takes all with it that it
 * has started, also what has left its process group.
 */
#pragma once

#define HOOK_SUPERVISE_NAME "nodisk-hook" /* argv[0], by which main() knows what it is to be */

/* Descriptors that it is started with, beside stdin, stdout and stderr, which are the hook's. */
#define HOOK_SECRET_FD   3 /* the hook's, too, if it is open */
#define HOOK_LIFELINE_FD 4 /* a pipe that nobody writes to: when it ends, so does the hook */

/* argv: NAME SECONDS UID GID PATH [ARGUMENT...]; runs PATH as that user (it is not changed if it is
 * ours) for so long at most. Ends as the hook does: with its status, or by its signal; by SIGALRM
 * if it took too long, and with HOOK_NOT_RUN if it could not be run (why: on stderr). */
int hook_supervise(int argc, char **argv);
#define HOOK_NOT_RUN 127
