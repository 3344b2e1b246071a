/* What a system with dracut makes of its next initramfs, and of the last one at shutdown. */
#include "prepare/check_rules.h"
#include "prepare/edit.h"

#define ERROR   CHECK_ERROR
#define WARNING CHECK_WARNING

#define CONFS "etc/dracut.conf.d"
#define OURS  CONFS "/90-nodisk.conf"

/* What is read behind ours, and says otherwise. */
static void check_conf(struct check *check, const char *path, const char *text, const void *context)
{
    (void)context;
    char value[EDIT_MAX_FIELD];
    size_t size = strlen(path);
    if (strcmp(path, OURS) <= 0 || size < 5 || !str_eq(path + size - 5, ".conf"))
        return;
    if (variable_get(text, "hostonly", value, sizeof(value)) && str_eq(value, "yes"))
        check_found(check, WARNING, "dracut-conf", "initramfs",
                    "give it a name that sorts before 90-nodisk.conf, or take the line out",
                    "/%s says hostonly=\"yes\": the next initramfs has the drivers of the machine "
                    "that it is made on, and no others",
                    path);
    if (variable_get(text, "omit_dracutmodules+", value, sizeof(value)) && strstr(value, "nodisk"))
        check_found(check, ERROR, "dracut-conf", "initramfs", "take nodisk out of that line",
                    "/%s leaves the module nodisk out: the next initramfs logs in to no disk",
                    path);
}

void check_dracut(struct check *check)
{
    struct plan *plan = &check->plan;
    if (!(plan->system & SYSTEM_DRACUT))
        return;
    if (!plan_exists(plan, OURS))
        check_found(check, ERROR, "dracut-conf", "initramfs", NULL,
                    "there is no /" OURS ": the next initramfs is for the machine that it is made "
                    "on, and whether it logs in depends on dracut's version");
    check_each_text(check, CONFS, check_conf, NULL);
    if (plan_get(plan, "etc/systemd/system/dracut-shutdown.service")->kind != TREE_LINK)
        check_found(check, WARNING, "dracut-shutdown", "shutdown", NULL,
                    "dracut-shutdown.service unpacks the initramfs when the machine is switched "
                    "off, read from a disk that its server may have taken away by then");
}
