/* Steps that put files of ours into the system. */
#include "prepare/files.h"
#include "prepare/packages.h"
#include "prepare/recipe.h"
#include "prepare/sysvinit.h"

#define UNITS "etc/systemd/system/"

/* What installs a package: the first of these that is there. */
static const struct installer {
    const char *program;
    const char *words[4];
} installers[] = {
    {"usr/bin/apt-get", {"apt-get", "install", "--yes", "--no-install-recommends"}},
    {"usr/bin/zypper", {"zypper", "--non-interactive", "install", "--no-recommends"}},
    {"usr/bin/dnf", {"dnf", "install", "--assumeyes", "--setopt=install_weak_deps=False"}},
    {"usr/bin/yum", {"yum", "install", "--assumeyes"}},
};

static const struct installer *installer_of(const struct plan *plan)
{
    for (size_t i = 0; i < ARRAY_SIZE(installers); i++)
        if (!(plan->system & SYSTEM_DPKG) && tree_exists(plan->tree, installers[i].program))
            return &installers[i];
    return &installers[0];
}

void step_packages(struct plan *plan)
{
    static const char why[] = "packages are missing";
    static const char *const update[] = {"apt-get", "update", NULL};
    const char *missing[PACKAGES_MAX + 1],
        *argv[ARRAY_SIZE(installers[0].words) + PACKAGES_MAX + 1];
    const struct installer *installer = installer_of(plan);
    size_t count = 0;
    packages_missing(plan->tree, plan->system, &plan->arena, missing);
    if (!missing[0])
        return;
    while (count < ARRAY_SIZE(installer->words) && installer->words[count]) {
        argv[count] = installer->words[count];
        count++;
    }
    memcpy(argv + count, missing, sizeof(missing));
    if (installer == &installers[0])
        plan_command(plan, PLAN_BEFORE_FILES, why, update);
    plan_command(plan, PLAN_BEFORE_FILES, why, argv);
}

static void enable_for(struct plan *plan, const char *unit, const char *target, const char *where)
{
    if (sysvinit_is_init(plan->tree))
        return;
    const char *path = plan_format(plan, UNITS "%s.wants/%s", target, unit);
    /* whoever enabled it may have written its place in another way */
    if (plan_get(plan, path)->kind != TREE_LINK)
        plan_link(plan, path, plan_format(plan, "%s/%s", where, unit));
}

static void enable(struct plan *plan, const char *unit)
{
    enable_for(plan, unit, "multi-user.target", "/etc/systemd/system");
}

void step_files(struct plan *plan)
{
    prepare_put_files(plan, NULL);
}

/* The initramfs checks and mounts a file system whose type our file names. */
static void set_file_system(struct plan *plan, const char *path)
{
    const char *type = packages_root_type(plan);
    const char *text = plan_text(plan, path);
    const char *line = text ? strstr(text, "FSTYPE=ext4\n") : NULL;
    if (!line || str_eq(type, "ext4"))
        return;
    const char *edited = plan_format(plan, "%.*sFSTYPE=%s\n%s", (int)(line - text), text, type,
                                     line + strlen("FSTYPE=ext4\n"));
    plan_file(plan, path, 0, edited, strlen(edited));
}

void step_initramfs(struct plan *plan)
{
    prepare_put_files(plan, NULL);
    set_file_system(plan, "etc/initramfs-tools/conf.d/nodisk");
}

void step_network(struct plan *plan)
{
    prepare_put_files(plan, NULL);
    if (!tree_exists(plan->tree, "usr/lib/systemd/systemd-networkd") && plan->system & SYSTEM_RPM)
        return;
    enable_for(plan, "systemd-networkd.service", "multi-user.target", "/lib/systemd/system");
    enable_for(plan, "systemd-networkd.socket", "sockets.target", "/lib/systemd/system");
    if (!sysvinit_is_init(plan->tree) &&
        plan_get(plan, UNITS "dbus-org.freedesktop.network1.service")->kind != TREE_LINK)
        plan_link(plan, UNITS "dbus-org.freedesktop.network1.service",
                  "/lib/systemd/system/systemd-networkd.service");
}

void step_resolver(struct plan *plan)
{
    /* a link is somebody's who keeps it: systemd-resolved, NetworkManager, resolvconf */
    const struct tree_entry *now = plan_get(plan, "etc/resolv.conf");
    if (now->kind != TREE_LINK)
        plan_link(plan, "etc/resolv.conf", "/run/nodisk/resolv.conf");
}

void step_up(struct plan *plan)
{
    prepare_put_files(plan, "etc/default/");
    enable(plan, "nodisk-up.service");
}

void step_boot_record(struct plan *plan)
{
    prepare_put_files(plan, NULL);
    enable(plan, "nodisk-boot-record.service");
}

void step_ssh_keys(struct plan *plan)
{
    struct tree_names names = plan_list(plan, "etc/ssh");
    bool removed = false;
    prepare_put_files(plan, NULL);
    if (plan->system & SYSTEM_DPKG) /* others' sshd sees to its keys */
        enable(plan, "nodisk-ssh-keys.service");
    for (size_t i = 0; i < names.count; i++)
        if (str_has_prefix(names.names[i], "ssh_host_") && strstr(names.names[i], "_key")) {
            plan_remove(plan, plan_format(plan, "etc/ssh/%s", names.names[i]));
            removed = true;
        }
    if (removed && plan->tree->live)
        plan_note(plan, "stay logged in until this machine is shut down: without its host keys no "
                        "new login by SSH works before its next boot (sshd before OpenSSH 9.8)");
}
