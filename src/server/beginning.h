/*
 * Which logins of firmware are one beginning of a boot.
 *
 * Firmware with paths logs in through each of them: at once, on a slow link much later, and again
 * through one that it has lost. All of that is one beginning, and what was made anew for it stays.
 */
#pragma once

#include "iscsi/target.h"
#include "registry/registry.h"
#include "server/same_node.h"

struct beginning {
    uint64_t at; /* clock_monotonic_usec(), of the last login that was one of it; 0: none yet */
    struct iscsi_login_identity first;
    struct endpoint sources[REGISTRY_MAX_PATHS + 1]; /* that it has logged in from */
    size_t n_sources;
};

/* Does this login of firmware begin anew? Notes it either way. Not, if it comes from another
 * address of the same node (same_node.h) than those before, within seconds; or within a minute
 * while sessions of its firmware are alive, all from other addresses, and no system has logged in
 * yet. A machine that was reset comes through a card whose old session still seems to be alive, or
 * later. target: NULL: there are no sessions. On the target's thread. */
bool beginning_login(struct beginning *beginning, const struct catalog *catalog,
                     const struct iscsi_target *target, const struct iscsi_login_identity *login,
                     uint64_t now);
