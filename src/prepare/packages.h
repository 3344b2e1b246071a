/* What a tree has: packages, the type and the UUID of its root file system. */
#pragma once

#include "prepare/plan.h"

/* At most so many are needed. */
#define PACKAGES_MAX 5
/* The packages that the recipe needs and a system of this kind has not, by the names that they have
 * there; a NULL behind them. Of one with RPM it is looked for their programs. */
void packages_missing(const struct tree *tree, unsigned system, struct arena *arena,
                      const char *ret_packages[static PACKAGES_MAX + 1]);

/* Does this /var/lib/dpkg/status say that the package is installed? */
bool packages_installed(const char *status, const char *package);

/* "ext4": from fstab, else of what the tree is mounted from, else ext4. */
const char *packages_root_type(struct plan *plan);
/* The UUID of the root file system: as it was given, else of what the tree is mounted from; NULL:
 * the tree is not what is mounted there, or nobody knows. */
const char *packages_root_uuid(struct plan *plan);
/* Is the tree the root of a mounted file system (or this machine's own)? */
bool packages_is_mounted(const struct tree *tree);
