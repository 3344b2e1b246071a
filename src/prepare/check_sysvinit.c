/* What takes the disk away under sysvinit, above all at halt and reboot. */
#include "prepare/check_rules.h"
#include "prepare/sysvinit.h"

static void check_scripts(struct check *check)
{
    struct plan *plan = &check->plan;
    if (!plan_exists(plan, "etc/init.d/nodisk") || !sysvinit_starts(plan, "S", "nodisk"))
        check_found(check, CHECK_ERROR, "sysvinit-sendsigs", "shutdown", NULL,
                    "nothing spares the iSCSI daemon of the initramfs (/etc/init.d/nodisk): "
                    "sendsigs kills it at shutdown, and a disk that is lost then stays lost");
    if (!plan_exists(plan, "etc/init.d/nodisk-up") || !sysvinit_starts(plan, "2", "nodisk-up"))
        check_found(check, CHECK_WARNING, "sysvinit-lease", "up", NULL,
                    "/etc/init.d/nodisk-up is not started: nobody renews the boot card's DHCP "
                    "lease, and the server may give its address away");
}

void check_sysvinit(struct check *check)
{
    struct plan *plan = &check->plan;
    if (!sysvinit_is_init(plan->tree))
        return;
    check_scripts(check);
    if (!sysvinit_keeps_network(plan))
        check_found(check, CHECK_ERROR, "sysvinit-netdown", "shutdown", NULL,
                    "/etc/default/halt does not say NETDOWN=no: halt and reboot take the network "
                    "down before the disk's cache is written, and the machine hangs");
    const char *iscsid = plan_text(plan, "etc/default/iscsid");
    if (!iscsid || !strstr(iscsid, "do_start_cmd_override"))
        check_found(check, CHECK_WARNING, "sysvinit-iscsid", "system", NULL,
                    "/etc/init.d/iscsid starts a second iSCSI daemon beside the one of the "
                    "initramfs: the two are in each other's way");
}
