/* Method and path of the admin API: "METHOD PATH". */
#include "http/admin_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[256];
    bool path_exists;
    char *text = strndup((const char *)data, size);
    if (!text)
        abort();
    char *path = strchr(text, ' ');
    if (path) {
        *path++ = '\0';
        const struct route *route = admin_find_route(text, path, name, &path_exists);
        if (route && (!path_exists || !str_eq(route->method, text)))
            abort();
    }
    free(text);
    return 0;
}
