#include "test.h"

#include "core/error.h"

#include <errno.h>

static struct error error;

static void a_sentence_with_its_code(void **state)
{
    assert_int_equal(error_set(&error, -EBUSY, "volume '%s' is in use by %d", "v1", 7), -EBUSY);
    assert_int_equal(error.code, -EBUSY);
    assert_string_equal(error.text, "volume 'v1' is in use by 7");
}

static void what_goes_before_it(void **state)
{
    error_set(&error, -ENOENT, "no such file");
    assert_int_equal(error_prefix(&error, "[subnet %s]", "lab"), -ENOENT);
    assert_string_equal(error.text, "[subnet lab]: no such file");
    assert_int_equal(error.code, -ENOENT);
}

static void what_is_too_long_is_cut(void **state)
{
    char text[1000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    error_set(&error, -EIO, "%s", text);
    assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
    error_prefix(&error, "what");
    assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
    assert_true(str_has_prefix(error.text, "what: xxx"));
    for (size_t n = sizeof(error.text) - 5; n < sizeof(error.text) + 2; n++) {
        error_set(&error, -EIO, "tail");
        text[n] = '\0';
        error_prefix(&error, "%s", text);
        text[n] = 'x';
        assert_true(strlen(error.text) < sizeof(error.text));
        assert_true(str_has_prefix(error.text, "xxx"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sentence_with_its_code),
        TEST(what_goes_before_it),
        TEST(what_is_too_long_is_cut),
    };
    return RUN_TESTS(tests);
}
