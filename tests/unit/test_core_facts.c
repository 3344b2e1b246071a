#include "test.h"

#include "core/facts.h"

#include <ctype.h>

/* "key=value" in turn, NULL at the end. */
static const char *value_of(void *context, const char *key)
{
    for (const char *const *pair = context; *pair; pair++)
        if (strncmp(*pair, key, strlen(key)) == 0 && (*pair)[strlen(key)] == '=')
            return *pair + strlen(key) + 1;
    return NULL;
}

#define READ(facts, ...) facts_read(value_of, (void *)(const char *[]){__VA_ARGS__, NULL}, facts)

static void nothing_is_told_without_a_uuid(void **state)
{
    struct facts f;
    assert_false(READ(&f, "product=41"));
    assert_true(READ(&f, "uuid="));
    assert_string_equal(f.uuid, "");
}

static void all_of_it_is_read(void **state)
{
    struct facts f;
    assert_true(READ(&f, "uuid=4C4C4544-0058-4B10-8032-C7C04F4A3231", "manufacturer=44656c6c",
                     "product=522644203634302020", "serial=53c3b6hn", "card=69373130",
                     "arch=x86_64", "firmware=efi", "memory=00000000ffff1f00---", "ranges=---"));
    assert_string_equal(f.uuid, "4c4c4544-0058-4b10-8032-c7c04f4a3231");
    assert_string_equal(f.manufacturer, "Dell");
    assert_string_equal(f.product, "R&D 640");
    assert_string_equal(f.serial, "S\xc3\xb6");
    assert_string_equal(f.card, "i710");
    assert_string_equal(f.architecture, "x86_64");
    assert_string_equal(f.firmware, "efi");
    assert_int_equal(f.memory, 2 * GIB);
}

static void what_makes_no_sense_is_left_out(void **state)
{
    struct facts f;
    assert_true(READ(&f, "uuid=4c4c4544_0058-4b10-8032-c7c04f4a3231", "product=zz", "arch=X86",
                     "firmware=a-word-that-is-too-long", "memory=nonsense", "ranges=1"));
    assert_string_equal(f.uuid, "");
    assert_string_equal(f.product, "");
    assert_string_equal(f.architecture, "");
    assert_string_equal(f.firmware, "");
    assert_int_equal(f.memory, 0);
}

static void memory_may_be_large_and_in_pieces(void **state)
{
    static const struct {
        const char *memory, *ranges;
        uint64_t bytes;
    } cases[] = {
        {"00000000ffff2f00-00004000ffff4f00--", "---", 4 * GIB},
        {"ffffffffffffffff---", "0000000000000000ffffffffff000000---", 1024 * GIB},
        {"ffffffffffffffff---", "---", 0},
        {"ffffffff00000000-00000000ffff0f00--", "ff-", GIB},
        {"0000010000000000---", "---", 0},
        {"----------", "----------", 0},
        {"00000000ffff0f0", "", 0},
        {"ffffffffffffffff---", "0000000000000000ffffffffffffffff---", 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char memory[128], ranges[128];
        struct facts f;
        snprintf(memory, sizeof(memory), "memory=%s", cases[i].memory);
        snprintf(ranges, sizeof(ranges), "ranges=%s", cases[i].ranges);
        assert_true(READ(&f, "uuid=", memory, ranges));
        if (f.memory != cases[i].bytes)
            fail_msg("%s gave %llu", memory, (unsigned long long)f.memory);
    }
}

static void nothing_is_left_that_a_terminal_obeys(void **state)
{
    static const struct {
        const char *text, *clean;
    } cases[] = {
        {"a\x1b[2Jb", "a?[2Jb"},
        {"tab\there", "tab?here"},
        {"\x7f\x80\xff", "???"},
        {"\xc2\x9bx", "??x"},         /* CSI in one character */
        {"\xe2\x80\xae", "???"},      /* turns the direction */
        {"\xed\xa0\x80", "???"},      /* half of a pair */
        {"\xc0\xaf", "??"},           /* longer than it need be */
        {"\xf4\x90\x80\x80", "????"}, /* beyond Unicode */
        {"\xe2\x82", "??"},           /* cut */
        {"\xe2\x82\xac 5", "\xe2\x82\xac 5"},
        {"\xf0\x9f\x92\xbe", "\xf0\x9f\x92\xbe"},
        {"end   ", "end"},
        {"", ""},
    };
    char clean[FACTS_TEXT_MAX + 1], small[6];
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        facts_clean(clean, sizeof(clean), cases[i].text, strlen(cases[i].text));
        assert_string_equal(clean, cases[i].clean);
    }
    facts_clean(small, sizeof(small), "abcd\xe2\x82\xac", 7);
    assert_string_equal(small, "abcd"); /* no half of a character */
}

static void uuids_that_many_boards_have_tell_nothing(void **state)
{
    assert_true(facts_uuid_is_unique("4c4c4544-0058-4b10-8032-c7c04f4a3231"));
    assert_false(facts_uuid_is_unique(""));
    assert_false(facts_uuid_is_unique("00000000-0000-0000-0000-000000000000"));
    assert_false(facts_uuid_is_unique("03000200-0400-0500-0006-000700080009"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_told_without_a_uuid),        TEST(all_of_it_is_read),
        TEST(what_makes_no_sense_is_left_out),       TEST(memory_may_be_large_and_in_pieces),
        TEST(nothing_is_left_that_a_terminal_obeys), TEST(uuids_that_many_boards_have_tell_nothing),
    };
    return RUN_TESTS(tests);
}
