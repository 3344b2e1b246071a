/*
 * "Logged once per source per minute": says whether a message about a peer may be shown now.
 *
 * Constant memory whatever is sent at us: a small table of recent sources, and an allowance for
 * all sources together, so that forged addresses cannot flood the log either. Not thread-safe;
 * each socket's owner has its own.
 */
#pragma once

#include "core/net.h"

#define RATELIMIT_SOURCES 64

struct ratelimit_source {
    struct endpoint source;
    uint64_t shown_at; /* usec; 0: unused slot */
    uint32_t suppressed;
};

struct ratelimit {
    struct ratelimit_source sources[RATELIMIT_SOURCES];
    uint64_t minute_started;
    uint32_t shown_this_minute;
};

/* now: clock_monotonic_usec(). True if it may be shown; *ret_suppressed then counts what was kept
 * back from this source since the last time. A zeroed struct is ready for use. */
bool ratelimit_allow(struct ratelimit *limit, const struct endpoint *source, uint64_t now,
                     uint32_t *ret_suppressed);
