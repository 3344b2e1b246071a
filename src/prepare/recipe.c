#include "prepare/recipe.h"

#include "prepare/sysvinit.h"

#include <errno.h>

/* Later steps see what earlier ones have planned; the initramfs is made of what all of them wrote.
 */
static const struct recipe_step steps[] = {
    {"packages", "what the others need is installed: open-iscsi, and what makes the initramfs", 0,
     step_packages},
    {"initramfs",
     "a script in the initramfs finds card, address, names and disk in the iBFT and logs in",
     SYSTEM_INITRAMFS_TOOLS, step_initramfs},
    {"initramfs", "a module of dracut has the same script, and dracut's own for networks stay out",
     SYSTEM_DRACUT, step_dracut},
    {"shutdown", "the root file system is left in order without dracut's initramfs, which is on it",
     SYSTEM_DRACUT, step_dracut_shutdown},
    {"iscsid",
     "the iSCSI daemon of the initramfs stays, in memory, and brings the disk back; nothing gives "
     "it up",
     0, step_files},
    {"waits", "what waits for a disk whose server is away is not killed for it", 0, step_files},
    {"network",
     "ifupdown, NetworkManager and cloud-init leave the boot card alone; systemd-networkd renews "
     "its lease",
     0, step_network},
    {"bridge",
     "with --bridge and --bond: the initramfs puts the boot card below them, before it logs in", 0,
     step_bridge},
    {"resolver", "name servers are the node's own, from the iBFT", 0, step_resolver},
    {"up", "the node tells its server that it is up; nothing depends on it", 0, step_up},
    {"sysvinit",
     "init scripts in place of units; halt and reboot leave the network up until the disk is "
     "written",
     0, step_sysvinit},
    {"boot-record", "what GRUB boots is written down, so that the server can send it whole", 0,
     step_boot_record},
    {"fstab", "root is found by its UUID and does not wait for the network; no swap across it", 0,
     step_fstab},
    {"resume", "none looks for a hibernated system on the disk", SYSTEM_INITRAMFS_TOOLS,
     step_resume},
    {"efi", "UEFI finds a loader at the removable path, without an entry of its own", 0, step_efi},
    {"machine-id", "each node makes its own", 0, step_machine_id},
    {"host-name", "it comes from the iBFT at each boot", 0, step_host_name},
    {"ssh-keys", "each node makes its own host keys at its first boot", 0, step_ssh_keys},
    {"initiator-name", "it comes from the iBFT at each boot", 0, step_initiator_name},
    {"leases", "no node asks for another's address", 0, step_leases},
    {"card-names", "no name of a network card is bound to another machine's MAC", 0,
     step_card_names},
    {"random-seed", "no two nodes begin with the same one", 0, step_random_seed},
    {"arguments", "the kernel has no arguments that are for another disk or network", SYSTEM_DRACUT,
     step_arguments},
    {"initramfs-build", "the initramfs of each kernel has all of this in it", 0,
     step_initramfs_build},
    /* behind it: of a kernel without an initramfs GRUB writes down neither that nor a UUID */
    {"grub", "the kernel finds root by its UUID, whatever the disk is called", 0, step_grub},
    {"labels", "SELinux knows what was written", SYSTEM_RPM, step_labels},
};

const struct recipe_step *recipe_steps(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(steps);
    return steps;
}

bool recipe_is_for(const struct recipe_step *step, unsigned system)
{
    return (step->system & system) == step->system;
}

/* Is it a system that the recipe is for? */
static int check_system(const struct plan *plan, struct error *ret_error)
{
    const struct tree *tree = plan->tree;
    if (!(plan->system & (SYSTEM_DPKG | SYSTEM_RPM)))
        return error_set(ret_error, -EOPNOTSUPP,
                         "%s has neither Debian's packages nor RPM's (no /var/lib/dpkg/status, "
                         "/var/lib/rpm or /usr/lib/sysimage/rpm): it cannot be prepared so far",
                         tree->path);
    if (!tree_exists(tree, "lib/systemd/systemd") && !sysvinit_is_init(plan->tree))
        return error_set(ret_error, -EOPNOTSUPP,
                         "%s has neither systemd nor sysvinit-core: only systems with one of them "
                         "can be prepared so far",
                         tree->path);
    return 0;
}

int recipe_plan(struct plan *plan, struct error *ret_error)
{
    int r = check_system(plan, ret_error);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++) {
        if (!recipe_is_for(&steps[i], plan->system))
            continue;
        plan->step = steps[i].name;
        steps[i].plan(plan);
        r = plan->error.code;
        if (r < 0)
            *ret_error = plan->error;
    }
    return r;
}
