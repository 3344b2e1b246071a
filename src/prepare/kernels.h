/* The kernels in /boot of a tree. */
#pragma once

#include "prepare/tree.h"

/* Of so many the initramfs is looked at. */
#define KERNELS_MAX 32

/* Their versions, sorted: of each boot/vmlinuz-VERSION, but for rescue systems. None without
 * memory, too. */
struct tree_names kernels_list(const struct tree *tree, struct arena *arena);
/* Is the module built into this kernel? name: "iscsi_tcp". */
bool kernels_has_built_in(const struct tree *tree, struct arena *arena, const char *version,
                          const char *name);
