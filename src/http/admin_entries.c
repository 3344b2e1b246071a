/* /v1/boot-entries: live systems and scripts */
#include "http/admin_internal.h"
#include "http/body.h"

#include <errno.h>

static json_t *entry_to_json(const struct catalog_entry *entry)
{
    json_t *initrds = json_array();
    for (size_t i = 0; i < entry->n_initrds; i++)
        json_array_append_new(initrds, json_string(entry->initrds[i]));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:I}", "name", entry->name, "title",
                     entry->title, "kind", boot_entry_kind_name(entry->kind), "file", entry->file,
                     "arguments", entry->arguments, "initrds", initrds, "created_at",
                     (json_int_t)entry->created_at);
}

void admin_list_boot_entries(struct call *call)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    size_t count;
    const struct catalog_entry *entries = catalog_entries(catalog, &count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, entry_to_json(&entries[i]));
    call_reply(call, 200, json_pack("{s:o}", "entries", list));
}

static json_t *entry_result(struct admin *admin, const char *name, uint32_t version)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(admin->settings.catalog);
    const struct catalog_entry *entry = catalog_entry_by_name(catalog, name);
    return entry ? entry_to_json(entry) : json_null(); /* removed again already */
}

void admin_show_boot_entry(struct call *call)
{
    struct error error;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    const struct catalog_entry *entry = catalog_entry_by_name(catalog, call->name);
    if (entry) {
        call_reply(call, 200, entry_to_json(entry));
        return;
    }
    error_set(&error, -ENOENT, "there is no entry '%.64s'; see: nodisk entry list", call->name);
    call_reply_error(call, &error);
}

static const char *text_of(const struct body_text *text)
{
    return text->text ? text->text : "";
}

void admin_add_boot_entry(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_boot_entry fields;
    struct error error;
    size_t size;
    const char *data = http_body(call->request, &size);
    int r = body_read_boot_entry(data, size, &body, &fields, &error);
    if (r >= 0) {
        const struct registry_boot_entry entry = {
            .name = fields.name.text,
            .title = text_of(&fields.title),
            .kind = fields.script.given ? BOOT_ENTRY_SCRIPT : BOOT_ENTRY_LIVE,
            .file = fields.script.given ? fields.script.text : fields.kernel.text,
            .arguments = text_of(&fields.arguments),
            .initrds = fields.initrds.items,
            .n_initrds = fields.initrds.count,
        };
        r = registry_boot_entry_add(call->admin->settings.registry, &entry, &error);
    }
    if (r < 0)
        call_reply_error(call, &error);
    else
        call_reply_job(call, NULL, fields.name.text, entry_result);
}

void admin_remove_boot_entry(struct call *call)
{
    struct error error;
    if (registry_boot_entry_remove(call->admin->settings.registry, call->name, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply(call, 200, json_pack("{s:s}", "removed", call->name));
}
