#include "registry/policy.h"

#include <fnmatch.h>
#include <pthread.h>
#include <strings.h>
#include <time.h>

/* --- making --- */

struct policy *policy_new(void)
{
    struct policy *policy = calloc(1, sizeof(*policy));
    if (policy)
        atomic_init(&policy->references, 1);
    return policy;
}

struct policy *policy_ref(struct policy *policy)
{
    atomic_fetch_add(&policy->references, 1);
    return policy;
}

void policy_unref(struct policy *policy)
{
    if (!policy || atomic_fetch_sub(&policy->references, 1) != 1)
        return;
    arena_free(&policy->arena);
    free(policy->rules);
    free(policy);
}

/* The last one first: mostly that is what is being read. */
static struct policy_rule *find(struct policy *policy, const char *name)
{
    for (size_t i = policy->count; i-- > 0;)
        if (str_eq(policy->rules[i].name, name))
            return &policy->rules[i];
    return NULL;
}

struct policy_rule *policy_find_or_add(struct policy *policy, const char *name, unsigned line)
{
    struct policy_rule *rule = find(policy, name);
    if (rule || policy->count == POLICY_MAX_RULES)
        return rule;
    if ((policy->count & (policy->count - 1)) == 0) { /* it is full: 0, 1, 2, 4... */
        size_t room = policy->count ? 2 * policy->count : 1;
        struct policy_rule *rules = realloc(policy->rules, room * sizeof(*rules));
        if (!rules)
            return NULL;
        policy->rules = rules;
    }
    const char *copy = arena_strdup(&policy->arena, name);
    if (!copy)
        return NULL;
    rule = &policy->rules[policy->count++];
    *rule = (struct policy_rule){.name = copy, .line = line};
    return rule;
}

bool policy_add_pattern(struct policy *policy, struct policy_rule *rule, enum policy_text which,
                        const char *text)
{
    struct policy_pattern *pattern = arena_alloc(&policy->arena, sizeof(*pattern));
    const char *copy = arena_strdup(&policy->arena, text);
    if (!pattern || !copy)
        return false;
    *pattern = (struct policy_pattern){rule->patterns[which], copy, !strpbrk(text, "*?[")};
    rule->patterns[which] = pattern;
    return true;
}

bool policy_add_prefix(struct policy *policy, struct policy_rule *rule,
                       const struct mac_prefix *prefix)
{
    struct policy_prefix *added = arena_alloc(&policy->arena, sizeof(*added));
    if (!added)
        return false;
    *added = (struct policy_prefix){rule->prefixes, *prefix};
    rule->prefixes = added;
    return true;
}

bool policy_add_source(struct policy *policy, struct policy_rule *rule, const struct source *source)
{
    struct policy_source *added = arena_alloc(&policy->arena, sizeof(*added));
    if (!added)
        return false;
    *added = (struct policy_source){rule->sources, *source};
    rule->sources = added;
    return true;
}

/* --- matching --- */

struct policy_time policy_time_of(uint64_t usec)
{
    time_t seconds = (time_t)(usec / USEC_PER_SEC);
    struct tm tm = {0};
    localtime_r(&seconds, &tm);
    return (struct policy_time){(unsigned)tm.tm_wday, (unsigned)(tm.tm_hour * 60 + tm.tm_min)};
}

/* Hours over midnight belong to the day on which they begin. */
static bool fits_time(const struct policy_rule *rule, const struct policy_time *time)
{
    unsigned begins = rule->begins, ends = rule->ends, day = time->weekday;
    if (begins < ends && (time->minute < begins || time->minute >= ends))
        return false;
    if (begins > ends && time->minute < begins) {
        if (time->minute >= ends)
            return false;
        day = (day + 6) % 7;
    }
    return !rule->days || rule->days & 1U << day;
}

static bool fits_text(const struct policy_pattern *pattern, const char *text)
{
    if (!pattern)
        return true;
    for (; pattern; pattern = pattern->next)
        if (pattern->plain ? strcasecmp(pattern->text, text) == 0
                           : fnmatch(pattern->text, text, FNM_CASEFOLD | FNM_NOESCAPE) == 0)
            return true;
    return false;
}

