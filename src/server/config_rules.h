/*
 * Sections of the configuration of which each is a rule with a name of its own: [adopt NAME] and
 * [rule NAME]. What their keys mean is told by adopt_rules.h and policy_rules.h.
 */
#pragma once

#include "core/error.h"

#include <stdint.h>

struct config;

/* Is this section one of those? */
bool config_rules_has(const char *section);
/* Takes a key of such a section, which stands in this line of the file. -EINVAL: the sentence. */
int config_rules_take(struct config *config, const char *section, unsigned line, const char *key,
                      const char *value, struct error *ret_error) MUST_CHECK;

/* What is wrong, in the line of the file where the rule begins. */
typedef void config_rules_report(void *context, unsigned line, const char *text);
/* Reports what is wrong with each rule now that all of the file was read. */
void config_rules_check(const struct config *config, config_rules_report *report, void *context);
