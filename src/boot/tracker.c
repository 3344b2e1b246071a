#include "boot/tracker.h"

#include <errno.h>
#include <pthread.h>

#include "boot/onward.h"
#include "core/idmap.h"

struct reached {
    uint64_t at; /* usec since 1970; 0: not reached in this boot */
    char detail[BOOT_DETAIL_MAX_LEN + 1];
};

/* The last boot of a node. */
struct node_boot {
    uint64_t boot_id;
    uint64_t started_at;
    uint64_t last_sign; /* clock_monotonic_usec(); of an earlier daemon's: when this one started */
    uint64_t script_at; /* the same clock; 0: never, or from an earlier daemon */
    enum boot_stage stage; /* the furthest; BOOT_STAGES: nothing yet */
    uint32_t failures;     /* as in struct registry_boot */
    bool tries, decided;
    bool asked; /* a hook, which has said: */
    struct boot_target said;
    struct boot_onward onward;
    struct reached stages[BOOT_STAGES];
};

struct told {
    uint64_t boot_id; /* the boot in which it was */
    struct facts facts;
};

struct boot_tracker {
    struct registry *registry;
    struct catalog_slot *catalog;
    pthread_mutex_t lock; /* protects all below */
    struct idmap boots;   /* struct node_boot by node id */
    struct idmap told;    /* struct told by node id */
    /* Who was given which address last, both ways: one MAC for an address, one address for a MAC.
     */
    struct idmap mac_of;     /* by IPv4 address: pack_mac() */
    struct idmap address_of; /* by MAC (as a number): pack_address() */
    struct stage_listener *listeners;
};

_Static_assert(sizeof(void *) >= sizeof(uint64_t), "room for a MAC");

/* A MAC as a pointer that is never NULL: no machine has MAC 0 (mac_parse()). */
static void *pack_mac(struct mac_address mac)
{
    uint64_t packed = 0;
    for (size_t i = 0; i < sizeof(mac.bytes); i++)
        packed = packed << 8 | mac.bytes[i];
    return (void *)(uintptr_t)packed;
}

static struct mac_address unpack_mac(const void *pointer)
{
    uint64_t packed = (uintptr_t)pointer;
    struct mac_address mac;
    for (size_t i = sizeof(mac.bytes); i-- > 0; packed >>= 8)
        mac.bytes[i] = (uint8_t)packed;
    return mac;
}

static uint64_t mac_id(struct mac_address mac)
{
    return (uintptr_t)pack_mac(mac);
}

/* No machine has the address 0 either. */
static void *pack_address(uint32_t address)
{
    return (void *)(uintptr_t)address;
}

static uint32_t unpack_address(const void *pointer)
{
    return (uint32_t)(uintptr_t)pointer;
}

/* --- with the lock held --- */

static struct node_boot *find_or_add(struct boot_tracker *tracker, uint64_t node_id)
{
    struct node_boot *boot = idmap_get(&tracker->boots, node_id);
    if (boot || !(boot = calloc(1, sizeof(*boot))))
        return boot;
    boot->stage = BOOT_STAGES;
    if (idmap_put(&tracker->boots, node_id, boot) < 0) {
        free(boot);
        return NULL;
    }
    return boot;
}

/* Takes it over. */
static void tell_line(struct boot_tracker *tracker, json_t *event)
{
    char *line = event ? json_dumps(event, JSON_COMPACT) : NULL;
    for (struct stage_listener *l = tracker->listeners; l; l = l->next)
        if (l->event && line)
            l->event(l, line);
    free(line);
    json_decref(event);
}

static void tell(struct boot_tracker *tracker, const struct catalog_node *node,
                 enum boot_stage stage, const struct reached *reached)
{
    tell_line(tracker, json_pack("{s:s, s:s, s:s, s:I, s:s}", "event", "stage", "node", node->name,
                                 "stage", boot_stage_name(stage), "at", (json_int_t)reached->at,
                                 "detail", reached->detail));
    for (struct stage_listener *l = tracker->listeners; l; l = l->next)
        if (l->reached)
            l->reached(l, node, stage);
}

