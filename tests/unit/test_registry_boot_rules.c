/* What machines boot, kept: set, cleared, and given to boots. */
#include "site.h"

#include "core/mailbox.h"
#include "registry/plan.h"

#include <errno.h>

static int setup(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    site_make(site);
    site_must(registry_group_add(site->registry, "lab", &site->error), &site->error);
    for (unsigned i = 1; i <= 3; i++) {
        char name[16];
        snprintf(name, sizeof(name), "web%u", i);
        struct mac_address mac = site_mac(i);
        const struct registry_node node = {
            .name = name, .macs = &mac, .n_macs = 1, .group = i < 3 ? "lab" : NULL};
        site_must(registry_node_add(site->registry, &node, NULL, &site->error), &site->error);
    }
    *state = site;
    return 0;
}

static int teardown(void **state)
{
    site_remove(*state);
    free(*state);
    return 0;
}

static const struct registry_boot_scope web1 = {.node = "web1"};
static const struct registry_boot_scope lab = {.group = "lab"};
static const struct registry_boot_scope everybody = {.node = NULL};

static struct registry_boot_rule rule(enum boot_slot slot, enum boot_target_kind kind)
{
    return (struct registry_boot_rule){.slot = slot, .target.kind = kind};
}

static void set(struct site *site, const struct registry_boot_scope *scope,
                struct registry_boot_rule rule)
{
    site_must(registry_boot_rule_set(site->registry, scope, &rule, &site->error), &site->error);
    site_check_catalog(site);
}

/* Of the node, in the boot of this number. */
static struct plan plan_of(struct site *site, const char *name, uint64_t boot_id)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
    const struct plan_moment moment = {.now = clock_wall_usec(), .boot_id = boot_id};
    struct plan plan = plan_for_node(catalog, catalog_node_by_name(catalog, name), &moment);
    plan.node = NULL; /* it goes with the catalog */
    return plan;
}

static void assert_boots(struct site *site, const char *name, enum boot_target_kind kind)
{
    assert_int_equal(plan_of(site, name, 0).target.kind, kind);
}

static void rules_are_kept(void **state)
{
    struct site *site = *state;
    set(site, &everybody, rule(BOOT_SLOT_STANDING, BOOT_TARGET_LOCAL));
    set(site, &lab, rule(BOOT_SLOT_STANDING, BOOT_TARGET_MENU));
    set(site, &web1, rule(BOOT_SLOT_STANDING, BOOT_TARGET_SHELL));
    site_restart(site);
    assert_boots(site, "web1", BOOT_TARGET_SHELL);
    assert_boots(site, "web2", BOOT_TARGET_MENU);
    assert_boots(site, "web3", BOOT_TARGET_LOCAL);
    set(site, &web1, rule(BOOT_SLOT_STANDING, BOOT_TARGET_OFF)); /* in place of the other */
    assert_boots(site, "web1", BOOT_TARGET_OFF);
    site_must(registry_boot_rules_clear(site->registry, &web1, &site->error), &site->error);
    assert_boots(site, "web1", BOOT_TARGET_MENU);
    site_must(registry_boot_rules_clear(site->registry, &lab, &site->error), &site->error);
    assert_boots(site, "web1", BOOT_TARGET_LOCAL);
    site_must(registry_boot_rules_clear(site->registry, &everybody, &site->error), &site->error);
    assert_boots(site, "web1", BOOT_TARGET_VOLUME);
}

static uint32_t fallback_after_of(struct site *site, const char *name)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
    return catalog_node_by_name(catalog, name)->rules->slots[BOOT_SLOT_FALLBACK].after;
}

