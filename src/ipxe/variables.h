/*
 * The variables of templates: those that nodisk gives, and those of the operator's own, which stand
 * in a file `variables` beside the templates, a line NAME = VALUE each ('#' begins a comment).
 */
#pragma once

#include "ipxe/template.h"

#define SCRIPT_VARIABLES_FILE "variables"
#define SCRIPT_MAX_VARIABLES  1024 /* of the operator's own */

struct script_variable {
    char name[65];
    char *value; /* NULL: it has none */
};

/* Zeroed: none. */
struct script_variables {
    struct script_variable *list;
    size_t count;
};

struct script_variable_name {
    const char *name;
    const char *what; /* for people */
};

/* Those that nodisk gives. */
const struct script_variable_name *script_variable_names(size_t *ret_count);

/* Those that answer files of installers have beside these: what nodisk gives, and what the shipped
 * ones ask for, which has no value unless the operator gives it one. */
const struct script_variable_name *answer_variable_names(size_t *ret_count);
/* May the operator give a variable of this name a value in an entry? */
bool answer_variable_is_free(const char *name);

/* value is copied; NULL or "": none. -ENOMEM. */
int script_variables_set(struct script_variables *variables, const char *name,
                         const char *value) MUST_CHECK;
/* Adds what stands in the file's text. -EINVAL, -ENOMEM. */
int script_variables_read(struct script_variables *variables, const char *text, size_t size,
                          struct error *ret_error) MUST_CHECK;
void script_variables_free(struct script_variables *variables);

/* For struct template_scope; context: struct script_variables. */
bool script_variables_look(void *context, const char *name, const char **ret_value);
/* The same for answer files. */
bool answer_variables_look(void *context, const char *name, const char **ret_value);