/* What cannot be stored is only missing in the history. */
static void store_boot(struct boot_tracker *tracker, const struct node_boot *boot, uint64_t node_id,
                       struct mac_address mac)
{
    struct registry_boot record = {.id = boot->boot_id,
                                   .node_id = node_id,
                                   .mac = mac,
                                   .started_at = boot->started_at,
                                   .failures = boot->failures};
    int r = registry_boot_store(tracker->registry, &record, NULL);
    (void)r;
}

static void store_stage(struct boot_tracker *tracker, const struct node_boot *boot,
                        enum boot_stage stage)
{
    struct registry_boot_stage record = {.boot_id = boot->boot_id,
                                         .reached_at = boot->stages[stage].at};
    str_copy(record.stage, sizeof(record.stage), boot_stage_name(stage));
    str_copy(record.detail, sizeof(record.detail), boot->stages[stage].detail);
    int r = registry_boot_stage_store(tracker->registry, &record, NULL);
    (void)r;
}

static void store_tries(struct boot_tracker *tracker, const struct node_boot *boot)
{
    struct registry_boot record = {
        .id = boot->boot_id, .failures = boot->failures, .tries = boot->tries};
    int r = registry_boot_tries_store(tracker->registry, &record, NULL);
    (void)r;
}

static uint32_t failures_with(const struct node_boot *boot)
{
    return boot_stage_failures(boot->failures, boot->tries, boot->stage);
}

/* Seen when the next one begins. */
static void tell_failed(struct boot_tracker *tracker, const struct catalog_node *node,
                        const struct node_boot *boot, uint32_t failures)
{
    if (failures <= boot->failures)
        return;
    const struct reached *reached = &boot->stages[boot->stage];
    tell_line(tracker,
              json_pack("{s:s, s:s, s:s, s:I, s:s, s:I, s:I}", "event", "failed", "node",
                        node->name, "stage", boot_stage_name(boot->stage), "at",
                        (json_int_t)clock_wall_usec(), "detail", reached->detail, "failures",
                        (json_int_t)failures, "started_at", (json_int_t)boot->started_at));
}

static void begin(struct boot_tracker *tracker, struct node_boot *boot,
                  const struct catalog_node *node, struct mac_address mac)
{
    uint32_t failures = failures_with(boot);
    tell_failed(tracker, node, boot, failures);
    *boot = (struct node_boot){.boot_id = registry_boot_new_id(tracker->registry),
                               .started_at = clock_wall_usec(),
                               .failures = failures,
                               .stage = BOOT_STAGES};
    store_boot(tracker, boot, node->id, mac);
}

/* A stage counts when it is reached for the first time in a boot; what is repeated (a script that
 * is fetched again and again, a reconnection) is no news. */
static void take_sign(struct boot_tracker *tracker, const struct catalog_node *node,
                      struct mac_address mac, enum boot_sign sign, const char *detail)
{
    struct node_boot *boot = find_or_add(tracker, node->id);
    enum boot_stage stage = boot_sign_stage(sign);
    if (!boot)
        return;
    uint64_t now = clock_monotonic_usec();
    bool goes_on = sign == BOOT_SIGN_IPXE_DHCP && boot->onward.went_on;
    if (!goes_on && boot_sign_begins(sign, boot->stage, now - boot->last_sign))
        begin(tracker, boot, node, mac);
    boot->last_sign = now;
    if (sign != BOOT_SIGN_FIRMWARE_DHCP)
        boot_onward_gets_further(&boot->onward);
    struct reached *reached = &boot->stages[stage];
    if (reached->at || (boot->stage != BOOT_STAGES && stage < boot->stage))
        return;
    boot->stage = stage;
    if (stage == BOOT_SCRIPT)
        boot->script_at = now;
    reached->at = clock_wall_usec();
    str_copy(reached->detail, sizeof(reached->detail), detail);
    store_stage(tracker, boot, stage);
    tell(tracker, node, stage, reached);
}

/* --- signs --- */

static void sign_of_node(struct boot_tracker *tracker, const struct catalog_node *node,
                         struct mac_address mac, enum boot_sign sign, const char *detail)
{
    if (!node)
        return;
    pthread_mutex_lock(&tracker->lock);
    take_sign(tracker, node, mac, sign, detail);
    pthread_mutex_unlock(&tracker->lock);
}

