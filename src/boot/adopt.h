/*
 * Which machines a rule is for, and what it calls them. Pure.
 *
 * A pattern of names is text with parts of what is known of the machine: %{number} (the lowest one
 * that makes a name which is free, from 1; %{number:02} with at least two digits), %{mac},
 * %{serial},
 * %{product}, %{manufacturer}, %{uuid}, %{subnet}, %{circuit}, %{remote}. Their letters become
 * lower case, and what a host name cannot have becomes a dash.
 */
#pragma once

#include "core/mac_prefix.h"
#include "registry/registry.h"

#define ADOPT_MAX_PREFIXES 16
#define ADOPT_TEXT_MAX     127

/* Each "" is any; the others are patterns with * and ?, whatever the case of letters. */
struct adopt_match {
    struct mac_prefix prefixes[ADOPT_MAX_PREFIXES]; /* one of them; none: any */
    size_t n_prefixes;
    char subnet[ADOPT_TEXT_MAX + 1];
    char circuit_id[ADOPT_TEXT_MAX + 1];
    char remote_id[ADOPT_TEXT_MAX + 1];
    char manufacturer[ADOPT_TEXT_MAX + 1];
    char product[ADOPT_TEXT_MAX + 1];
    char serial[ADOPT_TEXT_MAX + 1];
};

/* "52:54:00", "52-54-00" or "525400": adds it. NULL, or what is wrong with it. */
const char *adopt_add_prefix(struct adopt_match *match, const char *text);

bool adopt_matches(const struct adopt_match *match, const struct registry_pending *machine);

/* Can it make names, and more than one? -EINVAL and the sentence. */
int adopt_check_pattern(const char *pattern, struct error *ret_error) MUST_CHECK;
/* Is there any part in it that differs from machine to machine? */
bool adopt_is_pattern(const char *text);
/* -EINVAL: the machine does not say what the pattern needs, or it makes no host name. -EEXIST: the
 * name is taken. is_taken: asked for each that comes into question. */
int adopt_make_name(const char *pattern, const struct registry_pending *machine,
                    bool (*is_taken)(void *context, const char *name), void *context,
                    char ret_name[static NAME_MAX_LEN + 1], struct error *ret_error) MUST_CHECK;
