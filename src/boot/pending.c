#include "boot/pending.h"

#include <errno.h>
#include <pthread.h>

#include "core/idmap.h"

/* Between two writes of what has changed, and how many rows one of them has. */
#define WRITE_INTERVAL (5 * USEC_PER_SEC)
#define WRITE_ROWS     64
/* How old a copy's `last_seen` may become. */
#define SEEN_PATIENCE  (600 * USEC_PER_SEC)
/* What kept a machine from being adopted may have gone after a while. */
#define DECIDE_AGAIN   (15 * USEC_PER_SEC)

#define REASON_SIZE 320

struct machine {
    struct registry_pending known;
    uint64_t dhcp_at;    /* monotonic usec; 0: not since the start */
    uint64_t decided_at; /* likewise; 0: not yet */
    uint64_t stored;     /* the `last_seen` that the registry has */
    bool changed;        /* otherwise than in that */
    bool told;           /* to those who listen */
    bool undecided;
    bool proven; /* what it says is from its own address */
    char reason[REASON_SIZE];
};

struct pending {
    struct registry *registry;
    struct catalog_slot *catalog;
    struct pending_listener listener;
    pthread_mutex_t lock; /* protects all below */
    struct idmap by_mac;  /* struct machine */
    uint64_t written_at;  /* monotonic usec */
};

static uint64_t id_of(struct mac_address mac)
{
    uint64_t id = 0;
    for (size_t i = 0; i < sizeof(mac.bytes); i++)
        id = id << 8 | mac.bytes[i];
    return id;
}

/* --- with the lock held --- */

static struct machine *find(const struct pending *p, struct mac_address mac)
{
    return idmap_get(&p->by_mac, id_of(mac));
}

static void drop(struct pending *p, const struct machine *m)
{
    free(idmap_remove(&p->by_mac, id_of(m->known.mac)));
}

static void make_room(struct pending *p)
{
    size_t cursor = 0;
    const struct machine *oldest = NULL;
    if (p->by_mac.count < REGISTRY_MAX_PENDING)
        return;
    for (const struct machine *m; (m = idmap_next(&p->by_mac, &cursor));)
        if (!oldest || m->known.last_seen < oldest->known.last_seen)
            oldest = m;
    if (oldest)
        drop(p, oldest);
}

static struct machine *add(struct pending *p, struct mac_address mac)
{
    make_room(p);
    struct machine *m = calloc(1, sizeof(*m));
    if (!m || idmap_put(&p->by_mac, id_of(mac), m) < 0) {
        free(m);
        return NULL;
    }
    m->known.mac = mac;
    return m;
}

static void drop_nodes(struct pending *p)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(p->catalog);
    struct machine *gone[16];
    size_t n;
    do {
        size_t cursor = 0;
        n = 0;
        for (struct machine *m; n < ARRAY_SIZE(gone) && (m = idmap_next(&p->by_mac, &cursor));)
            if (catalog && catalog_node_by_mac(catalog, m->known.mac))
                gone[n++] = m;
        for (size_t i = 0; i < n; i++)
            drop(p, gone[i]);
    } while (n == ARRAY_SIZE(gone));
}

static bool is_due(const struct machine *m)
{
    return m->changed || m->known.last_seen - m->stored > SEEN_PATIENCE;
}

/* Up to WRITE_ROWS of what has changed; how many. */
static size_t gather(struct pending *p, struct registry_pending rows[static WRITE_ROWS])
{
    size_t cursor = 0, n = 0;
    for (struct machine *m; n < WRITE_ROWS && (m = idmap_next(&p->by_mac, &cursor));) {
        if (!is_due(m))
            continue;
        rows[n++] = m->known;
        m->changed = false;
        m->stored = m->known.last_seen;
    }
    return n;
}

/* What cannot be stored is only forgotten by a restart. */
static void write_some(struct pending *p)
{
    struct registry_pending rows[WRITE_ROWS];
    size_t n = gather(p, rows);
    p->written_at = clock_monotonic_usec();
    if (n > 0)
        (void)!registry_pending_store(p->registry, rows, n, NULL);
}

static void set_text(struct machine *m, char *place, size_t size, const char *text)
{
    char clean[REGISTRY_RELAY_ID_MAX + NAME_MAX_LEN + 1];
    if (!text)
        return;
    facts_clean(clean, MIN(size, sizeof(clean)), text, strlen(text));
    if (str_eq(place, clean))
        return;
    str_copy(place, size, clean);
    m->changed = true;
}

