#include "registry/plan.h"

static const char *const source_names[PLAN_SOURCES] = {
    [PLAN_BY_HOOK] = "hook",
    [PLAN_BY_NODE_TEMPORARY] = "node, temporary",
    [PLAN_BY_NODE_FALLBACK] = "node, fallback",
    [PLAN_BY_GROUP_FALLBACK] = "group, fallback",
    [PLAN_BY_SITE_FALLBACK] = "default, fallback",
    [PLAN_BY_NODE] = "node",
    [PLAN_BY_GROUP_TEMPORARY] = "group, temporary",
    [PLAN_BY_POLICY] = "rule",
    [PLAN_BY_GROUP] = "group",
    [PLAN_BY_SITE_TEMPORARY] = "default, temporary",
    [PLAN_BY_SITE] = "default",
    [PLAN_BY_DISK] = "disk",
};

static const char *const verdict_names[] = {
    [PLAN_DECIDES] = "decides", [PLAN_OVERRULED] = "overruled", [PLAN_USED_UP] = "used up",
    [PLAN_OVER] = "over",       [PLAN_NOT_YET] = "not yet",     [PLAN_IMPOSSIBLE] = "impossible",
    [PLAN_UNTOLD] = "not told", [PLAN_ASKED] = "is asked",
};

const char *plan_source_name(enum plan_source source)
{
    return source_names[source];
}

const char *plan_verdict_name(enum plan_verdict verdict)
{
    return verdict_names[verdict];
}

/* --- targets --- */

static const struct catalog_volume *volume_of(const struct catalog *catalog,
                                              const struct catalog_node *node,
                                              const struct boot_target *target)
{
    return target->name[0] ? catalog_volume_by_name(catalog, target->name)
                           : catalog_volume_by_id(catalog, node->volume_id);
}

static enum plan_kind kind_of_volume(const struct catalog_volume *volume)
{
    switch (volume->state) {
    case VOLUME_READY:
        return PLAN_VOLUME;
    case VOLUME_CREATING:
        return PLAN_PREPARING;
    case VOLUME_REMOVING:
        return PLAN_NO_VOLUME;
    default:
        return PLAN_FAILED;
    }
}

static bool is_of_another(const struct catalog *catalog, const struct catalog_node *node)
{
    size_t n;
    const struct catalog_node *nodes = catalog_nodes(catalog, &n);
    for (size_t i = 0; i < n; i++)
        if (nodes[i].volume_id == node->volume_id && nodes[i].id != node->id)
            return true;
    return false;
}

const struct catalog_volume *plan_trial_volume(const struct catalog *catalog,
                                               const struct catalog_node *node)
{
    const struct catalog_volume *v = catalog_volume_by_id(catalog, node->volume_id);
    bool fits = v && v->overlay && v->overlay->n_snapshots > 0 && v->state == VOLUME_READY &&
                !v->read_only && !is_of_another(catalog, node);
    return fits ? v : NULL;
}

static bool has_snapshot(const struct catalog *catalog, const struct catalog_node *node,
                         const char *name)
{
    const struct catalog_volume *volume = plan_trial_volume(catalog, node);
    return volume && catalog_overlay_snapshot(volume->overlay, name);
}

/* A disk of its own it waits for; another volume has to be there. */
bool plan_can_boot(const struct catalog *catalog, const struct catalog_node *node,
                   const struct boot_target *target)
{
    const struct catalog_volume *volume;
    switch (target->kind) {
    case BOOT_TARGET_NONE:
        return false;
    case BOOT_TARGET_VOLUME:
        volume = volume_of(catalog, node, target);
        return !target->name[0] ||
               (volume && volume->state == VOLUME_READY && catalog_may_boot(catalog, node, volume));
    case BOOT_TARGET_ENTRY:
        return catalog_entry_by_name(catalog, target->name);
    case BOOT_TARGET_SNAPSHOT:
        return has_snapshot(catalog, node, target->name);
    default:
        return true;
    }
}

