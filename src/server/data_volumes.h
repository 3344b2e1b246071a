/*
 * The data volumes of nodes, as further LUNs of their sessions: connected when a node logs in, or
 * attached to the sessions that it has when it is given one more.
 *
 * An attachment is in the registry, and in the catalog, before the sessions are gone through. A
 * login that was admitted before looks at the catalog again when its session begins, on the thread
 * of the session: so it either sees the attachment there or is seen.
 */
#pragma once

#include <pthread.h>

#include "iscsi/session.h"

struct targets;

/* Somebody, on another thread than those of I/O, waits until sessions have a volume. */
struct data_volumes_wait {
    uint64_t volume_id;
    pthread_mutex_t lock; /* protects all below */
    pthread_cond_t changed;
    unsigned n_left;    /* sessions for which it is being opened */
    unsigned n_have;    /* sessions that have it */
    const char *reason; /* why another one has it not; static, or NULL */
};

void data_volumes_wait_init(struct data_volumes_wait *wait, uint64_t volume_id);
/* Until no session is left for which it is being opened; then clears it. */
void data_volumes_wait_end(struct data_volumes_wait *wait);

/* On the session's thread, while it is in the roster: attaches what its node was given and it does
 * not have yet. wait: is told what becomes of that volume; or NULL. */
void data_volumes_update(struct targets *targets, struct iscsi_session *session,
                         struct data_volumes_wait *wait);
