#include "test.h"

#include "registry/plan.h"

static const struct mac_address first_mac = {{0x52, 0x54, 0, 0, 0, 1}};
static const struct mac_address second_mac = {{0x52, 0x54, 0, 0, 0, 2}};
static const struct mac_address strange_mac = {{0x52, 0x54, 0, 0, 0, 3}};

#define VOLUME_ID 7

static const struct plan_moment now = {.now = 1000, .fallback_after = 3};

/* One node, which boots volume_id; a volume in this state, of VOLUME_ID. */
static struct catalog *make(uint64_t volume_id, enum volume_state state)
{
    struct catalog *c = catalog_new("iqn.2026-11.lan.example", 1);
    const struct mac_address macs[] = {first_mac, second_mac};
    assert_int_equal(catalog_add_node(c, &(struct catalog_node){.id = 1,
                                                                .name = "web1",
                                                                .macs = macs,
                                                                .n_macs = 2,
                                                                .volume_id = volume_id}),
                     0);
    assert_int_equal(catalog_add_volume(
                         c, &(struct catalog_volume){.id = VOLUME_ID, .name = "v", .state = state}),
                     0);
    assert_int_equal(catalog_seal(c), 0);
    return c;
}

static void assert_plan(uint64_t volume_id, enum volume_state state, enum plan_kind kind)
{
    cleanup_catalog struct catalog *c = make(volume_id, state);
    struct plan plan = plan_for_mac(c, first_mac, &now);
    assert_int_equal(plan.kind, kind);
    assert_ptr_equal(plan.node, catalog_node_by_name(c, "web1"));
    if (kind == PLAN_VOLUME || kind == PLAN_PREPARING || kind == PLAN_FAILED)
        assert_ptr_equal(plan.volume, catalog_volume_by_name(c, "v"));
}

static void every_state_of_a_volume_has_its_plan(void **state)
{
    assert_plan(VOLUME_ID, VOLUME_READY, PLAN_VOLUME);
    assert_plan(VOLUME_ID, VOLUME_CREATING, PLAN_PREPARING);
    assert_plan(VOLUME_ID, VOLUME_FAILED, PLAN_FAILED);
    assert_plan(VOLUME_ID, VOLUME_REMOVING, PLAN_NO_VOLUME);
}

static void a_node_without_a_volume_has_nothing_to_boot(void **state)
{
    assert_plan(0, VOLUME_READY, PLAN_NO_VOLUME);
    assert_plan(VOLUME_ID + 1, VOLUME_READY, PLAN_NO_VOLUME); /* it was removed */
}

static void any_of_its_macs_will_do(void **state)
{
    cleanup_catalog struct catalog *c = make(VOLUME_ID, VOLUME_READY);
    assert_int_equal(plan_for_mac(c, second_mac, &now).kind, PLAN_VOLUME);
    struct plan plan = plan_for_mac(c, strange_mac, &now);
    assert_int_equal(plan.kind, PLAN_UNKNOWN);
    assert_null(plan.node);
    assert_null(plan.volume);
}

static void secrets_are_of_whoever_asks_for_them(void **state)
{
    static const struct chap_credentials of_node = {.mode = CHAP_MUTUAL};
    static const struct chap_credentials of_volume = {.mode = CHAP_ONE_WAY};
    static const struct iscsi_uri uri = {.host = "nas"};
    const struct catalog_node node = {.name = "web1", .chap = &of_node};
    struct catalog_volume volume = {.name = "v", .chap = &of_volume};
    struct plan plan = {PLAN_VOLUME, &node, &volume};
    assert_ptr_equal(plan_chap(&plan), &of_node);
    volume.elsewhere = &uri;
    assert_ptr_equal(plan_chap(&plan), &of_volume);
    volume.chap = NULL;
    assert_null(plan_chap(&plan));
    assert_ptr_equal(plan_chap(&(struct plan){PLAN_NO_VOLUME, &node, NULL}), &of_node);
    assert_null(plan_chap(&(struct plan){.kind = PLAN_UNKNOWN}));
}

