#include "core/ratelimit.h"

#define MINUTE                   (60 * USEC_PER_SEC)
#define MAX_PER_MINUTE_ALL_PEERS 60

static struct ratelimit_source *find_or_evict(struct ratelimit *limit,
                                              const struct endpoint *source)
{
    struct ratelimit_source *oldest = &limit->sources[0];
    for (size_t i = 0; i < RATELIMIT_SOURCES; i++) {
        struct ratelimit_source *s = &limit->sources[i];
        if (s->shown_at && endpoint_same_host(&s->source, source))
            return s;
        if (s->shown_at < oldest->shown_at)
            oldest = s;
    }
    *oldest = (struct ratelimit_source){.source = *source};
    return oldest;
}

bool ratelimit_allow(struct ratelimit *limit, const struct endpoint *source, uint64_t now,
                     uint32_t *ret_suppressed)
{
    if (now - limit->minute_started >= MINUTE) {
        limit->minute_started = now;
        limit->shown_this_minute = 0;
    }
    struct ratelimit_source *s = find_or_evict(limit, source);
    bool recent = s->shown_at && now - s->shown_at < MINUTE;
    if (recent || limit->shown_this_minute >= MAX_PER_MINUTE_ALL_PEERS) {
        s->suppressed++;
        return false;
    }
    limit->shown_this_minute++;
    *ret_suppressed = s->suppressed;
    s->suppressed = 0;
    s->shown_at = now;
    return true;
}
