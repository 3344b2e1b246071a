/* /v1/boot-entries: live systems, installers and scripts */
#include "core/url.h"
#include "http/admin_internal.h"
#include "http/body.h"
#include "http/entry_digest.h"
#include "ipxe/variables.h"

#include <errno.h>
#include <fcntl.h>

/* null: it may have any. */
static json_t *digest_to_json(const struct catalog_entry *entry, size_t i)
{
    bool any = !entry->sha256 || !entry->sha256[i][0];
    return any ? json_null() : json_string(entry->sha256[i]);
}

static void put_digests(json_t *json, const struct catalog_entry *entry)
{
    json_t *initrds = json_array();
    for (size_t i = 0; i < entry->n_initrds; i++)
        json_array_append_new(initrds, digest_to_json(entry, i + 1));
    json_object_set_new(json, "kernel_sha256", digest_to_json(entry, 0));
    json_object_set_new(json, "initrd_sha256", initrds);
}

/* null: it is read where it is. */
static json_t *url_to_json(const struct catalog_entry *entry, size_t i)
{
    bool none = !entry->urls || !entry->urls[i][0];
    return none ? json_null() : json_string(entry->urls[i]);
}

static void put_urls(json_t *json, const struct catalog_entry *entry)
{
    json_t *initrds = json_array();
    for (size_t i = 0; i < entry->n_initrds; i++)
        json_array_append_new(initrds, url_to_json(entry, i + 1));
    json_object_set_new(json, "kernel_url", url_to_json(entry, 0));
    json_object_set_new(json, "initrd_urls", initrds);
}

static void put_answer(json_t *json, const struct catalog_entry *entry)
{
    if (entry->kind != BOOT_ENTRY_INSTALLER)
        return;
    json_t *variables = json_object();
    for (size_t i = 0; i < entry->n_variables; i++)
        json_object_set_new(variables, entry->variables[i].key,
                            json_string(entry->variables[i].value));
    json_object_set_new(json, "format", json_string(answer_format_name(entry->format)));
    json_object_set_new(json, "answer", json_string(entry->answer));
    json_object_set_new(json, "variables", variables);
}

static json_t *entry_to_json(const struct catalog_entry *entry)
{
    json_t *initrds = json_array();
    for (size_t i = 0; i < entry->n_initrds; i++)
        json_array_append_new(initrds, json_string(entry->initrds[i]));
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:I}", "name", entry->name, "title",
                             entry->title, "kind", boot_entry_kind_name(entry->kind), "file",
                             entry->file, "arguments", entry->arguments, "initrds", initrds,
                             "created_at", (json_int_t)entry->created_at);
    put_digests(json, entry);
    put_urls(json, entry);
    put_answer(json, entry);
    return json;
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

static int read_format(const struct body_boot_entry *fields, enum answer_format *ret_format,
                       struct error *ret_error)
{
    if (answer_format_parse(fields->format.text, ret_format) < 0)
        return error_set(ret_error, -EINVAL,
                         "'%.64s' is no format of answers: preseed, autoinstall or kickstart",
                         fields->format.text);
    for (size_t i = 0; i < fields->variables.count; i++)
        if (!answer_variable_is_free(fields->variables.keys[i]))
            return error_set(ret_error, -EINVAL, "nodisk gives the variable %.64s itself",
                             fields->variables.keys[i]);
    return 0;
}

/* NULL: none is given, or no memory (then ret_error says so). */
static const char *const *list_digests(struct body *body, const struct body_boot_entry *fields,
                                       struct error *ret_error)
{
    ret_error->code = 0;
    if (!fields->kernel_sha256.given && !fields->initrd_sha256.given)
        return NULL;
    const char **list = arena_alloc(&body->arena, (fields->initrds.count + 1) * sizeof(*list));
    if (!list) {
        error_set(ret_error, -ENOMEM, "out of memory");
        return NULL;
    }
    list[0] = text_of(&fields->kernel_sha256);
    for (size_t i = 0; i < fields->initrds.count; i++)
        list[i + 1] = fields->initrd_sha256.given ? fields->initrd_sha256.items[i] : "";
    return list;
}

