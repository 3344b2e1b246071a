/* Steps of systems with RPM's packages. */
#include "prepare/edit.h"
#include "prepare/recipe.h"

/* Is it switched on? Its policy's name. */
static bool get_policy(struct plan *plan, char name[static EDIT_MAX_FIELD])
{
    char state[EDIT_MAX_FIELD];
    const char *text = plan_text(plan, "etc/selinux/config");
    return text && variable_get(text, "SELINUX", state, sizeof(state)) &&
           !str_eq(state, "disabled") && variable_get(text, "SELINUXTYPE", name, EDIT_MAX_FIELD);
}

/* Files that are written from outside of the system have no label, and systemd runs none of them.
 * setfiles needs no kernel with SELinux. */
void step_labels(struct plan *plan)
{
    char policy[EDIT_MAX_FIELD];
    size_t count = 3;
    if (!plan->n_changes || !get_policy(plan, policy))
        return;
    if (!tree_exists(plan->tree, "usr/sbin/setfiles")) {
        plan_note(plan, "SELinux is on: touch /.autorelabel in the tree, so that the first boot "
                        "labels what was written (and starts once more)");
        return;
    }
    const char **argv = arena_alloc(&plan->arena, (plan->n_changes + 4) * sizeof(*argv));
    if (!argv)
        return;
    argv[0] = "setfiles";
    argv[1] = "-F";
    argv[2] = plan_format(plan, "/etc/selinux/%s/contexts/files/file_contexts", policy);
    for (size_t i = 0; i < plan->n_changes; i++)
        if (plan->changes[i].after.kind != TREE_ABSENT)
            argv[count++] = plan_format(plan, "/%s", plan->changes[i].path);
    argv[count] = NULL;
    plan_command(plan, PLAN_AFTER_FILES, "SELinux is to know what was written", argv);
}
