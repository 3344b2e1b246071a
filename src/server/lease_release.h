/* Has the control thread release leases, for whoever asks on another one. */
#pragma once

#include "core/mailbox.h"
#include "server/dhcp_glue.h"

/* glue: read on the control thread, to which the mailbox leads; NULL there: it is stopped. what: an
 * address or a node's name. Waits. -ENOENT, -EBUSY, -EINVAL, -ENOMEM; -EAGAIN: the server stops. */
int lease_release_run(struct mailbox *mailbox, struct dhcp_glue *const *glue,
                      const struct catalog *catalog, const char *what,
                      struct error *ret_error) MUST_CHECK;
