/*
 * Runs a program of the tree: in the running system as it is; in another one after chroot, in mount
 * and process namespaces of its own, so that nothing of it stays behind.
 */
#pragma once

#include "prepare/tree.h"

/* Waits for it; what it prints goes to this program's standard error. -ECHILD: it failed, which
 * ret_error tells. Without a tree's program: -ENOENT. */
int command_run(const struct tree *tree, const char *const *argv,
                struct error *ret_error) MUST_CHECK;
