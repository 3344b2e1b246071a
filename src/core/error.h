/*
 * A failure that a person will read: a negative errno for the program and one sentence for the
 * operator (what happened, to which thing, what to do next; lower case, no full stop).
 *
 * Functions that can fail for reasons an operator can mend take a `struct error *ret_error`
 * (never NULL) and return the same negative errno that they store in it.
 */
#pragma once

#include "core/util.h"

struct error {
    int code; /* negative errno; 0: no error */
    char text[512];
};

/* Fills *ret_error and returns code, so that `return error_set(e, -EEXIST, "...")` reads well. */
int error_set(struct error *ret_error, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "what: " before the text that is already there. Returns its code. */
int error_prefix(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);
