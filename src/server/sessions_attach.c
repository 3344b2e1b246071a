/* Volumes that are attached to a node while it is logged in. */
#include <errno.h>

#include "server/data_volumes.h"
#include "server/session_match.h"
#include "server/sessions.h"

struct attaching {
    struct session_match match;
    struct targets *targets;
    struct data_volumes_wait wait;
};

/* On the session's thread. */
static void visit(void *context, unsigned thread, struct iscsi_session *session)
{
    struct attaching *a = context;
    if (session_match_is(&a->match, session))
        data_volumes_update(a->targets, session, &a->wait);
}

static int visit_all(struct sessions *sessions, struct attaching *a, uint64_t volume_id,
                     struct error *ret_error)
{
    data_volumes_wait_init(&a->wait, volume_id);
    int r = iscsi_roster_visit(sessions->roster, visit, a);
    data_volumes_wait_end(&a->wait);
    return r < 0 ? error_set(ret_error, r, "out of memory") : 0;
}

int sessions_attach(void *context, const char *node, const char *volume,
                    struct session_attach *ret_attach, struct error *ret_error)
{
    struct sessions *sessions = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(sessions->catalog);
    const struct session_filter filter = {.node = node};
    const struct catalog_volume *v = catalog_volume_by_name(catalog, volume);
    struct attaching a = {.targets = sessions->targets};
    int r = session_match_read(&filter, catalog, &a.match, ret_error);
    if (r < 0)
        return r;
    if (!v)
        return error_set(ret_error, -ENOENT, "there is no volume '%.64s' any more", volume);
    r = visit_all(sessions, &a, v->id, ret_error);
    if (r < 0)
        return r;
    *ret_attach = (struct session_attach){a.wait.n_have, a.wait.reason};
    return 0;
}
