#include "test.h"

#include "registry/policy.h"

static const struct mac_address card = {{0x52, 0x54, 0, 1, 2, 3}};
static const struct catalog_node web1 = {
    .name = "web1", .group = "lab", .macs = &card, .n_macs = 1};

static enum policy_fit fit(const struct policy_rule *rule, const struct facts *facts,
                           const char *peer, struct policy_time time)
{
    struct endpoint endpoint;
    assert_true(!peer || endpoint_parse(peer, &endpoint) == 0);
    return policy_fits(rule, &(struct policy_subject){&web1, facts, peer ? &endpoint : NULL, time});
}

static enum policy_fit fit_at(uint8_t days, unsigned begins, unsigned ends, unsigned weekday,
                              unsigned minute)
{
    const struct policy_rule rule = {
        .days = days, .begins = (uint16_t)begins, .ends = (uint16_t)ends};
    return fit(&rule, NULL, NULL, (struct policy_time){weekday, minute});
}

static void days_and_hours(void **state)
{
    enum { SUN = 1, FRI = 1 << 5, NIGHT = 22 * 60, MORNING = 6 * 60 };
    assert_int_equal(fit_at(0, 0, 0, 3, 100), POLICY_YES);
    assert_int_equal(fit_at(FRI, 0, 0, 5, 1439), POLICY_YES);
    assert_int_equal(fit_at(FRI, 0, 0, 6, 0), POLICY_NO);
    assert_int_equal(fit_at(0, MORNING, NIGHT, 1, MORNING), POLICY_YES);
    assert_int_equal(fit_at(0, MORNING, NIGHT, 1, NIGHT), POLICY_NO);
    assert_int_equal(fit_at(0, MORNING, NIGHT, 1, MORNING - 1), POLICY_NO);
    /* a night that begins on Friday ends on Saturday */
    assert_int_equal(fit_at(FRI, NIGHT, MORNING, 5, NIGHT), POLICY_YES);
    assert_int_equal(fit_at(FRI, NIGHT, MORNING, 6, MORNING - 1), POLICY_YES);
    assert_int_equal(fit_at(FRI, NIGHT, MORNING, 6, MORNING), POLICY_NO);
    assert_int_equal(fit_at(FRI, NIGHT, MORNING, 5, MORNING - 1), POLICY_NO); /* Thursday's */
    assert_int_equal(fit_at(FRI, NIGHT, MORNING, 6, NIGHT), POLICY_NO);
    assert_int_equal(fit_at(1 << 6, NIGHT, MORNING, 0, 0), POLICY_YES); /* over the week's end */
    assert_int_equal(fit_at(SUN, NIGHT, MORNING, 0, 0), POLICY_NO);
}

static void local_time(void **state)
{
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    /* 2026-11-30 23:30 UTC, a Monday: Tuesday there */
    struct policy_time time = policy_time_of(UINT64_C(1796081400) * USEC_PER_SEC);
    assert_int_equal(time.weekday, 2);
    assert_int_equal(time.minute, 30);
    unsetenv("TZ");
    tzset();
}

