#include "test.h"

#include "server/warn_free.h"

#include <errno.h>

static void parts_sizes_and_nothing(void **state)
{
    static const struct {
        const char *text;
        struct warn_free warn;
    } good[] = {
        {"10%", {.percent = 10}},  {"0%", {0}},
        {"99%", {.percent = 99}},  {"0", {0}},
        {"05%", {.percent = 5}},   {"20G", {.bytes = 20 * GIB}},
        {"4096", {.bytes = 4096}},
    };
    static const char *const bad[] = {"",     "%", "100%", "10 %", "-1%", "10%%",
                                      "1.5%", "x", "10%G", "-1",   "ten"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct warn_free warn = {1, 1};
        assert_int_equal(warn_free_parse(good[i].text, &warn), 0);
        assert_int_equal(warn.percent, good[i].warn.percent);
        assert_true(warn.bytes == good[i].warn.bytes);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct warn_free warn = {1, 1};
        assert_int_equal(warn_free_parse(bad[i], &warn), -EINVAL);
        assert_int_equal(warn.percent, 1);
    }
}

static void the_threshold_of_a_file_system(void **state)
{
    assert_true(warn_free_threshold(&(struct warn_free){.percent = 10}, 1000) == 100);
    assert_true(warn_free_threshold(&(struct warn_free){.percent = 99}, UINT64_MAX) ==
                UINT64_MAX / 100 * 99);
    assert_true(warn_free_threshold(&(struct warn_free){.bytes = 7}, 1000) == 7);
    assert_true(warn_free_threshold(&(struct warn_free){0}, 1000) == 0);
}

static void it_ends_with_a_tenth_more(void **state)
{
    assert_false(warn_free_is_low(false, 1000, 1000));
    assert_true(warn_free_is_low(false, 999, 1000));
    assert_true(warn_free_is_low(true, 1000, 1000));
    assert_true(warn_free_is_low(true, 1099, 1000));
    assert_false(warn_free_is_low(true, 1100, 1000));
    assert_false(warn_free_is_low(false, 1050, 1000));
    assert_false(warn_free_is_low(false, 0, 0)); /* nobody is to be warned */
    assert_false(warn_free_is_low(true, 0, 0));
}

static void a_threshold_stays_while_little_changes(void **state)
{
    assert_true(warn_free_follow(1000, 1100) == 1000);
    assert_true(warn_free_follow(1000, 900) == 1000);
    assert_true(warn_free_follow(1000, 1101) == 1101);
    assert_true(warn_free_follow(1000, 899) == 899);
    assert_true(warn_free_follow(1000, 0) == 0);
    assert_true(warn_free_follow(0, 1) == 1);
    assert_true(warn_free_follow(0, 0) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_sizes_and_nothing),
        cmocka_unit_test(the_threshold_of_a_file_system),
        cmocka_unit_test(it_ends_with_a_tenth_more),
        cmocka_unit_test(a_threshold_stays_while_little_changes),
    };
    return RUN_TESTS(tests);
}
