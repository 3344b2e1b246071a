#include "prepare/packages.h"

#include "prepare/edit.h"
#include "prepare/filesystem.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#define XFS_MAGIC 0x58465342

/* A package is needed in systems that have all of these traits. */
static const struct need {
    unsigned system;
    const char *package, *program; /* where RPM's have it */
} needs[] = {
    {SYSTEM_DPKG | SYSTEM_INITRAMFS_TOOLS, "initramfs-tools", NULL},
    {SYSTEM_DPKG | SYSTEM_DRACUT, "dracut", NULL},
    {SYSTEM_DPKG, "open-iscsi", NULL},
    {SYSTEM_DPKG | SYSTEM_INITRAMFS_TOOLS, "busybox", NULL},
    {SYSTEM_DPKG, "zstd", NULL},
    {SYSTEM_DPKG, "libnss-myhostname", NULL},
    {SYSTEM_RPM, "dracut", "usr/bin/dracut"},
    {SYSTEM_RPM, "iscsi-initiator-utils", "usr/sbin/iscsid"},
};

static const char *name_of(const struct need *need, unsigned system)
{
    bool renamed = system & SYSTEM_ZYPPER && str_eq(need->package, "iscsi-initiator-utils");
    return renamed ? "open-iscsi" : need->package;
}

void packages_missing(const struct tree *tree, unsigned system, struct arena *arena,
                      const char *ret_packages[static PACKAGES_MAX + 1])
{
    size_t count = 0;
    const char *status = tree_large_text(tree, arena, "var/lib/dpkg/status");
    for (size_t i = 0; i < ARRAY_SIZE(needs) && count < PACKAGES_MAX; i++) {
        const struct need *need = &needs[i];
        bool there = need->program ? tree_exists(tree, need->program)
                                   : status && packages_installed(status, need->package);
        if ((need->system & system) == need->system && !there)
            ret_packages[count++] = name_of(need, system);
    }
    ret_packages[count] = NULL;
}

/* The paragraph of the package; NULL: there is none. */
static const char *paragraph(const char *status, const char *package)
{
    size_t length = strlen(package);
    for (const char *p = status; p; p = strstr(p, "\n\n")) {
        p += strspn(p, "\n");
        if (str_has_prefix(p, "Package: ") && strncmp(p + 9, package, length) == 0 &&
            p[9 + length] == '\n')
            return p;
    }
    return NULL;
}

bool packages_installed(const char *status, const char *package)
{
    const char *begin = paragraph(status, package);
    const char *end = begin ? strstr(begin, "\n\n") : NULL;
    const char *line = begin ? strstr(begin, "\nStatus: ") : NULL;
    if (!line || (end && line > end))
        return false;
    line += strlen("\nStatus: ");
    size_t size = strcspn(line, "\n");
    static const char state[] = " ok installed";
    return size >= sizeof(state) - 1 &&
           strncmp(line + size - (sizeof(state) - 1), state, sizeof(state) - 1) == 0;
}

bool packages_is_mounted(const struct tree *tree)
{
    struct stat root, parent;
    if (tree->live)
        return true;
    return fstat(tree->fd, &root) == 0 && fstatat(tree->fd, "..", &parent, 0) == 0 &&
           root.st_dev != parent.st_dev;
}

static const char *type_of_mounted(const struct tree *tree)
{
    char path[64];
    struct statfs fs;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", tree->fd);
    if (!packages_is_mounted(tree) || statfs(path, &fs) < 0)
        return "ext4";
    return fs.f_type == XFS_MAGIC ? "xfs" : fs.f_type == BTRFS_SUPER_MAGIC ? "btrfs" : "ext4";
}

const char *packages_root_type(struct plan *plan)
{
    static const char *const known[] = {"ext4", "xfs", "btrfs", "ext3", "ext2", "f2fs"};
    struct fstab_line line;
    const char *text = plan_text(plan, "etc/fstab");
    while (text && fstab_next(&text, &line))
        for (size_t i = 0; line.is_entry && str_eq(line.place, "/") && i < ARRAY_SIZE(known); i++)
            if (str_eq(line.type, known[i]))
                return known[i];
    return type_of_mounted(plan->tree);
}

/* The name in /dev of this block device. False: it has none (btrfs, NFS, overlay). */
static bool device_name(dev_t device, char name[static 64])
{
    char path[64], line[128];
    bool found = false;
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/uevent", major(device), minor(device));
    cleanup_fclose FILE *file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof(line), file))
        found = sscanf(line, "DEVNAME=%63[a-zA-Z0-9!_-]", name) == 1;
    return found;
}

/* What the superblock on this device says, in the plan's memory; NULL: nothing. */
static const char *uuid_of(struct plan *plan, dev_t device)
{
    char name[64], path[80], uuid[FILESYSTEM_UUID_SIZE];
    uint8_t head[FILESYSTEM_HEAD_SIZE];
    if (!device_name(device, name))
        return NULL;
    snprintf(path, sizeof(path), "/dev/%s", name);
    cleanup_close int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);
    return size > 0 && filesystem_uuid(head, (size_t)size, uuid) ? arena_strdup(&plan->arena, uuid)
                                                                 : NULL;
}

const char *packages_root_uuid(struct plan *plan)
{
    struct stat st;
    if (plan->settings.root_uuid)
        return plan->settings.root_uuid;
    if (!packages_is_mounted(plan->tree) || fstat(plan->tree->fd, &st) < 0)
        return NULL;
    return uuid_of(plan, st.st_dev);
}
