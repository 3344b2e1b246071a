/* How a session looks in the API (nodisk-api(7)). */
#include "boot/stage.h"
#include "server/boots.h"
#include "server/sessions.h"

static const char *volume_name(const struct catalog *catalog, uint64_t volume_id)
{
    const struct catalog_volume *volume =
        volume_id ? catalog_volume_by_id(catalog, volume_id) : NULL;
    return volume ? volume->name : NULL;
}

/* The stage of a boot that it is; what is no node has none. */
static const char *stage_of(const struct session_copy *copy, const struct catalog_node *node)
{
    if (copy->discovery)
        return "discovery";
    return node ? boot_stage_name(boot_sign_stage(boots_sign_of_login(&copy->traits))) : "other";
}

static json_t *luns_to_json(const struct catalog *catalog, const struct session_copy *copy)
{
    json_t *list = json_array();
    for (size_t i = 0; i < copy->n_luns; i++)
        json_array_append_new(list,
                              json_pack("{s:I, s:s?}", "lun", (json_int_t)copy->luns[i].number,
                                        "volume", volume_name(catalog, copy->luns[i].volume_id)));
    return list;
}

static void add_key(void *context, const char *key, const char *value)
{
    json_object_set_new(context, key, json_string(value));
}

static json_t *keys_to_json(const struct session_copy *copy)
{
    json_t *keys = json_object();
    iscsi_parameters_list(&copy->parameters, copy->discovery, add_key, keys);
    return keys;
}

static json_t *bound_to_json(uint64_t bound)
{
    return bound ? json_integer((json_int_t)bound) : json_null();
}

/* The buckets that are not empty, and what they say in short. */
static json_t *latency_to_json(const struct iscsi_record *record)
{
    json_t *buckets = json_array();
    for (unsigned i = 0; i < ISCSI_LATENCY_BUCKETS; i++)
        if (record->latency[i])
            json_array_append_new(buckets, json_pack("{s:o, s:I}", "below",
                                                     bound_to_json(iscsi_latency_bound(i)),
                                                     "commands", (json_int_t)record->latency[i]));
    return json_pack("{s:o, s:o, s:o}", "half_below",
                     bound_to_json(iscsi_record_quantile(record, 500)), "99_percent_below",
                     bound_to_json(iscsi_record_quantile(record, 990)), "buckets", buckets);
}

static json_t *error_to_json(const struct iscsi_record *record)
{
    char text[ISCSI_ERROR_TEXT_SIZE];
    if (!iscsi_record_error_text(record, text))
        return json_null();
    return json_pack("{s:s, s:I}", "text", text, "at", (json_int_t)record->error_at);
}

static json_t *isid_to_json(const uint8_t isid[static 6])
{
    char text[13];
    for (size_t i = 0; i < 6; i++)
        snprintf(text + 2 * i, 3, "%02x", isid[i]);
    return json_string(text);
}

static json_t *rest_to_json(const struct catalog *catalog, const struct session_copy *copy)
{
    char portal[ENDPOINT_TEXT_SIZE];
    return json_pack("{s:s, s:s, s:s, s:s?, s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "chap",
                     chap_mode_name(copy->traits.proven), "alias", copy->alias, "portal",
                     endpoint_format(&copy->portal, portal), "program", copy->traits.program,
                     "isid", isid_to_json(copy->isid), "tsih", (json_int_t)copy->tsih, "cid",
                     (json_int_t)copy->cid, "under_way", (json_int_t)copy->under_way, "round_trips",
                     (json_int_t)copy->record.counters.round_trips, "luns",
                     luns_to_json(catalog, copy), "keys", keys_to_json(copy), "latency",
                     latency_to_json(&copy->record), "error", error_to_json(&copy->record));
}

json_t *session_to_json(const struct catalog *catalog, const struct session_copy *copy,
                        bool in_full)
{
    char peer[ENDPOINT_TEXT_SIZE];
    const struct catalog_node *node = catalog_node_by_initiator(catalog, copy->initiator);
    const struct iscsi_session_counters *c = &copy->record.counters;
    json_t *json = json_pack(
        "{s:I, s:s, s:s?, s:s, s:s?, s:s?, s:s, s:I, s:I, s:I, s:I, s:I}", "id",
        (json_int_t)copy->id, "initiator", copy->initiator, "node", node ? node->name : NULL,
        "source", endpoint_format(&copy->peer, peer), "target",
        copy->discovery ? NULL : copy->target, "volume", volume_name(catalog, copy->volume_id),
        "stage", stage_of(copy, node), "since", (json_int_t)copy->record.since, "commands",
        (json_int_t)c->commands, "read_bytes", (json_int_t)c->read_bytes, "written_bytes",
        (json_int_t)c->written_bytes, "errors", (json_int_t)copy->record.errors);
    if (json && in_full) {
        json_t *rest = rest_to_json(catalog, copy);
        json_object_update(json, rest);
        json_decref(rest);
    }
    return json;
}
