/*
 * The text format of login and Text PDUs: "key=value" pairs, each ended by NUL (RFC 7143 6.1).
 */
#pragma once

#include "core/util.h"

#define ISCSI_KEY_MAX   63
#define ISCSI_VALUE_MAX 255 /* of a simple value, unless its key says more */

/* Walks over the pairs in data[0..length); start with *cursor = 0. Cuts the text into strings in
 * place: data must be writable and data[length] must be a NUL that does not count as text (room
 * for one byte more). 1: *ret_key and *ret_value are the next pair; 0: there are no more; -EINVAL:
 * what comes next is not a pair, or its key is longer than ISCSI_KEY_MAX or has characters that no
 * key has (RFC 7143 6.1, standard-label; not that it begins with a capital). */
int iscsi_text_next(char *data, size_t length, size_t *cursor, const char **ret_key,
                    const char **ret_value) MUST_CHECK;

/* Text to be sent, gathered in a buffer of a fixed size or, with a limit, in one that grows up to
 * that. What does not fit sets `overflow`. */
struct iscsi_text {
    char *data;
    size_t size;
    size_t used;
    size_t limit; /* of a buffer that grows: data is from malloc(), or NULL at first; else 0 */
    bool overflow;
};

void iscsi_text_add(struct iscsi_text *text, const char *key, const char *value);
void iscsi_text_addf(struct iscsi_text *text, const char *key, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Is it one of the words that answer a key and need no answer themselves (RFC 7143 6.2)? */
bool iscsi_text_is_answer(const char *value);

/* The place of a word in a comma-separated list, 0 for the first; -1: it is not there. */
int iscsi_text_list_find(const char *list, const char *word);

/* A number as the standard writes them: decimal, or hexadecimal behind 0x. -EINVAL if it is not
 * one, does not fit 32 bits or is longer than a simple value may be. */
int iscsi_text_number(const char *value, uint32_t *ret_number) MUST_CHECK;
