/* /v1/images */
#include "http/admin_internal.h"
#include "http/body.h"

#include <errno.h>

json_t *image_to_json(const struct catalog_image *image)
{
    return json_pack("{s:s, s:I, s:o, s:s, s:I, s:I, s:I}", "name", image->name, "version",
                     (json_int_t)image->version, "reference",
                     json_sprintf("%s@%u", image->name, image->version), "path", image->path,
                     "size", (json_int_t)image->size, "used", (json_int_t)file_used(image->path),
                     "created_at", (json_int_t)image->created_at);
}

void admin_list_images(struct call *call)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    size_t count;
    const struct catalog_image *images = catalog_images(catalog, &count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, image_to_json(&images[i]));
    call_reply(call, 200, json_pack("{s:o}", "images", list));
}

/* The names of the volumes that were made from any version in the list. */
static json_t *volumes_made_from(const struct catalog *catalog, const char *name, uint32_t version)
{
    json_t *list = json_array();
    char prefix[NAME_MAX_LEN + 16];
    size_t count;
    snprintf(prefix, sizeof(prefix), version ? "%s@%u" : "%s@", name, version);
    const struct catalog_volume *volumes = catalog_volumes(catalog, &count);
    for (size_t i = 0; i < count; i++)
        if (volumes[i].image &&
            (version ? str_eq(volumes[i].image, prefix) : str_has_prefix(volumes[i].image, prefix)))
            json_array_append_new(list, json_string(volumes[i].name));
    return list;
}

void admin_show_image(struct call *call)
{
    struct error error;
    char name[64];
    uint32_t version;
    if (body_parse_image_reference(call->name, name, &version, &error) < 0) {
        call_reply_error(call, &error);
        return;
    }
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    size_t count;
    const struct catalog_image *images = catalog_images(catalog, &count);
    json_t *versions = json_array();
    for (size_t i = 0; i < count; i++)
        if (str_eq(images[i].name, name) && (!version || images[i].version == version))
            json_array_append_new(versions, image_to_json(&images[i]));
    if (json_array_size(versions) == 0) {
        json_decref(versions);
        error_set(&error, -ENOENT, "there is no image '%s'; see: nodisk image list", call->name);
        call_reply_error(call, &error);
        return;
    }
    call_reply(call, 200,
               json_pack("{s:s, s:o, s:o}", "name", name, "versions", versions, "volumes",
                         volumes_made_from(catalog, name, version)));
}

static json_t *image_result(struct admin *admin, const char *name, uint32_t version)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(admin->settings.catalog);
    const struct catalog_image *image = catalog_image_find(catalog, name, version);
    return image ? image_to_json(image) : json_null();
}

void admin_import_image(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_image fields;
    struct storage_job *job = NULL;
    struct error error;
    size_t size;
    const char *data = http_body(call->request, &size);
    if (body_read_image(data, size, &body, &fields, &error) < 0 ||
        storage_image_import(call->admin->settings.storage, fields.path.text, fields.name.text,
                             &job, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply_job(call, job, fields.name.text, image_result);
}

void admin_remove_image(struct call *call)
{
    struct error error;
    char name[64];
    uint32_t version;
    if (body_parse_image_reference(call->name, name, &version, &error) < 0 ||
        storage_image_remove(call->admin->settings.storage, name, version, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply(call, 200, json_object());
}