static void plan_volume(const struct catalog *catalog, struct plan *plan)
{
    plan->volume = volume_of(catalog, plan->node, &plan->target);
    plan->kind = plan->volume ? kind_of_volume(plan->volume) : PLAN_NO_VOLUME;
}

/* With its disk, if that is there; what they do without one is theirs. */
static void plan_scripts(const struct catalog *catalog, struct plan *plan)
{
    const struct catalog_volume *v = catalog_volume_by_id(catalog, plan->node->volume_id);
    plan->kind = PLAN_SCRIPTS;
    plan->volume = v && v->state == VOLUME_READY ? v : NULL;
}

/* An installer needs the node's own disk, as if that was to be booted. */
static void plan_entry(const struct catalog *catalog, struct plan *plan)
{
    plan->entry = catalog_entry_by_name(catalog, plan->target.name);
    if (plan->entry->kind != BOOT_ENTRY_INSTALLER)
        return;
    plan->volume = catalog_volume_by_id(catalog, plan->node->volume_id);
    enum plan_kind kind = plan->volume ? kind_of_volume(plan->volume) : PLAN_NO_VOLUME;
    if (kind != PLAN_VOLUME)
        plan->kind = kind;
}

static void plan_target(const struct catalog *catalog, const struct boot_target *target,
                        struct plan *plan)
{
    static const enum plan_kind kinds[] = {
        [BOOT_TARGET_NONE] = PLAN_NO_VOLUME,  [BOOT_TARGET_LOCAL] = PLAN_LOCAL,
        [BOOT_TARGET_MENU] = PLAN_MENU,       [BOOT_TARGET_SHELL] = PLAN_SHELL,
        [BOOT_TARGET_MEMTEST] = PLAN_MEMTEST, [BOOT_TARGET_OFF] = PLAN_OFF,
        [BOOT_TARGET_ENTRY] = PLAN_ENTRY,
    };
    plan->target = *target;
    if (target->kind == BOOT_TARGET_VOLUME) {
        plan_volume(catalog, plan);
        return;
    }
    if (target->kind == BOOT_TARGET_SNAPSHOT) {
        plan->volume = catalog_volume_by_id(catalog, plan->node->volume_id);
        plan->kind = PLAN_VOLUME;
        return;
    }
    if (target->kind == BOOT_TARGET_SCRIPTS) {
        plan_scripts(catalog, plan);
        return;
    }
    plan->kind = kinds[target->kind];
    if (target->kind == BOOT_TARGET_ENTRY)
        plan_entry(catalog, plan);
}

/* --- rules --- */

struct candidates {
    const struct catalog *catalog;
    const struct catalog_node *node;
    const struct plan_moment *moment;
    struct plan_candidate *list;
    size_t count;
    bool decided;
};

static bool is_used_up(const struct boot_rule *rule, const struct plan_moment *moment)
{
    bool has_it = rule->boot_id && rule->boot_id == moment->boot_id;
    return rule->counted && rule->times == 0 && !has_it;
}

bool plan_is_fallback(enum plan_source source)
{
    return source == PLAN_BY_NODE_FALLBACK || source == PLAN_BY_GROUP_FALLBACK ||
           source == PLAN_BY_SITE_FALLBACK;
}

static bool is_time_to_fall_back(const struct boot_rule *rule, const struct plan_moment *moment)
{
    uint32_t after = rule && rule->after ? rule->after : moment->fallback_after;
    return after && moment->failures >= after;
}

static enum plan_verdict judge(const struct candidates *c, const struct plan_candidate *candidate)
{
    const struct boot_rule *rule = candidate->rule;
    const struct plan_moment *moment = c->moment;
    if (rule && is_used_up(rule, moment))
        return PLAN_USED_UP;
    if (rule && rule->until && rule->until <= moment->now)
        return PLAN_OVER;
    if (plan_is_fallback(candidate->source) && !is_time_to_fall_back(rule, moment))
        return PLAN_NOT_YET;
    if (!plan_can_boot(c->catalog, c->node, &candidate->target))
        return PLAN_IMPOSSIBLE;
    return c->decided ? PLAN_OVERRULED : PLAN_DECIDES;
}

