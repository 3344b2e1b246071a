/* Kernels and what is in their initramfs. */
#include "prepare/check_rules.h"
#include "prepare/initramfs.h"
#include "prepare/kernels.h"
#include "prepare/packages.h"

#include <errno.h>

#define ERROR   CHECK_ERROR
#define WARNING CHECK_WARNING

struct one_kernel {
    const char *version;
    const char *path; /* of its initramfs */
    struct initramfs initramfs;
};

static bool has_module(struct check *check, const struct one_kernel *kernel, bool in_initramfs,
                       const char *name)
{
    struct plan *plan = &check->plan;
    return in_initramfs || kernels_has_built_in(plan->tree, &plan->arena, kernel->version, name);
}

static void check_modules(struct check *check, const struct one_kernel *kernel)
{
    static const char stage[] = "initramfs";
    const struct initramfs *found = &kernel->initramfs;
    const char *type = packages_root_type(&check->plan);
    if (!has_module(check, kernel, found->iscsi_tcp, "iscsi_tcp"))
        check_found(check, ERROR, "initramfs-iscsi-tcp", stage, NULL,
                    "/%s has no iscsi_tcp: it cannot log in, and waits for its root for ever",
                    kernel->path);
    if (!has_module(check, kernel, found->iscsi_ibft, "iscsi_ibft"))
        check_found(check, ERROR, "initramfs-iscsi-ibft", stage, NULL,
                    "/%s has no iscsi_ibft: it does not see what the firmware left, and takes the "
                    "machine for one with a disk",
                    kernel->path);
    if (!has_module(check, kernel, found->sd_mod, "sd_mod"))
        check_found(check, ERROR, "initramfs-sd-mod", stage, NULL,
                    "/%s has no sd_mod: it logs in, but no disk appears", kernel->path);
    if (!has_module(check, kernel, found->file_system, type))
        check_found(check, ERROR, "initramfs-file-system", stage, NULL,
                    "/%s has no %s: the root file system cannot be mounted", kernel->path, type);
    if (found->n_drivers == 0 && !has_module(check, kernel, false, "virtio_net"))
        check_found(check, ERROR, "initramfs-no-card", stage, NULL,
                    "/%s has no driver of any network card: no card has the iBFT's MAC",
                    kernel->path);
}

/* Debian's own arrangement. */
static void check_stock(struct check *check, const struct one_kernel *kernel)
{
    const struct initramfs *found = &kernel->initramfs;
    if (!found->iscsistart)
        check_found(check, ERROR, "initramfs-no-login-program", "initramfs", NULL,
                    "/%s has neither iscsistart nor iscsid: nothing in it can log in",
                    kernel->path);
    else if (!found->stock_on)
        check_found(check, ERROR, "initramfs-iscsi-auto", "initramfs", NULL,
                    "/%s has open-iscsi's script, but no ISCSI_AUTO=true in /etc/iscsi.initramfs: "
                    "the script does nothing",
                    kernel->path);
    else
        check_found(check, WARNING, "initramfs-nobody-reconnects", "system", NULL,
                    "/%s logs in with iscsistart, which ends then: until iscsid is started, nobody "
                    "brings back a disk that is away for some seconds, and the boot fails",
                    kernel->path);
}

static bool same_file(struct check *check, const char *path, const char *text)
{
    const char *now = plan_text(&check->plan, path);
    return !now || (text && str_eq(now, text));
}

static const char *remake(const struct check *check)
{
    return check->plan.system & SYSTEM_DRACUT ? "dracut --force --regenerate-all"
                                              : "update-initramfs -u -k all";
}

static void check_ours(struct check *check, const struct one_kernel *kernel)
{
    const struct initramfs *found = &kernel->initramfs;
    if (!found->iscsid || !found->iscsiadm)
        check_found(check, ERROR, "initramfs-no-login-program", "initramfs", NULL,
                    "/%s has no %s: nothing in it can log in", kernel->path,
                    found->iscsid ? "iscsiadm" : "iscsid");
    if (!found->busybox && !found->dracut)
        check_found(check, ERROR, "initramfs-busybox", "initramfs", NULL,
                    "/%s has no busybox: its script cannot run", kernel->path);
    if (found->dracut && !found->our_hook)
        check_found(check, ERROR, "initramfs-no-script", "initramfs", NULL,
                    "/%s has the script that logs in, but nothing that runs it", kernel->path);
    if (!same_file(check, system_script(check->plan.system), found->our_script) ||
        !same_file(check, "etc/iscsi/iscsid.conf", found->iscsid_conf))
        check_found(check, WARNING, "initramfs-stale", "initramfs", remake(check),
                    "/%s was made before the files in /etc that it is made from: it boots as they "
                    "were",
                    kernel->path);
}

static void check_contents(struct check *check, const struct one_kernel *kernel)
{
    const struct initramfs *found = &kernel->initramfs;
    check_modules(check, kernel);
    if (!found->udev)
        check_found(check, ERROR, "initramfs-udev", "initramfs", "apt-get install udev",
                    "/%s has no udev: no driver of a network card is loaded", kernel->path);
    if (found->our_script)
        check_ours(check, kernel);
    else if (found->dracut && !(check->plan.system & SYSTEM_DRACUT))
        check_found(check, WARNING, "initramfs-dracut", "initramfs", NULL,
                    "/%s was made by dracut, but this system has initramfs-tools: whether it finds "
                    "its disk was not checked",
                    kernel->path);
    else if (found->stock_script)
        check_stock(check, kernel);
    else
        check_found(check, ERROR, "initramfs-no-script", "initramfs", NULL,
                    "/%s has no script that logs in to a disk: it waits for its root, and gives up",
                    kernel->path);
    if (found->resume && found->resume[0] && !str_eq(found->resume, "none"))
        check_found(check, WARNING, "resume", "initramfs", NULL,
                    "/%s looks for a hibernated system on %s: it waits for that device",
                    kernel->path, found->resume);
}

static void check_one(struct check *check, const char *version)
{
    struct plan *plan = &check->plan;
    struct one_kernel kernel = {.version = version,
                                .path = system_initramfs(plan->system, &plan->arena, version)};
    cleanup_close int fd = -1;
    int r = tree_open_file(plan->tree, kernel.path, &fd);
    if (r < 0) {
        check_found(check, ERROR, "no-initramfs", "loader", NULL,
                    "kernel %s has no initramfs (/%s): it cannot reach its root", version,
                    kernel.path);
        return;
    }
    r = initramfs_look(fd, packages_root_type(plan), &plan->arena, &kernel.initramfs);
    if (r < 0)
        check_found(check, ERROR, "initramfs-damaged", "loader", remake(check),
                    "/%s cannot be read as an initramfs (%s): the kernel finds no root in it",
                    kernel.path, strerror(-r));
    else
        check_contents(check, &kernel);
}

void check_kernels(struct check *check)
{
    struct plan *plan = &check->plan;
    struct tree_names kernels = kernels_list(plan->tree, &plan->arena);
    if (kernels.count == 0)
        check_found(check, ERROR, "no-kernel", "loader", "install one",
                    "there is no kernel (/boot/vmlinuz-*): nothing can be booted");
    if (kernels.count > KERNELS_MAX)
        check_found(check, WARNING, "many-kernels", "loader", "remove those that nobody boots",
                    "there are %zu kernels: only %d of them were checked", kernels.count,
                    KERNELS_MAX);
    for (size_t i = 0; i < MIN(kernels.count, (size_t)KERNELS_MAX); i++)
        check_one(check, kernels.names[i]);
}