void boot_tracker_sign_of_mac(struct boot_tracker *tracker, struct mac_address mac,
                              enum boot_sign sign, const char *detail)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(tracker->catalog);
    sign_of_node(tracker, catalog_node_by_mac(catalog, mac), mac, sign, detail);
}

/* In a boot that begins with this it has asked in this way, too. */
static void firmware_asks(struct boot_tracker *tracker, const struct catalog_node *node,
                          struct mac_address mac, enum boot_way way, const char *detail)
{
    struct node_boot *boot = find_or_add(tracker, node->id);
    uint64_t now = clock_monotonic_usec();
    if (!boot)
        return;
    if (boot_onward_asks(&boot->onward, way, now - boot->last_sign)) {
        boot->last_sign = now;
        return;
    }
    take_sign(tracker, node, mac, BOOT_SIGN_FIRMWARE_DHCP, detail);
    (void)boot_onward_asks(&boot->onward, way, 0);
}

void boot_tracker_firmware_asks(struct boot_tracker *tracker, struct mac_address mac,
                                enum boot_way way, const char *detail)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(tracker->catalog);
    const struct catalog_node *node = catalog_node_by_mac(catalog, mac);
    if (!node)
        return;
    pthread_mutex_lock(&tracker->lock);
    firmware_asks(tracker, node, mac, way, detail);
    pthread_mutex_unlock(&tracker->lock);
}

void boot_tracker_sign_of_address(struct boot_tracker *tracker, uint32_t address,
                                  enum boot_sign sign, const char *detail)
{
    struct mac_address mac;
    if (boot_tracker_mac_of_address(tracker, address, &mac))
        boot_tracker_sign_of_mac(tracker, mac, sign, detail);
}

void boot_tracker_sign_of_initiator(struct boot_tracker *tracker, const char *initiator,
                                    enum boot_sign sign, const char *detail)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(tracker->catalog);
    const struct catalog_node *node = catalog_node_by_initiator(catalog, initiator);
    if (node)
        sign_of_node(tracker, node, node->macs[0], sign, detail);
}

/* What the address and the MAC had to do with others. */
static void forget_pair(struct boot_tracker *tracker, uint32_t address, struct mac_address mac)
{
    const void *old_mac = idmap_remove(&tracker->mac_of, address);
    const void *old_address = idmap_remove(&tracker->address_of, mac_id(mac));
    if (old_mac && !mac_eq(unpack_mac(old_mac), mac))
        idmap_remove(&tracker->address_of, mac_id(unpack_mac(old_mac)));
    if (old_address && unpack_address(old_address) != address)
        idmap_remove(&tracker->mac_of, unpack_address(old_address));
}

void boot_tracker_set_address(struct boot_tracker *tracker, uint32_t address,
                              struct mac_address mac)
{
    if (!pack_mac(mac) || !address)
        return;
    pthread_mutex_lock(&tracker->lock);
    forget_pair(tracker, address, mac);
    if (idmap_put(&tracker->mac_of, address, pack_mac(mac)) < 0 ||
        idmap_put(&tracker->address_of, mac_id(mac), pack_address(address)) < 0)
        forget_pair(tracker, address, mac); /* without memory: told again at the next renewal */
    pthread_mutex_unlock(&tracker->lock);
}

bool boot_tracker_mac_of_address(struct boot_tracker *tracker, uint32_t address,
                                 struct mac_address *ret_mac)
{
    pthread_mutex_lock(&tracker->lock);
    const void *packed = idmap_get(&tracker->mac_of, address);
    pthread_mutex_unlock(&tracker->lock);
    if (packed)
        *ret_mac = unpack_mac(packed);
    return packed != NULL;
}

static uint32_t address_of_mac(void *context, struct mac_address mac)
{
    struct boot_tracker *tracker = context;
    pthread_mutex_lock(&tracker->lock);
    uint32_t address = unpack_address(idmap_get(&tracker->address_of, mac_id(mac)));
    pthread_mutex_unlock(&tracker->lock);
    return address;
}

bool boot_tracker_is_booting(struct boot_tracker *tracker, uint64_t node_id)
{
    pthread_mutex_lock(&tracker->lock);
    const struct node_boot *boot = idmap_get(&tracker->boots, node_id);
    bool booting =
        boot && boot_stage_needs_script(boot->stage, clock_monotonic_usec() - boot->last_sign);
    pthread_mutex_unlock(&tracker->lock);
    return booting;
}

