/* /v1/attachments: data volumes of nodes */
#include "http/admin_internal.h"
#include "http/body.h"

#include <errno.h>

void admin_attach_volume(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_attachment fields;
    struct error error;
    size_t size;
    uint32_t lun;
    const char *data = http_body(call->request, &size);
    if (body_read_attachment(data, size, &body, &fields, &error) < 0 ||
        registry_volume_attach(call->admin->settings.registry, fields.volume.text, fields.node.text,
                               (uint32_t)fields.lun.number, &lun, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply(call, 200,
                   json_pack("{s:s, s:s, s:I}", "volume", fields.volume.text, "node",
                             fields.node.text, "lun", (json_int_t)lun));
}

/* What a running node works with is not taken from it. */
static int check_is_down(struct call *call, const char *volume_name, struct error *ret_error)
{
    char peer[256];
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    const struct catalog_volume *volume = catalog_volume_by_name(catalog, volume_name);
    if (!volume || !storage_volume_in_use(call->admin->settings.storage, volume->id, peer))
        return 0;
    return error_set(ret_error, -EBUSY,
                     "volume '%s' is in use by %s; shut that machine down first (after a power "
                     "cut, the session ends by itself within two minutes)",
                     volume_name, peer);
}

void admin_detach_volume(struct call *call)
{
    struct error error;
    const char *volume = http_query(call->request, "volume");
    int r = 0;
    if (!volume)
        r = error_set(&error, -EINVAL, "say which volume: /v1/attachments/NODE?volume=NAME");
    if (r >= 0)
        r = check_is_down(call, volume, &error);
    if (r >= 0)
        r = registry_volume_detach(call->admin->settings.registry, volume, call->name, &error);
    if (r < 0)
        call_reply_error(call, &error);
    else
        call_reply(call, 200, json_object());
}
