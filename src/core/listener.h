/* Which of our listening sockets a machine comes to. */
#pragma once

#include "core/net.h"

/* The one of a list by which a machine that knows us by this address reaches the service, as
 * net_listen_one_of() listens there; one that names the address itself before one for all. NULL:
 * none. */
const struct endpoint *listener_find(const struct endpoint *list, size_t count,
                                     const struct endpoint *address);