bool boot_tracker_is_booting_elsewhere(struct boot_tracker *tracker, uint64_t node_id)
{
    uint64_t now = clock_monotonic_usec();
    pthread_mutex_lock(&tracker->lock);
    const struct node_boot *boot = idmap_get(&tracker->boots, node_id);
    bool booting = boot && boot_stage_needs_script_elsewhere(boot->stage, now - boot->last_sign,
                                                             boot->script_at ? now - boot->script_at
                                                                             : UINT64_MAX);
    pthread_mutex_unlock(&tracker->lock);
    return booting;
}

bool boot_tracker_has_system(struct boot_tracker *tracker, uint64_t node_id)
{
    pthread_mutex_lock(&tracker->lock);
    const struct node_boot *boot = idmap_get(&tracker->boots, node_id);
    bool has = boot && boot->stage != BOOT_STAGES && boot->stage >= BOOT_SYSTEM;
    pthread_mutex_unlock(&tracker->lock);
    return has;
}

uint64_t boot_tracker_boot_id(struct boot_tracker *tracker, uint64_t node_id)
{
    pthread_mutex_lock(&tracker->lock);
    const struct node_boot *boot = idmap_get(&tracker->boots, node_id);
    uint64_t boot_id = boot ? boot->boot_id : 0;
    pthread_mutex_unlock(&tracker->lock);
    return boot_id;
}

bool boot_tracker_decide(struct boot_tracker *tracker, uint64_t node_id, bool tries)
{
    pthread_mutex_lock(&tracker->lock);
    struct node_boot *boot = idmap_get(&tracker->boots, node_id);
    bool first = boot && !boot->decided;
    if (boot && boot->tries != tries) {
        boot->tries = tries;
        store_tries(tracker, boot);
    }
    if (boot)
        boot->decided = true;
    pthread_mutex_unlock(&tracker->lock);
    return first;
}

void boot_tracker_leave(struct boot_tracker *tracker, uint64_t node_id, bool left, bool chosen)
{
    pthread_mutex_lock(&tracker->lock);
    struct node_boot *boot = idmap_get(&tracker->boots, node_id);
    if (boot)
        boot_onward_decide(&boot->onward, left, chosen);
    pthread_mutex_unlock(&tracker->lock);
}

bool boot_tracker_has_chosen_local(struct boot_tracker *tracker, uint64_t node_id)
{
    pthread_mutex_lock(&tracker->lock);
    const struct node_boot *boot = idmap_get(&tracker->boots, node_id);
    bool chosen = boot && boot_onward_is_chosen(&boot->onward);
    pthread_mutex_unlock(&tracker->lock);
    return chosen;
}

uint32_t boot_tracker_failures(struct boot_tracker *tracker, uint64_t node_id)
{
    pthread_mutex_lock(&tracker->lock);
    const struct node_boot *boot = idmap_get(&tracker->boots, node_id);
    uint32_t failures = boot ? boot->failures : 0;
    pthread_mutex_unlock(&tracker->lock);
    return failures;
}

/* --- what a hook says --- */

void boot_tracker_set_said(struct boot_tracker *tracker, uint64_t node_id,
                           const struct boot_target *target)
{
    pthread_mutex_lock(&tracker->lock);
    struct node_boot *boot = idmap_get(&tracker->boots, node_id);
    if (boot) {
        boot->asked = true;
        boot->said = *target;
    }
    pthread_mutex_unlock(&tracker->lock);
}

bool boot_tracker_said(struct boot_tracker *tracker, uint64_t node_id,
                       struct boot_target *ret_target)
{
    pthread_mutex_lock(&tracker->lock);
    const struct node_boot *boot = idmap_get(&tracker->boots, node_id);
    bool asked = boot && boot->asked;
    if (asked)
        *ret_target = boot->said;
    pthread_mutex_unlock(&tracker->lock);
    return asked;
}

static bool said_of_node(void *context, uint64_t node_id, struct boot_target *ret_target)
{
    return boot_tracker_said(context, node_id, ret_target);
}

/* --- what it is --- */