static void add(struct candidates *c, enum plan_source source, const struct boot_target *target,
                const struct boot_rule *rule)
{
    if (target->kind == BOOT_TARGET_NONE)
        return;
    struct plan_candidate *candidate = &c->list[c->count++];
    *candidate = (struct plan_candidate){.source = source, .target = *target, .rule = rule};
    candidate->verdict = judge(c, candidate);
    c->decided |= candidate->verdict == PLAN_DECIDES;
}

static void add_rule(struct candidates *c, enum plan_source source, const struct boot_rules *rules,
                     enum boot_slot slot)
{
    if (rules)
        add(c, source, &rules->slots[slot].target, &rules->slots[slot]);
}

/* What cannot be decided yet decides nothing, and neither does what is not shown: but one that can
 * be done is. */
static void add_policy(struct candidates *c, const struct policy_rule *rule, enum policy_fit fit,
                       size_t *count)
{
    if (*count == PLAN_MAX_POLICIES)
        c->count--;
    else
        ++*count;
    add(c, PLAN_BY_POLICY, &rule->target, NULL);
    struct plan_candidate *candidate = &c->list[c->count - 1];
    candidate->name = rule->name;
    if (fit != POLICY_UNTOLD || candidate->verdict != PLAN_DECIDES)
        return;
    c->decided = false;
    candidate->verdict = PLAN_UNTOLD;
}

static void add_policies(struct candidates *c)
{
    const struct plan_moment *moment = c->moment;
    size_t count = 0;
    if (!moment->policy || !moment->policy->count)
        return;
    const struct policy_subject subject = {c->node, moment->facts, moment->peer,
                                           policy_time_of(moment->now)};
    for (size_t i = 0; i < moment->policy->count; i++) {
        if (count == PLAN_MAX_POLICIES && c->decided)
            return;
        const struct policy_rule *rule = &moment->policy->rules[i];
        enum policy_fit fit = policy_fits(rule, &subject);
        if (fit != POLICY_NO)
            add_policy(c, rule, fit, &count);
    }
}

static void add_all(struct candidates *c)
{
    static const struct boot_target disk = {.kind = BOOT_TARGET_VOLUME};
    const struct catalog_group *group = catalog_group_by_name(c->catalog, c->node->group);
    const struct boot_rules *of_node = c->node->rules;
    const struct boot_rules *of_group = group ? group->rules : NULL;
    const struct boot_rules *of_site = catalog_site_rules(c->catalog);
    add(c, PLAN_BY_HOOK, &c->moment->said, NULL);
    add_rule(c, PLAN_BY_NODE_TEMPORARY, of_node, BOOT_SLOT_TEMPORARY);
    add_rule(c, PLAN_BY_NODE_FALLBACK, of_node, BOOT_SLOT_FALLBACK);
    add_rule(c, PLAN_BY_GROUP_FALLBACK, of_group, BOOT_SLOT_FALLBACK);
    add_rule(c, PLAN_BY_SITE_FALLBACK, of_site, BOOT_SLOT_FALLBACK);
    add_rule(c, PLAN_BY_NODE, of_node, BOOT_SLOT_STANDING);
    add_rule(c, PLAN_BY_GROUP_TEMPORARY, of_group, BOOT_SLOT_TEMPORARY);
    add_policies(c);
    add_rule(c, PLAN_BY_GROUP, of_group, BOOT_SLOT_STANDING);
    add_rule(c, PLAN_BY_SITE_TEMPORARY, of_site, BOOT_SLOT_TEMPORARY);
    add_rule(c, PLAN_BY_SITE, of_site, BOOT_SLOT_STANDING);
    add(c, PLAN_BY_DISK, &disk, NULL); /* always possible: it is the last that decides */
}

