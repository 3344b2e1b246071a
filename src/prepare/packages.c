#include "prepare/packages.h"

#include "prepare/edit.h"

#include <dirent.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#define XFS_MAGIC 0x58465342

const char *const packages_needed[PACKAGES_MAX] = {"initramfs-tools", "open-iscsi", "busybox",
                                                   "zstd", "libnss-myhostname"};

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

/* The name in /dev/disk/by-uuid of this device; NULL: it has none. */
static const char *uuid_of(struct plan *plan, dev_t device)
{
    const char *uuid = NULL;
    const struct dirent *entry;
    struct stat st;
    DIR *directory = opendir("/dev/disk/by-uuid");
    while (directory && !uuid && (entry = readdir(directory)))
        if (fstatat(dirfd(directory), entry->d_name, &st, 0) == 0 && S_ISBLK(st.st_mode) &&
            st.st_rdev == device)
            uuid = arena_strdup(&plan->arena, entry->d_name);
    if (directory)
        closedir(directory);
    return uuid;
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