/* With the lock held. */
static struct told *find_told(struct boot_tracker *tracker, uint64_t node_id)
{
    struct told *told = idmap_get(&tracker->told, node_id);
    if (told || !(told = calloc(1, sizeof(*told))))
        return told;
    if (idmap_put(&tracker->told, node_id, told) < 0) {
        free(told);
        return NULL;
    }
    return told;
}

void boot_tracker_set_facts(struct boot_tracker *tracker, uint64_t node_id,
                            const struct facts *facts)
{
    pthread_mutex_lock(&tracker->lock);
    const struct node_boot *boot = idmap_get(&tracker->boots, node_id);
    struct told *told = find_told(tracker, node_id);
    if (told)
        *told = (struct told){boot ? boot->boot_id : 0, *facts};
    pthread_mutex_unlock(&tracker->lock);
}

bool boot_tracker_facts(struct boot_tracker *tracker, uint64_t node_id, struct facts *ret_facts,
                        bool *ret_now)
{
    pthread_mutex_lock(&tracker->lock);
    const struct node_boot *boot = idmap_get(&tracker->boots, node_id);
    const struct told *told = idmap_get(&tracker->told, node_id);
    if (told) {
        *ret_facts = told->facts;
        *ret_now = boot && boot->boot_id == told->boot_id;
    }
    pthread_mutex_unlock(&tracker->lock);
    return told;
}

static bool facts_of_node(void *context, uint64_t node_id, struct facts *ret_facts)
{
    bool now;
    return boot_tracker_facts(context, node_id, ret_facts, &now);
}

/* --- who wants to know --- */

static uint32_t count_failures(void *context, uint64_t node_id)
{
    struct boot_tracker *tracker = context;
    pthread_mutex_lock(&tracker->lock);
    const struct node_boot *boot = idmap_get(&tracker->boots, node_id);
    uint32_t failures = boot ? failures_with(boot) : 0;
    pthread_mutex_unlock(&tracker->lock);
    return failures;
}

static void forget_failures(void *context, uint64_t node_id)
{
    struct boot_tracker *tracker = context;
    pthread_mutex_lock(&tracker->lock);
    struct node_boot *boot = idmap_get(&tracker->boots, node_id);
    if (boot && (boot->failures || boot->tries)) {
        boot->failures = 0;
        boot->tries = false;
        store_tries(tracker, boot);
    }
    pthread_mutex_unlock(&tracker->lock);
}

static json_t *stages_to_json(const struct node_boot *boot)
{
    json_t *list = json_array();
    for (enum boot_stage stage = 0; stage < BOOT_STAGES; stage++) {
        const struct reached *reached = &boot->stages[stage];
        if (reached->at)
            json_array_append_new(
                list, json_pack("{s:s, s:I, s:s}", "stage", boot_stage_name(stage), "at",
                                (json_int_t)reached->at, "detail", reached->detail));
    }
    return list;
}

static json_t *boot_to_json(const struct node_boot *boot)
{
    const struct reached *last = &boot->stages[boot->stage];
    return json_pack("{s:s, s:I, s:s, s:I, s:I, s:o}", "stage", boot_stage_name(boot->stage),
                     "since", (json_int_t)last->at, "detail", last->detail, "started_at",
                     (json_int_t)boot->started_at, "failures", (json_int_t)boot->failures, "stages",
                     stages_to_json(boot));
}

static json_t *snapshot_boots(void *context)
{
    struct boot_tracker *tracker = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(tracker->catalog);
    json_t *snapshot = json_object();
    size_t count;
    const struct catalog_node *nodes = catalog_nodes(catalog, &count);
    pthread_mutex_lock(&tracker->lock);
    for (size_t i = 0; snapshot && i < count; i++) {
        const struct node_boot *boot = idmap_get(&tracker->boots, nodes[i].id);
        if (boot && boot->stage != BOOT_STAGES)
            json_object_set_new(snapshot, nodes[i].name, boot_to_json(boot));
    }
    pthread_mutex_unlock(&tracker->lock);
    return snapshot;
}

void boot_tracker_tell(struct boot_tracker *tracker, const char *json_line)
{
    pthread_mutex_lock(&tracker->lock);
    for (struct stage_listener *l = tracker->listeners; l; l = l->next)
        if (l->event)
            l->event(l, json_line);
    pthread_mutex_unlock(&tracker->lock);
}

