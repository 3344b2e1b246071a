/* What kind of system a tree is, as far as steps and rules differ by it. */
#pragma once

#include "prepare/tree.h"

enum system_trait {
    SYSTEM_DPKG = 1 << 0,
    SYSTEM_RPM = 1 << 1,
    SYSTEM_INITRAMFS_TOOLS = 1 << 2,
    SYSTEM_DRACUT = 1 << 3,
    SYSTEM_ZYPPER = 1 << 4, /* of those with RPM: openSUSE and SLES */
};

/* All that it is, or'ed. A Debian that has neither yet makes its initramfs by initramfs-tools. */
unsigned system_look(const struct tree *tree);

/* The path of a kernel's initramfs, in the arena: "boot/initrd.img-6.1.0-9-amd64"; "" without
 * memory. */
const char *system_initramfs(unsigned system, struct arena *arena, const char *version);

/* The script that logs in, as it lies in a system of either kind. */
#define SYSTEM_SCRIPT_INITRAMFS_TOOLS "etc/initramfs-tools/scripts/local-top/nodisk"
#define SYSTEM_SCRIPT_DRACUT          "usr/lib/dracut/modules.d/91nodisk/nodisk-boot"
const char *system_script(unsigned system);