/* --- rules --- */

static struct boot_rule rule(enum boot_target_kind kind)
{
    return (struct boot_rule){.target.kind = kind, .set_at = 1};
}

/* web1 of the group lab, which boots the volume "v"; "other" is one that all may use, "secret" one
 * that it may not. */
static struct catalog *make_ruled(const struct boot_rules *node, const struct boot_rules *group,
                                  const struct boot_rules *site)
{
    struct catalog *c = catalog_new("iqn.2026-11.lan.example", 1);
    const struct catalog_volume volumes[] = {
        {.id = VOLUME_ID, .name = "v", .state = VOLUME_READY},
        {.id = 8, .name = "other", .state = VOLUME_READY, .allow_any = true},
        {.id = 9, .name = "secret", .state = VOLUME_READY},
    };
    const struct catalog_node web1 = {.id = 1,
                                      .name = "web1",
                                      .group = "lab",
                                      .macs = &first_mac,
                                      .n_macs = 1,
                                      .volume_id = VOLUME_ID,
                                      .rules = node};
    const struct catalog_group lab = {.id = 1, .name = "lab", .rules = group};
    const struct catalog_entry rescue = {
        .id = 1, .name = "rescue", .title = "", .file = "/r", .arguments = ""};
    assert_int_equal(catalog_add_node(c, &web1), 0);
    assert_int_equal(catalog_add_group(c, &lab), 0);
    assert_int_equal(catalog_add_entry(c, &rescue), 0);
    for (size_t i = 0; i < ARRAY_SIZE(volumes); i++)
        assert_int_equal(catalog_add_volume(c, &volumes[i]), 0);
    if (site)
        catalog_set_site_rules(c, site);
    assert_int_equal(catalog_seal(c), 0);
    return c;
}

static void assert_decided(const struct catalog *c, const struct plan_moment *moment,
                           enum plan_source source, enum plan_kind kind)
{
    const struct plan plan = plan_for_mac(c, first_mac, moment);
    assert_string_equal(plan_source_name(plan.source), plan_source_name(source));
    assert_int_equal(plan.kind, kind);
}

static void the_rule_that_is_nearest_to_the_node_decides(void **state)
{
    struct boot_rules node = {0}, group = {0}, site = {0};
    site.slots[BOOT_SLOT_STANDING] = rule(BOOT_TARGET_LOCAL);
    cleanup_catalog struct catalog *a = make_ruled(&node, &group, &site);
    assert_decided(a, &now, PLAN_BY_SITE, PLAN_LOCAL);
    group.slots[BOOT_SLOT_STANDING] = rule(BOOT_TARGET_SHELL);
    cleanup_catalog struct catalog *b = make_ruled(&node, &group, &site);
    assert_decided(b, &now, PLAN_BY_GROUP, PLAN_SHELL);
    node.slots[BOOT_SLOT_STANDING] = rule(BOOT_TARGET_VOLUME);
    cleanup_catalog struct catalog *c = make_ruled(&node, &group, &site);
    assert_decided(c, &now, PLAN_BY_NODE, PLAN_VOLUME);
    node.slots[BOOT_SLOT_TEMPORARY] = rule(BOOT_TARGET_OFF);
    cleanup_catalog struct catalog *d = make_ruled(&node, &group, &site);
    assert_decided(d, &now, PLAN_BY_NODE_TEMPORARY, PLAN_OFF);
}

static void a_rule_holds_until_its_time(void **state)
{
    struct boot_rules group = {0};
    group.slots[BOOT_SLOT_TEMPORARY] = rule(BOOT_TARGET_OFF);
    group.slots[BOOT_SLOT_TEMPORARY].until = 1001;
    cleanup_catalog struct catalog *c = make_ruled(NULL, &group, NULL);
    const struct plan_moment later = {.now = 1001};
    assert_decided(c, &now, PLAN_BY_GROUP_TEMPORARY, PLAN_OFF);
    assert_decided(c, &later, PLAN_BY_DISK, PLAN_VOLUME);
}

