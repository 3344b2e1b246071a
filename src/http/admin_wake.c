/* /v1/wakes */
#include "http/admin_internal.h"

#include <errno.h>

/* NULL: nobody uses its disk. A disk elsewhere, nobody here sees the use of. */
static const char *find_user(struct call *call, const struct catalog_node *node,
                             char user[static 256])
{
    bool used = node->volume_id &&
                storage_volume_in_use(call->admin->settings.storage, node->volume_id, user);
    return used ? user : NULL;
}

static int send_to(struct call *call, const struct catalog_node *node, json_t **ret_sent,
                   struct error *ret_error)
{
    const struct admin_settings *settings = &call->admin->settings;
    const struct admin_wake wake = {
        .node = node->name,
        .macs = node->macs,
        .n_macs = node->n_macs,
        .password = &node->wake_password,
        .address = node->address ? node->address : node_last_address(call->admin, node),
    };
    if (!settings->wake)
        return error_set(ret_error, -EOPNOTSUPP, "nothing here wakes machines");
    return settings->wake(settings->context, &wake, ret_sent, ret_error);
}

static int wake_unless_used(struct call *call, const struct body_wake *fields,
                            struct error *ret_error)
{
    char user[256];
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    const struct catalog_node *node = catalog_node_by_name(catalog, fields->node.text);
    json_t *sent = NULL;
    if (!node)
        return error_set(ret_error, -ENOENT, "there is no node '%.64s'; see: nodisk node list",
                         fields->node.text);
    const char *used_by = find_user(call, node, user);
    if (used_by && !fields->force.value)
        sent = json_array();
    else if (send_to(call, node, &sent, ret_error) < 0)
        return ret_error->code;
    call_reply_result(
        call, json_pack("{s:s, s:s?, s:o}", "node", node->name, "running", used_by, "sent", sent));
    return 0;
}

void admin_wake_node(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_wake fields;
    struct error error;
    size_t size;
    const char *data = http_body(call->request, &size);
    if (body_read_wake(data, size, &body, &fields, &error) < 0 ||
        wake_unless_used(call, &fields, &error) < 0)
        call_reply_error(call, &error);
}
