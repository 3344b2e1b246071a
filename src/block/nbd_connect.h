/* Connections to NBD servers (inside this folder only). */
#pragma once

#include "block/nbd.h"

#include <libnbd.h>

/* Of one try: a server that accepts but does not answer. */
#define NBD_CONNECT_TIMEOUT (10 * USEC_PER_SEC)

/* A connection that is ready for commands, and what its export is. Blocks, for about
 * NBD_CONNECT_TIMEOUT at most (names are looked up by the system's rules). */
int nbd_connect(const char *uri, struct nbd_handle **ret_handle, struct nbd_export *ret_export,
                struct error *ret_error) MUST_CHECK;
/* Says goodbye, without waiting for an answer. NULL: no-op. */
void nbd_let_go(struct nbd_handle *handle);