static bool fits_cards(const struct policy_prefix *prefix, const struct catalog_node *node)
{
    if (!prefix)
        return true;
    for (; prefix; prefix = prefix->next)
        for (size_t i = 0; i < node->n_macs; i++)
            if (mac_prefix_has(&prefix->prefix, node->macs[i]))
                return true;
    return false;
}

static bool fits_peer(const struct policy_source *source, const struct endpoint *peer)
{
    for (; source; source = source->next)
        if (source_has(&source->source, peer))
            return true;
    return false;
}

static bool wants_facts(const struct policy_rule *rule)
{
    for (size_t i = POLICY_FACTS; i < POLICY_TEXTS; i++)
        if (rule->patterns[i])
            return true;
    return rule->memory_min || rule->memory_max;
}

static bool fits_memory(const struct policy_rule *rule, uint64_t memory)
{
    if (!rule->memory_min && !rule->memory_max)
        return true;
    return memory && memory >= rule->memory_min &&
           (!rule->memory_max || memory <= rule->memory_max);
}

static bool fits_facts(const struct policy_rule *rule, const struct facts *f)
{
    const char *const texts[POLICY_TEXTS] = {
        [POLICY_ARCHITECTURE] = f->architecture,
        [POLICY_FIRMWARE] = f->firmware,
        [POLICY_MANUFACTURER] = f->manufacturer,
        [POLICY_PRODUCT] = f->product,
        [POLICY_SERIAL] = f->serial,
        [POLICY_CARD] = f->card,
    };
    for (size_t i = POLICY_FACTS; i < POLICY_TEXTS; i++)
        if (!fits_text(rule->patterns[i], texts[i]))
            return false;
    return fits_memory(rule, f->memory);
}

enum policy_fit policy_fits(const struct policy_rule *rule, const struct policy_subject *subject)
{
    const struct catalog_node *node = subject->node;
    bool untold = false;
    if (!fits_time(rule, &subject->time) ||
        !fits_text(rule->patterns[POLICY_GROUP], node->group ? node->group : "") ||
        !fits_text(rule->patterns[POLICY_NODE], node->name) || !fits_cards(rule->prefixes, node))
        return POLICY_NO;
    if (rule->sources && !subject->peer)
        untold = true;
    else if (rule->sources && !fits_peer(rule->sources, subject->peer))
        return POLICY_NO;
    if (!wants_facts(rule))
        return untold ? POLICY_UNTOLD : POLICY_YES;
    if (subject->facts && !fits_facts(rule, subject->facts))
        return POLICY_NO;
    return untold || !subject->facts ? POLICY_UNTOLD : POLICY_YES;
}

/* --- the slot --- */

struct policy_slot {
    pthread_mutex_t lock; /* protects `current`, and taking a reference to it */
    struct policy *current;
};

struct policy_slot *policy_slot_new(void)
{
    struct policy_slot *slot = calloc(1, sizeof(*slot));
    if (slot)
        pthread_mutex_init(&slot->lock, NULL);
    return slot;
}

void policy_slot_free(struct policy_slot *slot)
{
    if (!slot)
        return;
    policy_unref(slot->current);
    pthread_mutex_destroy(&slot->lock);
    free(slot);
}

void policy_slot_set(struct policy_slot *slot, struct policy *policy)
{
    pthread_mutex_lock(&slot->lock);
    struct policy *old = slot->current;
    slot->current = policy_ref(policy);
    pthread_mutex_unlock(&slot->lock);
    policy_unref(old);
}

struct policy *policy_slot_get(struct policy_slot *slot)
{
    if (!slot)
        return NULL;
    pthread_mutex_lock(&slot->lock);
    struct policy *policy = slot->current ? policy_ref(slot->current) : NULL;
    pthread_mutex_unlock(&slot->lock);
    return policy;
}
