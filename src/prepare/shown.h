/* Texts of a system that is prepared, so that a terminal does nothing but show them. */
#pragma once

#include "core/util.h"

#include <stdio.h>

/* Bytes of the character that these `left` bytes begin with, if a terminal shows it; 0: it does not
 * (RFC 3629; control characters). */
size_t shown_size(const char *text, size_t left);
/* Writes the text, with \x1b for each byte that is not shown, but for newlines and tabs. */
void shown_print(FILE *file, const char *text, size_t size);
