/* Lists of words in a text of the operator's. */
#pragma once

/* Calls each(word, context) for every word of a list separated by spaces or commas, until it says
 * what is wrong with one: that is returned, else NULL. */
const char *words_each(const char *text, const char *(*each)(char *word, void *context),
                       void *context);
