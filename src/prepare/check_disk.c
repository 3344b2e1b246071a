/* fstab, and what loads the kernel. */
#include "prepare/check_rules.h"
#include "prepare/edit.h"
#include "prepare/kernel_args.h"
#include "prepare/packages.h"

#define ERROR   CHECK_ERROR
#define WARNING CHECK_WARNING

static void check_root_uuid(struct check *check, const char *said)
{
    const char *uuid = packages_root_uuid(&check->plan);
    if (uuid && strcasecmp(uuid, said) != 0)
        check_found(check, ERROR, "fstab-root-uuid", "system", NULL,
                    "/etc/fstab mounts UUID=%s as /, but this file system's is %s: root stays "
                    "read-only",
                    said, uuid);
}

static void check_root_line(struct check *check, const struct fstab_line *line)
{
    if (str_has_prefix(line->device, "UUID="))
        check_root_uuid(check, line->device + strlen("UUID="));
    if (fstab_is_unstable(line->device))
        check_found(check, ERROR, "fstab-root-device", "system", NULL,
                    "/etc/fstab mounts %s as /: the disk may have another name on a node, and root "
                    "stays read-only",
                    line->device);
    if (fstab_has_option(line->options, "_netdev"))
        check_found(check, WARNING, "fstab-root-netdev", "shutdown", NULL,
                    "/etc/fstab has _netdev for /: it is ordered behind the network, which is "
                    "behind /");
}

static void check_other_line(struct check *check, const struct fstab_line *line)
{
    bool waits =
        !fstab_has_option(line->options, "nofail") && !fstab_has_option(line->options, "noauto");
    if (str_eq(line->type, "swap"))
        check_found(check, WARNING, "fstab-swap", "up", NULL,
                    "/etc/fstab has swap on %s: what is swapped out is across the network, and the "
                    "machine stands still when the server is away",
                    line->device);
    else if (fstab_is_unstable(line->device) && waits)
        check_found(check, WARNING, "fstab-device", "system",
                    "name it by its UUID, or with the option nofail",
                    "/etc/fstab wants %s at %s: a node that has no such disk waits for it",
                    line->device, line->place);
}

void check_disk(struct check *check)
{
    struct fstab_line line;
    bool root = false;
    const char *text = plan_text(&check->plan, "etc/fstab");
    while (text && fstab_next(&text, &line)) {
        if (!line.is_entry)
            continue;
        if (str_eq(line.place, "/"))
            check_root_line(check, &line);
        else
            check_other_line(check, &line);
        root |= str_eq(line.place, "/");
    }
    if (!root)
        check_found(check, ERROR, "fstab-no-root", "system",
                    "nodisk prepare, with --root-uuid if this is no mounted disk",
                    "/etc/fstab has no line for /: root stays read-only, and most services fail");
}

static void check_kernel_ip(struct check *check, const char *text, const char *name)
{
    char value[2 * EDIT_MAX_FIELD];
    bool given = variable_get(text, name, value, sizeof(value));
    if (given && (str_has_prefix(value, "ip=") || strstr(value, " ip=")))
        check_found(check, WARNING, "kernel-ip", "initramfs",
                    "take ip= out of it and run update-grub",
                    "/etc/default/grub gives the kernel ip= in %s: the initramfs configures a card "
                    "by itself, perhaps another one, before the iBFT is read",
                    name);
}

/* Those that prepare takes out of a system with dracut. */
static void check_arguments(struct check *check, const char *path, const char *text,
                            const char *line_begins)
{
    char word[EDIT_MAX_FIELD];
    if (kernel_args_find(text, line_begins, word, sizeof(word)))
        check_found(check, WARNING, "kernel-arguments", "initramfs", NULL,
                    "/%s gives the kernel %s: the initramfs waits for a disk that no node has, or "
                    "something sets up network cards beside what the iBFT says",
                    path, word);
}

static void check_grub_default(struct check *check)
{
    char value[2 * EDIT_MAX_FIELD];
    const char *text = plan_text(&check->plan, "etc/default/grub");
    if (!text)
        return;
    if (variable_get(text, "GRUB_DISABLE_LINUX_UUID", value, sizeof(value)) &&
        str_eq(value, "true"))
        check_found(
            check, WARNING, "grub-disable-uuid", "loader", NULL,
            "/etc/default/grub has GRUB_DISABLE_LINUX_UUID: the next update-grub names root "
            "by its device, which may have another name on a node");
    if (check->plan.system & SYSTEM_DRACUT) {
        check_arguments(check, "etc/default/grub", text, "GRUB_CMDLINE_LINUX");
        return;
    }
    check_kernel_ip(check, text, "GRUB_CMDLINE_LINUX");
    check_kernel_ip(check, text, "GRUB_CMDLINE_LINUX_DEFAULT");
}

