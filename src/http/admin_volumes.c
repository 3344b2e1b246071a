/* /v1/volumes */
#include "http/admin_internal.h"
#include "http/body.h"

#include <errno.h>
#include <sys/stat.h>

uint64_t file_used(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * 512 : 0;
}

const char *volume_state_text(enum volume_state state)
{
    static const char *const texts[] = {
        [VOLUME_CREATING] = "creating",
        [VOLUME_READY] = "ready",
        [VOLUME_FAILED] = "failed",
        [VOLUME_REMOVING] = "removing",
    };
    return texts[state];
}

static json_t *allow_to_json(const struct catalog_volume *v)
{
    json_t *list = json_array();
    if (v->allow_any)
        json_array_append_new(list, json_string("any"));
    for (size_t i = 0; i < v->n_allow; i++)
        json_array_append_new(list, json_string(v->allow[i]));
    return list;
}

static json_t *sources_to_json(const struct catalog_volume *v)
{
    char text[SOURCE_TEXT_SIZE];
    json_t *list = json_array();
    for (size_t i = 0; i < v->n_sources; i++)
        json_array_append_new(list, json_string(source_format(&v->sources[i], text)));
    return list;
}

static json_t *users_to_json(const struct catalog *catalog, const struct catalog_volume *v)
{
    json_t *list = json_array();
    size_t count;
    const struct catalog_node *nodes = catalog_nodes(catalog, &count);
    for (size_t i = 0; i < count; i++)
        if (nodes[i].volume_id == v->id)
            json_array_append_new(list, json_string(nodes[i].name));
    return list;
}

static json_t *attached_to_json(const struct catalog *catalog, const struct catalog_volume *v)
{
    json_t *list = json_array();
    size_t count;
    const struct catalog_node *nodes = catalog_nodes(catalog, &count);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < nodes[i].n_attachments; k++)
            if (nodes[i].attachments[k].volume_id == v->id)
                json_array_append_new(list, json_pack("{s:s, s:I}", "node", nodes[i].name, "lun",
                                                      (json_int_t)nodes[i].attachments[k].lun));
    return list;
}

/* Null: that of a LUN elsewhere is not ours to give. */
static json_t *serial_to_json(const struct catalog_volume *v)
{
    char text[2 * sizeof(v->serial) + 1];
    for (size_t i = 0; i < sizeof(v->serial); i++)
        snprintf(text + 2 * i, 3, "%02x", v->serial[i]);
    return v->elsewhere ? json_null() : json_string(text);
}

/* Null: not known. */
static json_t *bytes_to_json(const struct catalog_volume *v, uint64_t bytes)
{
    return v->elsewhere ? json_null() : json_integer((json_int_t)bytes);
}

static json_t *used_to_json(const struct catalog_volume *v)
{
    if (v->kind == VOLUME_DEVICE || v->kind == VOLUME_NBD || v->elsewhere)
        return json_null();
    return json_integer((json_int_t)storage_volume_used(v));
}

/* Null: it is here. */
static json_t *elsewhere_to_json(const struct catalog_volume *v)
{
    char portal[ISCSI_URI_SIZE];
    if (!v->elsewhere)
        return json_null();
    return json_pack("{s:s, s:I}", "portal", iscsi_uri_format_portal(v->elsewhere, portal), "lun",
                     (json_int_t)v->elsewhere->lun);
}

static json_t *target_to_json(const struct catalog *catalog, const struct catalog_volume *v)
{
    return v->elsewhere ? json_string(v->elsewhere->target)
                        : json_sprintf("%s:%s", catalog_base_iqn(catalog), v->name);
}

