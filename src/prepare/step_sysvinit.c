/* What a system with sysvinit has in place of units. */
#include "prepare/edit.h"
#include "prepare/recipe.h"
#include "prepare/sysvinit.h"

bool sysvinit_is_init(const struct tree *tree)
{
    return tree_exists(tree, "usr/share/sysvinit/inittab");
}

bool sysvinit_starts(struct plan *plan, const char *runlevel, const char *script)
{
    struct tree_names names = plan_list(plan, plan_format(plan, "etc/rc%s.d", runlevel));
    for (size_t i = 0; i < names.count; i++)
        if (names.names[i][0] == 'S' && strlen(names.names[i]) > 3 &&
            str_eq(names.names[i] + 3, script))
            return true;
    return false;
}

bool sysvinit_keeps_network(struct plan *plan)
{
    char value[EDIT_MAX_FIELD];
    const char *text = plan_text(plan, "etc/default/halt");
    return text && variable_get(text, "NETDOWN", value, sizeof(value)) && str_eq(value, "no");
}

/* halt and reboot take all cards down themselves, last of all, and the kernel still has the disk's
 * cache written after that. */
static void keep_network(struct plan *plan)
{
    if (sysvinit_keeps_network(plan))
        return;
    const char *text = plan_text(plan, "etc/default/halt") ?: "";
    cleanup_free char *dropped = variable_drop(text, "NETDOWN");
    if (!dropped)
        return;
    const char *edited = plan_format(plan, "%sNETDOWN=no\n", dropped);
    plan_file(plan, "etc/default/halt", 0, edited, strlen(edited));
}

/* Who starts the daemon for iscsiadm, where there is none: on a machine with a disk of its own. */
static void start_daemon_by_script(struct plan *plan)
{
    static const char path[] = "etc/iscsi/iscsid.conf",
                      unit[] = "= /bin/systemctl start iscsid.socket\n";
    const char *text = plan_text(plan, path);
    const char *at = text ? strstr(text, unit) : NULL;
    if (!at)
        return;
    const char *edited = plan_format(plan, "%.*s= /etc/init.d/iscsid start\n%s", (int)(at - text),
                                     text, at + strlen(unit));
    plan_file(plan, path, 0, edited, strlen(edited));
}

static void start_by(struct plan *plan, const char *runlevel, const char *script)
{
    const char *const argv[] = {"update-rc.d", script, "defaults", NULL};
    if (!sysvinit_starts(plan, runlevel, script))
        plan_command(plan, PLAN_AFTER_FILES, "init is to start it", argv);
}

void step_sysvinit(struct plan *plan)
{
    if (!sysvinit_is_init(plan->tree))
        return;
    step_files(plan);
    start_daemon_by_script(plan);
    keep_network(plan);
    start_by(plan, "S", "nodisk");
    start_by(plan, "2", "nodisk-up");
}