static struct plan plan_counted(uint32_t times, uint64_t had_by, uint64_t boot)
{
    struct boot_rules node = {0};
    node.slots[BOOT_SLOT_TEMPORARY] = rule(BOOT_TARGET_LOCAL);
    node.slots[BOOT_SLOT_TEMPORARY].counted = true;
    node.slots[BOOT_SLOT_TEMPORARY].times = times;
    node.slots[BOOT_SLOT_TEMPORARY].boot_id = had_by;
    cleanup_catalog struct catalog *c = make_ruled(&node, NULL, NULL);
    const struct plan_moment moment = {.now = 1000, .boot_id = boot};
    struct plan plan = plan_for_mac(c, first_mac, &moment);
    plan.node = NULL;
    return plan;
}

static void a_counted_rule_is_of_the_boot_that_has_it(void **state)
{
    struct plan plan = plan_counted(1, 0, 5);
    assert_true(plan.kind == PLAN_LOCAL && plan.claim);
    plan = plan_counted(0, 5, 5);
    assert_true(plan.kind == PLAN_LOCAL && !plan.claim);
    plan = plan_counted(0, 5, 6);
    assert_true(plan.kind == PLAN_VOLUME && !plan.claim);
    plan = plan_counted(1, 5, 6);
    assert_true(plan.kind == PLAN_LOCAL && plan.claim);
    plan = plan_counted(1, 5, 0); /* the next boot, when none is under way */
    assert_true(plan.kind == PLAN_LOCAL && plan.claim);
    assert_int_equal(plan_counted(0, 5, 0).kind, PLAN_VOLUME);
}

static void what_cannot_be_booted_is_passed_over(void **state)
{
    static const char *const names[] = {"secret", "gone"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct boot_rules node = {0}, site = {0};
        node.slots[BOOT_SLOT_STANDING] = rule(BOOT_TARGET_VOLUME);
        str_copy(node.slots[BOOT_SLOT_STANDING].target.name, NAME_MAX_LEN + 1, names[i]);
        site.slots[BOOT_SLOT_STANDING] = rule(BOOT_TARGET_ENTRY);
        str_copy(site.slots[BOOT_SLOT_STANDING].target.name, NAME_MAX_LEN + 1, "nothing");
        cleanup_catalog struct catalog *c = make_ruled(&node, NULL, &site);
        struct plan_candidate candidates[PLAN_MAX_CANDIDATES];
        size_t n = plan_explain(c, catalog_node_by_name(c, "web1"), &now, candidates);
        assert_int_equal(n, 3);
        assert_int_equal(candidates[0].verdict, PLAN_IMPOSSIBLE);
        assert_int_equal(candidates[1].verdict, PLAN_IMPOSSIBLE);
        assert_int_equal(candidates[2].verdict, PLAN_DECIDES);
        assert_decided(c, &now, PLAN_BY_DISK, PLAN_VOLUME);
    }
}

static void another_volume_and_an_entry_are_booted_by_name(void **state)
{
    struct boot_rules node = {0};
    node.slots[BOOT_SLOT_STANDING] = rule(BOOT_TARGET_VOLUME);
    str_copy(node.slots[BOOT_SLOT_STANDING].target.name, NAME_MAX_LEN + 1, "other");
    cleanup_catalog struct catalog *c = make_ruled(&node, NULL, NULL);
    assert_string_equal(plan_for_mac(c, first_mac, &now).volume->name, "other");
    node.slots[BOOT_SLOT_STANDING] = rule(BOOT_TARGET_ENTRY);
    str_copy(node.slots[BOOT_SLOT_STANDING].target.name, NAME_MAX_LEN + 1, "rescue");
    cleanup_catalog struct catalog *d = make_ruled(&node, NULL, NULL);
    assert_decided(d, &now, PLAN_BY_NODE, PLAN_ENTRY);
    assert_string_equal(plan_for_mac(d, first_mac, &now).entry->name, "rescue");
}

