#include "server/claims.h"

#include "server/targets.h"

#include <errno.h>

#define WAIT_USEC     (60 * USEC_PER_SEC) /* for a disk that has to write what it has cached */
#define PATIENCE_USEC (10 * 1000)

static int in_use(const char *volume, const char *peer, struct error *ret_error)
{
    return error_set(ret_error, -EBUSY,
                     "volume '%s' is in use by %s; shut that machine down first, or have it done "
                     "at its next boot (--at-next-boot), or end its session (--force)",
                     volume, peer);
}

/* Closing may take long, but nobody can open it any more. */
static int wait_until_shut(struct sessions *sessions, uint64_t volume_id, const char *volume,
                           struct error *ret_error)
{
    char peer[256];
    uint64_t end = clock_monotonic_usec() + WAIT_USEC;
    while (targets_in_use(sessions->targets, volume_id, peer) ||
           !targets_is_shut(sessions->targets, volume_id)) {
        if (clock_monotonic_usec() > end)
            return error_set(ret_error, -EBUSY,
                             "volume '%s' takes long to close: see what holds its disk up, and try "
                             "again",
                             volume);
        usleep(PATIENCE_USEC);
    }
    return 0;
}

static int throw_out(struct sessions *sessions, const char *volume, struct error *ret_error)
{
    const struct session_filter filter = {.volume = volume};
    unsigned count;
    return sessions_end(sessions, &filter, &count, ret_error);
}

static int hold(struct sessions *sessions, uint64_t volume_id, const char *volume,
                struct error *ret_error)
{
    int r = holds_add(sessions->holds, HOLD_CLAIM, volume_id);
    if (r == -EBUSY)
        return error_set(ret_error, r,
                         "volume '%s' is being changed right now; try again when that is done",
                         volume);
    return r < 0 ? error_set(ret_error, r, "out of memory") : 0;
}

int claims_take(struct sessions *sessions, uint64_t volume_id, const char *volume, bool force,
                struct error *ret_error)
{
    char peer[256];
    int r = hold(sessions, volume_id, volume, ret_error);
    if (r < 0)
        return r;
    bool used = targets_in_use(sessions->targets, volume_id, peer);
    if (used && force)
        r = throw_out(sessions, volume, ret_error);
    else if (used)
        r = in_use(volume, peer, ret_error);
    if (r >= 0)
        r = wait_until_shut(sessions, volume_id, volume, ret_error);
    if (r < 0)
        claims_release(sessions, volume_id);
    return r;
}

void claims_release(struct sessions *sessions, uint64_t volume_id)
{
    holds_remove(sessions->holds, HOLD_CLAIM, volume_id);
}

int claims_exchange(struct sessions *sessions, uint64_t volume_id, const char *volume,
                    int (*change)(void *argument, bool in_use, struct error *ret_error),
                    void *argument, struct error *ret_error)
{
    int r = hold(sessions, volume_id, volume, ret_error);
    if (r < 0)
        return r;
    r = targets_exchange(sessions->targets, volume_id, change, argument, ret_error);
    claims_release(sessions, volume_id);
    return r;
}
