/* Steps that see to it that loader and kernel find the disk. */
#include "prepare/edit.h"
#include "prepare/packages.h"
#include "prepare/recipe.h"

void step_fstab(struct plan *plan)
{
    const char *text = plan_text(plan, "etc/fstab") ?: "";
    const struct fstab_wish wish = {.root_uuid = packages_root_uuid(plan),
                                    .root_type = packages_root_type(plan),
                                    .keep_swap = plan->settings.keep_swap};
    struct fstab_line line;
    bool has_root = false;
    cleanup_free char *edited = fstab_edit(text, &wish);
    if (edited)
        plan_file(plan, "etc/fstab", 0, edited, strlen(edited));
    for (const char *cursor = edited; cursor && fstab_next(&cursor, &line);)
        has_root |= line.is_entry && str_eq(line.place, "/") && !fstab_is_unstable(line.device);
    if (!has_root)
        plan_note(plan, "the root file system's UUID is not known: say it with --root-uuid, or "
                        "write / by its UUID into /etc/fstab");
}

void step_resume(struct plan *plan)
{
    static const char none[] = "RESUME=none\n";
    if (plan_exists(plan, "etc/initramfs-tools/conf.d/resume"))
        plan_file(plan, "etc/initramfs-tools/conf.d/resume", 0, none, strlen(none));
}

/* Is a kernel to get an initramfs that had none? */
static bool makes_initramfs(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_commands; i++) {
        const char *const *argv = plan->commands[i].argv;
        if (str_eq(argv[0], "update-initramfs") && argv[1] && str_eq(argv[1], "-c"))
            return true;
        if (str_eq(argv[0], "dracut") && !tree_exists(plan->tree, argv[2] + 1))
            return true;
    }
    return false;
}

void step_grub(struct plan *plan)
{
    static const char *const update_grub[] = {"update-grub", NULL};
    char value[EDIT_MAX_FIELD];
    const char *text = plan_text(plan, "etc/default/grub");
    const char *config = plan_text(plan, "boot/grub/grub.cfg");
    if (!text || !tree_exists(plan->tree, "usr/sbin/update-grub"))
        return;
    bool by_name = variable_get(text, "GRUB_DISABLE_LINUX_UUID", value, sizeof(value));
    cleanup_free char *edited = by_name ? variable_drop(text, "GRUB_DISABLE_LINUX_UUID") : NULL;
    if (edited)
        plan_file(plan, "etc/default/grub", 0, edited, strlen(edited));
    bool by_device = false;
    for (const char *cursor = config; cursor && grub_next_root(&cursor, value, sizeof(value));)
        by_device |= str_has_prefix(value, "/dev/") && !str_has_prefix(value, "/dev/mapper/");
    if (!edited && config && !by_device && !makes_initramfs(plan))
        return;
    if (packages_is_mounted(plan->tree))
        plan_command(plan, PLAN_AFTER_FILES, "the kernel is to find root by its UUID", update_grub);
    else
        plan_note(plan, "run update-grub where this tree is the root of a disk: GRUB needs to see "
                        "the file system that it is on");
}

/* A name on a FAT file system, whatever its case; NULL: it is not there. */
static const char *find_name(struct plan *plan, const char *directory, const char *name)
{
    struct tree_names names = plan_list(plan, directory);
    for (size_t i = 0; i < names.count; i++)
        if (strcasecmp(names.names[i], name) == 0)
            return plan_format(plan, "%s/%s", directory, names.names[i]);
    return NULL;
}

void step_efi(struct plan *plan)
{
    static const char *const install[] = {
        "grub-install", "--target=x86_64-efi", "--efi-directory=/boot/efi",
        "--removable",  "--no-nvram",          NULL};
    const char *efi = find_name(plan, "boot/efi", "EFI");
    const char *boot = efi ? find_name(plan, efi, "BOOT") : NULL;
    if (!efi ||
        (boot && (find_name(plan, boot, "BOOTX64.EFI") || find_name(plan, boot, "BOOTAA64.EFI"))))
        return;
    if (tree_exists(plan->tree, "usr/lib/grub/x86_64-efi") && packages_is_mounted(plan->tree))
        plan_command(plan, PLAN_AFTER_FILES, "the EFI system partition has no removable path",
                     install);
    else
        plan_note(plan, "put a loader at \\EFI\\BOOT\\BOOTX64.EFI of the EFI system partition");
}
