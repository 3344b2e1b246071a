#include "test.h"

#include "boot/adopt.h"

#include <errno.h>

static const struct registry_pending machine = {
    .mac = {{0x52, 0x54, 0, 0xab, 0xcd, 0xef}},
    .facts = {.uuid = "4c4c4544-0058-4b10-8032-c7c04f4a3231",
              .manufacturer = "Dell Inc.",
              .product = "PowerEdge R640",
              .serial = "7XK/2J--13 "},
    .subnet = "lab",
    .circuit_id = "Eth1/7",
};

static unsigned taken; /* so many of the names that are asked for first */

static bool is_taken(void *context, const char *name)
{
    return taken && taken--;
}

static const char *name_of(const char *pattern)
{
    static char name[NAME_MAX_LEN + 1];
    static struct error error;
    int r = adopt_make_name(pattern, &machine, is_taken, NULL, name, &error);
    return r < 0 ? error.text : name;
}

static void names_are_made_of_what_is_known(void **state)
{
    static const struct {
        const char *pattern;
        unsigned taken;
        const char *name;
    } cases[] = {
        {"web1", 0, "web1"},
        {"web-%{number}", 0, "web-1"},
        {"web-%{number:02}", 0, "web-01"},
        {"web-%{number:03}", 11, "web-012"},
        {"web-%{number:02}", 120, "web-121"},
        {"n%{mac}", 0, "n525400abcdef"},
        {"%{serial}", 0, "7xk-2j-13"},
        {"%{manufacturer}-%{product}", 0, "dell-inc-poweredge-r640"},
        {"%{uuid}", 0, "4c4c4544-0058-4b10-8032-c7c04f4a3231"},
        {"%{subnet}-%{circuit}", 0, "lab-eth1-7"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        taken = cases[i].taken;
        assert_string_equal(name_of(cases[i].pattern), cases[i].name);
    }
}

static void what_makes_no_name_is_told(void **state)
{
    static const struct {
        const char *pattern, *words;
    } cases[] = {
        {"%{remote}", "does not say its remote"},
        {"web-%{colour}", "is none"},
        {"web-%{number:2}", "is none"},
        {"web-%{number:00}", "is none"},
        {"web-%{mac:02}", "is none"},
        {"web-%{number", "is none"},
        {"web-%{", "is none"},
        {"web-%", "is none"},
        {"web%%", "is none"},
        {"%{mac}", "cannot be a node's name"}, /* it reads like one */
        {"Web-%{number}", "cannot be a node's name"},
        {"-%{number}", "cannot be a node's name"},
        {"", "cannot be a node's name"},
        {"%{uuid}-%{uuid}", "it is too long"},
    };
    taken = 0;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_contains(name_of(cases[i].pattern), cases[i].words);
    taken = 1;
    assert_contains(name_of("%{serial}"), "there is a node or a volume '7xk-2j-13' already");
}

static void a_pattern_is_checked_before_there_is_a_machine(void **state)
{
    struct error error;
    assert_int_equal(adopt_check_pattern("web-%{number:02}-%{remote}", &error), 0);
    assert_int_equal(adopt_check_pattern("%{mac}", &error), -EINVAL);
    assert_int_equal(adopt_check_pattern("a_%{mac}", &error), -EINVAL);
    assert_true(adopt_is_pattern("a%{mac}"));
    assert_false(adopt_is_pattern("a%b"));
}

static void prefixes_are_read_in_every_way(void **state)
{
    static const char *const good[] = {
        "52", "52:54", "52-54-00", "525400", "52:54:00:ab:cd:ef", "525400ABCDEF"};
    static const char *const wrong[] = {
        "", "5", "52:", "52:5", "52.54", "x", "52:54:00:ab:cd:ef:00", "52 54"};
    static const char *const others[] = {"53", "52:55", "52:54:00:ab:cd:ee"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct adopt_match match = {0};
        assert_null(adopt_add_prefix(&match, good[i]));
        assert_true(adopt_matches(&match, &machine));
    }
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct adopt_match match = {0};
        if (!adopt_add_prefix(&match, wrong[i]))
            fail_msg("'%s' was taken", wrong[i]);
    }
    struct adopt_match match = {0};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_null(adopt_add_prefix(&match, others[i]));
    assert_false(adopt_matches(&match, &machine));
    assert_null(adopt_add_prefix(&match, "52:54"));
    assert_true(adopt_matches(&match, &machine)); /* one of them is enough */
    while (match.n_prefixes < ADOPT_MAX_PREFIXES)
        assert_null(adopt_add_prefix(&match, "52"));
    assert_non_null(adopt_add_prefix(&match, "52"));
}

static void all_that_is_said_must_fit(void **state)
{
    static const struct {
        struct adopt_match match;
        bool fits;
    } cases[] = {
        {{.n_prefixes = 0}, true},
        {{.subnet = "lab"}, true},
        {{.subnet = "la"}, false},
        {{.product = "poweredge*"}, true},
        {{.product = "*r6?0", .manufacturer = "dell*"}, true},
        {{.product = "*r6?0", .manufacturer = "hp*"}, false},
        {{.serial = "7xk/*"}, true},
        {{.circuit_id = "eth1/*"}, true},
        {{.circuit_id = "eth2/*"}, false},
        {{.remote_id = "?*"}, false},
        {{.product = "[P"}, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (adopt_matches(&cases[i].match, &machine) != cases[i].fits)
            fail_msg("case %zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_are_made_of_what_is_known),
        TEST(what_makes_no_name_is_told),
        TEST(a_pattern_is_checked_before_there_is_a_machine),
        TEST(prefixes_are_read_in_every_way),
        TEST(all_that_is_said_must_fit),
    };
    return RUN_TESTS(tests);
}
