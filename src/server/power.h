/* Switches machines, by hooks: DIRECTORY/power.d/SCHEME. */
#pragma once

#include "hooks/hooks.h"
#include "http/admin.h"

/* As admin_settings.power wants it; any thread that may wait. */
int power_switch(struct hooks *hooks, struct catalog_slot *catalog, const char *node,
                 const struct registry_bmc *bmc, const char *action,
                 char state[static ADMIN_POWER_STATE_SIZE], struct error *ret_error) MUST_CHECK;
