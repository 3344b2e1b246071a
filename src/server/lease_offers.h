/* What the DHCP server has offered and nobody has asked for yet: in its memory alone. */
#pragma once

#include "http/admin.h"
#include "server/dhcp_glue.h"

/* glue and mailbox: as for lease_release_run(). Waits. Up to max of them, by no order; *ret_count.
 * -ENOMEM; -EAGAIN: the server stops. */
int lease_offers_list(struct mailbox *mailbox, struct dhcp_glue *const *glue,
                      struct admin_offer *offers, size_t max, size_t *ret_count,
                      struct error *ret_error) MUST_CHECK;
