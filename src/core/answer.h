/*
 * Answer files of installers: what is asked in an installation, answered in a file that the
 * installer fetches. Which formats there are, and which values may be put into a file of each of
 * them. Pure.
 *
 * A value is always text and never more: it ends no line, no quotes and no word of the format. What
 * could, is refused, and not escaped, since what is around it, a shell in a preseed or a program in
 * a kickstart, is the author's, and has rules of its own. Between quotes more is only text than
 * without.
 */
#pragma once

#include "core/util.h"

enum answer_format {
    ANSWER_PRESEED,     /* Debian's installer */
    ANSWER_AUTOINSTALL, /* Ubuntu's: cloud-init's user-data, in YAML */
    ANSWER_KICKSTART,   /* that of Fedora, RHEL and what is made from it */
    ANSWER_FORMATS,
};

/* "preseed", "autoinstall", "kickstart" */
const char *answer_format_name(enum answer_format format);
/* -EINVAL: there is none of this name. */
int answer_format_parse(const char *name, enum answer_format *ret_format) MUST_CHECK;
/* As the installer asks for it: "preseed.cfg", "user-data", "ks.cfg". */
const char *answer_format_file(enum answer_format format);

#define ANSWER_MAX_NAME  64
#define ANSWER_MAX_VALUE 512

/* A name for an operator's variable: small letters, digits and dashes. */
bool answer_name_is_valid(const char *name);
/* Could it be put in between quotes, in each format? Letters, digits, blanks inside of it and
 * -_.,:/@%+=~[]$ */
bool answer_value_is_valid(const char *value);
/* Can it be put in here? quoted: between two quotes of the same kind, and alone there. */
bool answer_value_fits(enum answer_format format, const char *value, bool quoted);
