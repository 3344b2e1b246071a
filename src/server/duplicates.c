#include "server/duplicates.h"

#include <pthread.h>

#define TEXT_MAX 512

enum field { NODE, OTHER_NODE, MAC, OTHER_MAC, ADDRESS, OTHER_ADDRESS, FIELDS };

static const char *const field_names[FIELDS] = {
    "node", "other_node", "mac", "other_mac", "address", "other_address",
};

struct entry {
    const char *kind; /* NULL: unused */
    bool hint;
    char fields[FIELDS][ENDPOINT_TEXT_SIZE]; /* names, MACs and addresses all fit */
    char message[TEXT_MAX];
    uint64_t since, last;
    uint64_t count;
};

struct duplicates {
    pthread_mutex_t lock; /* protects what follows */
    struct entry entries[DUPLICATES_MAX];
};

struct duplicates *duplicates_new(void)
{
    struct duplicates *d = calloc(1, sizeof(*d));
    if (d)
        pthread_mutex_init(&d->lock, NULL);
    return d;
}

void duplicates_free(struct duplicates *d)
{
    if (!d)
        return;
    pthread_mutex_destroy(&d->lock);
    free(d);
}

static struct entry entry_of(const struct duplicate *found, uint64_t now)
{
    const char *const values[FIELDS] = {
        [NODE] = found->node,       [OTHER_NODE] = found->other_node,
        [MAC] = found->mac,         [OTHER_MAC] = found->other_mac,
        [ADDRESS] = found->address, [OTHER_ADDRESS] = found->other_address,
    };
    struct entry e = {
        .kind = found->kind, .hint = found->hint, .since = now, .last = now, .count = 1};
    for (size_t i = 0; i < FIELDS; i++)
        (void)str_copy(e.fields[i], sizeof(e.fields[i]), values[i] ? values[i] : "");
    (void)str_copy(e.message, sizeof(e.message), found->message);
    return e;
}

/* Either way round. */
static bool same_pair(const struct entry *a, const struct entry *b, enum field one,
                      enum field other)
{
    return (str_eq(a->fields[one], b->fields[one]) && str_eq(a->fields[other], b->fields[other])) ||
           (str_eq(a->fields[one], b->fields[other]) && str_eq(a->fields[other], b->fields[one]));
}

static bool same(const struct entry *a, const struct entry *b)
{
    return a->kind && str_eq(a->kind, b->kind) && same_pair(a, b, NODE, OTHER_NODE) &&
           same_pair(a, b, MAC, OTHER_MAC) && same_pair(a, b, ADDRESS, OTHER_ADDRESS);
}

static bool is_old(const struct entry *e, uint64_t now)
{
    return now > e->last && now - e->last > DUPLICATES_KEPT;
}

static bool note(struct duplicates *d, const struct entry *fresh)
{
    struct entry *place = d->entries;
    for (size_t i = 0; i < DUPLICATES_MAX; i++) {
        struct entry *e = &d->entries[i];
        if (same(e, fresh) && !is_old(e, fresh->last)) {
            e->last = fresh->last;
            e->count++;
            return false;
        }
        if (e->last < place->last)
            place = e;
    }
    *place = *fresh;
    return true;
}

bool duplicates_note(struct duplicates *d, const struct duplicate *found, uint64_t now)
{
    struct entry fresh = entry_of(found, now);
    pthread_mutex_lock(&d->lock);
    bool news = note(d, &fresh);
    pthread_mutex_unlock(&d->lock);
    return news;
}

static json_t *to_json(const struct entry *e)
{
    json_t *json = json_pack("{s:s, s:b, s:s, s:I, s:I, s:I}", "kind", e->kind, "hint", e->hint,
                             "message", e->message, "since", (json_int_t)e->since, "last_seen",
                             (json_int_t)e->last, "count", (json_int_t)e->count);
    for (size_t i = 0; json && i < FIELDS; i++)
        json_object_set_new(json, field_names[i],
                            *e->fields[i] ? json_string(e->fields[i]) : json_null());
    return json;
}

