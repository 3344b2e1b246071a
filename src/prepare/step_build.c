/* The step that makes each kernel's initramfs of what the others have planned. */
#include "prepare/initramfs.h"
#include "prepare/kernels.h"
#include "prepare/packages.h"
#include "prepare/recipe.h"

/* Does this kernel's initramfs have what the plan has written? */
static bool is_current(struct plan *plan, const char *path)
{
    struct initramfs found;
    cleanup_close int fd = -1;
    const char *script = plan_text(plan, system_script(plan->system));
    const char *conf = plan_text(plan, "etc/iscsi/iscsid.conf");
    if (tree_open_file(plan->tree, path, &fd) < 0 ||
        initramfs_look(fd, packages_root_type(plan), &plan->arena, &found) < 0)
        return false;
    return found.our_script && script && str_eq(found.our_script, script) && found.iscsid_conf &&
           conf && str_eq(found.iscsid_conf, conf) &&
           (!found.resume || str_eq(found.resume, "none"));
}

static bool changes_initramfs(const struct plan *plan)
{
    static const char *const made_from[] = {"etc/initramfs-tools/", "etc/dracut.conf.d/",
                                            "usr/lib/dracut/", "etc/nodisk/"};
    for (size_t i = 0; i < plan->n_changes; i++)
        for (size_t j = 0; j < ARRAY_SIZE(made_from); j++)
            if (str_has_prefix(plan->changes[i].path, made_from[j]))
                return true;
    return false;
}

static void build(struct plan *plan, const char *version, const char *path)
{
    static const char why[] = "the initramfs is to have what was written";
    bool exists = tree_exists(plan->tree, path);
    const char *const update[] = {"update-initramfs", exists ? "-u" : "-c", "-k", version, NULL};
    const char *const dracut[] = {"dracut", "--force", plan_format(plan, "/%s", path), version,
                                  NULL};
    plan_command(plan, PLAN_AFTER_FILES, why, plan->system & SYSTEM_DRACUT ? dracut : update);
}

void step_initramfs_build(struct plan *plan)
{
    struct tree_names kernels = kernels_list(plan->tree, &plan->arena);
    bool changed = changes_initramfs(plan);
    if (kernels.count == 0)
        plan_note(plan, "there is no kernel in /boot: install one, then prepare again");
    for (size_t i = 0; i < kernels.count; i++) {
        const char *path = system_initramfs(plan->system, &plan->arena, kernels.names[i]);
        if (changed || i >= KERNELS_MAX || !is_current(plan, path))
            build(plan, kernels.names[i], path);
    }
}
