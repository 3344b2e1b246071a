/* What targets.c and data_volumes.c share. */
#pragma once

#include <pthread.h>

#include "core/idmap.h"
#include "server/data_volumes.h"
#include "server/open_volumes.h"
#include "server/space_news.h"
#include "server/targets.h"

/* A volume as a login may use it: a copy, so that no session keeps an old catalog alive. */
struct admitted_volume {
    unsigned lun;
    struct volume_spec spec; /* its strings are those below */
    char target[IQN_MAX_LEN + 1];
    const char *name; /* the end of `target` */
    char *path;
    struct data_volumes_wait *wait; /* somebody waits until a session has it; or NULL */
};

/* What a login was admitted to. */
struct admission {
    struct iscsi_login_identity identity;
    struct chap_credentials *chap; /* what it must prove; owned; NULL: nothing */
    uint64_t node_id;              /* 0: the initiator is none */
    size_t n_volumes;
    struct admitted_volume volumes[]; /* the first is LUN 0 */
};

struct targets {
    struct catalog_slot *catalog;
    struct io_thread *const *threads;
    unsigned n_threads;
    struct open_volumes *volumes;
    struct space_news *news; /* or NULL */
    struct holds *holds;
    struct mailbox *control;
    targets_event *on_event;
    void *context;
    struct iscsi_portal_operations operations;
    struct redirect_list redirects;
    struct chap_credentials discovery_chap;
    pthread_mutex_t lock; /* protects users */
    struct idmap users;   /* struct volume_users by volume id */
};

/* Somebody uses a volume, for those who ask from other threads. */
void targets_add_user(struct targets *targets, uint64_t volume_id, const char *initiator,
                      const struct endpoint *peer);
void targets_remove_user(struct targets *targets, uint64_t volume_id);

/* False: no memory. */
bool admitted_volume_init(struct admitted_volume *a, unsigned lun, const struct catalog *catalog,
                          const struct catalog_volume *volume) MUST_CHECK;

/* For a login on its target's thread: opens its volumes, and calls request->done(). */
void data_volumes_get(struct targets *targets, struct io_thread *thread, const struct admission *a,
                      bool begins_anew, struct iscsi_target_request *request);
