#include "prepare/files.h"

#include "prepare/sysvinit.h"

/* Of those in debian, what only Debian has a use for. */
static const char *const of_debian[] = {
    "etc/systemd/system/iscsid.service",          "etc/systemd/system/open-iscsi.service",
    "etc/systemd/system/networking.service.d/",   "etc/systemd/system/ifup@.service.d/",
    "etc/systemd/system/nodisk-ssh-keys.service",
};

static bool is_for(const struct prepare_file *file, const struct plan *plan)
{
    const unsigned system = plan->system;
    const bool sysvinit = sysvinit_is_init(plan->tree);
    if (str_eq(file->kind, "sysvinit"))
        return sysvinit;
    if (str_has_prefix(file->path, "etc/systemd/") && sysvinit)
        return false;
    if (str_eq(file->kind, "dracut"))
        return system & SYSTEM_DRACUT;
    if (str_eq(file->kind, "rpm"))
        return system & SYSTEM_RPM;
    if (str_has_prefix(file->path, "etc/initramfs-tools/"))
        return system & SYSTEM_INITRAMFS_TOOLS;
    for (size_t i = 0; i < ARRAY_SIZE(of_debian); i++)
        if (str_has_prefix(file->path, of_debian[i]))
            return system & SYSTEM_DPKG;
    return true;
}

void prepare_put_files(struct plan *plan, const char *keep)
{
    size_t count;
    const struct prepare_file *files = prepare_files(&count);
    for (size_t i = 0; i < count; i++) {
        const struct prepare_file *file = &files[i];
        if (!str_eq(file->step, plan->step) || !is_for(file, plan))
            continue;
        if (keep && str_has_prefix(file->path, keep) && plan_exists(plan, file->path))
            continue;
        plan_file(plan, file->path, file->mode, file->data, file->size);
    }
}