static void check_efi(struct check *check)
{
    struct plan *plan = &check->plan;
    struct tree_names top = plan_list(plan, "boot/efi");
    for (size_t i = 0; i < top.count; i++) {
        if (strcasecmp(top.names[i], "EFI") != 0)
            continue;
        const char *path = plan_format(plan, "boot/efi/%s", top.names[i]);
        struct tree_names names = plan_list(plan, path);
        bool found = false;
        for (size_t j = 0; j < names.count; j++) {
            struct tree_names loaders = {NULL, 0};
            if (strcasecmp(names.names[j], "BOOT") == 0)
                loaders = plan_list(plan, plan_format(plan, "%s/%s", path, names.names[j]));
            for (size_t k = 0; k < loaders.count; k++)
                found |= strcasecmp(loaders.names[k], "BOOTX64.EFI") == 0 ||
                         strcasecmp(loaders.names[k], "BOOTAA64.EFI") == 0;
        }
        if (!found)
            check_found(check, ERROR, "efi-removable", "loader", NULL,
                        "the EFI system partition has no \\EFI\\BOOT\\BOOTX64.EFI: UEFI finds no "
                        "loader on a disk that it has no entry for");
    }
}

enum root_kind { ROOT_FOUND, ROOT_OTHER, ROOT_MAPPER, ROOT_DEVICE };

/* How the initramfs comes to a root that is named so. */
static enum root_kind root_kind(const char *root)
{
    static const char *const tags[] = {"UUID=", "LABEL=", "PARTUUID=", "PARTLABEL="};
    for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
        if (str_has_prefix(root, tags[i]))
            return ROOT_FOUND;
    if (str_has_prefix(root, "/dev/mapper/"))
        return ROOT_MAPPER;
    return str_has_prefix(root, "/dev/") ? ROOT_DEVICE : root[0] ? ROOT_OTHER : ROOT_FOUND;
}

/* name: of the file that config is: "/boot/grub/grub.cfg" */
static void check_grub_roots(struct check *check, const char *name, const char *config)
{
    char root[EDIT_MAX_FIELD];
    bool seen[ROOT_DEVICE + 1] = {false};
    while (config && grub_next_root(&config, root, sizeof(root)))
        seen[root_kind(root)] = true;
    if (seen[ROOT_MAPPER])
        check_found(check, WARNING, "root-mapper", "initramfs",
                    "put root on a partition of its own, without LVM or encryption",
                    "%s gives the kernel root=/dev/mapper/...: whether that is on the boot disk or "
                    "on a local one is not looked at",
                    name);
    if (seen[ROOT_OTHER])
        check_found(check, WARNING, "grub-root-other", "initramfs",
                    "name root by its UUID, its label, or its partition's",
                    "%s gives the kernel a root= that is neither a UUID nor a label: whether that "
                    "is on the boot disk or on a local one is not looked at",
                    name);
    if (seen[ROOT_DEVICE])
        check_found(check, ERROR, "grub-root-device", "loader", NULL,
                    "%s gives the kernel root=/dev/...: the disk may have another name on a node, "
                    "and the initramfs waits for it",
                    name);
}

/* What the loader's entries give the kernel, where GRUB reads those (BLS). */
static void check_entry(struct check *check, const char *path, const char *text,
                        const void *context)
{
    (void)context;
    char name[EDIT_MAX_FIELD];
    snprintf(name, sizeof(name), "/%s", path);
    check_grub_roots(check, name, text);
    check_arguments(check, path, text, "options");
}

void check_loader(struct check *check)
{
    struct plan *plan = &check->plan;
    bool rpm = plan->system & SYSTEM_RPM;
    const char *path = rpm ? "boot/grub2/grub.cfg" : "boot/grub/grub.cfg";
    const char *config = plan_text(plan, path);
    if (plan_exists(plan, "etc/default/grub") && !config)
        check_found(check, ERROR, "grub-no-config", "loader",
                    rpm ? "grub2-mkconfig -o /boot/grub2/grub.cfg" : "update-grub",
                    "GRUB is installed, but has no /%s: it stops at its prompt", path);
    check_grub_roots(check, rpm ? "/boot/grub2/grub.cfg" : "/boot/grub/grub.cfg", config);
    check_each_text(check, "boot/loader/entries", check_entry, NULL);
    check_grub_default(check);
    check_efi(check);
}
