#include "core/listener.h"

/* Is this wildcard for addresses of that kind? */
static bool takes(const struct endpoint *list, size_t count, size_t which,
                  const struct endpoint *address)
{
    uint32_t ignored;
    if (endpoint_ipv4(address, &ignored))
        return net_takes_ipv4(list, count, which);
    return list[which].any.sa_family == AF_INET6;
}

const struct endpoint *listener_find(const struct endpoint *list, size_t count,
                                     const struct endpoint *address)
{
    const struct endpoint *found = NULL;
    for (size_t i = count; i > 0; i--) {
        const struct endpoint *e = &list[i - 1];
        if (endpoint_same_host(e, address))
            return e;
        if (endpoint_is_any(e) && takes(list, count, i - 1, address))
            found = e;
    }
    return found;
}