static void subscribe(void *context, struct stage_listener *listener)
{
    struct boot_tracker *tracker = context;
    pthread_mutex_lock(&tracker->lock);
    listener->next = tracker->listeners;
    tracker->listeners = listener;
    pthread_mutex_unlock(&tracker->lock);
}

static void unsubscribe(void *context, struct stage_listener *listener)
{
    struct boot_tracker *tracker = context;
    pthread_mutex_lock(&tracker->lock);
    for (struct stage_listener **at = &tracker->listeners; *at; at = &(*at)->next) {
        if (*at == listener) {
            *at = listener->next;
            break;
        }
    }
    pthread_mutex_unlock(&tracker->lock);
}

struct stage_provider boot_tracker_provider(struct boot_tracker *tracker)
{
    return (struct stage_provider){.snapshot = snapshot_boots,
                                   .address_of = address_of_mac,
                                   .failures = count_failures,
                                   .forget_failures = forget_failures,
                                   .facts = facts_of_node,
                                   .said = said_of_node,
                                   .subscribe = subscribe,
                                   .unsubscribe = unsubscribe,
                                   .context = tracker};
}

/* --- taking back what was stored --- */

struct load {
    struct boot_tracker *tracker;
    struct node_boot *boot; /* of the stages that follow; NULL: no memory */
    bool failed;
};

static void load_boot(void *context, const struct registry_boot *record)
{
    struct load *load = context;
    load->boot = find_or_add(load->tracker, record->node_id);
    if (load->boot)
        *load->boot = (struct node_boot){.boot_id = record->id,
                                         .started_at = record->started_at,
                                         .failures = record->failures,
                                         .tries = record->tries,
                                         .last_sign = clock_monotonic_usec(),
                                         .stage = BOOT_STAGES};
    load->failed |= !load->boot;
}

static void load_stage(void *context, const struct registry_boot_stage *record)
{
    struct load *load = context;
    enum boot_stage stage = boot_stage_from_name(record->stage);
    if (!load->boot || stage == BOOT_STAGES)
        return;
    struct reached *reached = &load->boot->stages[stage];
    reached->at = record->reached_at;
    str_copy(reached->detail, sizeof(reached->detail), record->detail);
    load->boot->stage = stage;
}

static void load_lease(void *context, const struct registry_lease *lease)
{
    struct load *load = context;
    if (lease->state == REGISTRY_LEASE_BOUND)
        boot_tracker_set_address(load->tracker, lease->address, lease->mac);
}

static int load(struct boot_tracker *tracker, struct error *ret_error)
{
    struct load load = {.tracker = tracker};
    int r = registry_boot_list(tracker->registry, 0, 1, load_boot, load_stage, &load, ret_error);
    if (r >= 0)
        r = registry_lease_list(tracker->registry, load_lease, &load, ret_error);
    if (r >= 0 && load.failed)
        r = error_set(ret_error, -ENOMEM, "out of memory");
    return r;
}

int boot_tracker_new(struct registry *registry, struct catalog_slot *catalog,
                     struct boot_tracker **ret_tracker, struct error *ret_error)
{
    struct boot_tracker *tracker = calloc(1, sizeof(*tracker));
    if (!tracker)
        return error_set(ret_error, -ENOMEM, "out of memory");
    tracker->registry = registry;
    tracker->catalog = catalog;
    pthread_mutex_init(&tracker->lock, NULL);
    int r = load(tracker, ret_error);
    if (r < 0) {
        boot_tracker_free(tracker);
        return r;
    }
    *ret_tracker = tracker;
    return 0;
}

void boot_tracker_free(struct boot_tracker *tracker)
{
    if (!tracker)
        return;
    uint64_t id;
    while (idmap_any(&tracker->boots, &id))
        free(idmap_remove(&tracker->boots, id));
    idmap_free(&tracker->boots);
    while (idmap_any(&tracker->told, &id))
        free(idmap_remove(&tracker->told, id));
    idmap_free(&tracker->told);
    idmap_free(&tracker->mac_of);
    idmap_free(&tracker->address_of);
    pthread_mutex_destroy(&tracker->lock);
    free(tracker);
}
