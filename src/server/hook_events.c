#include "server/hook_events.h"

#include <errno.h>

#include "core/log.h"
#include "server/boots.h"

struct hook_events {
    struct hooks *hooks;
    struct catalog_slot *catalog;
    const struct stage_provider *stages;
    struct stage_listener listener;
};

/* --- what they are told --- */

static json_t *macs_to_json(const struct catalog_node *node)
{
    char text[MAC_TEXT_SIZE];
    json_t *list = json_array();
    for (size_t i = 0; i < node->n_macs; i++)
        json_array_append_new(list, json_string(mac_format(node->macs[i], text)));
    return list;
}

json_t *hook_facts_of_node(const struct catalog *catalog, const struct catalog_node *node)
{
    char mac[MAC_TEXT_SIZE], address[IPV4_TEXT_SIZE], initiator[IQN_MAX_LEN + NAME_MAX_LEN + 2];
    const struct catalog_volume *volume = catalog_volume_by_id(catalog, node->volume_id);
    snprintf(initiator, sizeof(initiator), "%s:%s", catalog_base_iqn(catalog), node->name);
    return json_pack("{s:s, s:s, s:o, s:s?, s:s?, s:s?, s:s?, s:s}", "node", node->name, "mac",
                     mac_format(node->macs[0], mac), "macs", macs_to_json(node), "address",
                     node->address ? ipv4_format(node->address, address) : NULL, "group",
                     node->group, "volume", volume ? volume->name : NULL, "image",
                     volume ? volume->image : NULL, "initiator", initiator);
}

static json_t *facts_of(struct hook_events *e, const char *name)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(e->catalog);
    const struct catalog_node *node = name ? catalog_node_by_name(catalog, name) : NULL;
    return node ? hook_facts_of_node(catalog, node) : NULL;
}

static void tell_stage(struct hook_events *e, enum hook_event what, const json_t *event)
{
    json_t *facts = NULL;
    if (hooks_any(e->hooks, what))
        facts = facts_of(e, json_string_value(json_object_get(event, "node")));
    if (!facts)
        return;
    json_object_set(facts, "stage", json_object_get(event, "stage"));
    json_object_set(facts, "detail", json_object_get(event, "detail"));
    json_object_set(facts, "at", json_object_get(event, "at"));
    if (json_object_get(event, "failures"))
        json_object_set(facts, "failures", json_object_get(event, "failures"));
    hooks_tell(e->hooks, what, facts);
}

/* Texts of its own: they were cleaned when it said them. */
static void tell_registered(struct hook_events *e, const json_t *event)
{
    json_t *facts = NULL;
    if (hooks_any(e->hooks, HOOK_REGISTERED))
        facts = json_copy(json_object_get(event, "machine"));
    if (facts)
        hooks_tell(e->hooks, HOOK_REGISTERED, facts);
}

static void log_failed(const json_t *event)
{
    const char *detail = json_string_value(json_object_get(event, "detail"));
    log_write(LOG_WARNING, json_string_value(json_object_get(event, "node")),
              "its last boot has failed: it read its disk and came no further than the stage %s "
              "(%s); %lld in a row; see: nodisk node show",
              json_string_value(json_object_get(event, "stage")), detail ? detail : "",
              json_integer_value(json_object_get(event, "failures")));
}

static void on_event(struct stage_listener *listener, const char *json_line)
{
    struct hook_events *e = container_of(listener, struct hook_events, listener);
    json_t *event = json_loads(json_line, 0, NULL);
    const char *kind = json_string_value(json_object_get(event, "event"));
    const char *stage = json_string_value(json_object_get(event, "stage"));
    if (kind && str_eq(kind, "pending"))
        tell_registered(e, event);
    if (kind && str_eq(kind, "failed") && stage) {
        log_failed(event);
        tell_stage(e, HOOK_FAILED, event);
    }
    if (kind && str_eq(kind, "stage") && stage) {
        tell_stage(e, HOOK_STAGE, event);
        if (str_eq(stage, boot_stage_name(BOOT_UP)))
            tell_stage(e, HOOK_BOOTED, event);
    }
    json_decref(event);
}

void hook_events_login(struct hook_events *e, const struct session_event *event)
{
    char peer[ENDPOINT_TEXT_SIZE];
    cleanup_catalog struct catalog *catalog = catalog_slot_get(e->catalog);
    const struct catalog_node *node = catalog_node_by_initiator(catalog, event->initiator);
    if (event->kind != ISCSI_EVENT_LOGIN || !*event->target || !hooks_any(e->hooks, HOOK_LOGIN))
        return;
    json_t *facts = node ? hook_facts_of_node(catalog, node) : json_object();
    if (!facts)
        return;
    enum boot_stage stage = boot_sign_stage(boots_sign_of_login(&event->traits));
    json_object_set_new(facts, "initiator", json_string(event->initiator));
    json_object_set_new(facts, "target", json_string(event->target));
    json_object_set_new(facts, "peer", json_string(endpoint_format_address(&event->peer, peer)));
    json_object_set_new(facts, "stage", json_string(boot_stage_name(stage)));
    json_object_set_new(facts, "at", json_integer((json_int_t)event->at));
    hooks_tell(e->hooks, HOOK_LOGIN, facts);
}

/* --- what they say --- */

static void on_report(void *context, const struct hook_report *report)
{
    log_write(report->failed ? LOG_WARNING : LOG_INFO, report->node, "hook %s%s %s", report->hook,
              report->failed ? "" : " says:", report->text);
}

static void on_dropped(void *context, uint64_t count)
{
    log_warning(
        "hooks were not told of %llu events, or not asked what a machine boots: more came, in all "
        "or of one machine, than they had time for (at-once in [hooks] lets hooks of more machines "
        "run)",
        (unsigned long long)count);
}

/* --- */

int hook_events_start(const struct hook_settings *settings, struct catalog_slot *catalog,
                      const struct stage_provider *stages, struct hook_events **ret_events,
                      struct error *ret_error)
{
    const struct hook_listener listener = {.report = on_report, .dropped = on_dropped};
    struct hook_events *e = calloc(1, sizeof(*e));
    if (!e)
        return error_set(ret_error, -ENOMEM, "out of memory");
    e->catalog = catalog;
    e->stages = stages;
    e->listener.event = on_event;
    int r = hooks_new(settings, &listener, &e->hooks, ret_error);
    if (r < 0) {
        free(e);
        return r;
    }
    stages->subscribe(stages->context, &e->listener);
    *ret_events = e;
    return 0;
}

void hook_events_stop(struct hook_events *e)
{
    if (!e)
        return;
    e->stages->unsubscribe(e->stages->context, &e->listener);
    hooks_stop(e->hooks);
}

void hook_events_free(struct hook_events *e)
{
    if (!e)
        return;
    hooks_free(e->hooks);
    free(e);
}

struct hooks *hook_events_hooks(struct hook_events *e)
{
    return e->hooks;
}