static void a_node_that_fails_too_often_falls_back(void **state)
{
    struct boot_rules node = {0}, site = {0};
    site.slots[BOOT_SLOT_FALLBACK] = rule(BOOT_TARGET_MENU);
    node.slots[BOOT_SLOT_STANDING] = rule(BOOT_TARGET_VOLUME);
    cleanup_catalog struct catalog *c = make_ruled(&node, NULL, &site);
    struct plan_moment moment = {.now = 1000, .failures = 2, .fallback_after = 3};
    assert_decided(c, &moment, PLAN_BY_NODE, PLAN_VOLUME);
    moment.failures = 3;
    assert_decided(c, &moment, PLAN_BY_SITE_FALLBACK, PLAN_MENU);
    moment.fallback_after = 0;
    assert_decided(c, &moment, PLAN_BY_NODE, PLAN_VOLUME);
    site.slots[BOOT_SLOT_FALLBACK].after = 4; /* its own number */
    cleanup_catalog struct catalog *own = make_ruled(&node, NULL, &site);
    assert_decided(own, &moment, PLAN_BY_NODE, PLAN_VOLUME);
    moment.failures = 4;
    assert_decided(own, &moment, PLAN_BY_SITE_FALLBACK, PLAN_MENU);
}

/* A policy of rules, each for nodes of this group, with this product or any; the targets "local",
 * "off", ... in their order. */
static struct policy *make_policy(const char *group, const char *product,
                                  const enum boot_target_kind *kinds, size_t count)
{
    struct policy *policy = policy_new();
    assert_non_null(policy);
    for (size_t i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof(name), "r%zu", i);
        struct policy_rule *rule = policy_find_or_add(policy, name, 1);
        assert_non_null(rule);
        rule->target.kind = kinds[i];
        assert_true(policy_add_pattern(policy, rule, POLICY_GROUP, group));
        assert_true(!product || policy_add_pattern(policy, rule, POLICY_PRODUCT, product));
    }
    return policy;
}

static void the_configurations_rules_are_between_the_node_and_its_group(void **state)
{
    static const enum boot_target_kind kinds[] = {BOOT_TARGET_ENTRY, BOOT_TARGET_OFF,
                                                  BOOT_TARGET_LOCAL};
    cleanup_policy struct policy *policy = make_policy("lab", NULL, kinds, 3);
    cleanup_policy struct policy *others = make_policy("other", NULL, kinds, 3);
    struct boot_rules node = {0}, group = {0};
    struct plan_moment moment = {.now = 1000, .policy = policy};
    group.slots[BOOT_SLOT_STANDING] = rule(BOOT_TARGET_SHELL);
    cleanup_catalog struct catalog *a = make_ruled(NULL, &group, NULL);
    assert_decided(a, &moment, PLAN_BY_POLICY, PLAN_OFF); /* the entry is not there */
    assert_string_equal(plan_for_mac(a, first_mac, &moment).rule, "r1");
    struct plan_candidate candidates[PLAN_MAX_CANDIDATES];
    assert_int_equal(plan_explain(a, catalog_node_by_name(a, "web1"), &moment, candidates), 5);
    assert_int_equal(candidates[0].verdict, PLAN_IMPOSSIBLE);
    assert_string_equal(candidates[1].name, "r1");
    assert_int_equal(candidates[2].verdict, PLAN_OVERRULED);
    assert_null(candidates[3].name);
    node.slots[BOOT_SLOT_STANDING] = rule(BOOT_TARGET_MEMTEST);
    cleanup_catalog struct catalog *b = make_ruled(&node, &group, NULL);
    assert_decided(b, &moment, PLAN_BY_NODE, PLAN_MEMTEST);
    group.slots[BOOT_SLOT_TEMPORARY] = rule(BOOT_TARGET_MENU);
    cleanup_catalog struct catalog *d = make_ruled(NULL, &group, NULL);
    assert_decided(d, &moment, PLAN_BY_GROUP_TEMPORARY, PLAN_MENU);
    moment.policy = others;
    assert_decided(a, &moment, PLAN_BY_GROUP, PLAN_SHELL);
    assert_string_equal(plan_for_mac(a, first_mac, &moment).rule, "");
}

