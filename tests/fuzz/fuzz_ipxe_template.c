/*
 * Templates. Input: a value for all variables up to the first zero, then the template. Whatever
 * stands in the value, what comes out has no line and no settings that the template does not have.
 */
#include "ipxe/template.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool look(void *context, const char *name, const char **ret_value)
{
    *ret_value = context;
    return !str_eq(name, "no");
}

static size_t count(const char *text, size_t size, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++)
        n += text[i] == c;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char taken[] = "\n\r$|&;#\\\x1b";
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    if (!zero)
        return 0;
    const char *template = (const char *)zero + 1;
    size_t template_size = size - (size_t)(zero + 1 - data);
    for (unsigned all = 0; all < 2; all++) {
        const struct template_scope scope = {look, (char *)data, all, NULL};
        struct error error = {0};
        char *text;
        size_t text_size;
        if (template_render(template, template_size, &scope, &text, &text_size, &error) < 0) {
            assert(error.text[0]);
            continue;
        }
        for (size_t i = 0; i < sizeof(taken) - 1; i++)
            assert(count(text, text_size, taken[i]) <= count(template, template_size, taken[i]));
        assert(!all || count(text, text_size, '\n') == count(template, template_size, '\n'));
        assert(text[text_size] == '\0');
        free(text);
    }
    return 0;
}
