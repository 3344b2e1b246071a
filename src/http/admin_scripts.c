/* What scripts a node gets: GET /v1/scripts/NODE?stage=... */
#include "http/admin_internal.h"

#include <errno.h>

void admin_show_script(struct call *call)
{
    const struct admin_settings *settings = &call->admin->settings;
    const char *stage = http_query(call->request, "stage");
    cleanup_catalog struct catalog *catalog = catalog_slot_get(settings->catalog);
    const struct catalog_node *node = catalog_node_by_name(catalog, call->name);
    struct error error;
    json_t *json = NULL;
    int r = 0;
    if (!node)
        r = error_set(&error, -ENOENT, "there is no node %.80s; see `nodisk node list`",
                      call->name);
    else if (!settings->show_script)
        r = error_set(&error, -ENOENT, "this daemon has no scripts");
    else
        r = settings->show_script(settings->context, catalog, node,
                                  node->address ? node->address
                                                : node_last_address(call->admin, node),
                                  stage && stage[0] ? stage : "boot", &json, &error);
    if (r < 0)
        call_reply_error(call, &error);
    else
        call_reply(call, 200, json);
}
