/* /v1/boot-rules, /v1/boot-plans: what machines boot, and why */
#include "http/admin_internal.h"
#include "http/body.h"

#include "registry/plan.h"

#include <errno.h>

/* --- rules --- */

static json_t *rule_to_json(const struct boot_rule *rule, enum boot_slot slot)
{
    char target[BOOT_TARGET_SIZE];
    json_t *json =
        json_pack("{s:s, s:s, s:I}", "slot", boot_slot_name(slot), "target",
                  boot_target_format(&rule->target, target), "set_at", (json_int_t)rule->set_at);
    if (rule->until)
        json_object_set_new(json, "until", json_integer((json_int_t)rule->until));
    if (rule->counted)
        json_object_set_new(json, "times", json_integer(rule->times));
    if (rule->after)
        json_object_set_new(json, "after", json_integer(rule->after));
    return json;
}

/* what: "node", "group", or NULL for the site. */
static void add_rules(json_t *list, const char *what, const char *name,
                      const struct boot_rules *rules)
{
    for (size_t slot = 0; rules && slot < BOOT_SLOTS; slot++) {
        const struct boot_rule *rule = &rules->slots[slot];
        if (rule->target.kind == BOOT_TARGET_NONE)
            continue;
        json_t *json = rule_to_json(rule, (enum boot_slot)slot);
        if (what)
            json_object_set_new(json, what, json_string(name));
        json_array_append_new(list, json);
    }
}

static json_t *rules_to_json(const struct catalog *catalog)
{
    json_t *list = json_array();
    size_t n_nodes, n_groups;
    const struct catalog_group *groups = catalog_groups(catalog, &n_groups);
    const struct catalog_node *nodes = catalog_nodes(catalog, &n_nodes);
    add_rules(list, NULL, NULL, catalog_site_rules(catalog));
    for (size_t i = 0; i < n_groups; i++)
        add_rules(list, "group", groups[i].name, groups[i].rules);
    for (size_t i = 0; i < n_nodes; i++)
        add_rules(list, "node", nodes[i].name, nodes[i].rules);
    return json_pack("{s:o}", "rules", list);
}

void admin_list_boot_rules(struct call *call)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    call_reply(call, 200, rules_to_json(catalog));
}

/* A target as people say it: "web1-old" is an entry or a volume, whichever there is. */
static int find_target(const struct catalog *catalog, const char *text, struct boot_target *target,
                       struct error *ret_error)
{
    if (boot_target_parse(text, target) == 0)
        return 0;
    bool entry = catalog_entry_by_name(catalog, text);
    bool volume = catalog_volume_by_name(catalog, text);
    if (entry && volume)
        return error_set(ret_error, -EINVAL,
                         "'%s' is both an entry and a volume; say entry:%s or volume:%s", text,
                         text, text);
    if (!entry && !volume)
        return error_set(
            ret_error, -ENOENT,
            "there is nothing to boot called '%.64s': it is no volume, no entry (see: "
            "nodisk entry list), and none of volume, local, menu, shell, memtest, off, scripts, "
            "snapshot:NAME",
            text);
    *target = (struct boot_target){.kind = entry ? BOOT_TARGET_ENTRY : BOOT_TARGET_VOLUME};
    str_copy(target->name, sizeof(target->name), text);
    return 0;
}

/* A node, or a group if there is no node of that name. */
static struct registry_boot_scope find_scope(const struct catalog *catalog, const char *node,
                                             const char *group, const char *name)
{
    struct registry_boot_scope scope = {.node = node, .group = group};
    bool is_group =
        name && !catalog_node_by_name(catalog, name) && catalog_group_by_name(catalog, name);
    if (is_group)
        scope.group = name;
    else if (name)
        scope.node = name;
    return scope;
}

/* Another volume is for whose initiator may use it. */
static int check_volume(const struct catalog *catalog, const char *node_name,
                        const struct boot_target *target, struct error *ret_error)
{
    const struct catalog_node *node = node_name ? catalog_node_by_name(catalog, node_name) : NULL;
    const struct catalog_volume *volume = NULL;
    if (node && target->kind == BOOT_TARGET_VOLUME && target->name[0])
        volume = catalog_volume_by_name(catalog, target->name);
    if (!volume || catalog_may_boot(catalog, node, volume))
        return 0;
    return error_set(ret_error, -EINVAL,
                     "volume '%s' is none that %s may use; a volume is made so by --allow %s:%s",
                     volume->name, node->name, catalog_base_iqn(catalog), node->name);
}

