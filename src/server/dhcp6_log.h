/* What the DHCPv6 server finds odd, as sentences in the log: once per source and minute. */
#pragma once

#include "core/ratelimit.h"
#include "dhcp6/server.h"

struct dhcp6_log {
    struct ratelimit limits[DHCP6_ODDITIES]; /* zeroed: ready for use */
    struct ratelimit quiet;                  /* of what is shown with log-level = debug only */
    struct ratelimit send_failures;
};

void dhcp6_log_oddity(struct dhcp6_log *log, const struct dhcp6_oddity *oddity);
void dhcp6_log_send_failure(struct dhcp6_log *log, const struct dhcp6_answer *answer, int error);