json_t *volume_to_json(const struct catalog *catalog, const struct catalog_volume *v)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s?, s:s, s:o, s:o, s:o, s:b, s:b, s:b, s:s?, s:o, s:o, s:o, s:o, "
        "s:o, s:o, s:o, s:o, s:s, s:s?, s:s?, s:I}",
        "name", v->name, "kind", volume_kind_name(v->kind), "state", volume_state_text(v->state),
        "failure", v->failure, "path", v->path, "size", bytes_to_json(v, v->size), "used",
        used_to_json(v), "block_size", bytes_to_json(v, v->block_size), "read_only",
        (int)v->read_only, "thick", (int)v->thick, "removable", (int)v->removable, "image",
        v->image, "overlay", overlay_to_json(v->overlay), "elsewhere", elsewhere_to_json(v),
        "nodes", users_to_json(catalog, v), "attached", attached_to_json(catalog, v), "allow",
        allow_to_json(v), "allow_from", sources_to_json(v), "target", target_to_json(catalog, v),
        "serial", serial_to_json(v), "chap", chap_mode_name(v->chap ? v->chap->mode : CHAP_NONE),
        "chap_user", v->chap ? v->chap->initiator.user : NULL, "chap_target_user",
        v->chap && v->chap->mode == CHAP_MUTUAL ? v->chap->target.user : NULL, "created_at",
        (json_int_t)v->created_at);
}

void admin_list_volumes(struct call *call)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    size_t count;
    const struct catalog_volume *volumes = catalog_volumes(catalog, &count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, volume_to_json(catalog, &volumes[i]));
    call_reply(call, 200, json_pack("{s:o}", "volumes", list));
}

void call_reply_volume(struct call *call, json_t *(*look)(const struct catalog *catalog,
                                                          const struct catalog_volume *volume))
{
    struct error error;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    const struct catalog_volume *volume = catalog_volume_by_name(catalog, call->name);
    if (volume) {
        call_reply(call, 200, look(catalog, volume));
        return;
    }
    error_set(&error, -ENOENT, "there is no volume '%.64s'; see: nodisk volume list", call->name);
    call_reply_error(call, &error);
}

void admin_show_volume(struct call *call)
{
    call_reply_volume(call, volume_to_json);
}

json_t *volume_result(struct admin *admin, const char *name, uint32_t version)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(admin->settings.catalog);
    const struct catalog_volume *volume = catalog_volume_by_name(catalog, name);
    return volume ? volume_to_json(catalog, volume) : json_null();
}

static int create(struct call *call, const struct body_volume *f, struct storage_job **ret_job,
                  struct error *ret_error)
{
    char image[64];
    cleanup_chap_credentials struct chap_credentials chap = {.mode = CHAP_NONE};
    int r = body_parse_chap(&f->chap, &chap, ret_error);
    if (r < 0)
        return r;
    struct storage_volume volume = {
        .name = f->name.text,
        .size = f->size.number,
        .block_size = (uint32_t)f->block_size.number,
        .read_only = f->read_only.value,
        .thick = f->thick.value,
        .removable = f->removable.value,
        .ephemeral = f->ephemeral.value,
        .allow_any = f->allow_any.value,
        .allow = f->allow.items,
        .n_allow = f->allow.count,
        .sources = f->allow_from.items,
        .n_sources = f->allow_from.count,
        .chap = &chap,
    };
    if (f->image.given) {
        r = body_parse_image_reference(f->image.text, image, &volume.version, ret_error);
        if (r < 0)
            return r;
        bool copy = f->copy.value || f->thick.value;
        volume.source = copy ? STORAGE_IMAGE : STORAGE_OVERLAY;
        volume.image = image;
        volume.follows = !copy && volume.version == 0;
    } else if (f->overlay.value) {
        volume.source = STORAGE_OVERLAY;
    } else if (f->file.given) {
        volume.source = STORAGE_FILE;
        volume.path = f->file.text;
    } else if (f->device.given) {
        volume.source = STORAGE_DEVICE;
        volume.path = f->device.text;
    } else if (f->nbd.given) {
        volume.source = STORAGE_NBD;
        volume.path = f->nbd.text;
    } else if (f->iscsi.given) {
        volume.source = STORAGE_ISCSI;
        volume.path = f->iscsi.text;
    }
    return storage_volume_create(call->admin->settings.storage, &volume, ret_job, ret_error);
}

