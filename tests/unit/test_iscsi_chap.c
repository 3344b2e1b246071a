#include "test.h"

#include "iscsi/chap.h"

#include <errno.h>

/* Computed with Python's hashlib. */
static void responses_of_every_algorithm(void **state)
{
    static const struct {
        enum chap_algorithm algorithm;
        const char *response;
    } cases[] = {
        {CHAP_MD5, "0x7efffe0f324cdaeb9442b9216e36d904"},
        {CHAP_SHA1, "0xf960d1db12d99fa70d7120fdb7368a2226f7ca0b"},
        {CHAP_SHA256, "0x27750b3c27f8f918a878a6e96ac6ba3778f21ad55a7cd93fbd1424ab63cbe87b"},
        {CHAP_SHA3_256, "0x983c8a268420313515d40186ac94b8c2146173a611c48d1fa21af77a5fe8f0cd"},
    };
    uint8_t challenge[16], expected[CHAP_BINARY_MAX], response[CHAP_HASH_MAX];
    for (size_t i = 0; i < sizeof(challenge); i++)
        challenge[i] = (uint8_t)i;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t size;
        assert_int_equal(chap_decode(cases[i].response, expected, &size), 0);
        assert_int_equal(chap_hash_size(cases[i].algorithm), size);
        chap_respond(cases[i].algorithm, 0x2a, "correct horse battery", challenge,
                     sizeof(challenge), response);
        assert_memory_equal(response, expected, size);
    }
}

static void the_first_algorithm_that_we_know(void **state)
{
    static const struct {
        const char *list;
        enum chap_algorithm algorithm;
    } cases[] = {{"5", CHAP_MD5},       {"8,7,6,5", CHAP_SHA3_256},
                 {"5,8", CHAP_MD5},     {"0x7", CHAP_SHA256},
                 {"1,,9,6", CHAP_SHA1}, {"99999999999999999999,5", CHAP_MD5}};
    static const char *const none[] = {"", "0", "4", "9", "MD5", ",", "5 ", "-5", "None"};
    enum chap_algorithm algorithm;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(chap_choose_algorithm(cases[i].list, &algorithm), 0);
        assert_int_equal(algorithm, cases[i].algorithm);
    }
    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        assert_int_equal(chap_choose_algorithm(none[i], &algorithm), -EINVAL);
}

static void binary_values_are_read(void **state)
{
    static const struct {
        const char *value;
        size_t size;
        uint8_t data[8];
    } cases[] = {
        {"0x00", 1, {0}},
        {"0xfF01", 2, {0xff, 0x01}},
        {"0XFF01", 2, {0xff, 0x01}},
        {"0xf01", 2, {0x0f, 0x01}},
        {"0x1", 1, {1}},
        {"0bTWFu", 3, {'M', 'a', 'n'}},
        {"0BTWE=", 2, {'M', 'a'}},
        {"0bTQ==", 1, {'M'}},
        {"0b+/8=", 2, {0xfb, 0xff}},
    };
    uint8_t data[CHAP_BINARY_MAX];
    size_t size;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(chap_decode(cases[i].value, data, &size), 0);
        assert_int_equal(size, cases[i].size);
        assert_memory_equal(data, cases[i].data, size);
    }
}

static void what_is_no_binary_value(void **state)
{
    static const char *const bad[] = {
        "",     "0",    "0x",    "0b",  "ff",         "1x00",   "0xg0",   "0x0 ",
        "0o17", "0bTQ", "0bTQ=", "0b=", "0bTQ==TQ==", "0b\x80", "0bT!Fu", "0x-1"};
    uint8_t data[CHAP_BINARY_MAX];
    size_t size;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (chap_decode(bad[i], data, &size) != -EINVAL)
            fail_msg("'%s' should be refused", bad[i]);
}

static void the_longest_binary_values(void **state)
{
    static char value[4096];
    uint8_t data[CHAP_BINARY_MAX];
    size_t size;
    for (size_t digits = 2047; digits <= 2048; digits++) {
        snprintf(value, sizeof(value), "0x%0*u", (int)digits, 7);
        assert_int_equal(chap_decode(value, data, &size), 0);
        assert_int_equal(size, 1024);
        assert_int_equal(data[1023], 7);
    }
    snprintf(value, sizeof(value), "0x%02049u", 7);
    assert_int_equal(chap_decode(value, data, &size), -EINVAL);
    memset(value, 'A', sizeof(value)); /* 1366 digits and two marks: 1024 bytes */
    memcpy(value, "0b", 2);
    memcpy(value + 2 + 1366, "==", 3);
    assert_int_equal(chap_decode(value, data, &size), 0);
    assert_int_equal(size, 1024);
    memcpy(value + 2 + 1366, "A=", 3);
    assert_int_equal(chap_decode(value, data, &size), -EINVAL);
    memset(value + 2, 'A', sizeof(value) - 3);
    value[sizeof(value) - 1] = '\0';
    assert_int_equal(chap_decode(value, data, &size), -EINVAL);
}

static void binary_values_are_written(void **state)
{
    char buffer[2100];
    uint8_t data[CHAP_BINARY_MAX] = {0, 0x7f, 0xff}, again[CHAP_BINARY_MAX];
    struct iscsi_text text = {.data = buffer, .size = sizeof(buffer)};
    size_t size;
    chap_add_binary(&text, "CHAP_C", data, 3);
    assert_string_equal(buffer, "CHAP_C=0x007fff");
    text.used = 0;
    chap_add_binary(&text, "CHAP_C", data, sizeof(data));
    assert_false(text.overflow);
    assert_int_equal(chap_decode(buffer + 7, again, &size), 0);
    assert_int_equal(size, sizeof(data));
    assert_memory_equal(again, data, size);
}

static void hashes_are_compared_whole(void **state)
{
    uint8_t a[32] = {0}, b[32] = {0};
    assert_true(chap_same(a, b, sizeof(a)));
    for (size_t i = 0; i < sizeof(a); i++) {
        b[i] = 0x80;
        assert_false(chap_same(a, b, sizeof(a)));
        b[i] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(responses_of_every_algorithm), TEST(the_first_algorithm_that_we_know),
        TEST(binary_values_are_read),       TEST(what_is_no_binary_value),
        TEST(the_longest_binary_values),    TEST(binary_values_are_written),
        TEST(hashes_are_compared_whole),
    };
    return RUN_TESTS(tests);
}