static void a_fallback_may_have_its_own_number(void **state)
{
    struct site *site = *state;
    struct registry_boot_rule fallback = rule(BOOT_SLOT_FALLBACK, BOOT_TARGET_MENU);
    fallback.after = 2;
    set(site, &lab, fallback);
    set(site, &web1, fallback);
    fallback.after = 7;
    set(site, &web1, fallback); /* in place of the other */
    site_restart(site);
    site_check_catalog(site);
    assert_int_equal(fallback_after_of(site, "web1"), 7);
    fallback.after = 0;
    set(site, &web1, fallback);
    assert_int_equal(fallback_after_of(site, "web1"), 0);
    site_must(registry_boot_rules_clear(site->registry, &web1, &site->error), &site->error);
    site_must(registry_boot_rules_clear(site->registry, &lab, &site->error), &site->error);
    site_check_catalog(site);
}

static void what_is_not_there_is_refused(void **state)
{
    struct site *site = *state;
    struct registry_boot_rule r = rule(BOOT_SLOT_STANDING, BOOT_TARGET_ENTRY);
    str_copy(r.target.name, sizeof(r.target.name), "rescue");
    assert_int_equal(registry_boot_rule_set(site->registry, &web1, &r, &site->error), -ENOENT);
    site_assert_told(site, "there is no entry 'rescue'");
    r.target.kind = BOOT_TARGET_VOLUME;
    assert_int_equal(registry_boot_rule_set(site->registry, &web1, &r, &site->error), -ENOENT);
    site_assert_told(site, "there is no volume 'rescue'");
    r = rule(BOOT_SLOT_STANDING, BOOT_TARGET_LOCAL);
    const struct registry_boot_scope nobody = {.node = "nobody"}, none = {.group = "none"};
    assert_int_equal(registry_boot_rule_set(site->registry, &nobody, &r, &site->error), -ENOENT);
    assert_int_equal(registry_boot_rule_set(site->registry, &none, &r, &site->error), -ENOENT);
    assert_int_equal(registry_boot_rules_clear(site->registry, &nobody, &site->error), -ENOENT);
}

static void a_group_that_goes_takes_its_rules_along(void **state)
{
    struct site *site = *state;
    set(site, &lab, rule(BOOT_SLOT_STANDING, BOOT_TARGET_LOCAL));
    const struct registry_node_change out = {.set_group = true};
    site_must(registry_node_set(site->registry, "web1", &out, NULL, &site->error), &site->error);
    site_must(registry_node_set(site->registry, "web2", &out, NULL, &site->error), &site->error);
    site_must(registry_group_remove(site->registry, "lab", &site->error), &site->error);
    site_must(registry_group_add(site->registry, "lab", &site->error), &site->error);
    site_check_catalog(site);
    cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
    assert_null(catalog_group_by_name(catalog, "lab")->rules);
}

/* --- claims --- */

static void claim(struct site *site, const char *name, uint64_t boot_id)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
    const struct registry_claim what = {
        .node_id = catalog_node_by_name(catalog, name)->id, .boot_id = boot_id, .rule = true};
    assert_int_equal(site_claim(site->registry, &what, &site->error), 0);
    site_check_catalog(site);
}

static void a_boot_is_taken_once_from_a_count(void **state)
{
    struct site *site = *state;
    struct registry_boot_rule twice = rule(BOOT_SLOT_TEMPORARY, BOOT_TARGET_LOCAL);
    twice.times = 2;
    set(site, &web1, twice);
    assert_true(plan_of(site, "web1", 10).claim);
    claim(site, "web1", 10);
    claim(site, "web1", 10); /* who asks again within the same boot */
    site_restart(site);
    struct plan plan = plan_of(site, "web1", 10);
    assert_true(plan.kind == PLAN_LOCAL && !plan.claim);
    plan = plan_of(site, "web1", 11);
    assert_true(plan.kind == PLAN_LOCAL && plan.claim);
    claim(site, "web1", 11);
    assert_int_equal(plan_of(site, "web1", 11).kind, PLAN_LOCAL);
    claim(site, "web1", 12); /* too late: it is used up */
    assert_int_equal(plan_of(site, "web1", 12).target.kind, BOOT_TARGET_VOLUME);
    assert_int_equal(plan_of(site, "web1", 11).kind, PLAN_LOCAL);
    set(site, &web1, twice); /* anew */
    assert_true(plan_of(site, "web1", 12).claim);
}

