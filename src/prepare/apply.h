/* Does what a plan says: commands that come first, after which it is made anew, notes for undo,
 * files, commands that come last. */
#pragma once

#include "prepare/plan.h"

struct apply_options {
    bool no_commands;
    bool no_undo;
};

/* told(): a command is about to run. The first failure ends it: what is done so far stays, is in
 * the notes for undo, and is not done again the next time. */
int apply_plan(struct plan *plan, const struct apply_options *options,
               void (*told)(const struct plan_command *command),
               struct error *ret_error) MUST_CHECK;
