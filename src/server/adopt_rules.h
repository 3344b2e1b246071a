/* [adopt NAME] in the configuration: which machines become nodes by themselves, and as what. */
#pragma once

#include "boot/adopt.h"
#include "server/rule_key.h"

#define ADOPT_MAX_RULES 64

struct adopt_rule {
    char name[NAME_MAX_LEN + 1]; /* of its section */
    struct adopt_match match;
    char node_name[ADOPT_TEXT_MAX + 1]; /* a pattern */
    char group[NAME_MAX_LEN + 1];       /* "": none; likewise the image */
    char image[ADOPT_TEXT_MAX + 1];     /* "debian12" or "debian12@3" */
    unsigned line;                      /* where it begins in the file */
    uint32_t seen;                      /* keys that were set, a bit for each */
};

/* In the order of the file: the first one that matches holds. */
struct adopt_rules {
    size_t count;
    struct adopt_rule rules[ADOPT_MAX_RULES];
};

/* A key of a section of this name. NULL, or what is wrong with it ("must be ..."); *ret_part is
 * what that is said of: the value, the key or the section. */
const char *adopt_rules_take(struct adopt_rules *rules, const char *section, unsigned line,
                             const char *key, const char *value, enum rule_part *ret_part);
/* What is still wrong with a rule when all of it was read: NULL: nothing. */
const char *adopt_rules_check(const struct adopt_rule *rule);
