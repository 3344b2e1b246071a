/* /v1/groups, /v1/leases, and what is told of all nodes or one */
#include "http/admin_internal.h"
#include "http/body.h"

#include <errno.h>

static json_t *members_to_json(const struct catalog *catalog, const char *group)
{
    json_t *list = json_array();
    size_t count;
    const struct catalog_node *nodes = catalog_nodes(catalog, &count);
    for (size_t i = 0; i < count; i++)
        if (nodes[i].group && str_eq(nodes[i].group, group))
            json_array_append_new(list, json_string(nodes[i].name));
    return list;
}

static json_t *group_to_json(const struct catalog *catalog, const struct catalog_group *group)
{
    return json_pack("{s:s, s:o, s:o, s:I}", "name", group->name, "nodes",
                     members_to_json(catalog, group->name), "options",
                     options_to_json(group->options), "created_at", (json_int_t)group->created_at);
}

void admin_list_groups(struct call *call)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    size_t count;
    const struct catalog_group *groups = catalog_groups(catalog, &count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, group_to_json(catalog, &groups[i]));
    call_reply(call, 200, json_pack("{s:o}", "groups", list));
}

static json_t *group_result(struct admin *admin, const char *name, uint32_t version)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(admin->settings.catalog);
    const struct catalog_group *group = catalog_group_by_name(catalog, name);
    return group ? group_to_json(catalog, group) : json_null(); /* removed again already */
}

void admin_show_group(struct call *call)
{
    struct error error;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    const struct catalog_group *group = catalog_group_by_name(catalog, call->name);
    if (group) {
        call_reply(call, 200, group_to_json(catalog, group));
        return;
    }
    error_set(&error, -ENOENT, "there is no group '%.64s'; see: nodisk group list", call->name);
    call_reply_error(call, &error);
}

void admin_set_group(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_group_change fields;
    struct error error;
    size_t size;
    const char *data = http_body(call->request, &size);
    int r = body_read_group_change(data, size, &body, &fields, &error);
    if (r >= 0) {
        const struct registry_options_change change =
            options_of_body(&fields.options, &fields.no_options);
        r = registry_group_set(call->admin->settings.registry, call->name, &change, &error);
    }
    if (r < 0)
        call_reply_error(call, &error);
    else
        call_reply_job(call, NULL, call->name, group_result);
}

void admin_add_group(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_group fields;
    struct error error;
    size_t size;
    const char *data = http_body(call->request, &size);
    if (body_read_group(data, size, &body, &fields, &error) < 0 ||
        registry_group_add(call->admin->settings.registry, fields.name.text, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply_result(call, json_pack("{s:s}", "name", fields.name.text));
}

void admin_remove_group(struct call *call)
{
    struct error error;
    if (registry_group_remove(call->admin->settings.registry, call->name, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply(call, 200, json_object());
}

void admin_export_dhcp(struct call *call)
{
    const struct admin_settings *settings = &call->admin->settings;
    struct error error;
    cleanup_free char *text = NULL;
    int r = settings->export_dhcp
                ? settings->export_dhcp(settings->context, call->name, &text, &error)
                : error_set(&error, -ENOENT, "there are no subnets here");
    if (r < 0)
        call_reply_error(call, &error);
    else
        call_reply(call, 200, json_pack("{s:s, s:s}", "format", call->name, "text", text));
}

void admin_list_loaders(struct call *call)
{
    const struct admin_settings *settings = &call->admin->settings;
    call_reply(call, 200,
               settings->loaders ? settings->loaders(settings->context)
                                 : json_pack("{s:[]}", "loaders"));
}

void admin_export_firewall(struct call *call)
{
    const struct admin_settings *settings = &call->admin->settings;
    struct error error;
    cleanup_free char *text = NULL;
    int r = settings->export_firewall ? settings->export_firewall(settings->context, &text, &error)
                                      : error_set(&error, -ENOENT, "there are no subnets here");
    if (r < 0)
        call_reply_error(call, &error);
    else
        call_reply(call, 200, json_pack("{s:s}", "text", text));
}

void admin_show_ibft(struct call *call)
{
    const struct admin_settings *settings = &call->admin->settings;
    const char *text = http_query(call->request, "mac");
    struct mac_address mac;
    struct error error;
    json_t *json = NULL;
    int r = 0;
    if (text && mac_parse(text, &mac) < 0)
        r = error_set(&error, -EINVAL, "mac '%.32s' is none", text);
    else if (!settings->ibft)
        r = error_set(&error, -ENOENT, "nothing is known of boots here");
    else
        r = settings->ibft(settings->context, call->name, text ? &mac : NULL, &json, &error);
    if (r < 0)
        call_reply_error(call, &error);
    else
        call_reply(call, 200, json);
}
