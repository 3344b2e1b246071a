/* [rule NAME] in the configuration: what the nodes boot to which it applies. */
#pragma once

#include "registry/policy.h"
#include "server/rule_key.h"

/* A key of a section of this name. NULL, or what is wrong with it ("must be ..."); *ret_part is
 * what that is said of: the value, the key or the section. */
const char *policy_rules_take(struct policy *policy, const char *section, unsigned line,
                              const char *key, const char *value, enum rule_part *ret_part);
/* What is still wrong with a rule when all of it was read: NULL: nothing. */
const char *policy_rules_check(const struct policy_rule *rule);
