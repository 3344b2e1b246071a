/* /v1/nodes */
#include "http/admin_nodes.h"

#include <errno.h>

static json_t *iqn_of(const struct catalog *catalog, const char *name)
{
    return json_sprintf("%s:%s", catalog_base_iqn(catalog), name);
}

static json_t *macs_to_json(const struct catalog_node *node)
{
    json_t *macs = json_array();
    char text[MAC_TEXT_SIZE];
    for (size_t i = 0; i < node->n_macs; i++)
        json_array_append_new(macs, json_string(mac_format(node->macs[i], text)));
    return macs;
}

/* As they are given: "MAC=ADDRESS". */
static json_t *paths_to_json(const struct catalog_node *node)
{
    json_t *paths = json_array();
    char mac[MAC_TEXT_SIZE], address[IPV4_TEXT_SIZE];
    for (size_t i = 0; i < node->n_paths; i++)
        json_array_append_new(paths, json_sprintf("%s=%s", mac_format(node->paths[i].mac, mac),
                                                  ipv4_format(node->paths[i].address, address)));
    return paths;
}

uint32_t node_last_address(struct admin *admin, const struct catalog_node *node)
{
    const struct stage_provider *p = admin->settings.stages;
    uint32_t address = 0;
    for (size_t i = 0; p && i < node->n_macs && !address; i++)
        address = p->address_of(p->context, node->macs[i]);
    return address;
}

static json_t *attachments_to_json(const struct catalog *catalog, const struct catalog_node *node)
{
    json_t *list = json_array();
    for (size_t i = 0; i < node->n_attachments; i++) {
        const struct catalog_attachment *a = &node->attachments[i];
        const struct catalog_volume *v = catalog_volume_by_id(catalog, a->volume_id);
        if (v)
            json_array_append_new(
                list, json_pack("{s:I, s:s}", "lun", (json_int_t)a->lun, "volume", v->name));
    }
    return list;
}

static json_t *addresses6_to_json(const struct admin *admin, const struct catalog_node *node)
{
    const struct admin_settings *s = &admin->settings;
    return s->addresses6 ? s->addresses6(s->context, node) : json_array();
}

/* How old they are, not what they are. json: NULL without memory. */
static void add_secrets(const struct admin *admin, const struct catalog_node *node, json_t *json)
{
    json_int_t older = 0;
    for (const struct chap_credentials *c = node->chap; c && c->older; c = c->older)
        older++;
    bool rotates = node->chap && boot_ways_of(&node->ways, &admin->settings.ways).chap_rotation ==
                                     CHAP_ROTATION_BOOT;
    json_object_update_new(json, json_pack("{s:s, s:b, s:o, s:I}", "chap_rotation",
                                           chap_rotation_name(node->ways.chap_rotation),
                                           "chap_rotates", (int)rotates, "chap_since",
                                           node->chap && node->chap_since
                                               ? json_integer((json_int_t)node->chap_since)
                                               : json_null(),
                                           "chap_older", older));
}

json_t *node_to_json(struct admin *admin, const struct catalog *catalog,
                     const struct catalog_node *node)
{
    char address[IPV4_TEXT_SIZE], last[IPV4_TEXT_SIZE];
    const struct catalog_volume *v = catalog_volume_by_id(catalog, node->volume_id);
    uint32_t given = node_last_address(admin, node);
    json_t *json = json_pack(
        "{s:s, s:o, s:o, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:o, s:o, s:s, s:s, s:s, "
        "s:b,"
        " s:o, s:o, s:I}",
        "name", node->name, "macs", macs_to_json(node), "paths", paths_to_json(node), "address",
        node->address ? ipv4_format(node->address, address) : NULL, "last_address",
        given ? ipv4_format(given, last) : NULL, "group", node->group, "volume", v ? v->name : NULL,
        "volume_state", v ? volume_state_text(v->state) : NULL, "volume_failure",
        v ? v->failure : NULL, "image", v ? v->image : NULL, "elsewhere",
        v && v->elsewhere ? v->path : NULL, "attachments", attachments_to_json(catalog, node),
        "initiator", iqn_of(catalog, node->name), "chap",
        chap_mode_name(node->chap ? node->chap->mode : CHAP_NONE), "direct",
        direct_way_name(node->ways.direct), "ibft_origin", ibft_origin_name(node->ways.ibft_origin),
        "wake_password_set", (int)node->wake_password.given, "options",
        options_to_json(node->options), "addresses6", addresses6_to_json(admin, node), "created_at",
        (json_int_t)node->created_at);
    add_secrets(admin, node, json);
    return json;
}

