#include "server/session_match.h"

#include <errno.h>

#include "server/open_volumes.h"

static bool has_volume(const struct iscsi_session *session, uint64_t volume_id)
{
    const struct iscsi_luns *luns = session->conn->luns;
    if (session->target && open_volumes_id(session->target) == volume_id)
        return true;
    if (!luns)
        return false;
    list_for_each(node, &luns->all)
        if (container_of(node, struct iscsi_lun, link)->volume_id == volume_id)
            return true;
    return false;
}

static bool is_of_node(const struct catalog *catalog, const struct iscsi_session *session,
                       uint64_t node_id)
{
    const struct catalog_node *node =
        catalog_node_by_initiator(catalog, session->identity.initiator);
    return node && node->id == node_id;
}

bool session_match_is(const struct session_match *match, const struct iscsi_session *session)
{
    return (!match->id || session->roster.id == match->id) &&
           (!match->volume_id || has_volume(session, match->volume_id)) &&
           (!match->node_id || is_of_node(match->catalog, session, match->node_id));
}

static int no_such(const char *what, const char *name, struct error *ret_error)
{
    return error_set(ret_error, -ENOENT, "there is no %s '%.64s'; see: nodisk %s list", what, name,
                     what);
}

int session_match_read(const struct session_filter *filter, const struct catalog *catalog,
                       struct session_match *ret_match, struct error *ret_error)
{
    struct session_match match = {.catalog = catalog, .id = filter->id};
    if (filter->node) {
        const struct catalog_node *node = catalog_node_by_name(catalog, filter->node);
        if (!node)
            return no_such("node", filter->node, ret_error);
        match.node_id = node->id;
    }
    if (filter->volume) {
        const struct catalog_volume *volume = catalog_volume_by_name(catalog, filter->volume);
        if (!volume)
            return no_such("volume", filter->volume, ret_error);
        match.volume_id = volume->id;
    }
    *ret_match = match;
    return 0;
}
