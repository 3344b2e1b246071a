#include "test.h"

#include "hooks/answer.h"

#include <errno.h>

static struct hook_answer answer;
static struct error error;

static int parse(const char *text)
{
    return hook_answer_parse(text, &answer, &error);
}

static void lines_are_taken(void **state)
{
    assert_int_equal(parse("# why\n\n boot=menu\r\nreason=it is = night \n"), 0);
    assert_string_equal(hook_answer_get(&answer, "boot"), "menu");
    assert_string_equal(hook_answer_get(&answer, "reason"), "it is = night");
    assert_null(hook_answer_get(&answer, "power"));
}

static void json_is_taken(void **state)
{
    assert_int_equal(parse("\n {\"boot\": \"menu\", \"times\": 3, \"once\": true, \"x\": null}"),
                     0);
    assert_string_equal(hook_answer_get(&answer, "boot"), "menu");
    assert_string_equal(hook_answer_get(&answer, "times"), "3");
    assert_string_equal(hook_answer_get(&answer, "once"), "true");
    assert_int_equal(answer.count, 3);
}

static void nothing_is_no_opinion(void **state)
{
    const char *const nothing[] = {"", "\n\n", "# only a comment\n", "{}", "{\"boot\": null}"};
    for (size_t i = 0; i < ARRAY_SIZE(nothing); i++) {
        assert_int_equal(parse(nothing[i]), 0);
        assert_true(hook_answer_is_empty(&answer));
    }
}

static void a_script_is_one(void **state)
{
    assert_int_equal(parse("#!ipxe\nboot=menu\n"), 0);
    assert_true(answer.is_script && answer.count == 0 && !hook_answer_is_empty(&answer));
}

static void nonsense_is_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } wrong[] = {
        {"menu\n", "neither KEY=VALUE"},
        {"=x\n", "neither KEY=VALUE"},
        {"Boot=menu\n", "neither KEY=VALUE"},
        {"boot=a\nboot=b\n", "'boot' twice"},
        {"boot=\x1b[2J\n", "no text"},
        {"boot=\xff\n", "no text"},
        {"{\"boot\": [1]}", "no text, number"},
        {"{\"boot\": {\"a\": {}}}", "no JSON object"},
        {"{\"boot\": \"a\"", "no JSON object"},
        {"{\"a\":1,\"a\":2}", "no JSON object"},
        {"a=1\nb=1\nc=1\nd=1\ne=1\nf=1\ng=1\nh=1\ni=1\nj=1\nk=1\nl=1\nm=1\nn=1\no=1\np=1\nq=1\n",
         "more than 16"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_int_equal(parse(wrong[i].text), -EINVAL);
        assert_contains(error.text, wrong[i].why);
    }
}

static void keys_that_nobody_asked_for_are_refused(void **state)
{
    static const char *const keys[] = {"boot", "reason", NULL};
    assert_int_equal(parse("boot=a\nreason=b\n"), 0);
    assert_int_equal(hook_answer_check_keys(&answer, keys, &error), 0);
    assert_int_equal(parse("boot=a\npower=on\n"), 0);
    assert_int_equal(hook_answer_check_keys(&answer, keys, &error), -EINVAL);
    assert_contains(error.text, "'power'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_are_taken),       TEST(json_is_taken),
        TEST(nothing_is_no_opinion), TEST(a_script_is_one),
        TEST(nonsense_is_refused),   TEST(keys_that_nobody_asked_for_are_refused),
    };
    return RUN_TESTS(tests);
}