void admin_list_nodes(struct call *call)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    size_t count;
    const struct catalog_node *nodes = catalog_nodes(catalog, &count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, node_to_json(call->admin, catalog, &nodes[i]));
    call_reply(call, 200, json_pack("{s:o}", "nodes", list));
}

json_t *node_result(struct admin *admin, const char *name, uint32_t version)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(admin->settings.catalog);
    const struct catalog_node *node = catalog_node_by_name(catalog, name);
    return node ? node_to_json(admin, catalog, node) : json_null(); /* removed again already */
}

static int no_node(const char *name, struct error *ret_error)
{
    return error_set(ret_error, -ENOENT, "there is no node '%.64s'; see: nodisk node list", name);
}

/* --- history for `node show` --- */

struct history {
    json_t *boots;
    json_t *stages; /* of the boot read last */
};

static void add_boot(void *context, const struct registry_boot *boot)
{
    struct history *h = context;
    char mac[MAC_TEXT_SIZE];
    h->stages = json_array();
    json_array_append_new(h->boots,
                          json_pack("{s:I, s:s, s:o}", "started_at", (json_int_t)boot->started_at,
                                    "mac", mac_format(boot->mac, mac), "stages", h->stages));
}

static void add_stage(void *context, const struct registry_boot_stage *stage)
{
    struct history *h = context;
    if (h->stages)
        json_array_append_new(h->stages,
                              json_pack("{s:s, s:I, s:s}", "stage", stage->stage, "at",
                                        (json_int_t)stage->reached_at, "detail", stage->detail));
}

#define SHOWN_BOOTS 5

static int add_history(struct call *call, uint64_t node_id, json_t *json, struct error *ret_error)
{
    struct history history = {.boots = json_array()};
    int r = registry_boot_list(call->admin->settings.registry, node_id, SHOWN_BOOTS, add_boot,
                               add_stage, &history, ret_error);
    json_object_set_new(json, "boots", history.boots);
    return r;
}

void admin_show_node(struct call *call)
{
    struct error error;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    const struct catalog_node *node = catalog_node_by_name(catalog, call->name);
    if (!node) {
        no_node(call->name, &error);
        call_reply_error(call, &error);
        return;
    }
    json_t *json = node_to_json(call->admin, catalog, node);
    json_object_set_new(json, "boot_plan", boot_plan_to_json(call->admin, catalog, node));
    if (add_history(call, node->id, json, &error) < 0) {
        json_decref(json);
        call_reply_error(call, &error);
        return;
    }
    json_object_set_new(json, "bmc", bmc_to_json(call->admin, node->name));
    call_reply(call, 200, json);
}

/* --- changes --- */

/* What a running node hangs on is not taken from it: it would notice at its next reconnection, and
 * never get over it. */
static int check_is_down(struct call *call, const struct catalog_node *node,
                         struct error *ret_error)
{
    char peer[256];
    if (!storage_volume_in_use(call->admin->settings.storage, node->volume_id, peer))
        return 0;
    return error_set(ret_error, -EBUSY,
                     "node '%s' is up: its disk is in use by %s; shut it down first (after a power "
                     "cut, the session ends by itself within two minutes)",
                     node->name, peer);
}

static bool keeps_macs(const struct catalog_node *node, const struct mac_address *macs,
                       size_t n_macs)
{
    for (size_t i = 0; i < node->n_macs; i++) {
        bool kept = false;
        for (size_t k = 0; k < n_macs; k++)
            kept |= mac_eq(node->macs[i], macs[k]);
        if (!kept)
            return false;
    }
    return true;
}

static bool keeps_chap(const struct catalog_node *node, const struct registry_node_change *change)
{
    enum chap_mode mode = node->chap ? node->chap->mode : CHAP_NONE;
    return !change->rotate_chap && (!change->set_chap || change->chap == mode);
}