void admin_create_volume(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_volume fields;
    struct storage_job *job = NULL;
    struct error error;
    size_t size;
    const char *data = http_body(call->request, &size);
    if (body_read_volume(data, size, &body, &fields, &error) < 0 ||
        create(call, &fields, &job, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply_job(call, job, fields.name.text, volume_result);
}

static int change_chap(struct call *call, const struct body_volume_change *f,
                       struct error *ret_error)
{
    cleanup_chap_credentials struct chap_credentials chap = {.mode = CHAP_NONE};
    int r = body_parse_chap(&f->credentials, &chap, ret_error);
    return r < 0 ? r
                 : registry_volume_set_chap(call->admin->settings.registry, call->name, &chap,
                                            ret_error);
}

static int change(struct call *call, const struct body_volume_change *f, struct error *ret_error)
{
    const struct registry_overlay_change overlay = {.set_follows = f->follows.given,
                                                    .set_ephemeral = f->ephemeral.given,
                                                    .follows = f->follows.value,
                                                    .ephemeral = f->ephemeral.value};
    int r = 0;
    if (f->chap.given || body_chap_given(&f->credentials))
        r = change_chap(call, f, ret_error);
    if (r >= 0 && (f->follows.given || f->ephemeral.given))
        r = registry_overlay_set(call->admin->settings.registry, call->name, &overlay, ret_error);
    if (r >= 0 && f->allow_from.given)
        r = registry_volume_set_sources(call->admin->settings.registry, call->name,
                                        f->allow_from.items, f->allow_from.count, ret_error);
    if (r >= 0 && f->size.given)
        r = storage_volume_grow(call->admin->settings.storage, call->name, f->size.number,
                                ret_error);
    return r;
}

/* Those who are logged in from where they could not come from any more: "iqn... (10.0.0.7)". */
static json_t *sessions_outside(const struct call *call, const struct catalog *catalog,
                                const struct catalog_volume *volume)
{
    const struct session_provider *p = call->admin->settings.sessions;
    const struct session_filter filter = {.volume = volume->name};
    struct error ignored;
    json_t *sessions = NULL, *session, *list = json_array();
    size_t i;
    if (!p || p->list(p->context, &filter, false, &sessions, &ignored) < 0)
        return list;
    json_array_foreach(sessions, i, session)
    {
        struct endpoint peer;
        char address[ENDPOINT_TEXT_SIZE];
        const char *initiator = json_string_value(json_object_get(session, "initiator"));
        const char *source = json_string_value(json_object_get(session, "source"));
        if (initiator && source && endpoint_parse(source, &peer) == 0 &&
            !catalog_may_come_from(catalog, initiator, volume, &peer))
            json_array_append_new(
                list, json_sprintf("%s (%s)", initiator, endpoint_format_address(&peer, address)));
    }
    json_decref(sessions);
    return list;
}

/* The volume, and who still uses it although a login would be refused now. */
static void reply_changed(struct call *call)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    const struct catalog_volume *volume = catalog_volume_by_name(catalog, call->name);
    json_t *json = volume ? volume_to_json(catalog, volume) : json_null();
    if (volume)
        json_object_set_new(json, "sessions_outside", sessions_outside(call, catalog, volume));
    call_reply_result(call, json);
}

void admin_set_volume(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_volume_change fields;
    struct error error;
    size_t size;
    const char *data = http_body(call->request, &size);
    if (body_read_volume_change(data, size, &body, &fields, &error) < 0 ||
        change(call, &fields, &error) < 0)
        call_reply_error(call, &error);
    else
        reply_changed(call);
}

void admin_remove_volume(struct call *call)
{
    struct error error;
    if (storage_volume_remove(call->admin->settings.storage, call->name, NULL, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply(call, 200, json_object());
}
