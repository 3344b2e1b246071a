#include "test.h"

#include "cli/args.h"

#include <errno.h>

static bool is_digit_word(const char *word)
{
    return word[0] >= '0' && word[0] <= '9';
}

static const struct cli_option options[] = {
    {"mac", "MAC", "", true, is_digit_word},
    {"address", "IPV4", ""},
    {"force", NULL, ""},
};

static const struct cli_verb node_verbs[] = {
    {.name = "add", .words = "NAME", .n_words = 1, .options = options, .n_options = 3},
    {.name = "list", .words = ""},
    {.name = "kill", .words = "[ID]", .n_optional = 1},
};

static const struct cli_verb status_verbs[] = {{.name = "", .words = ""}};

static const struct cli_noun nouns[] = {
    {"node", "", node_verbs, 3},
    {"status", "", status_verbs, 1},
};

static struct args args;
static char problem[256];

/* Splits a line at spaces and parses it. */
static int parse(const char *line)
{
    static char copy[512];
    char *argv[32] = {(char *)"nodisk"}, *rest = NULL;
    int argc = 1;
    str_copy(copy, sizeof(copy), line);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    problem[0] = '\0';
    return args_parse(argc, argv, nouns, ARRAY_SIZE(nouns), &args, problem);
}

static void assert_problem(const char *line, const char *words)
{
    if (parse(line) != -EINVAL || !strstr(problem, words))
        fail_msg("'%s' gave '%s' instead of '%s'", line, problem, words);
}

static size_t count(const char *option)
{
    size_t n = 0;
    for (size_t i = 0; i < args.n_values; i++)
        n += str_eq(args.values[i].option->name, option);
    return n;
}

static void words_and_options_in_any_order(void **state)
{
    static const char *const lines[] = {
        "node add web1 --mac 1 --address 10.0.0.1",
        "node add --mac 1 --address 10.0.0.1 web1",
        "node add --mac=1 web1 --address=10.0.0.1",
        "--json node add web1 --mac 1 --address 10.0.0.1",
        "node --json add web1 --mac 1 --address 10.0.0.1 --socket /x",
        "--socket /x node add web1 --mac 1 --address 10.0.0.1",
        "--socket=/x node add --mac 1 --address 10.0.0.1 -- web1",
    };
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        if (parse(lines[i]) < 0)
            fail_msg("'%s' gave '%s'", lines[i], problem);
        assert_string_equal(args.verb->name, "add");
        assert_int_equal(args.n_words, 1);
        assert_string_equal(args.words[0], "web1");
        assert_string_equal(args_value(&args, "mac"), "1");
        assert_string_equal(args_value(&args, "address"), "10.0.0.1");
        assert_true(args.json == (strstr(lines[i], "--json") != NULL));
        if (strstr(lines[i], "--socket"))
            assert_string_equal(args.socket, "/x");
    }
}

static void a_repeated_option_takes_what_can_only_be_its_own(void **state)
{
    assert_int_equal(parse("node add --mac 1 2 3 web1 --mac 4"), 0);
    assert_int_equal(count("mac"), 4);
    assert_string_equal(args.words[0], "web1");
    assert_int_equal(parse("node add --mac x web1"), 0); /* what it is, the caller checks */
    assert_string_equal(args_value(&args, "mac"), "x");
}

static void mistakes_are_told_with_what_was_meant(void **state)
{
    assert_problem("", "say what to do");
    assert_problem("node", "say what to do with 'node'");
    assert_problem("nod list", "no command 'nod'; did you mean 'node'?");
    assert_problem("node lits", "no command 'node lits'; did you mean 'node list'?");
    assert_problem("stat", "did you mean 'status'?");
    assert_problem("zebra", "there is no command 'zebra'");
    assert_problem("node add", "NAME is missing");
    assert_problem("node add a b", "'b' is one word too many");
    assert_problem("node add a --adress 1", "no option --adress; did you mean --address?");
    assert_problem("node add a --address", "--address needs a value: IPV4");
    assert_problem("node add a --force=1", "--force takes no value");
    assert_problem("node add a --address 1 --address 2", "--address is given twice");
    assert_problem("node add a -x", "options begin with two dashes");
    assert_problem("status all", "'all' is one word too many");
    assert_null(strstr(problem, "did you mean"));
}

static void help_needs_nothing_else(void **state)
{
    static const char *const lines[] = {
        "--help",          "-h",        "node --help", "node add --help",
        "--help node add", "status -h", "--version"};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        if (parse(lines[i]) < 0 || !(args.help || args.version))
            fail_msg("'%s' gave '%s'", lines[i], problem);
}

static void too_much_is_refused(void **state)
{
    char line[512] = "node add a --mac 1";
    for (int i = 0; i < 2; i++)
        strcat(line, " 1 1 1 1 1 1 1 1 1");
    assert_int_equal(parse(line), 0);
    const char *many[ARGS_MAX_VALUES + 8] = {"nodisk", "node", "add", "a", "--mac"};
    for (size_t i = 5; i < ARRAY_SIZE(many); i++)
        many[i] = "1";
    assert_int_equal(args_parse(ARRAY_SIZE(many), (char **)many, nouns, 2, &args, problem),
                     -EINVAL);
}

static void some_words_may_be_left_out(void **state)
{
    assert_int_equal(parse("node kill"), 0);
    assert_int_equal(args.n_words, 0);
    assert_int_equal(parse("node kill 7"), 0);
    assert_int_equal(args.n_words, 1);
    assert_string_equal(args.words[0], "7");
    assert_problem("node kill 7 8", "'8' is one word too many");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(words_and_options_in_any_order),
        TEST(a_repeated_option_takes_what_can_only_be_its_own),
        TEST(mistakes_are_told_with_what_was_meant),
        TEST(help_needs_nothing_else),
        TEST(some_words_may_be_left_out),
        TEST(too_much_is_refused),
    };
    return RUN_TESTS(tests);
}
