/*
 * Changes that machines have to boot for, on a few of them at a time: the next ones begin when
 * these have booted. A machine is in change from when its session was ended, or something was
 * staged for its next boot, until it is up again; one whose system never said so before, until it
 * has logged in again. One that is not logged in when its disk is changed is off, and is not waited
 * for.
 */
#pragma once

#include "cli/command.h"

struct rollout;

/* Is a machine whose boot has come to this stage up, as far as anybody can know? says_up: its
 * system has said so when it was up before. */
bool rollout_is_up(const char *stage, bool says_up);

/* max: how many machines may be in change; minutes: how long one may take to boot. staged: what is
 * done takes effect at the next boot, which may be a long time from now. */
struct rollout *rollout_new(const struct cli *cli, size_t max, unsigned minutes, bool staged);
void rollout_free(struct rollout *rollout);

/* Before something is done to this volume (as the API has it): waits until there is room for one
 * more. False, and told: it may not begin, because one did not come up or the user said stop. */
bool rollout_enter(struct rollout *rollout, const json_t *volume) MUST_CHECK;
/* It was done. */
void rollout_done(struct rollout *rollout);
/* Waits for those that are still in change. False as above. */
bool rollout_finish(struct rollout *rollout) MUST_CHECK;