static void a_rule_waits_for_what_is_not_known_of_the_node(void **state)
{
    static const enum boot_target_kind kinds[] = {BOOT_TARGET_OFF};
    static const struct facts right = {.product = "Box 7"}, wrong = {.product = "Crate"};
    cleanup_policy struct policy *policy = make_policy("l?b", "box*", kinds, 1);
    struct plan_moment moment = {.now = 1000, .policy = policy};
    struct boot_rules node = {0};
    cleanup_catalog struct catalog *c = make_ruled(NULL, NULL, NULL);
    assert_decided(c, &moment, PLAN_BY_DISK, PLAN_VOLUME);
    assert_true(plan_for_mac(c, first_mac, &moment).untold);
    moment.facts = &wrong;
    assert_decided(c, &moment, PLAN_BY_DISK, PLAN_VOLUME);
    assert_false(plan_for_mac(c, first_mac, &moment).untold);
    moment.facts = &right;
    assert_decided(c, &moment, PLAN_BY_POLICY, PLAN_OFF);
    moment.facts = NULL;
    node.slots[BOOT_SLOT_STANDING] = rule(BOOT_TARGET_VOLUME);
    cleanup_catalog struct catalog *ruled = make_ruled(&node, NULL, NULL);
    assert_false(plan_for_mac(ruled, first_mac, &moment).untold); /* it does not matter */
}

/* Of many that apply some are shown, and the one that can be done is found all the same. */
static void many_rules_are_not_all_shown(void **state)
{
    enum boot_target_kind kinds[50];
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        kinds[i] = i == 40 ? BOOT_TARGET_OFF : BOOT_TARGET_ENTRY;
    cleanup_policy struct policy *policy = make_policy("lab", NULL, kinds, ARRAY_SIZE(kinds));
    struct plan_moment moment = {.now = 1000, .policy = policy};
    struct plan_candidate candidates[PLAN_MAX_CANDIDATES];
    cleanup_catalog struct catalog *c = make_ruled(NULL, NULL, NULL);
    assert_decided(c, &moment, PLAN_BY_POLICY, PLAN_OFF);
    assert_string_equal(plan_for_mac(c, first_mac, &moment).rule, "r40");
    assert_int_equal(plan_explain(c, catalog_node_by_name(c, "web1"), &moment, candidates),
                     PLAN_MAX_POLICIES + 1);
}

static void what_a_hook_says_comes_first(void **state)
{
    struct boot_rules node = {0};
    node.slots[BOOT_SLOT_TEMPORARY] = rule(BOOT_TARGET_OFF);
    node.slots[BOOT_SLOT_TEMPORARY].counted = true;
    node.slots[BOOT_SLOT_TEMPORARY].times = 1;
    cleanup_catalog struct catalog *c = make_ruled(&node, NULL, NULL);
    struct plan_moment moment = {.now = 1000, .boot_id = 7, .said = {BOOT_TARGET_ENTRY, "rescue"}};
    assert_decided(c, &moment, PLAN_BY_HOOK, PLAN_ENTRY);
    assert_false(plan_for_mac(c, first_mac, &moment).claim);
    moment.said = (struct boot_target){BOOT_TARGET_VOLUME, "secret"};
    assert_decided(c, &moment, PLAN_BY_NODE_TEMPORARY, PLAN_OFF);
    assert_true(plan_for_mac(c, first_mac, &moment).claim);
}

