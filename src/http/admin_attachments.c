/* /v1/attachments: data volumes of nodes */
#include "http/admin_internal.h"
#include "http/body.h"

#include <errno.h>

/* The attachment is made, whatever becomes of this: sessions that do not see it now do later. */
static struct session_attach tell_sessions(struct call *call, const struct body_attachment *fields,
                                           struct error *error)
{
    const struct session_provider *p = call->admin->settings.sessions;
    struct session_attach attach = {0};
    if (p && p->attach(p->context, fields->node.text, fields->volume.text, &attach, error) < 0)
        attach.reason = error->text;
    return attach;
}

static json_t *attachment_to_json(const struct body_attachment *fields, uint32_t lun,
                                  const struct session_attach *attach)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:s?}", "volume", fields->volume.text, "node",
                     fields->node.text, "lun", (json_int_t)lun, "sessions",
                     (json_int_t)attach->sessions, "problem", attach->reason);
}

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
    else {
        struct session_attach attach = tell_sessions(call, &fields, &error);
        call_reply(call, 200, attachment_to_json(&fields, lun, &attach));
    }
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
