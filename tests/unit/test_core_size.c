#include "test.h"

#include "core/size.h"

#include <errno.h>

static void reads_what_people_write(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {{"0", 0},           {"512", 512},    {"512b", 512},     {"10G", 10 * GIB},
                 {"10g", 10 * GIB},  {"1GiB", GIB},   {"1GB", GIB},      {"4K", 4096},
                 {"1T", 1024 * GIB}, {"2M", 2 * MIB}, {"1P", GIB * MIB}, {"1kib", 1024}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t bytes = 0;
        if (size_parse(cases[i].text, &bytes) < 0 || bytes != cases[i].bytes)
            fail_msg("'%s' gave %llu", cases[i].text, (unsigned long long)bytes);
    }
    static const char *const bad[] = {"",    "G",  "-1",  "+1",   " 1",
                                      "1 G", "1x", "1Gx", "1.5G", "0x10"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        uint64_t bytes;
        if (size_parse(bad[i], &bytes) != -EINVAL)
            fail_msg("'%s' should be refused", bad[i]);
    }
    uint64_t bytes;
    assert_int_equal(size_parse("9000000000000000000000", &bytes), -ERANGE);
    assert_int_equal(size_parse("9000P", &bytes), -ERANGE);
}

static void writes_what_people_read(void **state)
{
    char text[SIZE_TEXT_SIZE];
    assert_string_equal(size_format(0, text), "0 B");
    assert_string_equal(size_format(1023, text), "1023 B");
    assert_string_equal(size_format(10 * GIB, text), "10 GiB");
    assert_string_equal(size_format(3 * GIB / 2, text), "1.5 GiB");
    assert_string_equal(size_format(UINT64_MAX, text), "16383 PiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(reads_what_people_write),
                                       TEST(writes_what_people_read)};
    return RUN_TESTS(tests);
}