static void only_a_menu_lets_choose(void **state)
{
    struct boot_rules node = {0}, site = {0};
    site.slots[BOOT_SLOT_STANDING] = rule(BOOT_TARGET_LOCAL);
    node.slots[BOOT_SLOT_STANDING] = rule(BOOT_TARGET_MENU);
    struct plan_moment moment = {.now = 1000, .chosen.kind = BOOT_TARGET_MEMTEST};
    cleanup_catalog struct catalog *menu = make_ruled(&node, NULL, &site);
    struct plan plan = plan_for_mac(menu, first_mac, &moment);
    assert_true(plan.kind == PLAN_MEMTEST && plan.chosen);
    moment.chosen = (struct boot_target){BOOT_TARGET_VOLUME, "secret"};
    plan = plan_for_mac(menu, first_mac, &moment);
    assert_true(plan.kind == PLAN_MENU && !plan.chosen);
    assert_int_equal(plan.menu_default.kind, BOOT_TARGET_LOCAL); /* what it would boot without */
    moment.chosen = (struct boot_target){BOOT_TARGET_MEMTEST, ""};
    node.slots[BOOT_SLOT_STANDING] = rule(BOOT_TARGET_OFF);
    cleanup_catalog struct catalog *off = make_ruled(&node, NULL, &site);
    assert_int_equal(plan_for_mac(off, first_mac, &moment).kind, PLAN_OFF);
}

/* A node whose disk has a snapshot, which the boot `noted` is to have; and perhaps another node
 * with the same disk. */
static struct catalog *make_with_snapshot(enum boot_target_kind target, uint64_t noted, bool shared)
{
    static const struct catalog_layer layer = {.id = 1, .path = "/l"};
    static const struct catalog_snapshot old = {.name = "old", .n_layers = 1, .layers = &layer};
    const struct catalog_trial trial = {.boot_id = noted, .snapshot = "old"};
    const struct catalog_overlay overlay = {.n_layers = 1,
                                            .layers = &layer,
                                            .n_snapshots = 1,
                                            .snapshots = &old,
                                            .trial = noted ? &trial : NULL};
    struct boot_rules rules = {0};
    struct catalog *c = catalog_new("iqn.2026-11.lan.example", 1);
    struct catalog_node node = {.id = 1,
                                .name = "web1",
                                .macs = &first_mac,
                                .n_macs = 1,
                                .volume_id = VOLUME_ID,
                                .rules = &rules};
    rules.slots[BOOT_SLOT_STANDING] = rule(target);
    if (target == BOOT_TARGET_SNAPSHOT)
        str_copy(rules.slots[BOOT_SLOT_STANDING].target.name, NAME_MAX_LEN + 1, "old");
    assert_int_equal(catalog_add_node(c, &node), 0);
    node = (struct catalog_node){
        .id = 2, .name = "web2", .macs = &second_mac, .n_macs = 1, .volume_id = VOLUME_ID};
    assert_int_equal(shared ? catalog_add_node(c, &node) : 0, 0);
    assert_int_equal(catalog_add_volume(c, &(struct catalog_volume){.id = VOLUME_ID,
                                                                    .name = "v",
                                                                    .kind = VOLUME_OVERLAY,
                                                                    .state = VOLUME_READY,
                                                                    .overlay = &overlay}),
                     0);
    assert_int_equal(catalog_seal(c), 0);
    return c;
}

static struct plan plan_with_snapshot(enum boot_target_kind target, uint64_t noted, bool shared,
                                      const struct plan_moment *moment)
{
    cleanup_catalog struct catalog *c = make_with_snapshot(target, noted, shared);
    return plan_for_mac(c, first_mac, moment);
}

static void a_snapshot_is_its_disk_once_that_is_noted(void **state)
{
    struct plan_moment moment = {.now = 1000, .boot_id = 7};
    struct plan plan = plan_with_snapshot(BOOT_TARGET_SNAPSHOT, 0, false, &moment);
    assert_true(plan.kind == PLAN_VOLUME && plan.disk);
    assert_int_equal(plan.target.kind, BOOT_TARGET_SNAPSHOT);
    assert_true(plan_with_snapshot(BOOT_TARGET_SNAPSHOT, 6, false, &moment).disk);
    assert_false(plan_with_snapshot(BOOT_TARGET_SNAPSHOT, 7, false, &moment).disk);
    assert_true(plan_with_snapshot(BOOT_TARGET_VOLUME, 7, false, &moment).disk); /* thinks again */
    assert_false(plan_with_snapshot(BOOT_TARGET_VOLUME, 6, false, &moment).disk);
    assert_false(plan_with_snapshot(BOOT_TARGET_SHELL, 7, false, &moment).disk);
    plan = plan_with_snapshot(BOOT_TARGET_SNAPSHOT, 0, true, &moment);
    assert_true(plan.target.kind == BOOT_TARGET_VOLUME && plan.source == PLAN_BY_DISK);
}

