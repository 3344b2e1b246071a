/* What a tree has: packages, kernels, the type and the UUID of its root file system. */
#pragma once

#include "prepare/plan.h"

#define PACKAGES_MAX 5
/* What the recipe needs. */
extern const char *const packages_needed[PACKAGES_MAX];

/* Does this /var/lib/dpkg/status say that the package is installed? */
bool packages_installed(const char *status, const char *package);

/* "ext4": from fstab, else of what the tree is mounted from, else ext4. */
const char *packages_root_type(struct plan *plan);
/* The UUID of the root file system: as it was given, else of what the tree is mounted from; NULL:
 * the tree is not what is mounted there, or nobody knows. */
const char *packages_root_uuid(struct plan *plan);
/* Is the tree the root of a mounted file system (or this machine's own)? */
bool packages_is_mounted(const struct tree *tree);