static int take_slot(const struct body_boot_rule *fields, struct registry_boot_rule *rule,
                     struct error *ret_error)
{
    bool limited = fields->times.given || fields->until.given;
    rule->slot = limited ? BOOT_SLOT_TEMPORARY : BOOT_SLOT_STANDING;
    if (fields->slot.given && boot_slot_parse(fields->slot.text, &rule->slot) < 0)
        return error_set(ret_error, -EINVAL, "'slot' must be temporary, standing or fallback");
    if (limited != (rule->slot == BOOT_SLOT_TEMPORARY))
        return error_set(ret_error, -EINVAL,
                         "a temporary rule has 'times' or 'until', and no other has");
    if (fields->times.given && (fields->times.number < 1 || fields->times.number > 1000000))
        return error_set(ret_error, -EINVAL, "'times' must be 1 to 1000000");
    if (fields->until.given &&
        (fields->until.number <= clock_wall_usec() || fields->until.number > INT64_MAX))
        return error_set(ret_error, -EINVAL, "'until' is a time that has passed");
    if (fields->after.given && rule->slot != BOOT_SLOT_FALLBACK)
        return error_set(ret_error, -EINVAL, "'after' is of a fallback");
    if (fields->after.given && (fields->after.number < 1 || fields->after.number > 20))
        return error_set(ret_error, -EINVAL, "'after' must be 1 to 20 failed boots");
    rule->after = (uint32_t)fields->after.number;
    rule->times = (uint32_t)fields->times.number;
    rule->until = fields->until.number;
    return 0;
}

/* Whoever tells a node what to boot has seen that it failed. NULL as a name is nobody's. */
static void forget_failures(const struct admin *admin, const struct catalog *catalog,
                            const char *name)
{
    const struct stage_provider *p = admin->settings.stages;
    const struct catalog_node *node = name ? catalog_node_by_name(catalog, name) : NULL;
    if (node && p && p->forget_failures)
        p->forget_failures(p->context, node->id);
}

static int set(struct call *call, struct error *ret_error)
{
    cleanup_body struct body body = {0};
    struct body_boot_rule fields;
    struct registry_boot_rule rule = {.slot = BOOT_SLOT_STANDING};
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    size_t size;
    const char *data = http_body(call->request, &size);
    int r = body_read_boot_rule(data, size, &body, &fields, ret_error);
    if (r >= 0)
        r = find_target(catalog, fields.entry.text, &rule.target, ret_error);
    if (r >= 0)
        r = take_slot(&fields, &rule, ret_error);
    if (r < 0)
        return r;
    const struct registry_boot_scope scope =
        find_scope(catalog, fields.node.text, fields.group.text, fields.name.text);
    r = check_volume(catalog, scope.node, &rule.target, ret_error);
    if (r < 0)
        return r;
    r = registry_boot_rule_set(call->admin->settings.registry, &scope, &rule, ret_error);
    if (r >= 0)
        forget_failures(call->admin, catalog, scope.node);
    return r;
}

static json_t *rules_result(struct admin *admin, const char *name, uint32_t version)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(admin->settings.catalog);
    return rules_to_json(catalog);
}