static void names_cards_and_networks(void **state)
{
    const struct policy_time any = {0};
    cleanup_policy struct policy *policy = policy_new();
    struct policy_rule *rule = policy_find_or_add(policy, "r", 1);
    assert_ptr_equal(policy_find_or_add(policy, "r", 2), rule);
    assert_true(policy_add_pattern(policy, rule, POLICY_NODE, "db*"));
    assert_int_equal(fit(rule, NULL, NULL, any), POLICY_NO);
    assert_true(policy_add_pattern(policy, rule, POLICY_NODE, "web[0-9]")); /* one is enough */
    assert_int_equal(fit(rule, NULL, NULL, any), POLICY_YES);
    struct mac_prefix prefix;
    assert_int_equal(mac_prefix_parse("52:54:01", &prefix), 0);
    assert_true(policy_add_prefix(policy, rule, &prefix));
    assert_int_equal(fit(rule, NULL, NULL, any), POLICY_NO);
    assert_int_equal(mac_prefix_parse("52:54:00", &prefix), 0);
    assert_true(policy_add_prefix(policy, rule, &prefix));
    assert_int_equal(fit(rule, NULL, NULL, any), POLICY_YES);
    struct source source;
    assert_int_equal(source_parse("10.0.0.0/24", &source), 0);
    assert_true(policy_add_source(policy, rule, &source));
    assert_int_equal(fit(rule, NULL, NULL, any), POLICY_UNTOLD);
    assert_int_equal(fit(rule, NULL, "10.0.0.7:1", any), POLICY_YES);
    assert_int_equal(fit(rule, NULL, "10.0.1.7:1", any), POLICY_NO);
    assert_true(policy_add_pattern(policy, rule, POLICY_GROUP, "other"));
    assert_int_equal(fit(rule, NULL, "10.0.0.7:1", any), POLICY_NO);
}

static void what_a_machine_says(void **state)
{
    const struct policy_time any = {0};
    const struct facts small = {.architecture = "x86_64", .firmware = "efi", .memory = 4ULL << 30};
    const struct facts large = {.architecture = "x86_64", .firmware = "efi", .memory = 64ULL << 30};
    const struct facts silent = {.architecture = "x86_64", .firmware = "efi"};
    cleanup_policy struct policy *policy = policy_new();
    struct policy_rule *rule = policy_find_or_add(policy, "r", 1);
    assert_true(policy_add_pattern(policy, rule, POLICY_FIRMWARE, "efi"));
    assert_int_equal(fit(rule, NULL, NULL, any), POLICY_UNTOLD);
    assert_int_equal(fit(rule, &silent, NULL, any), POLICY_YES);
    rule->memory_min = 8ULL << 30;
    assert_int_equal(fit(rule, &small, NULL, any), POLICY_NO);
    assert_int_equal(fit(rule, &large, NULL, any), POLICY_YES);
    assert_int_equal(fit(rule, &silent, NULL, any), POLICY_NO);
    rule->memory_max = 32ULL << 30;
    assert_int_equal(fit(rule, &large, NULL, any), POLICY_NO);
    assert_true(policy_add_pattern(policy, rule, POLICY_ARCHITECTURE, "arm64"));
    rule->memory_max = 0;
    assert_int_equal(fit(rule, &large, NULL, any), POLICY_NO);
}

static void a_reader_keeps_what_it_looks_at(void **state)
{
    struct policy_slot *slot = policy_slot_new();
    struct policy *old = policy_new(), *fresh = policy_new();
    assert_non_null(policy_find_or_add(old, "old", 1));
    policy_slot_set(slot, old);
    policy_unref(old);
    cleanup_policy struct policy *held = policy_slot_get(slot);
    policy_slot_set(slot, fresh);
    policy_unref(fresh);
    assert_string_equal(held->rules[0].name, "old");
    cleanup_policy struct policy *now = policy_slot_get(slot);
    assert_int_equal(now->count, 0);
    policy_slot_free(slot);
    assert_null(policy_slot_get(NULL));
}

static void there_is_an_end_to_rules(void **state)
{
    cleanup_policy struct policy *policy = policy_new();
    char name[32];
    for (unsigned i = 0; i <= POLICY_MAX_RULES; i++) {
        snprintf(name, sizeof(name), "r%u", i);
        assert_int_equal(policy_find_or_add(policy, name, i) != NULL, i < POLICY_MAX_RULES);
    }
    assert_string_equal(policy->rules[77].name, "r77");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(days_and_hours),
        TEST(local_time),
        TEST(names_cards_and_networks),
        TEST(what_a_machine_says),
        TEST(a_reader_keeps_what_it_looks_at),
        TEST(there_is_an_end_to_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
