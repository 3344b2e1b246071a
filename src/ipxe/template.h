/*
 * Templates of scripts, in a part of Mustache (mustache(5)):
 *
 *   {{name}}                      the value
 *   {{#name}} ... {{/name}}       if it has one
 *   {{^name}} ... {{/name}}       if it has none
 *   {{#name=value}} ... {{/name}} if it is this one; {{^name=value}} if it is not
 *   {{! ... }}                    nothing, for people
 *
 * A line that has one of the last four alone, and blanks, is no line of what comes out.
 *
 * A value is a word or words for iPXE and never a command, a setting to expand, a line or a
 * comment: template_value_is_safe() says which can be put in. Pure; any bytes.
 */
#pragma once

#include "core/error.h"

#define TEMPLATE_MAX_SIZE  (256 * KIB)
#define TEMPLATE_MAX_DEPTH 16

struct template_scope {
    /* False: there is no variable of that name. *ret_value NULL or "": it has no value. */
    bool (*look)(void *context, const char *name, const char **ret_value);
    void *context;
    /* For who checks: both ways of each condition come out, and a line for each line of the
     * template. */
    bool all;
    /* May this value be put in? quoted: it is alone between two quotes of the same kind. NULL:
     * template_value_is_safe() says so. */
    bool (*fits)(void *context, const char *value, bool quoted);
};

/* *ret_text: free() it; terminated, too. -EINVAL with the line in ret_error->text ("line 3: ...");
 * -EFBIG, -ENOMEM. */
int template_render(const char *text, size_t size, const struct template_scope *scope,
                    char **ret_text, size_t *ret_size, struct error *ret_error) MUST_CHECK;

/* Letters, digits and -_.,/@%+=?~[]()*, a ':' (not at its beginning) and blanks (not at its ends):
 * nothing that iPXE or a terminal takes as more than itself. */
bool template_value_is_safe(const char *value);