/* Is the address still its own after the change? */
static bool keeps_address(const struct catalog_node *node,
                          const struct registry_node_change *change, uint32_t address)
{
    const struct catalog_path *paths = change->set_paths ? change->paths : node->paths;
    size_t n_paths = change->set_paths ? change->n_paths : node->n_paths;
    bool kept = address == (change->set_address ? change->address : node->address);
    for (size_t i = 0; i < n_paths; i++)
        kept |= address == paths[i].address;
    return kept;
}

static bool keeps_addresses(const struct catalog_node *node,
                            const struct registry_node_change *change)
{
    bool kept = !node->address || keeps_address(node, change, node->address);
    for (size_t i = 0; i < node->n_paths; i++)
        kept &= keeps_address(node, change, node->paths[i].address);
    return kept;
}

static bool is_bound_to_node(const struct catalog *catalog, uint64_t volume_id)
{
    const struct catalog_volume *volume = catalog_volume_by_id(catalog, volume_id);
    for (size_t i = 0; volume && i < volume->n_sources; i++)
        if (volume->sources[i].node)
            return true;
    return false;
}

/* Is it told from a clone by its addresses? */
static bool is_known_by_address(const struct catalog *catalog, const struct catalog_node *node)
{
    bool bound = is_bound_to_node(catalog, node->volume_id);
    for (size_t i = 0; i < node->n_attachments; i++)
        bound |= is_bound_to_node(catalog, node->attachments[i].volume_id);
    return bound || node->n_paths > 0;
}

/* It comes back from the address that it booted with, and would be a clone there. */
static int check_addresses(struct call *call, const struct catalog *catalog,
                           const struct catalog_node *node,
                           const struct registry_node_change *change, struct error *ret_error)
{
    char peer[256];
    if (keeps_addresses(node, change) || !is_known_by_address(catalog, node) ||
        !storage_volume_in_use(call->admin->settings.storage, node->volume_id, peer))
        return 0;
    return error_set(ret_error, -EBUSY,
                     "node '%s' is up (its disk is in use by %s); it has paths, or a disk that is "
                     "bound to 'node', so it keeps the addresses that it booted with: shut it down "
                     "first",
                     node->name, peer);
}

/* Else an address or a group may change under a running node: they hold from its next boot on. */
static int check_change(struct call *call, const char *name,
                        const struct registry_node_change *change, bool new_disk,
                        struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    const struct catalog_node *node = catalog_node_by_name(catalog, name);
    if (!node)
        return no_node(name, ret_error);
    bool harmless = !new_disk && !change->set_volume && keeps_chap(node, change) &&
                    (!change->set_macs || keeps_macs(node, change->macs, change->n_macs));
    return harmless ? check_addresses(call, catalog, node, change, ret_error)
                    : check_is_down(call, node, ret_error);
}

int node_request_take(struct body *body, const struct body_node *fields,
                      struct node_request *ret_request, struct error *ret_error)
{
    struct node_request *request = ret_request;
    request->fields = *fields;
    request->n_macs = fields->macs.count;
    int r = body_parse_macs(body, &fields->macs, &request->macs, ret_error);
    request->n_paths = fields->paths.count;
    if (r >= 0)
        r = body_parse_paths(body, &fields->paths, &request->paths, ret_error);
    if (r >= 0)
        r = body_parse_address(&fields->address, &request->address, ret_error);
    if (r >= 0)
        r = body_parse_wake_password(&fields->wake_password, &request->wake_password, ret_error);
    if (r >= 0 && fields->chap.given)
        r = chap_mode_parse(fields->chap.text, &request->chap, ret_error);
    if (r >= 0 && fields->direct.given)
        r = direct_way_parse(fields->direct.text, &request->ways.direct, ret_error);
    if (r >= 0 && fields->ibft_origin.given)
        r = ibft_origin_parse(fields->ibft_origin.text, &request->ways.ibft_origin, ret_error);
    if (r >= 0 && fields->chap_rotation.given)
        r = chap_rotation_parse(fields->chap_rotation.text, &request->ways.chap_rotation,
                                ret_error);
    if (r >= 0 && fields->image.given)
        r = body_parse_image_reference(fields->image.text, request->image, &request->version,
                                       ret_error);
    return r;
}

static int read_request(struct call *call, struct body *body, struct node_request *request,
                        struct error *ret_error)
{
    size_t size;
    struct body_node fields;
    const char *data = http_body(call->request, &size);
    int r = body_read_node(data, size, body, &fields, ret_error);
    return r < 0 ? r : node_request_take(body, &fields, request, ret_error);
}