size_t plan_explain(const struct catalog *catalog, const struct catalog_node *node,
                    const struct plan_moment *moment,
                    struct plan_candidate candidates[static PLAN_MAX_CANDIDATES])
{
    struct candidates c = {catalog, node, moment, candidates, 0, false};
    add_all(&c);
    return c.count;
}

/* --- the plan --- */

/* Below the rule that says "menu", what would decide without it. A machine without a disk of ours
 * has its own. */
static struct boot_target default_of_menu(const struct catalog_node *node,
                                          const struct plan_candidate *candidates, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (candidates[i].verdict == PLAN_OVERRULED &&
            candidates[i].target.kind != BOOT_TARGET_MENU &&
            !(candidates[i].source == PLAN_BY_DISK && !node->volume_id))
            return candidates[i].target;
    return (struct boot_target){.kind = BOOT_TARGET_LOCAL};
}

static void plan_choice(const struct catalog *catalog, const struct plan_moment *moment,
                        struct plan *plan)
{
    if (moment->chosen.kind == BOOT_TARGET_NONE || moment->chosen.kind == BOOT_TARGET_MENU ||
        !plan_can_boot(catalog, plan->node, &moment->chosen) ||
        (moment->chosen.kind == BOOT_TARGET_SNAPSHOT && !moment->may_choose_snapshots))
        return;
    plan_target(catalog, &moment->chosen, plan);
    plan->chosen = true;
}

/* Its own disk is a snapshot at this boot, or was to be one and is not: is that what is written
 * down? */
static bool has_to_note_disk(const struct plan *plan, const struct plan_moment *moment)
{
    bool own = plan_has_disk(plan) && plan->volume->id == plan->node->volume_id;
    if (!own || !plan->volume->overlay || !moment->boot_id)
        return false;
    const struct catalog_trial *trial = plan->volume->overlay->trial;
    const char *noted = trial && trial->boot_id == moment->boot_id ? trial->snapshot : NULL;
    if (plan->target.kind == BOOT_TARGET_SNAPSHOT)
        return !noted || !str_eq(noted, plan->target.name);
    return noted;
}

struct plan plan_for_node(const struct catalog *catalog, const struct catalog_node *node,
                          const struct plan_moment *moment)
{
    struct plan_candidate candidates[PLAN_MAX_CANDIDATES];
    struct plan plan = {.kind = PLAN_NO_VOLUME, .node = node};
    size_t count = plan_explain(catalog, node, moment, candidates), at = 0;
    for (; candidates[at].verdict != PLAN_DECIDES; at++)
        plan.untold |= candidates[at].verdict == PLAN_UNTOLD;
    const struct boot_rule *rule = candidates[at].rule;
    plan.source = candidates[at].source;
    if (candidates[at].name)
        str_copy(plan.rule, sizeof(plan.rule), candidates[at].name);
    plan.claim = rule && rule->counted && (!moment->boot_id || rule->boot_id != moment->boot_id);
    plan_target(catalog, &candidates[at].target, &plan);
    if (plan.kind == PLAN_MENU) {
        plan.menu_default = default_of_menu(node, candidates + at, count - at);
        plan_choice(catalog, moment, &plan);
    }
    plan.disk = has_to_note_disk(&plan, moment);
    return plan;
}

struct plan plan_for_mac(const struct catalog *catalog, struct mac_address mac,
                         const struct plan_moment *moment)
{
    const struct catalog_node *node = catalog_node_by_mac(catalog, mac);
    return node ? plan_for_node(catalog, node, moment) : (struct plan){.kind = PLAN_UNKNOWN};
}

/* A node proves itself to us by its own secrets, and elsewhere by those that are asked for there.
 */
const struct chap_credentials *plan_chap(const struct plan *plan)
{
    if (plan->volume && plan->volume->elsewhere)
        return plan->volume->chap;
    return plan->node ? plan->node->chap : NULL;
}
