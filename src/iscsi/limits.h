/* What an operator may set about connections and sessions ([iscsi] in nodisk.conf). */
#pragma once

#include "core/util.h"

struct iscsi_limits {
    uint32_t sessions;            /* at once, of all targets and discovery; 0: any number */
    uint32_t sessions_per_target; /* at once; 0: any number */
    uint32_t logins;              /* connections of one thread that log in at once; at least 1 */
    uint32_t login_seconds;       /* that a login may take; at least 1 */
    uint32_t queue_depth;         /* commands under way that a session is granted; 1..256 */
    uint32_t ping_seconds;        /* of silence, then a session that pings us is pinged; 0: never */
    uint32_t ping_timeout;        /* seconds for its answer; at least 1 */
};

#define ISCSI_QUEUE_DEPTH     128
#define ISCSI_QUEUE_DEPTH_MAX 256

#define ISCSI_DEFAULT_LIMITS                                                                       \
    ((struct iscsi_limits){                                                                        \
        .logins = 1024,                                                                            \
        .login_seconds = 15,                                                                       \
        .queue_depth = ISCSI_QUEUE_DEPTH,                                                          \
        .ping_seconds = 30,                                                                        \
        .ping_timeout = 15,                                                                        \
    })
