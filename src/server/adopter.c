#include "server/adopter.h"

#include <errno.h>
#include <pthread.h>

#include "core/log.h"
#include "core/ratelimit.h"

struct adopter {
    struct pending *pending;
    struct storage *storage;
    struct registry *registry;
    struct catalog_slot *catalog;
    pthread_t thread;
    struct ratelimit limit; /* the thread's */
    pthread_mutex_t lock;   /* protects what follows */
    pthread_cond_t changed;
    bool woken, stopping;
    struct adopt_rules rules;
};

static bool is_taken(void *context, const char *name)
{
    struct adopter *a = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(a->catalog);
    return catalog_node_by_name(catalog, name) || catalog_volume_by_name(catalog, name);
}

/* False: no rule is for it; *ret_any: there are rules. */
static bool find_rule(struct adopter *a, const struct registry_pending *machine,
                      struct adopt_rule *ret_rule, bool *ret_any)
{
    bool found = false;
    pthread_mutex_lock(&a->lock);
    *ret_any = a->rules.count > 0;
    for (size_t i = 0; i < a->rules.count && !found; i++) {
        found = adopt_matches(&a->rules.rules[i].match, machine);
        if (found)
            *ret_rule = a->rules.rules[i];
    }
    pthread_mutex_unlock(&a->lock);
    return found;
}

static int add_node(struct adopter *a, const struct registry_pending *machine,
                    const struct adopt_rule *rule, const char *name, struct error *ret_error)
{
    const struct registry_node node = {.name = name,
                                       .group = rule->group[0] ? rule->group : NULL,
                                       .macs = &machine->mac,
                                       .n_macs = 1};
    char image[ADOPT_TEXT_MAX + 1];
    str_copy(image, sizeof(image), rule->image);
    char *at = strchr(image, '@');
    uint32_t version = at ? (uint32_t)strtoul(at + 1, NULL, 10) : 0;
    if (at)
        *at = '\0';
    if (image[0])
        return storage_node_add(a->storage, &node, image, version, ret_error);
    return registry_node_add(a->registry, &node, NULL, ret_error);
}

static int adopt(struct adopter *a, const struct registry_pending *machine,
                 const struct adopt_rule *rule, struct error *ret_error)
{
    char name[NAME_MAX_LEN + 1], mac[MAC_TEXT_SIZE];
    int r = adopt_make_name(rule->node_name, machine, is_taken, a, name, ret_error);
    if (r >= 0)
        r = add_node(a, machine, rule, name, ret_error);
    if (r >= 0)
        log_write(LOG_NOTICE, name, "%s was adopted by [adopt %s]", mac_format(machine->mac, mac),
                  rule->name);
    return r;
}

/* Told once, and again when there is another reason; of one address not all the time, who can
 * invent MACs as he likes. */
static void tell(struct adopter *a, const struct registry_pending *machine, const char *reason)
{
    char mac[MAC_TEXT_SIZE];
    const struct endpoint source = endpoint_of_ipv4(machine->address, 0);
    uint32_t suppressed;
    if (pending_set_reason(a->pending, machine->mac, reason) &&
        ratelimit_allow(&a->limit, &source, clock_monotonic_usec(), &suppressed))
        log_notice("%s waits to be adopted: %s", mac_format(machine->mac, mac), reason);
}

/* A rule makes nodes and disks: not for whoever only says that he is this machine. */
static void decide(struct adopter *a, const struct registry_pending *machine, bool proven)
{
    struct adopt_rule rule;
    struct error error;
    char reason[sizeof(error.text) + 96];
    bool any;
    if (!find_rule(a, machine, &rule, &any)) {
        tell(a, machine, any ? "no [adopt] section is for it" : "nodisk node adopt MAC NAME");
        return;
    }
    if (!proven) {
        tell(a, machine, "nobody knows whether its address is its own; nodisk node adopt MAC NAME");
        return;
    }
    if (adopt(a, machine, &rule, &error) >= 0)
        return;
    snprintf(reason, sizeof(reason), "[adopt %s]: %s", rule.name, error.text);
    tell(a, machine, reason);
}

static bool is_stopping(struct adopter *a)
{
    pthread_mutex_lock(&a->lock);
    bool stopping = a->stopping;
    pthread_mutex_unlock(&a->lock);
    return stopping;
}

/* False: it is to stop. */
static bool wait_for_work(struct adopter *a)
{
    pthread_mutex_lock(&a->lock);
    while (!a->woken && !a->stopping)
        pthread_cond_wait(&a->changed, &a->lock);
    a->woken = false;
    bool stopping = a->stopping;
    pthread_mutex_unlock(&a->lock);
    return !stopping;
}

static void *run(void *argument)
{
    struct adopter *a = argument;
    struct registry_pending machine;
    bool proven;
    while (wait_for_work(a))
        while (!is_stopping(a) && pending_take_undecided(a->pending, &machine, &proven))
            decide(a, &machine, proven);
    return NULL;
}

static void set(struct adopter *a, bool *flag)
{
    pthread_mutex_lock(&a->lock);
    *flag = true;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

void adopter_wake(struct adopter *a)
{
    if (a)
        set(a, &a->woken);
}

void adopter_set_rules(struct adopter *a, const struct adopt_rules *rules)
{
    pthread_mutex_lock(&a->lock);
    a->rules = *rules;
    pthread_mutex_unlock(&a->lock);
    pending_undecide(a->pending);
    adopter_wake(a);
}

int adopter_start(struct pending *pending, struct storage *storage, struct registry *registry,
                  struct catalog_slot *catalog, struct adopter **ret_adopter,
                  struct error *ret_error)
{
    struct adopter *a = calloc(1, sizeof(*a));
    if (!a)
        return error_set(ret_error, -ENOMEM, "out of memory");
    a->pending = pending;
    a->storage = storage;
    a->registry = registry;
    a->catalog = catalog;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    int r = -pthread_create(&a->thread, NULL, run, a);
    if (r < 0) {
        free(a);
        return error_set(ret_error, r, "cannot start a thread: %s", strerror(-r));
    }
    pthread_setname_np(a->thread, "adopter");
    *ret_adopter = a;
    return 0;
}

void adopter_stop(struct adopter *a)
{
    if (!a)
        return;
    set(a, &a->stopping);
    pthread_join(a->thread, NULL);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a);
}
