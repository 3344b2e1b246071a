/* /v1/changes and /v1/snapshots: what overlays consist of */
#include "http/admin_internal.h"
#include "http/body.h"

#include <errno.h>

static json_t *snapshot_to_json(const struct catalog_snapshot *s)
{
    return json_pack("{s:s, s:s?, s:I, s:I}", "name", s->name, "image", s->base.image, "size",
                     (json_int_t)s->layers[0].size, "created_at", (json_int_t)s->created_at);
}

static json_t *snapshots_to_json(const struct catalog_overlay *overlay)
{
    json_t *list = json_array();
    for (size_t i = 0; i < overlay->n_snapshots; i++)
        json_array_append_new(list, snapshot_to_json(&overlay->snapshots[i]));
    return list;
}

static json_t *trial_to_json(const struct catalog_trial *trial)
{
    if (!trial || !trial->running)
        return json_null();
    return json_pack("{s:s, s:s}", "snapshot", trial->running, "kept",
                     trial->kept ? trial->kept : "");
}

json_t *overlay_to_json(const struct catalog_overlay *overlay)
{
    if (!overlay)
        return json_null();
    return json_pack("{s:I, s:b, s:b, s:s?, s:s?, s:o, s:o}", "layers",
                     (json_int_t)overlay->n_layers, "follows", (int)overlay->follows, "ephemeral",
                     (int)overlay->ephemeral, "staged", overlay_change_name(overlay->staged),
                     "staged_argument", overlay->staged_argument, "snapshots",
                     snapshots_to_json(overlay), "trial", trial_to_json(overlay->trial));
}

/* With "kept": the snapshot of what was before a rebase. */
static void reply_changed(struct call *call, const char *volume_name, const char *kept)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    const struct catalog_volume *volume = catalog_volume_by_name(catalog, volume_name);
    json_t *json = volume ? volume_to_json(catalog, volume) : json_object();
    json_object_set_new(json, "kept", *kept ? json_string(kept) : json_null());
    call_reply(call, 200, json);
}

static int change(struct call *call, const struct body_change *f, char kept[static 64],
                  struct error *ret_error)
{
    char image[64];
    uint32_t version;
    enum overlay_change what;
    const char *argument = f->snapshot.given ? f->snapshot.text : f->image.text;
    if (overlay_change_parse(f->change.text, &what) < 0)
        return error_set(ret_error, -EINVAL, "'change' must be reset, rollback or rebase");
    if (f->snapshot.given != (what == OVERLAY_ROLLBACK) ||
        f->image.given != (what == OVERLAY_REBASE))
        return error_set(ret_error, -EINVAL,
                         "a rollback needs 'snapshot', a rebase 'image', and a reset neither");
    if (f->image.given && body_parse_image_reference(f->image.text, image, &version, ret_error) < 0)
        return ret_error->code;
    if (f->at_next_boot.value && f->force.value)
        return error_set(ret_error, -EINVAL, "give either 'at_next_boot' or 'force'");
    if (f->at_next_boot.value)
        return registry_overlay_stage(call->admin->settings.registry, f->volume.text, what,
                                      argument, ret_error);
    return storage_overlay_change(call->admin->settings.storage, f->volume.text, what, argument,
                                  f->force.value, kept, ret_error);
}

void admin_change_overlay(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_change fields;
    struct error error;
    size_t size;
    char kept[64] = "";
    const char *data = http_body(call->request, &size);
    if (body_read_change(data, size, &body, &fields, &error) < 0 ||
        change(call, &fields, kept, &error) < 0)
        call_reply_error(call, &error);
    else
        reply_changed(call, fields.volume.text, kept);
}

void admin_unstage_overlay(struct call *call)
{
    struct error error;
    if (registry_overlay_stage(call->admin->settings.registry, call->name, OVERLAY_NO_CHANGE, NULL,
                               &error) < 0)
        call_reply_error(call, &error);
    else
        reply_changed(call, call->name, "");
}

static json_t *volume_snapshots(const struct catalog *catalog, const struct catalog_volume *volume)
{
    return json_pack("{s:s, s:o}", "volume", volume->name, "snapshots",
                     volume->overlay ? snapshots_to_json(volume->overlay) : json_array());
}

void admin_list_snapshots(struct call *call)
{
    call_reply_volume(call, volume_snapshots);
}

void admin_add_snapshot(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_snapshot fields;
    struct error error;
    size_t size;
    const char *data = http_body(call->request, &size);
    if (body_read_snapshot(data, size, &body, &fields, &error) < 0 ||
        storage_snapshot_add(call->admin->settings.storage, fields.volume.text, fields.name.text,
                             &error) < 0)
        call_reply_error(call, &error);
    else
        reply_changed(call, fields.volume.text, "");
}

void admin_remove_snapshot(struct call *call)
{
    struct error error;
    struct storage_job *job = NULL;
    const char *name = http_query(call->request, "name");
    int r = 0;
    if (!name)
        r = error_set(&error, -EINVAL, "say which snapshot: /v1/snapshots/VOLUME?name=NAME");
    if (r >= 0)
        r = storage_snapshot_remove(call->admin->settings.storage, call->name, name, &job, &error);
    if (r < 0)
        call_reply_error(call, &error);
    else
        call_reply_job(call, job, call->name, volume_result);
}

static int fold(struct call *call, struct body *body, const struct body_fold *f,
                struct storage_job **ret_job, struct error *ret_error)
{
    const struct storage_fold what = {.volume = f->volume.text,
                                      .snapshot = f->snapshot.text,
                                      .image = f->image.text,
                                      .labels = call_labels(body, &f->labels),
                                      .n_labels = f->labels.count,
                                      .path = f->path.text,
                                      .format = f->format.text,
                                      .compress = f->compress.value};
    if (!what.labels)
        return error_set(ret_error, -ENOMEM, "out of memory");
    return storage_volume_fold(call->admin->settings.storage, &what, ret_job, ret_error);
}

/* What commit and export have in common: only what they read and what they answer with differs. */
static void fold_as(struct call *call,
                    int (*read)(const char *data, size_t size, struct body *body,
                                struct body_fold *ret_fold, struct error *ret_error),
                    json_t *(*result)(struct admin *admin, const char *name, uint32_t version))
{
    cleanup_body struct body body = {0};
    struct body_fold fields;
    struct storage_job *job = NULL;
    struct error error;
    size_t size;
    const char *data = http_body(call->request, &size);
    if (read(data, size, &body, &fields, &error) < 0 ||
        fold(call, &body, &fields, &job, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply_job(call, job, fields.image.given ? fields.image.text : fields.volume.text,
                       result);
}

void admin_commit_volume(struct call *call)
{
    fold_as(call, body_read_commit, image_result);
}

void admin_export_volume(struct call *call)
{
    fold_as(call, body_read_export, volume_result);
}
