/* [rule NAME] in the configuration: what the nodes boot to which it applies. */
#pragma once

#include "registry/policy.h"

/* A key of a section of this name. NULL, or what is wrong with it ("must be ..."); *ret_subject is
 * what that is said of: the value, the key or the section. */
enum policy_subject_of { POLICY_OF_VALUE, POLICY_OF_KEY, POLICY_OF_SECTION };
const char *policy_rules_take(struct policy *policy, const char *section, unsigned line,
                              const char *key, const char *value,
                              enum policy_subject_of *ret_subject);
/* What is still wrong with a rule when all of it was read: NULL: nothing. */
const char *policy_rules_check(const struct policy_rule *rule);