void admin_set_boot_rule(struct call *call)
{
    struct error error;
    if (set(call, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply_job(call, NULL, "", rules_result);
}

/* /v1/boot-rules/NAME, of a node or a group (?group: of a group); or ?default, without a name. */
void admin_clear_boot_rules(struct call *call)
{
    struct error error;
    const char *name = call->name[0] ? call->name : NULL;
    bool group = http_query(call->request, "group");
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    const struct registry_boot_scope scope =
        find_scope(catalog, NULL, group ? name : NULL, group ? NULL : name);
    int r;
    if (!name && !http_query(call->request, "default"))
        r = error_set(&error, -EINVAL, "say whose: /v1/boot-rules/NAME, or ?default=true");
    else
        r = registry_boot_rules_clear(call->admin->settings.registry, &scope, &error);
    if (r >= 0)
        forget_failures(call->admin, catalog, scope.node);
    if (r < 0)
        call_reply_error(call, &error);
    else
        call_reply(call, 200, rules_result(call->admin, "", 0));
}

/* --- plans --- */

/* "group", "rule night" */
static json_t *source_to_json(enum plan_source source, const char *name)
{
    return json_sprintf("%s%s%s", plan_source_name(source), name && *name ? " " : "",
                        name ? name : "");
}

static json_t *candidate_to_json(const struct plan_candidate *c)
{
    char target[BOOT_TARGET_SIZE];
    json_t *json =
        json_pack("{s:o, s:s, s:s}", "rule", source_to_json(c->source, c->name), "target",
                  boot_target_format(&c->target, target), "verdict", plan_verdict_name(c->verdict));
    if (c->rule && c->rule->set_at)
        json_object_set_new(json, "set_at", json_integer((json_int_t)c->rule->set_at));
    if (c->rule && c->rule->until)
        json_object_set_new(json, "until", json_integer((json_int_t)c->rule->until));
    if (c->rule && c->rule->counted)
        json_object_set_new(json, "times", json_integer(c->rule->times));
    if (c->rule && c->rule->after)
        json_object_set_new(json, "after", json_integer(c->rule->after));
    return json;
}

static uint32_t failures_of(const struct admin *admin, const struct catalog_node *node)
{
    const struct stage_provider *p = admin->settings.stages;
    return p && p->failures ? p->failures(p->context, node->id) : 0;
}

/* The address that it had last, or has. */
static bool peer_of(const struct admin *admin, const struct catalog_node *node,
                    struct endpoint *ret_peer)
{
    const struct stage_provider *p = admin->settings.stages;
    uint32_t address = p && p->address_of ? p->address_of(p->context, node->macs[0]) : 0;
    *ret_peer = endpoint_of_ipv4(address ? address : node->address, 0);
    return address || node->address;
}

static bool facts_of(const struct admin *admin, const struct catalog_node *node,
                     struct facts *ret_facts)
{
    const struct stage_provider *p = admin->settings.stages;
    return p && p->facts && p->facts(p->context, node->id, ret_facts);
}

/* Who is asked when it boots, and what he has said last time. */
static void add_hook(const struct admin *admin, const struct catalog_node *node, json_t *list)
{
    const struct stage_provider *p = admin->settings.stages;
    struct plan_candidate hook = {.source = PLAN_BY_HOOK, .verdict = PLAN_ASKED};
    if (!admin->settings.would_ask || !admin->settings.would_ask(admin->settings.context))
        return;
    if (p && p->said && !p->said(p->context, node->id, &hook.target))
        hook.target.kind = BOOT_TARGET_NONE;
    json_array_append_new(list, candidate_to_json(&hook));
}

json_t *boot_plan_to_json(const struct admin *admin, const struct catalog *catalog,
                          const struct catalog_node *node)
{
    cleanup_policy struct policy *policy = policy_slot_get(admin->settings.policy);
    struct endpoint peer;
    struct facts facts;
    const struct plan_moment moment = {.now = clock_wall_usec(),
                                       .policy = policy,
                                       .facts = facts_of(admin, node, &facts) ? &facts : NULL,
                                       .peer = peer_of(admin, node, &peer) ? &peer : NULL,
                                       .failures = failures_of(admin, node),
                                       .fallback_after = admin->settings.fallback_after};
    struct plan_candidate candidates[PLAN_MAX_CANDIDATES];
    char target[BOOT_TARGET_SIZE];
    size_t n = plan_explain(catalog, node, &moment, candidates);
    const struct plan plan = plan_for_node(catalog, node, &moment);
    json_t *list = json_array();
    add_hook(admin, node, list);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, candidate_to_json(&candidates[i]));
    return json_pack("{s:s, s:s, s:o, s:s?, s:I, s:o}", "node", node->name, "target",
                     boot_target_format(&plan.target, target), "rule",
                     source_to_json(plan.source, plan.rule), "volume",
                     plan.volume ? plan.volume->name : NULL, "failures",
                     (json_int_t)moment.failures, "candidates", list);
}

void admin_show_boot_plan(struct call *call)
{
    struct error error;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    const struct catalog_node *node = catalog_node_by_name(catalog, call->name);
    if (node) {
        call_reply(call, 200, boot_plan_to_json(call->admin, catalog, node));
        return;
    }
    error_set(&error, -ENOENT, "there is no node '%.64s'; see: nodisk node list", call->name);
    call_reply_error(call, &error);
}
