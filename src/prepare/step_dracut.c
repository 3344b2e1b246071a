/* Steps of systems whose initramfs is made by dracut. */
#include "prepare/files.h"
#include "prepare/recipe.h"

void step_dracut(struct plan *plan)
{
    size_t count;
    const struct prepare_file *files = prepare_files(&count);
    for (size_t i = 0; i < count; i++) {
        const struct prepare_file *file = &files[i];
        const char *path =
            str_eq(file->kind, "dracut") && str_eq(file->step, plan->step) ? file->path
            : str_eq(file->path, SYSTEM_SCRIPT_INITRAMFS_TOOLS)            ? SYSTEM_SCRIPT_DRACUT
                                                                           : NULL;
        if (path)
            plan_file(plan, path, file->mode, file->data, file->size);
    }
}

void step_dracut_shutdown(struct plan *plan)
{
    plan_link(plan, "etc/systemd/system/dracut-shutdown.service", "/dev/null");
}
