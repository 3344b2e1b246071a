/*
 * How long it takes to decide what a node boots and to write its script down: 10,000 nodes in 100
 * groups, 1,000 rules, 50 boot entries, each node with a volume of its own and a tenth of them with
 * one more; and the same with 1,000 rules of the configuration, of which the last one applies.
 * Prints the median, the 99th percentile and the longest of all nodes: microseconds of CPU.
 */
#include "boot/script.h"

#include <inttypes.h>

#define NODES   10000
#define GROUPS  100
#define RULES   1000 /* the site's, the groups', and of every eleventh node */
#define ENTRIES 50
#define ROUNDS  5

static uint64_t times[ROUNDS * NODES];

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "policy: %s\n", what);
    exit(1);
}

static struct mac_address mac_of(unsigned n)
{
    return (struct mac_address){{0x52, 0x54, 0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
}

static struct boot_rules rules_of(enum boot_target_kind kind)
{
    struct boot_rules rules = {0};
    rules.slots[BOOT_SLOT_STANDING] = (struct boot_rule){.target.kind = kind, .set_at = 1};
    return rules;
}

static void add_node(struct catalog *catalog, unsigned n, const struct boot_rules *rules)
{
    char name[32], group[32], iqn[64];
    snprintf(name, sizeof(name), "node-%05u", n);
    snprintf(group, sizeof(group), "group-%02u", n % GROUPS);
    snprintf(iqn, sizeof(iqn), "iqn.2026-11.lan.example:%s", name);
    const struct mac_address mac = mac_of(n);
    const char *const allow[] = {iqn};
    struct catalog_volume volume = {.id = n + 1, .name = name, .state = VOLUME_READY};
    const struct catalog_node node = {.id = n + 1,
                                      .name = name,
                                      .group = group,
                                      .macs = &mac,
                                      .n_macs = 1,
                                      .volume_id = n + 1,
                                      .rules = rules};
    must(catalog_add_node(catalog, &node) >= 0 && catalog_add_volume(catalog, &volume) >= 0,
         "out of memory");
    if (n % 10)
        return;
    char other[48];
    snprintf(other, sizeof(other), "%s-old", name);
    volume = (struct catalog_volume){
        .id = NODES + n + 1, .name = other, .state = VOLUME_READY, .allow = allow, .n_allow = 1};
    must(catalog_add_volume(catalog, &volume) >= 0, "out of memory");
}

static struct catalog *make(enum boot_target_kind kind)
{
    struct catalog *catalog = catalog_new("iqn.2026-11.lan.example", 1);
    const struct boot_rules rules = rules_of(kind);
    must(catalog, "out of memory");
    for (unsigned i = 0; i < GROUPS; i++) {
        char name[32];
        snprintf(name, sizeof(name), "group-%02u", i);
        const struct catalog_group group = {.id = i + 1, .name = name, .rules = &rules};
        must(catalog_add_group(catalog, &group) >= 0, "out of memory");
    }
    for (unsigned i = 0; i < ENTRIES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "entry-%02u", i);
        const struct catalog_entry entry = {
            .name = name, .title = "", .file = "/x", .arguments = ""};
        must(catalog_add_entry(catalog, &entry) >= 0, "out of memory");
    }
    for (unsigned i = 0; i < NODES; i++)
        add_node(catalog, i, i % 11 == 0 && i / 11 < RULES - GROUPS - 1 ? &rules : NULL);
    catalog_set_site_rules(catalog, &rules);
    must(catalog_seal(catalog) >= 0, "out of memory");
    return catalog;
}

static uint64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Rules that look alike to the end: of the group, the cards and the hours, then of what it is. */
static struct policy *make_policy(void)
{
    struct policy *policy = policy_new();
    must(policy, "out of memory");
    for (unsigned i = 0; i < RULES; i++) {
        char name[32], product[32];
        const struct mac_prefix prefix = {{0x52, 0x54}, 2};
        snprintf(name, sizeof(name), "rule-%u", i);
        snprintf(product, sizeof(product), i + 1 < RULES ? "*product %u" : "*", i);
        struct policy_rule *rule = policy_find_or_add(policy, name, 1);
        must(rule && policy_add_pattern(policy, rule, POLICY_GROUP, "group-*") &&
                 policy_add_prefix(policy, rule, &prefix) &&
                 policy_add_pattern(policy, rule, POLICY_PRODUCT, product),
             "out of memory");
        rule->ends = 24 * 60;
        rule->target.kind = BOOT_TARGET_LOCAL;
    }
    return policy;
}

static uint64_t measure_one(const struct catalog *catalog, const struct policy *policy, unsigned n)
{
    const struct boot_site site = {.portal = "10.0.0.1",
                                   .portal_port = 3260,
                                   .base_url = "http://10.0.0.1",
                                   .system_url = "http://10.0.0.1",
                                   .base_iqn = "iqn.2026-11.lan.example",
                                   .ways = {DIRECT_YES, IBFT_ORIGIN_MANUAL},
                                   .catalog = catalog,
                                   .menu_timeout = 30};
    static const struct facts facts = {.product = "a machine's product"};
    const struct plan_moment moment = {
        .now = 1, .boot_id = 1, .fallback_after = 3, .policy = policy, .facts = &facts};
    uint64_t begin = nanoseconds();
    const struct plan plan = plan_for_mac(catalog, mac_of(n), &moment);
    char *script = boot_script_render(&plan, mac_of(n), &site);
    uint64_t took = nanoseconds() - begin;
    must(script && plan.node, "no script");
    free(script);
    return took;
}

static void measure(const char *what, enum boot_target_kind kind, const struct policy *policy)
{
    cleanup_catalog struct catalog *catalog = make(kind);
    for (unsigned i = 0; i < ROUNDS * NODES; i++)
        times[i] = measure_one(catalog, policy, i * 7919 % NODES);
    qsort(times, ROUNDS * NODES, sizeof(*times), compare);
    printf("%-8s median %8.1f us, p99 %8.1f us, longest %8.1f us\n", what,
           (double)times[ROUNDS * NODES / 2] / 1e3, (double)times[ROUNDS * NODES / 100 * 99] / 1e3,
           (double)times[ROUNDS * NODES - 1] / 1e3);
}

int main(void)
{
    printf("%u nodes, %u groups, %u rules, %u entries\n", NODES, GROUPS, RULES, ENTRIES);
    measure("volume", BOOT_TARGET_VOLUME, NULL);
    measure("local", BOOT_TARGET_LOCAL, NULL);
    measure("menu", BOOT_TARGET_MENU, NULL);
    cleanup_policy struct policy *policy = make_policy();
    measure("config", BOOT_TARGET_VOLUME, policy);
    return 0;
}
