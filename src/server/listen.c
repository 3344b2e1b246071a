#include "server/listen.h"

static bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
    return endpoint_same_host(a, b) && endpoint_port(a) == endpoint_port(b);
}

bool listen_list_eq(const struct listen_list *a, const struct listen_list *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++)
        if (!endpoint_eq(&a->endpoints[i], &b->endpoints[i]))
            return false;
    return a->count == b->count;
}

bool redirect_list_eq(const struct redirect_list *a, const struct redirect_list *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++)
        if (!str_eq(a->entries[i].volume, b->entries[i].volume) ||
            !endpoint_eq(&a->entries[i].portal, &b->entries[i].portal))
            return false;
    return a->count == b->count;
}

/* Is this wildcard for addresses of that kind? */
static bool takes(const struct listen_list *list, size_t which, const struct endpoint *address)
{
    uint32_t ignored;
    if (endpoint_ipv4(address, &ignored))
        return net_takes_ipv4(list->endpoints, list->count, which);
    return list->endpoints[which].any.sa_family == AF_INET6;
}

/* One that names the address itself before one for all. */
const struct endpoint *listen_list_find(const struct listen_list *list,
                                        const struct endpoint *address)
{
    const struct endpoint *found = NULL;
    for (size_t i = list->count; i > 0; i--) {
        const struct endpoint *e = &list->endpoints[i - 1];
        if (endpoint_same_host(e, address))
            return e;
        if (endpoint_is_any(e) && takes(list, i - 1, address))
            found = e;
    }
    return found;
}
