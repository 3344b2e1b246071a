#include "server/addresses.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <pthread.h>

struct addresses {
    pthread_mutex_t lock; /* protects what follows */
    struct subnet *subnets;
    size_t count;
};

struct addresses *addresses_new(void)
{
    struct addresses *a = calloc(1, sizeof(*a));
    if (a)
        pthread_mutex_init(&a->lock, NULL);
    return a;
}

void addresses_free(struct addresses *a)
{
    if (!a)
        return;
    pthread_mutex_destroy(&a->lock);
    free(a->subnets);
    free(a);
}

int addresses_set(struct addresses *a, const struct subnet *subnets, size_t count)
{
    struct subnet *fresh = calloc(count + 1, sizeof(*fresh));
    if (!fresh)
        return -ENOMEM;
    memcpy(fresh, subnets, count * sizeof(*fresh));
    pthread_mutex_lock(&a->lock);
    struct subnet *old = a->subnets;
    a->subnets = fresh;
    a->count = count;
    pthread_mutex_unlock(&a->lock);
    free(old);
    return 0;
}

int addresses_copy(struct addresses *a, struct subnet **ret_subnets, size_t *ret_count)
{
    pthread_mutex_lock(&a->lock);
    struct subnet *copy = calloc(a->count + 1, sizeof(*copy));
    if (copy && a->count)
        memcpy(copy, a->subnets, a->count * sizeof(*copy));
    *ret_count = a->count;
    pthread_mutex_unlock(&a->lock);
    *ret_subnets = copy;
    return copy ? 0 : -ENOMEM;
}

/* Asked each time: interfaces come and go. */
static bool is_ours(uint32_t address)
{
    struct ifaddrs *list;
    bool found = false;
    if (getifaddrs(&list) < 0)
        return false;
    for (const struct ifaddrs *i = list; i && !found; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
            continue;
        struct sockaddr_in own;
        memcpy(&own, i->ifa_addr, sizeof(own));
        found = ntohl(own.sin_addr.s_addr) == address;
    }
    freeifaddrs(list);
    return found;
}

enum place { INSIDE, OUTSIDE, EDGE, TAKEN };

static bool contains(const uint32_t *list, size_t count, uint32_t address)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == address)
            return true;
    return false;
}

/* No subnets at all: somebody else hands out addresses, so any will do. */
static enum place find_place(struct addresses *a, uint32_t address)
{
    enum place place = a->count > 0 ? OUTSIDE : INSIDE;
    for (size_t i = 0; i < a->count; i++) {
        const struct subnet *n = &a->subnets[i];
        if ((address & n->mask) != n->network)
            continue;
        bool taken =
            contains(n->routers, n->n_routers, address) || contains(n->dns, n->n_dns, address);
        bool has_edges = ~n->mask > 1; /* /31 and /32 have none (RFC 3021) */
        bool on_edge = address == n->network || address == (n->network | ~n->mask);
        place = has_edges && on_edge ? EDGE : taken ? TAKEN : INSIDE;
    }
    return place;
}

int addresses_check(struct addresses *a, uint32_t address, struct error *ret_error)
{
    char text[IPV4_TEXT_SIZE];
    ipv4_format(address, text);
    pthread_mutex_lock(&a->lock);
    enum place place = find_place(a, address);
    pthread_mutex_unlock(&a->lock);
    if (place == OUTSIDE)
        return error_set(ret_error, -EINVAL,
                         "address %s is in no configured subnet; give one of a [subnet] in the "
                         "configuration file, or add that subnet",
                         text);
    if (place == EDGE)
        return error_set(ret_error, -EINVAL,
                         "address %s is the network's own or its broadcast address", text);
    if (place == TAKEN)
        return error_set(ret_error, -EINVAL,
                         "address %s is a router's or a name server's by the configuration; give "
                         "another one",
                         text);
    if (address >> 24 == 0 || address >> 24 == 127 || address >> 28 >= 0xe)
        return error_set(ret_error, -EINVAL, "address %s cannot be a machine's", text);
    if (is_ours(address))
        return error_set(ret_error, -EINVAL, "address %s is this server's own; give another one",
                         text);
    return 0;
}

bool addresses_find(struct addresses *a, uint32_t address, struct subnet *ret_subnet)
{
    bool found = false;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->count && !found; i++) {
        found = (address & a->subnets[i].mask) == a->subnets[i].network;
        if (found)
            *ret_subnet = a->subnets[i];
    }
    pthread_mutex_unlock(&a->lock);
    return found;
}

static bool has_machine6(const struct subnet *subnet, const struct endpoint *address)
{
    if (endpoint_is_link_local(address))
        return (subnet->network6.bits || subnet->mode != SUBNET_SERVER) &&
               if_nametoindex(subnet->interface) == address->v6.sin6_scope_id;
    return network6_contains(&subnet->network6, &address->v6.sin6_addr);
}

/* Of several on one interface, the one that we give out addresses in. */
int addresses_find6(struct addresses *a, const struct endpoint *address, struct subnet *ret_subnet)
{
    const struct subnet *found = NULL;
    bool serves = false;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->count; i++) {
        const struct subnet *subnet = &a->subnets[i];
        serves |= subnet->mode != SUBNET_OFF;
        if ((!found || subnet->mode < found->mode) && has_machine6(subnet, address))
            found = subnet;
    }
    if (found)
        *ret_subnet = *found;
    pthread_mutex_unlock(&a->lock);
    return found ? 0 : serves ? -ENOENT : -ENOTCONN;
}

enum subnet_mode addresses_mode(struct addresses *a, uint32_t address,
                                char ret_interface[static IF_NAMESIZE])
{
    enum subnet_mode mode = SUBNET_OFF;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->count; i++) {
        const struct subnet *subnet = &a->subnets[i];
        if ((address & subnet->mask) != subnet->network)
            continue;
        mode = subnet->mode;
        str_copy(ret_interface, IF_NAMESIZE, subnet->interface);
    }
    pthread_mutex_unlock(&a->lock);
    return mode;
}
