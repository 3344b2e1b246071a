#include "test.h"

#include "core/answer.h"

#include <errno.h>

static void formats_have_names(void **state)
{
    enum answer_format format;
    for (int i = 0; i < ANSWER_FORMATS; i++) {
        assert_int_equal(answer_format_parse(answer_format_name(i), &format), 0);
        assert_int_equal(format, i);
    }
    assert_int_equal(answer_format_parse("yaml", &format), -EINVAL);
    assert_string_equal(answer_format_file(ANSWER_PRESEED), "preseed.cfg");
    assert_string_equal(answer_format_file(ANSWER_AUTOINSTALL), "user-data");
    assert_string_equal(answer_format_file(ANSWER_KICKSTART), "ks.cfg");
}

/* Nothing that could end a line, a string or a command goes anywhere. */
static void hostile_values_are_refused_everywhere(void **state)
{
    static const char *const hostile[] = {
        "a\nd-i preseed/late_command string reboot",
        "a\r",
        "a'; reboot; '",
        "a\"",
        "a\\",
        "`reboot`",
        "$(reboot)",
        "a;reboot",
        "a|b",
        "a&b",
        "a#b",
        "{{node}}",
        "%include <x>",
        "a\tb",
        " a",
        "a ",
        "a\x1b[2J",
        "\xc3\xa4",
        "!x",
        "a*",
        "?",
        "^",
    };
    for (size_t i = 0; i < ARRAY_SIZE(hostile); i++)
        for (int format = 0; format < ANSWER_FORMATS; format++)
            for (int quoted = 0; quoted < 2; quoted++)
                if (answer_value_fits(format, hostile[i], quoted))
                    fail_msg("'%s' goes into %s", hostile[i], answer_format_name(format));
    char longest[ANSWER_MAX_VALUE + 2] = "";
    memset(longest, 'a', ANSWER_MAX_VALUE);
    assert_true(answer_value_is_valid(longest));
    longest[ANSWER_MAX_VALUE] = 'a';
    assert_false(answer_value_is_valid(longest));
}

static void ordinary_values_go_in(void **state)
{
    static const char *const good[] = {"web1",
                                       "10.0.0.1:8000",
                                       "/debian",
                                       "http://10.0.0.1:3128/",
                                       "http://[fd77::1]:80/x",
                                       "$6$salt$Abc./x",
                                       "Etc/UTC",
                                       "en_US.UTF-8",
                                       ""};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(answer_value_fits(ANSWER_PRESEED, good[i], false) &&
                    answer_value_fits(ANSWER_KICKSTART, good[i], false) &&
                    answer_value_fits(ANSWER_AUTOINSTALL, good[i], true));
    assert_true(answer_value_fits(ANSWER_AUTOINSTALL, "$6$salt$Abc./x", false));
    assert_true(answer_value_fits(ANSWER_AUTOINSTALL, "http://10.0.0.1/x", false));
}

static void a_word_of_a_kickstart_stays_one(void **state)
{
    static const char key[] = "ssh-ed25519 AAAA+/= me@host";
    assert_false(answer_value_fits(ANSWER_KICKSTART, key, false));
    assert_true(answer_value_fits(ANSWER_KICKSTART, key, true));
    assert_true(answer_value_fits(ANSWER_PRESEED, key, false));
    assert_true(answer_value_fits(ANSWER_AUTOINSTALL, key, false));
    assert_false(answer_value_fits(ANSWER_KICKSTART, "--lock", false));
    assert_false(answer_value_fits(ANSWER_KICKSTART, "%end", false));
    assert_false(answer_value_fits(ANSWER_KICKSTART, "@core", false));
}

static void a_scalar_of_yaml_stays_one(void **state)
{
    static const char *const not_plain[] = {"a: b", "a:", "[a", "a]", "a,b", "-a", "- a",
                                            "%a",   "@a", "~",  "=",  ":a",  "",   ",a"};
    for (size_t i = 0; i < ARRAY_SIZE(not_plain); i++) {
        if (answer_value_fits(ANSWER_AUTOINSTALL, not_plain[i], false))
            fail_msg("'%s' goes bare into YAML", not_plain[i]);
        assert_true(answer_value_fits(ANSWER_AUTOINSTALL, not_plain[i], true));
    }
}

static void names_have_few_characters(void **state)
{
    assert_true(answer_name_is_valid("mirror-host2"));
    assert_false(answer_name_is_valid(""));
    assert_false(answer_name_is_valid("A"));
    assert_false(answer_name_is_valid("a_b"));
    assert_false(answer_name_is_valid("a b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(formats_have_names),         TEST(hostile_values_are_refused_everywhere),
        TEST(ordinary_values_go_in),      TEST(a_word_of_a_kickstart_stays_one),
        TEST(a_scalar_of_yaml_stays_one), TEST(names_have_few_characters),
    };
    return RUN_TESTS(tests);
}