/* --- installed nodes --- */

static void add_installer(struct site *site)
{
    const struct catalog_label variable = {.key = "suite", .value = "bookworm"};
    const struct registry_boot_entry entry = {.name = "debian",
                                              .title = "",
                                              .kind = BOOT_ENTRY_INSTALLER,
                                              .file = site->directory,
                                              .arguments = "",
                                              .format = ANSWER_PRESEED,
                                              .answer = site->directory,
                                              .variables = &variable,
                                              .n_variables = 1};
    site_must(registry_boot_entry_add(site->registry, &entry, &site->error), &site->error);
}

static void install(struct site *site, const char *name)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
    struct site_answer answer;
    uint64_t node_id = catalog_node_by_name(catalog, name)->id;
    assert_int_equal(registry_boot_installed(site->registry, node_id, "debian", false,
                                             site_answer_open(&answer)),
                     0);
    assert_int_equal(site_answer_wait(&answer, &site->error), 0);
    site_check_catalog(site);
}

static const struct registry_boot_rule by_installer = {.slot = BOOT_SLOT_STANDING,
                                                       .target = {BOOT_TARGET_ENTRY, "debian"}};

static void an_installed_node_boots_its_disk(void **state)
{
    struct site *site = *state;
    add_installer(site);
    struct registry_boot_rule thrice = by_installer;
    thrice.slot = BOOT_SLOT_TEMPORARY;
    thrice.times = 3;
    set(site, &web1, thrice);
    set(site, &web1, by_installer);
    claim(site, "web1", 10);
    install(site, "web1");
    install(site, "web1"); /* said twice */
    assert_boots(site, "web1", BOOT_TARGET_VOLUME);
    site_restart(site);
    assert_boots(site, "web1", BOOT_TARGET_VOLUME);
}

static void what_others_are_told_stays(void **state)
{
    struct site *site = *state;
    add_installer(site);
    set(site, &lab, by_installer);
    set(site, &everybody, by_installer);
    install(site, "web1");
    assert_boots(site, "web1", BOOT_TARGET_VOLUME);
    assert_boots(site, "web2", BOOT_TARGET_ENTRY);
    assert_boots(site, "web3", BOOT_TARGET_ENTRY);
    install(site, "web3"); /* by the site's rule */
    assert_boots(site, "web3", BOOT_TARGET_VOLUME);
    /* What it was told that is no installation, stays. */
    set(site, &web1, rule(BOOT_SLOT_STANDING, BOOT_TARGET_MENU));
    install(site, "web1");
    assert_boots(site, "web1", BOOT_TARGET_MENU);
}

static void each_node_of_a_group_has_a_count_of_its_own(void **state)
{
    struct site *site = *state;
    struct registry_boot_rule once = rule(BOOT_SLOT_TEMPORARY, BOOT_TARGET_MEMTEST);
    once.times = 1;
    set(site, &lab, once);
    claim(site, "web1", 10);
    assert_boots(site, "web1", BOOT_TARGET_VOLUME);
    assert_boots(site, "web2", BOOT_TARGET_MEMTEST);
    assert_boots(site, "web3", BOOT_TARGET_VOLUME);
    set(site, &everybody, once);
    assert_boots(site, "web1", BOOT_TARGET_MEMTEST);
    assert_boots(site, "web3", BOOT_TARGET_MEMTEST);
}

#define SITE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(rules_are_kept),
        SITE_TEST(a_fallback_may_have_its_own_number),
        SITE_TEST(what_is_not_there_is_refused),
        SITE_TEST(a_group_that_goes_takes_its_rules_along),
        SITE_TEST(a_boot_is_taken_once_from_a_count),
        SITE_TEST(an_installed_node_boots_its_disk),
        SITE_TEST(what_others_are_told_stays),
        SITE_TEST(each_node_of_a_group_has_a_count_of_its_own),
    };
    return RUN_TESTS(tests);
}
