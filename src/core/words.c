#include "core/words.h"

#include "core/util.h"

const char *words_each(const char *text, const char *(*each)(char *word, void *context),
                       void *context)
{
    char copy[1024];
    char *rest;
    if (!str_copy(copy, sizeof(copy), text))
        return "is too long";
    for (char *word = strtok_r(copy, " ,\t", &rest); word; word = strtok_r(NULL, " ,\t", &rest)) {
        const char *wrong = each(word, context);
        if (wrong)
            return wrong;
    }
    return NULL;
}
