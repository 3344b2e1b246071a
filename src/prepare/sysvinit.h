/* Systems whose init is sysvinit: what the step and the doctor ask of them. */
#pragma once

#include "prepare/plan.h"

/* Is sysvinit-core installed? By a file of its own: /etc/inittab stays when it goes. */
bool sysvinit_is_init(const struct tree *tree);
/* Has update-rc.d linked the script for starting in this runlevel ("S", "2")? */
bool sysvinit_starts(struct plan *plan, const char *runlevel, const char *script);
/* Do halt and reboot leave the network up (/etc/default/halt)? */
bool sysvinit_keeps_network(struct plan *plan);
