#include "http/crowd.h"

/* What is kept free, so that libmicrohttpd, which counts for itself, never has to refuse. */
#define SPARE(most) ((most) / 64 + 1)

/* For one answer, before it counts as slow. Nodes fetch a hundred megabytes in it. */
#define PATIENCE (60 * USEC_PER_SEC)

void crowd_init(struct crowd *crowd, size_t most)
{
    *crowd = (struct crowd){.most = most};
    list_init(&crowd->members);
    pthread_mutex_init(&crowd->lock, NULL);
}

void crowd_destroy(struct crowd *crowd)
{
    pthread_mutex_destroy(&crowd->lock);
}

static struct crowd_member *member_of(struct list *node)
{
    return container_of(node, struct crowd_member, link);
}

/* IPv6, and no IPv4 in the clothes of it. */
static bool has_network(const struct endpoint *address)
{
    uint32_t ignored;
    return address->any.sa_family == AF_INET6 && !endpoint_ipv4(address, &ignored);
}

static bool same_network(const struct endpoint *a, const struct endpoint *b)
{
    return has_network(b) && memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 8) == 0;
}

/* With the lock held. network: NULL: of all. */
static size_t count_of(struct crowd *crowd, const struct endpoint *network)
{
    size_t count = 0;
    if (!network)
        return crowd->count;
    list_for_each(node, &crowd->members) {
        const struct crowd_member *member = member_of(node);
        count += !member->sent_away && same_network(network, &member->address);
    }
    return count;
}

static void send_away(struct crowd *crowd, struct crowd_member *member)
{
    member->sent_away = true;
    crowd->count--;
    shutdown(member->fd, SHUT_RDWR);
}

/* The one that has been there for longest without a request; else the one that has taken longest
 * for its answer, if that is long. False: there is none. */
static bool send_one_away(struct crowd *crowd, const struct endpoint *network)
{
    struct crowd_member *slowest = NULL;
    list_for_each(node, &crowd->members) {
        struct crowd_member *member = member_of(node);
        if (member->sent_away || (network && !same_network(network, &member->address)))
            continue;
        if (!member->busy_since) {
            send_away(crowd, member);
            return true;
        }
        if (!slowest || member->busy_since < slowest->busy_since)
            slowest = member;
    }
    if (!slowest || clock_monotonic_usec() - slowest->busy_since < PATIENCE)
        return false;
    send_away(crowd, slowest);
    return true;
}

static bool make_room(struct crowd *crowd, const struct endpoint *network, size_t most)
{
    return count_of(crowd, network) < most || send_one_away(crowd, network);
}

bool crowd_has_room(struct crowd *crowd, const struct endpoint *address)
{
    pthread_mutex_lock(&crowd->lock);
    bool room = !has_network(address) || make_room(crowd, address, crowd->most / 2);
    if (room)
        (void)make_room(crowd, NULL, crowd->most - SPARE(crowd->most));
    pthread_mutex_unlock(&crowd->lock);
    return room;
}

void crowd_enter(struct crowd *crowd, struct crowd_member *member, int fd)
{
    pthread_mutex_lock(&crowd->lock);
    member->fd = fd;
    list_append(&crowd->members, &member->link);
    crowd->count++;
    pthread_mutex_unlock(&crowd->lock);
}

void crowd_leave(struct crowd *crowd, struct crowd_member *member)
{
    pthread_mutex_lock(&crowd->lock);
    if (list_linked(&member->link) && !member->sent_away)
        crowd->count--;
    list_remove(&member->link);
    pthread_mutex_unlock(&crowd->lock);
}

void crowd_set_busy(struct crowd *crowd, struct crowd_member *member, bool busy)
{
    pthread_mutex_lock(&crowd->lock);
    member->busy_since = busy ? clock_monotonic_usec() : 0;
    pthread_mutex_unlock(&crowd->lock);
}
