#include "test.h"

#include "server/policy_rules.h"

static const char *take(struct policy *policy, const char *key, const char *value)
{
    enum rule_part ignored;
    return policy_rules_take(policy, "night", 7, key, value, &ignored);
}

static void what_is_right_is_taken(void **state)
{
    cleanup_policy struct policy *policy = policy_new();
    assert_null(take(policy, "boot", "rescue"));
    assert_null(take(policy, "days", "fri-mon wednesday"));
    assert_null(take(policy, "hours", "22:00-6:30"));
    assert_null(take(policy, "group", "lab, web*"));
    assert_null(take(policy, "network", "10.0.0.0/24 2001:db8::/32"));
    assert_null(take(policy, "mac-prefix", "52:54:00"));
    assert_null(take(policy, "firmware", "uefi"));
    assert_null(take(policy, "product", "PowerEdge R640"));
    assert_null(take(policy, "product", "PowerEdge R740"));
    assert_null(take(policy, "memory-min", "8G"));
    const struct policy_rule *rule = &policy->rules[0];
    assert_null(policy_rules_check(rule));
    assert_int_equal(policy->count, 1);
    assert_int_equal(rule->line, 7);
    assert_int_equal(rule->target.kind, BOOT_TARGET_ENTRY);
    assert_string_equal(rule->target.name, "rescue");
    assert_int_equal(rule->days, 0x6b); /* Sun, Mon, Wed, Fri, Sat */
    assert_int_equal(rule->begins, 22 * 60);
    assert_int_equal(rule->ends, 6 * 60 + 30);
    assert_string_equal(rule->patterns[POLICY_PRODUCT]->text, "PowerEdge R740");
    assert_string_equal(rule->patterns[POLICY_PRODUCT]->next->text, "PowerEdge R640");
    assert_string_equal(rule->patterns[POLICY_FIRMWARE]->text, "efi");
    assert_true(rule->memory_min == 8ULL << 30);
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *key, *value, *told;
    } wrong[] = {
        {"boot", "Rescue Me", "must be volume, local"},
        {"days", "someday", "days of the week"},
        {"days", "mon-", "days of the week"},
        {"days", "-mon", "days of the week"},
        {"days", "su", "days of the week"},
        {"days", "mond", "days of the week"},
        {"days", ",", "is empty"},
        {"hours", "22-6", "time of the day"},
        {"hours", "22:00", "time of the day"},
        {"hours", "25:00-26:00", "time of the day"},
        {"hours", "10:60-11:00", "time of the day"},
        {"hours", "10:00-10:00", "time of the day"},
        {"hours", "24:00-10:00", "time of the day"},
        {"hours", "1:00-2:00x", "time of the day"},
        {"network", "10.0.0.1/24", "networks or addresses"},
        {"network", "node", "networks or addresses"},
        {"mac-prefix", "5", "beginning of a MAC"},
        {"firmware", "coreboot", "bios or uefi"},
        {"memory-min", "0", "must be a size"},
        {"memory-max", "much", "must be a size"},
        {"product", "", "is empty"},
        {"colour", "red", "no such key"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        cleanup_policy struct policy *policy = policy_new();
        const char *told = take(policy, wrong[i].key, wrong[i].value);
        assert_non_null(told);
        assert_non_null(strstr(told, wrong[i].told));
    }
}

static void a_whole_day_and_midnight(void **state)
{
    cleanup_policy struct policy *policy = policy_new();
    assert_null(take(policy, "hours", "18:00-24:00"));
    assert_int_equal(policy->rules[0].ends, 1440);
}

static void a_rule_is_looked_at_as_a_whole(void **state)
{
    enum rule_part subject;
    cleanup_policy struct policy *policy = policy_new();
    assert_null(take(policy, "memory-min", "8G"));
    assert_non_null(strstr(policy_rules_check(&policy->rules[0]), "boot: is not set"));
    assert_null(take(policy, "boot", "local"));
    assert_non_null(strstr(take(policy, "boot", "menu"), "is set twice"));
    assert_null(take(policy, "memory-max", "4G"));
    assert_non_null(strstr(policy_rules_check(&policy->rules[0]), "less than memory-min"));
    assert_non_null(policy_rules_take(policy, "Bad Name", 1, "boot", "menu", &subject));
    assert_int_equal(subject, RULE_SECTION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_right_is_taken),
        TEST(what_is_wrong_is_told),
        TEST(a_whole_day_and_midnight),
        TEST(a_rule_is_looked_at_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
