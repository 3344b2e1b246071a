/*
 * Ending sessions: at once, or so that nobody comes after them.
 *
 * A drain first holds what is drained and then goes through the sessions. A login that was admitted
 * before is asked about the hold again when its session begins, on the thread of the session: so it
 * is either refused there or was seen here.
 */
#include <errno.h>
#include <stdatomic.h>

#include "core/log.h"
#include "iscsi/async.h"
#include "server/open_volumes.h"
#include "server/session_match.h"
#include "server/sessions.h"

#define ENDED   "ended by an administrator"
#define DRAINED "its volume or node is being drained"

struct ending {
    struct session_match match;
    struct holds *holds; /* of a release: what is left of them */
    uint16_t seconds;
    atomic_uint count, asked;
};

static void end_now(void *context, unsigned thread, struct iscsi_session *session)
{
    struct ending *e = context;
    if (!session_match_is(&e->match, session))
        return;
    atomic_fetch_add(&e->count, 1);
    iscsi_conn_close(session->conn, ENDED);
}

int sessions_end(void *context, const struct session_filter *filter, unsigned *ret_count,
                 struct error *ret_error)
{
    struct sessions *sessions = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(sessions->catalog);
    struct ending e = {0};
    int r = session_match_read(filter, catalog, &e.match, ret_error);
    if (r < 0)
        return r;
    r = iscsi_roster_visit(sessions->roster, end_now, &e);
    if (r < 0)
        return error_set(ret_error, r, "out of memory");
    *ret_count = atomic_load(&e.count);
    return filter->id && *ret_count == 0 ? sessions_none(filter->id, ret_error) : 0;
}

/* --- draining --- */

static struct hold hold_of(const struct session_match *match)
{
    if (match->volume_id)
        return (struct hold){HOLD_VOLUME, match->volume_id, 0};
    if (match->node_id)
        return (struct hold){HOLD_NODE, match->node_id, 0};
    return (struct hold){HOLD_ALL, 0, 0};
}

/* "volume data", "node web1", "everything". */
static const char *format_hold(const struct session_filter *filter, char text[static 80])
{
    if (filter->volume)
        snprintf(text, 80, "volume %.64s", filter->volume);
    else if (filter->node)
        snprintf(text, 80, "node %.64s", filter->node);
    else
        str_copy(text, 80, "everything");
    return text;
}

/* Discovery sessions hold nothing up. */
static void ask_to_leave(void *context, unsigned thread, struct iscsi_session *session)
{
    struct ending *e = context;
    if (!session->target || !session_match_is(&e->match, session))
        return;
    atomic_fetch_add(&e->count, 1);
    if (iscsi_session_ask_to_leave(session, e->seconds, DRAINED))
        atomic_fetch_add(&e->asked, 1);
}

int sessions_drain(void *context, const struct session_filter *filter, unsigned seconds,
                   struct session_drain *ret_drain, struct error *ret_error)
{
    struct sessions *sessions = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(sessions->catalog);
    struct ending e = {.seconds = (uint16_t)seconds};
    char what[80];
    int r = session_match_read(filter, catalog, &e.match, ret_error);
    if (r < 0)
        return r;
    struct hold hold = hold_of(&e.match);
    r = holds_add(sessions->holds, hold.kind, hold.id);
    if (r >= 0)
        r = iscsi_roster_visit(sessions->roster, ask_to_leave, &e);
    if (r < 0)
        return error_set(ret_error, r, "out of memory");
    *ret_drain = (struct session_drain){atomic_load(&e.count), atomic_load(&e.asked)};
    log_info("%s is being drained: %u sessions have %u s to leave", format_hold(filter, what),
             ret_drain->sessions, seconds);
    return 0;
}

static bool is_held(const struct ending *e, const struct iscsi_session *session)
{
    const struct iscsi_luns *luns = session->conn->luns;
    const struct catalog_node *node =
        catalog_node_by_initiator(e->match.catalog, session->identity.initiator);
    bool held = holds_match(e->holds, node ? node->id : 0, open_volumes_id(session->target));
    if (!luns)
        return held;
    list_for_each(link, &luns->all)
        held |= holds_match(e->holds, 0, container_of(link, struct iscsi_lun, link)->volume_id);
    return held;
}

/* Unless it has to do with something else that is still held. */
static void let_stay(void *context, unsigned thread, struct iscsi_session *session)
{
    const struct ending *e = context;
    if (session->target && session_match_is(&e->match, session) && !is_held(e, session))
        iscsi_session_let_stay(session);
}

int sessions_release(void *context, const struct session_filter *filter, struct error *ret_error)
{
    struct sessions *sessions = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(sessions->catalog);
    struct ending e = {.holds = sessions->holds};
    char what[80];
    int r = session_match_read(filter, catalog, &e.match, ret_error);
    if (r < 0)
        return r;
    struct hold hold = hold_of(&e.match);
    format_hold(filter, what);
    if (!holds_remove(sessions->holds, hold.kind, hold.id))
        return error_set(ret_error, -ENOENT, "%s is not being drained", what);
    log_info("%s may be logged in to again", what);
    r = iscsi_roster_visit(sessions->roster, let_stay, &e);
    return r < 0 ? error_set(ret_error, r, "out of memory") : 0;
}

/* NULL: it is gone, and its hold with it. */
static json_t *hold_to_json(struct sessions *sessions, const struct catalog *catalog,
                            const struct hold *hold)
{
    const struct catalog_volume *volume =
        hold->kind == HOLD_VOLUME ? catalog_volume_by_id(catalog, hold->id) : NULL;
    const char *node = NULL;
    size_t n;
    const struct catalog_node *nodes = catalog_nodes(catalog, &n);
    for (size_t i = 0; hold->kind == HOLD_NODE && i < n; i++)
        if (nodes[i].id == hold->id)
            node = nodes[i].name;
    if (hold->kind != HOLD_ALL && !volume && !node) {
        holds_remove(sessions->holds, hold->kind, hold->id);
        return NULL;
    }
    return json_pack("{s:s?, s:s?, s:I}", "volume", volume ? volume->name : NULL, "node", node,
                     "since", (json_int_t)hold->since);
}

json_t *sessions_holds(void *context)
{
    struct sessions *sessions = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(sessions->catalog);
    size_t n = 0;
    cleanup_free struct hold *holds = holds_list(sessions->holds, &n);
    json_t *list = holds ? json_array() : NULL;
    for (size_t i = 0; list && i < n; i++) {
        json_t *json = hold_to_json(sessions, catalog, &holds[i]);
        if (json)
            json_array_append_new(list, json);
    }
    return list;
}