static void update(struct machine *m, const struct pending_sight *s)
{
    struct registry_pending *k = &m->known;
    set_text(m, k->subnet, sizeof(k->subnet), s->subnet);
    set_text(m, k->circuit_id, sizeof(k->circuit_id), s->circuit_id);
    set_text(m, k->remote_id, sizeof(k->remote_id), s->remote_id);
    if (s->address && s->address != k->address) {
        k->address = s->address;
        m->changed = true;
    }
    if (s->facts && !facts_eq(s->facts, &k->facts)) {
        k->facts = *s->facts;
        m->changed = true;
    }
    if (s->facts)
        m->proven = s->proven;
    if (s->asked_dhcp)
        m->dhcp_at = clock_monotonic_usec();
}

/* Once it has said what it is. */
static bool is_to_be_decided(const struct machine *m, const struct pending_sight *sight)
{
    uint64_t now = clock_monotonic_usec();
    return sight->facts && (!m->decided_at || now - m->decided_at > DECIDE_AGAIN);
}

static json_t *to_json(const struct machine *m)
{
    char mac[MAC_TEXT_SIZE], address[IPV4_TEXT_SIZE];
    const struct registry_pending *k = &m->known;
    const struct facts *f = &k->facts;
#define OR_NULL(text) ((text)[0] ? (text) : NULL)
    return json_pack(
        "{s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:o, s:I, s:I,"
        " s:s?}",
        "mac", mac_format(k->mac, mac), "address",
        k->address ? ipv4_format(k->address, address) : NULL, "subnet", OR_NULL(k->subnet),
        "circuit_id", OR_NULL(k->circuit_id), "remote_id", OR_NULL(k->remote_id), "uuid",
        OR_NULL(f->uuid), "manufacturer", OR_NULL(f->manufacturer), "product", OR_NULL(f->product),
        "serial", OR_NULL(f->serial), "card", OR_NULL(f->card), "architecture",
        OR_NULL(f->architecture), "firmware", OR_NULL(f->firmware), "memory",
        f->memory ? json_integer((json_int_t)f->memory) : json_null(), "first_seen",
        (json_int_t)k->first_seen, "last_seen", (json_int_t)k->last_seen, "reason",
        OR_NULL(m->reason));
#undef OR_NULL
}

/* free() it. */
static char *event_of(const struct machine *m)
{
    json_t *event = json_pack("{s:s, s:I, s:o}", "event", "pending", "at",
                              (json_int_t)m->known.last_seen, "machine", to_json(m));
    char *line = event ? json_dumps(event, JSON_COMPACT) : NULL;
    json_decref(event);
    return line;
}

/* --- calls --- */

void pending_see(struct pending *p, const struct pending_sight *sight)
{
    cleanup_free char *line = NULL;
    bool undecided = false;
    pthread_mutex_lock(&p->lock);
    struct machine *m = find(p, sight->mac);
    bool is_new = !m;
    uint64_t now = clock_wall_usec();
    if (is_new && (m = add(p, sight->mac))) {
        m->known.first_seen = now;
        m->changed = true;
    }
    if (m) {
        m->known.last_seen = now;
        update(m, sight);
        undecided = m->undecided = m->undecided || is_to_be_decided(m, sight);
        if (sight->facts && !m->told) { /* it has something to show now */
            m->told = true;
            line = event_of(m);
        }
    }
    if (clock_monotonic_usec() - p->written_at > WRITE_INTERVAL)
        write_some(p);
    pthread_mutex_unlock(&p->lock);
    if (line && p->listener.arrived)
        p->listener.arrived(p->listener.context, line);
    if (undecided && p->listener.undecided)
        p->listener.undecided(p->listener.context);
}

uint64_t pending_address_age(struct pending *p, struct mac_address mac)
{
    pthread_mutex_lock(&p->lock);
    const struct machine *m = find(p, mac);
    uint64_t age = m && m->dhcp_at ? clock_monotonic_usec() - m->dhcp_at : UINT64_MAX;
    pthread_mutex_unlock(&p->lock);
    return age;
}

bool pending_get(struct pending *p, struct mac_address mac, struct registry_pending *ret_machine)
{
    pthread_mutex_lock(&p->lock);
    drop_nodes(p);
    const struct machine *m = find(p, mac);
    if (m)
        *ret_machine = m->known;
    pthread_mutex_unlock(&p->lock);
    return m != NULL;
}

bool pending_set_reason(struct pending *p, struct mac_address mac, const char *reason)
{
    pthread_mutex_lock(&p->lock);
    struct machine *m = find(p, mac);
    bool other = m && !str_eq(m->reason, reason);
    if (m)
        str_copy(m->reason, sizeof(m->reason), reason);
    pthread_mutex_unlock(&p->lock);
    return other;
}

