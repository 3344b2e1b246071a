/*
 * The iSCSI sessions for people: what the I/O threads know of them, joined with the nodes and
 * volumes of the catalog.
 */
#pragma once

#include "http/sessions.h"
#include "iscsi/session.h"
#include "registry/catalog.h"
#include "server/holds.h"

struct sessions {
    struct iscsi_roster *roster;
    struct holds *holds;
    struct catalog_slot *catalog;
    struct targets *targets;
};

/* For the admin API. All must outlive it. */
struct session_provider sessions_provider(struct sessions *sessions);

/* --- sessions_end.c, for sessions.c; see http/sessions.h --- */

int sessions_end(void *context, const struct session_filter *filter, unsigned *ret_count,
                 struct error *ret_error);
int sessions_drain(void *context, const struct session_filter *filter, unsigned seconds,
                   struct session_drain *ret_drain, struct error *ret_error);
int sessions_release(void *context, const struct session_filter *filter, struct error *ret_error);
json_t *sessions_holds(void *context);
/* In sessions_attach.c. */
int sessions_attach(void *context, const char *node, const char *volume,
                    struct session_attach *ret_attach, struct error *ret_error);
/* -ENOENT: there is no session with this id. */
int sessions_none(uint64_t id, struct error *ret_error);

/* --- for sessions_json.c --- */

struct session_lun {
    unsigned number;
    uint64_t volume_id;
};

/* A session as it was when its thread was asked. */
struct session_copy {
    struct session_copy *next;
    uint64_t id;
    bool discovery;
    uint64_t volume_id; /* of LUN 0; 0: discovery */
    struct endpoint peer, portal;
    uint8_t isid[6];
    uint16_t tsih, cid;
    struct iscsi_login_traits traits;
    struct iscsi_parameters parameters;
    struct iscsi_record record;
    unsigned under_way;    /* commands */
    const char *initiator; /* these three in `texts` */
    const char *target;
    const char *alias;
    char *texts;
    size_t n_luns;
    struct session_lun luns[]; /* beside LUN 0 */
};

/* New; NULL without memory. in_full: with everything. */
json_t *session_to_json(const struct catalog *catalog, const struct session_copy *copy,
                        bool in_full);
