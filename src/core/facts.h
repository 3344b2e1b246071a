/*
 * What a machine says of itself: iPXE puts it into the request for its script, out of what the
 * firmware has in its SMBIOS tables (DMTF DSP0134).
 *
 * Texts come as hexadecimal digits: iPXE before 2021 takes escapes in a URL apart and does not put
 * them back, so that a product called "R&D" would end at the `&`. Anybody may say anything: all is
 * bounded, and what is kept is UTF-8 without anything that a terminal would obey.
 */
#pragma once

#include "core/util.h"

#define FACTS_TEXT_MAX  64 /* bytes, as in SMBIOS 2.x */
#define FACTS_WORD_MAX  15
#define FACTS_UUID_SIZE 37 /* with its NUL */

struct facts {
    char uuid[FACTS_UUID_SIZE]; /* lower case, with dashes; all texts: "" if not known */
    char manufacturer[FACTS_TEXT_MAX + 1];
    char product[FACTS_TEXT_MAX + 1];
    char serial[FACTS_TEXT_MAX + 1];
    char card[FACTS_TEXT_MAX + 1];         /* its network card, as iPXE calls it */
    char architecture[FACTS_WORD_MAX + 1]; /* that iPXE was built for: "x86_64" */
    char firmware[FACTS_WORD_MAX + 1];     /* "pcbios", "efi" */
    uint64_t memory;                       /* bytes; 0: not known */
};

/* The query that has iPXE (2019 and newer) tell them: "&uuid=${uuid}&...". */
extern const char facts_query[];

/* value: of a key of that query, decoded; NULL if it is not there. False: nothing is told at all.
 * What makes no sense is left out. */
bool facts_read(const char *(*value)(void *context, const char *key), void *context,
                struct facts *ret_facts);

bool facts_eq(const struct facts *a, const struct facts *b);

/* Copies a text and leaves in it what may be shown: the rest becomes '?'. */
void facts_clean(char *place, size_t size, const char *text, size_t length);
/* "0" and "x", "" and the like: what makers leave in their tables. */
bool facts_uuid_is_unique(const char *uuid);
