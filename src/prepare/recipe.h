/*
 * The recipe that makes an installed system one that boots diskless, on whatever node: named steps,
 * each of which says what it does and puts what it wants into the plan.
 *
 * There is one so far: of Debian and what is made from it, with initramfs-tools, and with systemd
 * or sysvinit.
 */
#pragma once

#include "prepare/plan.h"

struct recipe_step {
    const char *name;
    const char *what; /* a sentence: what for */
    void (*plan)(struct plan *plan);
};

const struct recipe_step *recipe_steps(size_t *ret_count);

/* Asks all steps. -EOPNOTSUPP: this system is not one of those; ret_error says why. */
int recipe_plan(struct plan *plan, struct error *ret_error) MUST_CHECK;

/* What step.c, step_identity.c and step_boot.c have in them, for the table. */
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
