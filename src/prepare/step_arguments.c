/* The step that takes out of the kernel's arguments what dracut and systemd would do beside us. */
#include "prepare/edit.h"
#include "prepare/kernel_args.h"
#include "prepare/packages.h"
#include "prepare/recipe.h"

static const char why[] = "the kernel is to have no arguments that are for another disk or network";

/* What the next kernel's are made of. */
static bool edit_file(struct plan *plan, const char *path, const char *line_begins)
{
    char word[EDIT_MAX_FIELD];
    const char *text = plan_text(plan, path);
    if (!text || !kernel_args_find(text, line_begins, word, sizeof(word)))
        return false;
    cleanup_free char *edited = kernel_args_drop(text, line_begins);
    if (edited)
        plan_file(plan, path, 0, edited, strlen(edited));
    return true;
}

/* Does an entry of the boot loader have them, or name root by its device? */
static bool entries_are_wrong(struct plan *plan, const char *root_uuid)
{
    char word[EDIT_MAX_FIELD];
    bool wrong = false;
    struct tree_names names = plan_list(plan, "boot/loader/entries");
    for (size_t i = 0; i < names.count; i++) {
        const char *text =
            plan_text(plan, plan_format(plan, "boot/loader/entries/%s", names.names[i]));
        wrong |= text && kernel_args_find(text, "options", word, sizeof(word));
        for (const char *at = text; root_uuid && at && grub_next_root(&at, word, sizeof(word));)
            wrong |= fstab_is_unstable(word);
    }
    return wrong;
}

static void regenerate(struct plan *plan)
{
    static const char *const mkconfig[] = {"grub2-mkconfig", "-o", "/boot/grub2/grub.cfg", NULL};
    static const char *const update[] = {"update-grub", NULL};
    bool rpm = plan->system & SYSTEM_RPM;
    if (!plan_exists(plan, rpm ? "boot/grub2/grub.cfg" : "boot/grub/grub.cfg"))
        return;
    if (packages_is_mounted(plan->tree))
        plan_command(plan, PLAN_AFTER_FILES, why, rpm ? mkconfig : update);
    else
        plan_note(plan, "run %s where this tree is the root of a disk: %s",
                  rpm ? "grub2-mkconfig -o /boot/grub2/grub.cfg" : "update-grub", why);
}

void step_arguments(struct plan *plan)
{
    const char *uuid = packages_root_uuid(plan);
    bool grubby = tree_exists(plan->tree, "usr/sbin/grubby") &&
                  plan_list(plan, "boot/loader/entries").count > 0;
    bool edited = edit_file(plan, "etc/default/grub", "GRUB_CMDLINE_LINUX");
    edit_file(plan, "etc/kernel/cmdline", "");
    const char *root = uuid ? plan_format(plan, "--args=root=UUID=%s", uuid) : NULL;
    static const char drop[] = "--remove-args=" KERNEL_ARGS_UNWANTED;
    const char *const argv[] = {"grubby", "--update-kernel=ALL", drop, root, NULL};
    if (grubby && entries_are_wrong(plan, uuid))
        plan_command(plan, PLAN_AFTER_FILES, why, argv);
    else if (edited && !grubby)
        regenerate(plan);
}
