/*
 * The recipe that makes an installed system one that boots diskless, on whatever node: named steps,
 * each of which says what it does and puts what it wants into the plan.
 *
 * Systems differ: a step is for those that have its traits (system.h). There may be several of one
 * name, each for another kind of system.
 */
#pragma once

#include "prepare/plan.h"

struct recipe_step {
    const char *name;
    const char *what; /* a sentence: what for */
    unsigned system;  /* the traits that a system must have for it; 0: any */
    void (*plan)(struct plan *plan);
};

const struct recipe_step *recipe_steps(size_t *ret_count);

/* Is it for a system with these traits? */
bool recipe_is_for(const struct recipe_step *step, unsigned system);

/* Asks all steps that are for this system. -EOPNOTSUPP: this system is not one of those; ret_error
 * says why. */
int recipe_plan(struct plan *plan, struct error *ret_error) MUST_CHECK;

/* What step*.c have in them, for the table. */
void step_packages(struct plan *plan);
void step_files(struct plan *plan);
void step_initramfs(struct plan *plan);
void step_network(struct plan *plan);
void step_bridge(struct plan *plan);
void step_resolver(struct plan *plan);
void step_up(struct plan *plan);
void step_sysvinit(struct plan *plan);
void step_boot_record(struct plan *plan);
void step_fstab(struct plan *plan);
void step_resume(struct plan *plan);
void step_grub(struct plan *plan);
void step_efi(struct plan *plan);
void step_machine_id(struct plan *plan);
void step_host_name(struct plan *plan);
void step_ssh_keys(struct plan *plan);
void step_initiator_name(struct plan *plan);
void step_leases(struct plan *plan);
void step_card_names(struct plan *plan);
void step_random_seed(struct plan *plan);
void step_initramfs_build(struct plan *plan);
void step_dracut(struct plan *plan);
void step_dracut_shutdown(struct plan *plan);
void step_arguments(struct plan *plan);
void step_labels(struct plan *plan);
