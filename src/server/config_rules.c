#include "server/config_rules.h"

#include "server/config.h"

#include <errno.h>

/* A kind of rule: how a key of it is taken, and what is to be said of the rule of this number when
 * all was read (false: there are not so many). */
struct kind {
    const char *prefix; /* of its sections' names */
    const char *(*take)(struct config *config, const char *rule, unsigned line, const char *key,
                        const char *value, enum rule_part *ret_part);
    bool (*check)(const struct config *config, size_t number, struct rule_verdict *ret_verdict);
};

static const char *take_adopt(struct config *config, const char *rule, unsigned line,
                              const char *key, const char *value, enum rule_part *ret_part)
{
    return adopt_rules_take(config->adopt, rule, line, key, value, ret_part);
}

static bool check_adopt(const struct config *config, size_t number, struct rule_verdict *ret)
{
    if (number == config->adopt->count)
        return false;
    const struct adopt_rule *rule = &config->adopt->rules[number];
    *ret = (struct rule_verdict){rule->name, rule->line, adopt_rules_check(rule)};
    return true;
}

static const char *take_policy(struct config *config, const char *rule, unsigned line,
                               const char *key, const char *value, enum rule_part *ret_part)
{
    return policy_rules_take(config->policy, rule, line, key, value, ret_part);
}

static bool check_policy(const struct config *config, size_t number, struct rule_verdict *ret)
{
    if (number == config->policy->count)
        return false;
    const struct policy_rule *rule = &config->policy->rules[number];
    *ret = (struct rule_verdict){rule->name, rule->line, policy_rules_check(rule)};
    return true;
}

static const struct kind kinds[] = {
    {"adopt ", take_adopt, check_adopt},
    {"rule ", take_policy, check_policy},
};

static const struct kind *find_kind(const char *section)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (str_has_prefix(section, kinds[i].prefix))
            return &kinds[i];
    return NULL;
}

bool config_rules_has(const char *section)
{
    return find_kind(section);
}

int config_rules_take(struct config *config, const char *section, unsigned line, const char *key,
                      const char *value, struct error *ret_error)
{
    const struct kind *kind = find_kind(section);
    enum rule_part part;
    const char *wrong = kind->take(config, section + strlen(kind->prefix), line, key, value, &part);
    if (!wrong)
        return 0;
    if (part == RULE_VALUE)
        return error_set(ret_error, -EINVAL, "[%s] %s: '%s' %s", section, key, value, wrong);
    if (part == RULE_KEY)
        return error_set(ret_error, -EINVAL, "[%s] %s: %s", section, key, wrong);
    return error_set(ret_error, -EINVAL, "[%s]: %s", section, wrong);
}

void config_rules_check(const struct config *config, config_rules_report *report, void *context)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct rule_verdict verdict;
        for (size_t n = 0; kinds[i].check(config, n, &verdict); n++) {
            struct error error;
            if (!verdict.wrong)
                continue;
            error_set(&error, -EINVAL, "[%s%s] %s", kinds[i].prefix, verdict.name, verdict.wrong);
            report(context, verdict.line, error.text);
        }
    }
}
