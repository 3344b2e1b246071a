#include "prepare/apply.h"

#include "prepare/command.h"
#include "prepare/recipe.h"
#include "prepare/undo.h"

static int run_commands(struct plan *plan, enum plan_moment moment,
                        void (*told)(const struct plan_command *), struct error *ret_error)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < plan->n_commands; i++) {
        if (plan->commands[i].moment != moment)
            continue;
        told(&plan->commands[i]);
        r = command_run(plan->tree, plan->commands[i].argv, ret_error);
    }
    return r;
}

static int put_files(struct plan *plan, struct error *ret_error)
{
    for (size_t i = 0; i < plan->n_changes; i++) {
        const struct plan_change *change = &plan->changes[i];
        int r = tree_put(plan->tree, change->path, &change->after);
        if (r < 0)
            return error_set(ret_error, r, "cannot %s /%s: %s",
                             change->after.kind == TREE_ABSENT ? "remove" : "write", change->path,
                             strerror(-r));
    }
    return 0;
}

static bool has_commands(const struct plan *plan, enum plan_moment moment)
{
    for (size_t i = 0; i < plan->n_commands; i++)
        if (plan->commands[i].moment == moment)
            return true;
    return false;
}

/* Packages bring files and directories: what was planned without them holds no more. */
static int run_first(struct plan *plan, void (*told)(const struct plan_command *),
                     struct error *ret_error)
{
    int r = run_commands(plan, PLAN_BEFORE_FILES, told, ret_error);
    if (r < 0)
        return r;
    plan_again(plan);
    return recipe_plan(plan, ret_error);
}

int apply_plan(struct plan *plan, const struct apply_options *options,
               void (*told)(const struct plan_command *command), struct error *ret_error)
{
    int r = 0;
    if (!options->no_commands && has_commands(plan, PLAN_BEFORE_FILES))
        r = run_first(plan, told, ret_error);
    if (r == 0 && plan->n_changes && !options->no_undo)
        r = undo_note(plan, ret_error);
    if (r == 0)
        r = put_files(plan, ret_error);
    if (r == 0 && !options->no_commands)
        r = run_commands(plan, PLAN_AFTER_FILES, told, ret_error);
    return r;
}