static int compare_latest_first(const void *a, const void *b)
{
    uint64_t x = ((const struct entry *)a)->last, y = ((const struct entry *)b)->last;
    return (x < y) - (x > y);
}

json_t *duplicates_to_json(struct duplicates *d, uint64_t now)
{
    json_t *list = json_array();
    struct entry *copy = malloc(sizeof(d->entries));
    if (!list || !copy) {
        free(copy);
        return list;
    }
    pthread_mutex_lock(&d->lock);
    memcpy(copy, d->entries, sizeof(d->entries));
    pthread_mutex_unlock(&d->lock);
    qsort(copy, DUPLICATES_MAX, sizeof(*copy), compare_latest_first);
    for (size_t i = 0; i < DUPLICATES_MAX; i++)
        if (copy[i].kind && !is_old(&copy[i], now))
            json_array_append_new(list, to_json(&copy[i]));
    free(copy);
    return list;
}

/* --- of DHCP --- */

static const char *const dhcp_kinds[DHCP_ODDITIES] = {
    [DHCP_ODD_SAME_MAC] = "mac",       [DHCP_ODD_SAME_NAME] = "host_name",
    [DHCP_ODD_SAME_UUID] = "uuid",     [DHCP_ODD_FOREIGN_SERVER] = "dhcp_server",
    [DHCP_ODD_NAMESAKE] = "host_name", [DHCP_ODD_FOUND] = "address",
    [DHCP_ODD_USED_TWICE] = "address", [DHCP_ODD_CLAIMS_ALL] = "proxy_arp",
};

bool duplicates_is_one(enum dhcp_oddity_kind kind)
{
    return dhcp_kinds[kind];
}

bool duplicates_note_dhcp(struct duplicates *d, const struct dhcp_oddity *oddity,
                          const char *message, uint64_t now)
{
    char mac[MAC_TEXT_SIZE], holder[MAC_TEXT_SIZE], address[IPV4_TEXT_SIZE];
    bool server = oddity->kind == DHCP_ODD_FOREIGN_SERVER;
    bool claimed = oddity->kind == DHCP_ODD_FOUND || oddity->kind == DHCP_ODD_USED_TWICE;
    struct duplicate found = {.kind = dhcp_kinds[oddity->kind], .message = message};
    found.hint = oddity->kind == DHCP_ODD_SAME_UUID || oddity->kind == DHCP_ODD_NAMESAKE;
    if (server || claimed) /* one server, whichever machines it answers */
        found.address = ipv4_format(oddity->address, address);
    if (claimed || oddity->kind == DHCP_ODD_CLAIMS_ALL) {
        found.mac = mac_format(oddity->holder, holder);
        found.node = oddity->node;
    } else if (!server) {
        found.mac = mac_format(oddity->mac, mac);
        found.node = oddity->node;
        found.other_node = oddity->other_node;
    }
    if (found.hint)
        found.other_mac = mac_format(oddity->holder, holder);
    return duplicates_note(d, &found, now);
}

/* --- of iSCSI --- */

bool duplicates_note_login(struct duplicates *d, const struct session_event *event,
                           const char *node)
{
    char peer[ENDPOINT_TEXT_SIZE], rival[ENDPOINT_TEXT_SIZE], text[TEXT_MAX];
    struct duplicate found = {.kind = "initiator", .node = node, .message = text};
    found.address = endpoint_format_address(&event->peer, peer);
    found.other_address = endpoint_format_address(&event->rival, rival);
    snprintf(
        text, sizeof(text),
        "%s logged in to %s from %s while it was in use from %s, and was refused: two machines "
        "have one identity, or one came back with another address",
        node ? node : event->initiator, event->target, peer, rival);
    return duplicates_note(d, &found, event->at);
}
