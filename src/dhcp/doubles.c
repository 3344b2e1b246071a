/*
 * Two tables of small sets: a key belongs to one set, and the entry of it that was seen least
 * recently makes room for a new one. Whoever floods us with forged keys makes us forget, no more.
 */
#include "dhcp/doubles.h"

#define SETS 1024
#define WAYS 4

/* The other ways by which the messages of one place come. */
#define MAX_ALIASES 3

struct sighting {
    struct mac_address mac;
    uint64_t seen_at; /* 0: unused */
    uint32_t xid;     /* of its last message */
    unsigned returns; /* so often was it back in turn */
    struct dhcp_place here, before;
    uint64_t left_at; /* when it was at `before` last; 0: it never moved */
    uint64_t aliases[MAX_ALIASES];
    unsigned next_alias;
};

struct identity {
    uint8_t uuid[DHCP_UUID_SIZE];
    struct mac_address mac;
    uint64_t seen_at; /* 0: unused */
};

struct dhcp_doubles {
    uint64_t seed;
    struct sighting *sightings[SETS]; /* WAYS each; NULL: none yet */
    struct identity *identities[SETS];
};

struct dhcp_doubles *dhcp_doubles_new(uint64_t seed)
{
    struct dhcp_doubles *doubles = calloc(1, sizeof(*doubles));
    if (doubles)
        doubles->seed = seed;
    return doubles;
}

void dhcp_doubles_free(struct dhcp_doubles *doubles)
{
    for (size_t i = 0; doubles && i < SETS; i++) {
        free(doubles->sightings[i]);
        free(doubles->identities[i]);
    }
    free(doubles);
}

/* FNV-1a, and its upper bits mixed into the lower ones. */
static uint64_t hash(uint64_t seed, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint64_t h = seed ^ 0xcbf29ce484222325;
    for (size_t i = 0; i < size; i++)
        h = (h ^ bytes[i]) * 0x100000001b3;
    return h ^ h >> 29;
}

uint64_t dhcp_place_hash(const char *circuit_id, const char *remote_id)
{
    uint64_t h = hash(hash(0, circuit_id, strlen(circuit_id) + 1), remote_id, strlen(remote_id));
    return h ? h : 1;
}

/* --- places --- */

static uint64_t key_of(const struct dhcp_place *place)
{
    const uint64_t parts[] = {place->relay, place->link, place->port};
    uint64_t h = hash(0, parts, sizeof(parts));
    return h ? h : 1;
}

static bool same_place(const struct dhcp_place *a, const struct dhcp_place *b)
{
    return a->relay == b->relay && a->link == b->link && a->port == b->port;
}

/* That of the MAC, or the one that makes room. NULL without memory. */
static struct sighting *find_sighting(struct dhcp_doubles *doubles, struct mac_address mac)
{
    struct sighting **place = &doubles->sightings[hash(doubles->seed, &mac, sizeof(mac)) % SETS];
    struct sighting *set = *place ? *place : (*place = calloc(WAYS, sizeof(*set)));
    struct sighting *oldest = set;
    if (!set)
        return NULL;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].seen_at && mac_eq(set[i].mac, mac))
            return &set[i];
        if (set[i].seen_at < oldest->seen_at)
            oldest = &set[i];
    }
    *oldest = (struct sighting){.mac = mac};
    return oldest;
}

static bool is_alias(const struct sighting *s, const struct dhcp_place *place)
{
    uint64_t key = key_of(place);
    for (size_t i = 0; i < MAX_ALIASES; i++)
        if (s->aliases[i] == key)
            return true;
    return false;
}

static void add_alias(struct sighting *s, const struct dhcp_place *place)
{
    s->aliases[s->next_alias++ % MAX_ALIASES] = key_of(place);
    if (same_place(&s->before, place)) { /* nobody moved: it was the other way already */
        s->left_at = 0;
        s->returns = 0;
    }
}

/* True: often enough in turn. */
static bool move(struct sighting *s, const struct dhcp_place *place, uint64_t now)
{
    bool back =
        s->left_at && same_place(&s->before, place) && now - s->left_at <= DHCP_DOUBLE_WINDOW;
    s->returns = back ? s->returns + 1 : 0;
    if (!back)
        memset(s->aliases, 0, sizeof(s->aliases));
    s->before = s->here;
    s->left_at = s->seen_at;
    s->here = *place;
    return s->returns >= DHCP_DOUBLE_RETURNS;
}

bool dhcp_doubles_see(struct dhcp_doubles *doubles, struct mac_address mac, uint32_t xid,
                      const struct dhcp_place *place, uint64_t now, struct dhcp_place *ret_other)
{
    struct sighting *s = find_sighting(doubles, mac);
    bool twice = false;
    if (!s)
        return false;
    if (!s->seen_at)
        s->here = *place;
    else if (!same_place(&s->here, place) && !is_alias(s, place)) {
        if (s->xid == xid && now - s->seen_at <= DHCP_DOUBLE_COPY)
            add_alias(s, place);
        else
            twice = move(s, place, now);
    }
    s->xid = xid;
    s->seen_at = now;
    if (twice)
        *ret_other = s->before;
    return twice;
}

/* --- UUIDs --- */

/* As find_sighting(). */
static struct identity *find_identity(struct dhcp_doubles *doubles, const uint8_t *uuid)
{
    struct identity **place =
        &doubles->identities[hash(doubles->seed, uuid, DHCP_UUID_SIZE) % SETS];
    struct identity *set = *place ? *place : (*place = calloc(WAYS, sizeof(*set)));
    struct identity *oldest = set;
    if (!set)
        return NULL;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].seen_at && memcmp(set[i].uuid, uuid, DHCP_UUID_SIZE) == 0)
            return &set[i];
        if (set[i].seen_at < oldest->seen_at)
            oldest = &set[i];
    }
    *oldest = (struct identity){0};
    memcpy(oldest->uuid, uuid, DHCP_UUID_SIZE);
    return oldest;
}

bool dhcp_doubles_see_uuid(struct dhcp_doubles *doubles, struct mac_address mac,
                           const uint8_t uuid[static DHCP_UUID_SIZE], uint64_t now,
                           struct mac_address *ret_other)
{
    struct identity *i = find_identity(doubles, uuid);
    if (!i)
        return false;
    bool other = i->seen_at && now - i->seen_at <= DHCP_DOUBLE_UUID && !mac_eq(i->mac, mac);
    if (other)
        *ret_other = i->mac;
    i->mac = mac;
    i->seen_at = now;
    return other;
}

/* A name is kept as what it comes to, beside the UUIDs. */
bool dhcp_doubles_see_name(struct dhcp_doubles *doubles, struct mac_address mac, const char *name,
                           uint64_t now, struct mac_address *ret_other)
{
    uint64_t first = hash(doubles->seed, name, strlen(name));
    uint64_t second = hash(~doubles->seed, name, strlen(name));
    uint8_t key[DHCP_UUID_SIZE];
    _Static_assert(sizeof(key) == sizeof(first) + sizeof(second), "as large as a UUID");
    memcpy(key, &first, sizeof(first));
    memcpy(key + sizeof(first), &second, sizeof(second));
    return dhcp_doubles_see_uuid(doubles, mac, key, now, ret_other);
}
