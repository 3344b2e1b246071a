/* What the tables of keys of [adopt NAME] and [rule NAME] share. */
#pragma once

#include "core/util.h"

#include <stdint.h>

/* What a complaint is about. */
enum rule_part { RULE_SECTION, RULE_KEY, RULE_VALUE };

struct rule_key {
    const char *name;
    bool is_list; /* may be given more than once: each adds to the list */
};

/* Finds the key in a table of n_keys (32 at most) entries of entry_size bytes, each of which begins
 * with a struct rule_key, and marks it in *seen, a bit for each. NULL, or what is wrong with it: a
 * static text. */
const char *rule_key_find(const void *table, size_t entry_size, size_t n_keys, const char *name,
                          uint32_t *seen, size_t *ret_key) MUST_CHECK;

/* A rule of which all was read. */
struct rule_verdict {
    const char *name;
    unsigned line;     /* where it begins in the file */
    const char *wrong; /* NULL: nothing */
};
