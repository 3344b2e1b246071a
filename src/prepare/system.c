#include "prepare/system.h"

#include <limits.h>

static unsigned packages_of(const struct tree *tree)
{
    if (tree_exists(tree, "var/lib/dpkg/status"))
        return SYSTEM_DPKG;
    if (!tree_exists(tree, "var/lib/rpm") && !tree_exists(tree, "usr/lib/sysimage/rpm"))
        return 0;
    return SYSTEM_RPM | (tree_exists(tree, "usr/bin/zypper") ? SYSTEM_ZYPPER : 0);
}

unsigned system_look(const struct tree *tree)
{
    unsigned packages = packages_of(tree);
    if (packages & SYSTEM_RPM)
        return packages | SYSTEM_DRACUT;
    /* newer dracut has an update-initramfs, too */
    bool dracut = tree_exists(tree, "usr/bin/dracut") && !tree_exists(tree, "usr/sbin/mkinitramfs");
    return packages | (dracut ? SYSTEM_DRACUT : packages ? SYSTEM_INITRAMFS_TOOLS : 0);
}

const char *system_initramfs(unsigned system, struct arena *arena, const char *version)
{
    char path[PATH_MAX];
    const char *begin = system & SYSTEM_ZYPPER ? "boot/initrd-"
                        : system & SYSTEM_RPM  ? "boot/initramfs-"
                                               : "boot/initrd.img-";
    const char *end = system & SYSTEM_RPM && !(system & SYSTEM_ZYPPER) ? ".img" : "";
    snprintf(path, sizeof(path), "%s%s%s", begin, version, end);
    return arena_strdup(arena, path) ?: "";
}

const char *system_script(unsigned system)
{
    return system & SYSTEM_DRACUT ? SYSTEM_SCRIPT_DRACUT : SYSTEM_SCRIPT_INITRAMFS_TOOLS;
}
