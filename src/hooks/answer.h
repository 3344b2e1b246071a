/*
 * What a hook answers. Pure.
 *
 *   nothing at all           it has no opinion
 *   #!ipxe ...               a script, as it is
 *   {"boot": "menu", ...}    a JSON object with texts, numbers and true or false
 *   boot=menu                the same as lines; empty ones and those with a # are passed over
 *
 * Which keys there are, is for who asked to say.
 */
#pragma once

#include "core/error.h"

#define HOOK_ANSWER_FIELDS 16
#define HOOK_ANSWER_KEY    31  /* characters: a-z, 0-9, - and _ */
#define HOOK_ANSWER_VALUE  255 /* bytes of UTF-8 without control characters */

struct hook_answer {
    bool is_script;
    size_t count;
    struct hook_field {
        char key[HOOK_ANSWER_KEY + 1];
        char value[HOOK_ANSWER_VALUE + 1];
    } fields[HOOK_ANSWER_FIELDS];
};

/* text: terminated. -EINVAL with what is wrong with it ("answered ..."). */
int hook_answer_parse(const char *text, struct hook_answer *ret_answer,
                      struct error *ret_error) MUST_CHECK;
/* NULL: it is not there. */
const char *hook_answer_get(const struct hook_answer *answer, const char *key);
/* No opinion? */
bool hook_answer_is_empty(const struct hook_answer *answer);
/* Are its keys all of those (NULL at their end)? -EINVAL. */
int hook_answer_check_keys(const struct hook_answer *answer, const char *const *keys,
                           struct error *ret_error) MUST_CHECK;