int node_request_add(struct call *call, const struct node_request *request, struct error *ret_error)
{
    const struct registry_node node = {
        .name = request->fields.name.text,
        .group = request->fields.group.text,
        .address = request->address,
        .volume = request->fields.volume.text,
        .macs = request->macs,
        .n_macs = request->n_macs,
        .paths = request->paths,
        .n_paths = request->n_paths,
        .chap = request->chap,
        .wake_password = request->wake_password,
        .options = options_of_body(&request->fields.options, &request->fields.no_options),
        .ways = request->ways,
    };
    if (!node.name)
        return error_set(ret_error, -EINVAL, "'name' is missing");
    if (request->fields.chap_rotate.value)
        return error_set(ret_error, -EINVAL, "a new node has new secrets; give 'chap' alone");
    if (request->fields.image.given)
        return storage_node_add(call->admin->settings.storage, &node, request->image,
                                request->version, ret_error);
    return registry_node_add(call->admin->settings.registry, &node, NULL, ret_error);
}

void admin_add_node(struct call *call)
{
    cleanup_body struct body body = {0};
    struct node_request request = {0};
    struct error error;
    if (read_request(call, &body, &request, &error) < 0 ||
        node_request_add(call, &request, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply_job(call, NULL, request.fields.name.text, node_result);
}

static int set(struct call *call, const struct node_request *request, struct error *ret_error)
{
    const struct body_node *f = &request->fields;
    const struct registry_node_change change = {
        .set_group = f->group.given,
        .set_address = f->address.given,
        .set_volume = f->volume.given,
        .set_macs = f->macs.given,
        .set_chap = f->chap.given,
        .set_wake_password = f->wake_password.given,
        .rotate_chap = f->chap_rotate.value,
        .set_direct = f->direct.given,
        .set_ibft_origin = f->ibft_origin.given,
        .set_chap_rotation = f->chap_rotation.given,
        .group = f->group.text,
        .address = request->address,
        .volume = f->volume.text,
        .macs = request->macs,
        .n_macs = f->macs.count,
        .set_paths = f->paths.given,
        .paths = request->paths,
        .n_paths = f->paths.count,
        .chap = request->chap,
        .wake_password = request->wake_password,
        .options = options_of_body(&f->options, &f->no_options),
        .ways = request->ways,
    };
    if (f->name.given)
        return error_set(ret_error, -EINVAL,
                         "a node keeps its name (its host name, initiator and disk carry it); "
                         "remove it and add it under the new one");
    int r = check_change(call, call->name, &change, f->image.given, ret_error);
    if (r < 0)
        return r;
    if (f->image.given)
        return storage_node_set(call->admin->settings.storage, call->name, &change, request->image,
                                request->version, ret_error);
    return registry_node_set(call->admin->settings.registry, call->name, &change, NULL, ret_error);
}

void admin_set_node(struct call *call)
{
    cleanup_body struct body body = {0};
    struct node_request request = {0};
    struct error error;
    if (read_request(call, &body, &request, &error) < 0 || set(call, &request, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply_job(call, NULL, call->name, node_result);
}

/* The volume goes first: if that is refused, nothing has happened. */
static int remove_volume_of(struct call *call, const char *node_name, struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    const struct catalog_node *node = catalog_node_by_name(catalog, node_name);
    if (!node)
        return no_node(node_name, ret_error);
    const struct catalog_volume *volume = catalog_volume_by_id(catalog, node->volume_id);
    if (!volume)
        return 0;
    return storage_volume_remove(call->admin->settings.storage, volume->name, node_name, ret_error);
}

void admin_remove_node(struct call *call)
{
    struct error error;
    const char *with = http_query(call->request, "with-volume");
    const struct registry_node_change nothing = {0};
    int r = 0;
    if (with && !str_eq(with, "true"))
        r = error_set(&error, -EINVAL, "with-volume must be true or not there");
    if (r >= 0)
        r = check_change(call, call->name, &nothing, true, &error);
    if (r >= 0 && with)
        r = remove_volume_of(call, call->name, &error);
    if (r >= 0)
        r = registry_node_remove(call->admin->settings.registry, call->name, &error);
    if (r < 0)
        call_reply_error(call, &error);
    else
        call_reply(call, 200, json_object());
}
