#include "prepare/kernels.h"

#include <limits.h>

#define PREFIX "vmlinuz-"
/* Fedora's and its relatives': a copy of a kernel, whose initramfs is nobody's business. */
#define RESCUE PREFIX "0-rescue"

struct tree_names kernels_list(const struct tree *tree, struct arena *arena)
{
    struct tree_names all, kernels = {NULL, 0};
    if (tree_list(tree, arena, "boot", &all) < 0)
        return kernels;
    kernels.names = arena_alloc(arena, (all.count + 1) * sizeof(*kernels.names));
    for (size_t i = 0; kernels.names && i < all.count; i++)
        if (str_has_prefix(all.names[i], PREFIX) && !str_has_prefix(all.names[i], RESCUE))
            kernels.names[kernels.count++] = all.names[i] + strlen(PREFIX);
    return kernels;
}

bool kernels_has_built_in(const struct tree *tree, struct arena *arena, const char *version,
                          const char *name)
{
    char path[PATH_MAX], module[256];
    snprintf(path, sizeof(path), "lib/modules/%.200s/modules.builtin", version);
    snprintf(module, sizeof(module), "/%.200s.ko\n", name);
    const char *text = tree_text(tree, arena, path);
    return text && strstr(text, module);
}