/* Of the files that are URLs; NULL: none is, or no memory (then ret_error says so). */
static const char *const *list_urls(struct body *body, const struct body_boot_entry *fields,
                                    struct error *ret_error)
{
    bool any = fields->kernel.given && url_host(fields->kernel.text) != NULL;
    for (size_t i = 0; i < fields->initrds.count; i++)
        any |= url_host(fields->initrds.items[i]) != NULL;
    if (!any)
        return NULL;
    const char **list = arena_alloc(&body->arena, (fields->initrds.count + 1) * sizeof(*list));
    if (!list) {
        error_set(ret_error, -ENOMEM, "out of memory");
        return NULL;
    }
    list[0] = url_host(fields->kernel.text) ? fields->kernel.text : "";
    for (size_t i = 0; i < fields->initrds.count; i++)
        list[i + 1] = url_host(fields->initrds.items[i]) ? fields->initrds.items[i] : "";
    return list;
}

static int fill_entry(struct body *body, const struct body_boot_entry *fields,
                      struct registry_boot_entry *ret_entry, struct error *ret_error)
{
    const char *file = fields->script.given ? fields->script.text : fields->kernel.text;
    *ret_entry = (struct registry_boot_entry){
        .name = fields->name.text,
        .title = text_of(&fields->title),
        .kind = fields->script.given ? BOOT_ENTRY_SCRIPT : BOOT_ENTRY_LIVE,
        .file = file,
        .arguments = text_of(&fields->arguments),
        .initrds = fields->initrds.items,
        .n_initrds = fields->initrds.count,
        .sha256 = list_digests(body, fields, ret_error),
        .answer = fields->answer.text,
        .variables = call_labels(body, &fields->variables),
        .n_variables = fields->variables.count,
    };
    if (ret_error->code < 0)
        return ret_error->code;
    ret_entry->urls = list_urls(body, fields, ret_error);
    if (ret_error->code < 0)
        return ret_error->code;
    if (!ret_entry->variables)
        return error_set(ret_error, -ENOMEM, "out of memory");
    if (!fields->answer.given)
        return 0;
    ret_entry->kind = BOOT_ENTRY_INSTALLER;
    return read_format(fields, &ret_entry->format, ret_error);
}

/* A checksum that is wrong already is told now, and not by a node that does not boot. What cannot
 * be opened, the registry tells. */
static int check_digests(const struct registry_boot_entry *entry, struct error *ret_error)
{
    int r = 0;
    for (size_t i = 0; r >= 0 && entry->sha256 && i <= entry->n_initrds; i++) {
        const char *path = i ? entry->initrds[i - 1] : entry->file;
        cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        r = fd < 0 ? 0 : entry_digest_check(NULL, fd, path, entry->sha256[i], ret_error);
    }
    return r;
}

/* With files that have to be fetched, a job. */
static int add_entry(struct call *call, const struct registry_boot_entry *entry,
                     struct storage_job **ret_job, struct error *ret_error)
{
    const struct admin_settings *settings = &call->admin->settings;
    int r = registry_boot_entry_check(entry, ret_error);
    if (r >= 0)
        r = check_digests(entry, ret_error);
    if (r < 0)
        return r;
    return entry->urls ? storage_entry_add(settings->storage, entry, ret_job, ret_error)
                       : registry_boot_entry_add(settings->registry, entry, ret_error);
}

void admin_add_boot_entry(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_boot_entry fields;
    struct registry_boot_entry entry;
    struct storage_job *job = NULL;
    struct error error;
    size_t size;
    const char *data = http_body(call->request, &size);
    int r = body_read_boot_entry(data, size, &body, &fields, &error);
    if (r >= 0)
        r = fill_entry(&body, &fields, &entry, &error);
    if (r >= 0)
        r = add_entry(call, &entry, &job, &error);
    if (r < 0)
        call_reply_error(call, &error);
    else
        call_reply_job(call, job, fields.name.text, entry_result);
}

void admin_fetch_boot_entry(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_text name;
    struct storage_job *job;
    struct error error;
    size_t size;
    const char *data = http_body(call->request, &size);
    int r = body_read_fetch(data, size, &body, &name, &error);
    if (r >= 0)
        r = storage_entry_fetch(call->admin->settings.storage, name.text, &job, &error);
    if (r < 0)
        call_reply_error(call, &error);
    else
        call_reply_job(call, job, name.text, entry_result);
}

void admin_remove_boot_entry(struct call *call)
{
    struct error error;
    if (registry_boot_entry_remove(call->admin->settings.registry, call->name, &error) < 0)
        call_reply_error(call, &error);
    else {
        storage_entries_clean(call->admin->settings.storage);
        call_reply(call, 200, json_pack("{s:s}", "removed", call->name));
    }
}
