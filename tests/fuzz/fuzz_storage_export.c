/* The URI of an NBD export, as somebody gives it. */
#include "storage/private.h"

#include <assert.h>
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken is shown to anybody: it is short, plain, and has no password in it. */
static void check_taken(const char *uri)
{
    const char *rest = strstr(uri, "://");
    assert(rest && str_has_prefix(uri, "nbd") && strlen(uri) < EXPORT_URI_SIZE);
    for (const char *c = uri; *c; c++)
        assert(*c > ' ' && *c <= '~');
    rest += strlen("://");
    const char *at = memchr(rest, '@', strcspn(rest, "/?#"));
    assert(!at || !memchr(rest, ':', (size_t)(at - rest)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    char *uri = strndup((const char *)data, size);
    if (!uri)
        abort();
    int r = export_check_uri(uri, &error);
    assert(r == 0 || r == -EINVAL);
    assert(error.code == r && (r == 0) == (error.text[0] == '\0'));
    for (const char *c = error.text; *c; c++)
        assert(*c >= ' ' && *c <= '~');
    if (r == 0)
        check_taken(uri);
    free(uri);
    return 0;
}
