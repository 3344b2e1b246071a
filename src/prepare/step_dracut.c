/* Steps of systems whose initramfs is made by dracut. */
#include "prepare/files.h"
#include "prepare/recipe.h"

void step_dracut(struct plan *plan)
{
    size_t count;
    const struct prepare_file *files = prepare_files(&count);
    prepare_put_files(plan, NULL);
    for (size_t i = 0; i < count; i++)
        if (str_eq(files[i].path, SYSTEM_SCRIPT_INITRAMFS_TOOLS))
            plan_file(plan, SYSTEM_SCRIPT_DRACUT, files[i].mode, files[i].data, files[i].size);
}

void step_dracut_shutdown(struct plan *plan)
{
    plan_link(plan, "etc/systemd/system/dracut-shutdown.service", "/dev/null");
}
