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
        "novalue", "=x",     "a b=x",
        "\x80=x",  "a\nb=x", "a123456789012345678901234567890123456789012345678901234567890123=x"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char text[128];
        size_t cursor = 0;
        const char *key, *value;
        str_copy(text, sizeof(text), bad[i]);
        assert_int_equal(iscsi_text_next(text, strlen(text), &cursor, &key, &value), -EINVAL);
    }
}

static void the_longest_key(void **state)
{
    static const char key[] = "a12345678901234567890123456789012345678901234567890123456789012";
    char text[128];
    size_t cursor = 0;
    const char *got, *value;
    _Static_assert(sizeof(key) - 1 == ISCSI_KEY_MAX, "RFC 7143 6.1");
    snprintf(text, sizeof(text), "%s=x", key);
    assert_int_equal(iscsi_text_next(text, strlen(text), &cursor, &got, &value), 1);
    assert_string_equal(got, key);
}

static void numbers(void **state)
{
    uint32_t n;
    assert_int_equal(iscsi_text_number("262144", &n), 0);
    assert_int_equal(n, 262144);
    assert_int_equal(iscsi_text_number("0x1F", &n), 0);
    assert_int_equal(n, 31);
    assert_int_equal(iscsi_text_number("4294967295", &n), 0);
    assert_true(n == UINT32_MAX);
    assert_int_equal(iscsi_text_number("010", &n), 0); /* there are no octal ones */
    assert_int_equal(n, 10);
    errno = ERANGE; /* somebody else's */
    assert_int_equal(iscsi_text_number("0Xa", &n), 0);
    assert_int_equal(n, 10);
    static const char *const bad[] = {"",           "-1",  " 1",  "1 ", "0x",
                                      "4294967296", "1.5", "0xg", "+1", "18446744073709551617"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(iscsi_text_number(bad[i], &n), -EINVAL);
}

static void an_answer_that_does_not_fit_is_noticed(void **state)
{
    char buffer[9] = {[8] = 'x'};
    for (size_t size = 0; size < 8; size++) {
        struct iscsi_text none = {.data = buffer, .size = size};
        iscsi_text_add(&none, "Key", "val");
        assert_true(none.overflow);
        assert_int_equal(none.used, 0);
    }
    struct iscsi_text text = {.data = buffer, .size = 8};
    iscsi_text_add(&text, "Key", "val");
    assert_false(text.overflow);
    iscsi_text_add(&text, "K", "");
    assert_true(text.overflow);
    assert_int_equal(text.used, 8);
    assert_string_equal(buffer, "Key=val");
    assert_int_equal(buffer[8], 'x');
}

static void a_buffer_with_a_limit_grows_up_to_it(void **state)
{
    struct iscsi_text text = {.limit = 24};
    iscsi_text_add(&text, "Key", "val");
    assert_int_equal(text.used, 8);
    iscsi_text_add(&text, "K", "abcdefghijklm");
    assert_false(text.overflow);
    assert_int_equal(text.used, 24);
    assert_memory_equal(text.data, "Key=val\0K=abcdefghijklm", 24);
    iscsi_text_add(&text, "K", "");
    assert_true(text.overflow);
    assert_int_equal(text.used, 24);
    free(text.data);
}

static void formatted_values(void **state)
{
    char buffer[2048];
    struct iscsi_text text = {.data = buffer, .size = sizeof(buffer)};
    iscsi_text_addf(&text, "K", "%0*d", 1023, 7);
    assert_false(text.overflow);
    assert_int_equal(text.used, 2 + 1023 + 1);
    iscsi_text_addf(&text, "K", "%0*d", 1024, 7); /* longer than any value may be */
    assert_true(text.overflow);
    assert_int_equal(text.used, 2 + 1023 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pairs_are_taken_apart),
        TEST(what_is_no_pair_is_refused),
        TEST(the_longest_key),
        TEST(numbers),
        TEST(an_answer_that_does_not_fit_is_noticed),
        TEST(a_buffer_with_a_limit_grows_up_to_it),
        TEST(formatted_values),
    };
    return RUN_TESTS(tests);
}
