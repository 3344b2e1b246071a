/* What changes in a file, for people: a unified diff. */
#pragma once

#include "prepare/plan.h"

/* Prints the change as diff -u would, with "a/" and "b/" before the path. What only its owner may
 * read is not shown, nor what is no text. Made for files of some thousand lines; of two longer ones
 * it shows all lines as changed. A terminal gets only what it can show. */
void diff_print(FILE *file, const struct plan_change *change);
