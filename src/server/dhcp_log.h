/* What the DHCP server finds odd, as sentences in the log: once per source and minute. */
#pragma once

#include "core/ratelimit.h"
#include "dhcp/server.h"

#define DHCP_LOG_TEXT_SIZE 512

struct dhcp_log {
    struct ratelimit limits[DHCP_ODDITIES]; /* zeroed: ready for use */
    struct ratelimit send_failures;
};

/* The sentence. */
void dhcp_log_describe(const struct dhcp_oddity *oddity, char text[static DHCP_LOG_TEXT_SIZE]);
/* That of a machine that gets nothing to boot, also of DHCPv6. subnet: the section's name. */
void dhcp_log_describe_no_loader(const struct dhcp_client *client, const char *mac,
                                 const char *subnet, char text[static DHCP_LOG_TEXT_SIZE]);
void dhcp_log_oddity(struct dhcp_log *log, const struct dhcp_oddity *oddity);
void dhcp_log_send_failure(struct dhcp_log *log, const struct dhcp_answer *answer, int error);
