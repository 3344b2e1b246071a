/* The menu of what a node may boot, as a part of its script. Pure. */
#pragma once

#include "boot/script.h"

#include <stdio.h>

/* PLAN_MENU. A choice is asked for at the server, which looks again whether it holds. */
void boot_menu_put(FILE *f, const struct plan *plan, struct mac_address mac,
                   const struct boot_site *site);
