/* /v1/images */
#include "http/admin_internal.h"
#include "http/body.h"
#include "registry/image_users.h"
#include "storage/warm.h"

#include <errno.h>

/* The volumes that need it: none but those can keep it from being removed. */
static json_t *users_to_json(const struct catalog *catalog, const struct catalog_image *image)
{
    size_t count;
    const struct catalog_volume *volumes = catalog_volumes(catalog, &count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        if (image_is_needed_by(image, &volumes[i]))
            json_array_append_new(list, json_string(volumes[i].name));
    return list;
}

static json_t *labels_to_json(const struct catalog_image *image)
{
    json_t *labels = json_object();
    for (size_t i = 0; i < image->n_labels; i++)
        json_object_set_new(labels, image->labels[i].key, json_string(image->labels[i].value));
    return labels;
}

static json_t *identity_to_json(const struct catalog_image *image)
{
    char text[2 * sizeof(image->identity) + 1];
    for (size_t i = 0; i < sizeof(image->identity); i++)
        snprintf(text + 2 * i, 3, "%02x", image->identity[i]);
    return json_string(text);
}

json_t *image_to_json(const struct catalog *catalog, const struct catalog_image *image)
{
    return json_pack("{s:s, s:I, s:o, s:o, s:s, s:I, s:I, s:I, s:s?, s:s?, s:s?, s:o, s:o}", "name",
                     image->name, "version", (json_int_t)image->version, "reference",
                     json_sprintf("%s@%u", image->name, image->version), "identity",
                     identity_to_json(image), "path", image->path, "size", (json_int_t)image->size,
                     "used", (json_int_t)file_used(image->path), "created_at",
                     (json_int_t)image->created_at, "sha256", image->sha256, "source",
                     image->source, "format", image->format, "labels", labels_to_json(image),
                     "users", users_to_json(catalog, image));
}

/* null: no boot was recorded, or what was is of no use. */
static json_t *boot_set_to_json(const struct catalog_image *image)
{
    const struct catalog_base base = boot_file_image(image);
    struct warm_state state;
    struct error ignored;
    if (warm_look(&base, &state, &ignored) < 0)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I}", "size", (json_int_t)state.bytes, "resident",
                     (json_int_t)state.resident, "boots", (json_int_t)state.boots, "recorded_at",
                     (json_int_t)state.recorded_at);
}

/* With what takes a look at its files. */
static json_t *image_to_json_in_full(const struct catalog *catalog,
                                     const struct catalog_image *image)
{
    json_t *json = image_to_json(catalog, image);
    json_object_set_new(json, "boot_set", boot_set_to_json(image));
    return json;
}

void admin_list_images(struct call *call)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    size_t count;
    const struct catalog_image *images = catalog_images(catalog, &count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, image_to_json(catalog, &images[i]));
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
            json_array_append_new(versions, image_to_json_in_full(catalog, &images[i]));
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

json_t *image_result(struct admin *admin, const char *name, uint32_t version)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(admin->settings.catalog);
    const struct catalog_image *image = catalog_image_find(catalog, name, version);
    return image ? image_to_json_in_full(catalog, image) : json_null();
}

const struct catalog_label *call_labels(struct body *body, const struct body_texts *texts)
{
    struct catalog_label *labels = arena_alloc(&body->arena, (texts->count + 1) * sizeof(*labels));
    for (size_t i = 0; labels && i < texts->count; i++)
        labels[i] = (struct catalog_label){.key = texts->keys[i], .value = texts->values[i]};
    return labels;
}

static int import(struct call *call, struct body *body, const struct body_image *fields,
                  struct storage_job **ret_job, struct error *ret_error)
{
    const struct storage_import what = {.path = fields->path.text,
                                        .name = fields->name.text,
                                        .labels = call_labels(body, &fields->labels),
                                        .n_labels = fields->labels.count};
    if (!what.labels)
        return error_set(ret_error, -ENOMEM, "out of memory");
    return storage_image_import(call->admin->settings.storage, &what, ret_job, ret_error);
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
        import(call, &body, &fields, &job, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply_job(call, job, fields.name.text, image_result);
}

/* A job about an image version that its caller names. */
static void start_image_job(struct call *call,
                            int (*make)(struct storage *storage, const char *name, uint32_t version,
                                        struct storage_job **ret_job, struct error *ret_error))
{
    cleanup_body struct body body = {0};
    struct body_verification fields;
    struct storage_job *job = NULL;
    struct error error;
    char name[64];
    uint32_t version;
    size_t size;
    const char *data = http_body(call->request, &size);
    if (body_read_verification(data, size, &body, &fields, &error) < 0 ||
        body_parse_image_reference(fields.image.text, name, &version, &error) < 0 ||
        make(call->admin->settings.storage, name, version, &job, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply_job(call, job, name, image_result);
}

void admin_verify_image(struct call *call)
{
    start_image_job(call, storage_image_verify);
}

void admin_warm_image(struct call *call)
{
    start_image_job(call, storage_image_warm);
}

/* A name belongs to all versions, labels to one. */
static int change(struct call *call, struct body *body, const struct body_image_change *fields,
                  const char *name, uint32_t version, struct error *ret_error)
{
    struct registry *registry = call->admin->settings.registry;
    const struct catalog_label *labels = call_labels(body, &fields->labels);
    if (!labels)
        return error_set(ret_error, -ENOMEM, "out of memory");
    if (fields->labels.given)
        return registry_image_set_labels(registry, name, version, labels, fields->labels.count,
                                         ret_error);
    if (version)
        return error_set(ret_error, -EINVAL,
                         "all versions of an image have one name; rename '%s', without @%u", name,
                         version);
    return registry_image_rename(registry, name, fields->name.text, ret_error);
}

void admin_set_image(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_image_change fields;
    struct error error;
    char name[64];
    uint32_t version;
    size_t size;
    const char *data = http_body(call->request, &size);
    if (body_read_image_change(data, size, &body, &fields, &error) < 0 ||
        body_parse_image_reference(call->name, name, &version, &error) < 0 ||
        change(call, &body, &fields, name, version, &error) < 0)
        call_reply_error(call, &error);
    else if (fields.name.given)
        call_reply_result(call, image_result(call->admin, fields.name.text, 0));
    else
        call_reply_result(call, image_result(call->admin, name, version));
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