bool pending_take_undecided(struct pending *p, struct registry_pending *ret_machine,
                            bool *ret_proven)
{
    size_t cursor = 0;
    struct machine *m;
    pthread_mutex_lock(&p->lock);
    while ((m = idmap_next(&p->by_mac, &cursor)) && !m->undecided)
        ;
    if (m) {
        m->undecided = false;
        m->decided_at = clock_monotonic_usec();
        *ret_machine = m->known;
        *ret_proven = m->proven;
    }
    pthread_mutex_unlock(&p->lock);
    return m != NULL;
}

void pending_undecide(struct pending *p)
{
    size_t cursor = 0;
    pthread_mutex_lock(&p->lock);
    for (struct machine *m; (m = idmap_next(&p->by_mac, &cursor));) {
        m->decided_at = 0;
        m->reason[0] = '\0';
    }
    pthread_mutex_unlock(&p->lock);
}

int pending_forget(struct pending *p, struct mac_address mac, struct error *ret_error)
{
    char text[MAC_TEXT_SIZE];
    pthread_mutex_lock(&p->lock);
    drop_nodes(p);
    const struct machine *m = find(p, mac);
    if (m)
        drop(p, m);
    pthread_mutex_unlock(&p->lock);
    if (!m)
        return error_set(ret_error, -ENOENT,
                         "no machine %s waits to be adopted; see: nodisk node list --pending",
                         mac_format(mac, text));
    return registry_pending_remove(p->registry, mac, ret_error);
}

static int compare_seen(const void *a, const void *b)
{
    const struct machine *x = *(const struct machine *const *)a;
    const struct machine *y = *(const struct machine *const *)b;
    return (x->known.last_seen < y->known.last_seen) - (x->known.last_seen > y->known.last_seen);
}

/* With the lock held; free() it. NULL without memory. */
static const struct machine **in_order(struct pending *p, size_t *ret_count)
{
    drop_nodes(p);
    size_t cursor = 0, n = 0;
    const struct machine **list = calloc(p->by_mac.count + 1, sizeof(const struct machine *));
    for (const struct machine *m; list && (m = idmap_next(&p->by_mac, &cursor));)
        list[n++] = m;
    if (list)
        qsort(list, n, sizeof(const struct machine *), compare_seen);
    *ret_count = n;
    return list;
}

struct registry_pending *pending_all(struct pending *p, size_t *ret_count)
{
    pthread_mutex_lock(&p->lock);
    cleanup_free const struct machine **list = in_order(p, ret_count);
    struct registry_pending *all = list ? calloc(*ret_count + 1, sizeof(*all)) : NULL;
    for (size_t i = 0; all && i < *ret_count; i++)
        all[i] = list[i]->known;
    pthread_mutex_unlock(&p->lock);
    return all;
}

json_t *pending_to_json(struct pending *p)
{
    size_t count;
    json_t *array = json_array();
    pthread_mutex_lock(&p->lock);
    cleanup_free const struct machine **list = in_order(p, &count);
    for (size_t i = 0; list && i < count; i++)
        json_array_append_new(array, to_json(list[i]));
    pthread_mutex_unlock(&p->lock);
    return array;
}

/* --- from and to the registry --- */

static void load(void *context, const struct registry_pending *known)
{
    struct machine *m = add(context, known->mac);
    if (!m)
        return;
    m->known = *known;
    m->told = true;
    m->stored = known->last_seen;
}

int pending_new(struct registry *registry, struct catalog_slot *catalog,
                const struct pending_listener *listener, struct pending **ret_pending,
                struct error *ret_error)
{
    struct pending *p = calloc(1, sizeof(*p));
    if (!p)
        return error_set(ret_error, -ENOMEM, "out of memory");
    p->registry = registry;
    p->catalog = catalog;
    p->listener = *listener;
    pthread_mutex_init(&p->lock, NULL);
    int r = registry_pending_list(registry, load, p, ret_error);
    if (r < 0) {
        pending_free(p);
        return r;
    }
    *ret_pending = p;
    return 0;
}

void pending_free(struct pending *p)
{
    uint64_t id;
    if (!p)
        return;
    for (size_t i = 0; i < REGISTRY_MAX_PENDING / WRITE_ROWS + 1; i++)
        write_some(p);
    while (idmap_any(&p->by_mac, &id))
        free(idmap_remove(&p->by_mac, id));
    idmap_free(&p->by_mac);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
