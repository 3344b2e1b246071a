/* What script.c, script_target.c and menu.c share. */
#pragma once

#include "boot/script.h"

#include <stdio.h>

/* Seconds between two tries of a node that waits for something. */
#define RETRY_SECONDS 5
/* Milliseconds without a byte, after which iPXE gives up fetching something. */
#define FETCH_TIMEOUT "30000"

/* "http://10.0.0.1/boot.ipxe?mac=52-54-00-00-00-01" */
void script_put_url(FILE *f, const char *path, struct mac_address mac, const char *base_url);
/* Behind a URL; NULL: nothing. */
void script_put_chosen(FILE *f, const char *chosen);
/* Waits, then starts over with what the server says by then; `again` is the label to go to if it
 * does not answer. */
void script_put_retry(FILE *f, unsigned seconds, struct mac_address mac,
                      const struct boot_site *site, const char *again);
/* Host name and initiator. */
void script_put_identity(FILE *f, const struct plan *plan, const struct boot_site *site);

/* All that its disk needs before it is hooked. False: it has to ask for the script anew for that,
 * which is all that the script is. */
bool script_put_disk(FILE *f, const struct plan *plan, struct mac_address mac,
                     const struct boot_site *site);
/* Logs in to the plan's volume, as firmware's first disk; else goes to the label failed. */
void script_put_sanhook(FILE *f, const struct plan *plan, const struct boot_site *site);
void script_put_sanunhook(FILE *f);

/* --- script_target.c --- */

/* PLAN_LOCAL, _SHELL, _MEMTEST, _OFF, _ENTRY */
void script_put_target(FILE *f, const struct plan *plan, struct mac_address mac,
                       const struct boot_site *site);
