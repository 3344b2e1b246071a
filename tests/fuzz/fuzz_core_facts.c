/* What a machine says of itself: lines "key=value", as the query of a request has them. */
#include "core/facts.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct query {
    char text[8192];
    char value[8192];
};

static const char *value_of(void *context, const char *key)
{
    struct query *q = context;
    size_t n = strlen(key);
    for (const char *line = q->text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, key, n) != 0 || line[n] != '=')
            continue;
        size_t length = strcspn(line + n + 1, "\n");
        memcpy(q->value, line + n + 1, length);
        q->value[length] = '\0';
        return q->value;
    }
    return NULL;
}

/* Texts end, and have no byte that a terminal obeys. */
static void check(const char *text, size_t size)
{
    assert(strnlen(text, size) < size);
    for (const char *p = text; *p; p++)
        assert((unsigned char)*p >= ' ' && *p != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct query q;
    struct facts f;
    size_t n = MIN(size, sizeof(q.text) - 1);
    if (n > 0)
        memcpy(q.text, data, n);
    q.text[n] = '\0';
    if (!facts_read(value_of, &q, &f))
        return 0;
    check(f.uuid, sizeof(f.uuid));
    check(f.manufacturer, sizeof(f.manufacturer));
    check(f.product, sizeof(f.product));
    check(f.serial, sizeof(f.serial));
    check(f.card, sizeof(f.card));
    check(f.architecture, sizeof(f.architecture));
    check(f.firmware, sizeof(f.firmware));
    assert(f.memory <= INT64_MAX);
    return 0;
}