static void a_snapshot_is_chosen_if_it_may_be(void **state)
{
    struct plan_moment moment = {
        .now = 1000, .boot_id = 7, .chosen = {BOOT_TARGET_SNAPSHOT, "old"}};
    assert_int_equal(plan_with_snapshot(BOOT_TARGET_MENU, 0, false, &moment).kind, PLAN_MENU);
    moment.may_choose_snapshots = true;
    struct plan plan = plan_with_snapshot(BOOT_TARGET_MENU, 0, false, &moment);
    assert_true(plan.kind == PLAN_VOLUME && plan.chosen && plan.disk);
    assert_int_equal(plan_with_snapshot(BOOT_TARGET_MENU, 0, true, &moment).kind, PLAN_MENU);
    str_copy(moment.chosen.name, sizeof(moment.chosen.name), "new");
    assert_int_equal(plan_with_snapshot(BOOT_TARGET_MENU, 0, false, &moment).kind, PLAN_MENU);
}

static void scripts_have_the_disk_that_is_ready(void **state)
{
    struct boot_rules node = {0};
    node.slots[BOOT_SLOT_STANDING] = rule(BOOT_TARGET_SCRIPTS);
    cleanup_catalog struct catalog *c = make_ruled(&node, NULL, NULL);
    struct plan plan = plan_for_mac(c, first_mac, &now);
    assert_true(plan.kind == PLAN_SCRIPTS && plan.volume && plan_has_disk(&plan));
    plan.volume = NULL;
    assert_false(plan_has_disk(&plan));
}

static void targets_are_written_and_read(void **state)
{
    static const char *const texts[] = {
        "volume",       "volume:web1-old",         "local",  "menu", "shell", "memtest", "off",
        "entry:rescue", "snapshot:before-upgrade", "scripts"};
    static const char *const wrong[] = {"",      "Volume", "volume:", "volume:a b", "volume:${x}",
                                        "entry", "entry:", "local:x", "entry:\n",   "volume:A",
                                        " local"};
    struct boot_target target;
    char text[BOOT_TARGET_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        assert_int_equal(boot_target_parse(texts[i], &target), 0);
        assert_string_equal(boot_target_format(&target, text), texts[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_true(boot_target_parse(wrong[i], &target) < 0);
    assert_true(boot_target_is_word("local"));
    assert_false(boot_target_is_word("volume:x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_state_of_a_volume_has_its_plan),
        TEST(a_node_without_a_volume_has_nothing_to_boot),
        TEST(any_of_its_macs_will_do),
        TEST(secrets_are_of_whoever_asks_for_them),
        TEST(the_rule_that_is_nearest_to_the_node_decides),
        TEST(a_rule_holds_until_its_time),
        TEST(a_counted_rule_is_of_the_boot_that_has_it),
        TEST(what_cannot_be_booted_is_passed_over),
        TEST(another_volume_and_an_entry_are_booted_by_name),
        TEST(a_node_that_fails_too_often_falls_back),
        TEST(the_configurations_rules_are_between_the_node_and_its_group),
        TEST(a_rule_waits_for_what_is_not_known_of_the_node),
        TEST(many_rules_are_not_all_shown),
        TEST(what_a_hook_says_comes_first),
        TEST(only_a_menu_lets_choose),
        TEST(a_snapshot_is_its_disk_once_that_is_noted),
        TEST(a_snapshot_is_chosen_if_it_may_be),
        TEST(scripts_have_the_disk_that_is_ready),
        TEST(targets_are_written_and_read),
    };
    return RUN_TESTS(tests);
}
