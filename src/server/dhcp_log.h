/* What the DHCP server finds odd, as sentences in the log: once per source and minute. */
#pragma once

#include "core/ratelimit.h"
#include "dhcp/server.h"

struct dhcp_log {
    struct ratelimit limits[DHCP_ODDITIES]; /* zeroed: ready for use */
    struct ratelimit send_failures;
};

void dhcp_log_oddity(struct dhcp_log *log, const struct dhcp_oddity *oddity);
void dhcp_log_send_failure(struct dhcp_log *log, const struct dhcp_answer *answer, int error);
