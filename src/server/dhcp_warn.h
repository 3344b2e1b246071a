/* What is wrong with a plan, in the log: what machines could not boot with. */
#pragma once

#include "server/dhcp_plan.h"
#include "server/listen.h"

/* Subnets that cannot be served now, or not over IPv6. old: NULL, or a plan of which all has been
 * told already. */
void dhcp_warn_of_problems(const struct dhcp_plan *plan, const struct dhcp_plan *old);
/* Services that nothing listens for at the address that machines know us by. */
void dhcp_warn_of_unreachable(const struct dhcp_plan *plan, const struct listeners *listeners);
