#include "test.h"

#include "iscsi/text.h"

#include <errno.h>

static void pairs_are_taken_apart(void **state)
{
    char text[] = "A=1\0\0B=\0C=x=y\0";
    size_t cursor = 0;
    const char *key, *value;
    assert_int_equal(iscsi_text_next(text, sizeof(text) - 1, &cursor, &key, &value), 1);
    assert_string_equal(key, "A");
    assert_string_equal(value, "1");
    assert_int_equal(iscsi_text_next(text, sizeof(text) - 1, &cursor, &key, &value), 1);
    assert_string_equal(key, "B");
    assert_string_equal(value, "");
    assert_int_equal(iscsi_text_next(text, sizeof(text) - 1, &cursor, &key, &value), 1);
    assert_string_equal(value, "x=y");
    assert_int_equal(iscsi_text_next(text, sizeof(text) - 1, &cursor, &key, &value), 0);
}

static void what_is_no_pair_is_refused(void **state)
{
    static const char *const bad[] = {
        "novalue", "=x", "a123456789012345678901234567890123456789012345678901234567890123=x"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char text[128];
        size_t cursor = 0;
        const char *key, *value;
        str_copy(text, sizeof(text), bad[i]);
        assert_int_equal(iscsi_text_next(text, strlen(text), &cursor, &key, &value), -EINVAL);
    }
}

static void numbers(void **state)
{
    uint32_t n;
    assert_int_equal(iscsi_text_number("262144", &n), 0);
    assert_int_equal(n, 262144);
    assert_int_equal(iscsi_text_number("0x1F", &n), 0);
    assert_int_equal(n, 31);
    assert_int_equal(iscsi_text_number("4294967295", &n), 0);
    static const char *const bad[] = {"", "-1", " 1", "1 ", "0x", "4294967296", "1.5", "0xg", "+1"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(iscsi_text_number(bad[i], &n), -EINVAL);
}

static void an_answer_that_does_not_fit_is_noticed(void **state)
{
    char buffer[8];
    struct iscsi_text text = {.data = buffer, .size = sizeof(buffer)};
    iscsi_text_add(&text, "Key", "val");
    assert_false(text.overflow);
    iscsi_text_add(&text, "K", "");
    assert_true(text.overflow);
    assert_int_equal(text.used, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pairs_are_taken_apart),
        TEST(what_is_no_pair_is_refused),
        TEST(numbers),
        TEST(an_answer_that_does_not_fit_is_noticed),
    };
    return RUN_TESTS(tests);
}
