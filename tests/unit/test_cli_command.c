#include "scratch_dir.h"

#include "cli/command.h"

static void names_are_encoded_for_a_path(void **state)
{
    static const struct {
        const char *name, *path;
    } cases[] = {
        {"web1", "/v1/x/web1"},
        {"debian12@3", "/v1/x/debian12@3"},
        {"a-b._C9", "/v1/x/a-b._C9"},
        {"", "/v1/x/"},
        {"a/b?c#d e%", "/v1/x/a%2Fb%3Fc%23d%20e%25"},
        {"\xc3\xa4\n", "/v1/x/%C3%A4%0A"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        cleanup_free char *path = cli_path("/v1/x", cases[i].name);
        assert_string_equal(path, cases[i].path);
    }
}

static void paths_are_made_absolute(void **state)
{
    char here[PATH_MAX], expected[PATH_MAX + 32], *scratch = scratch_dir_make();
    assert_non_null(getcwd(here, sizeof(here)));
    cleanup_free char *whole = cli_absolute_path("/srv/x");
    assert_string_equal(whole, "/srv/x");
    assert_int_equal(chdir(scratch), 0);
    snprintf(expected, sizeof(expected), "%s/sub/../x", scratch);
    cleanup_free char *made = cli_absolute_path("sub/../x");
    assert_int_equal(chdir(here), 0);
    assert_string_equal(made, expected);
    scratch_dir_remove(scratch);
}

static void lists_are_joined(void **state)
{
    json_t *list = json_pack("[s, s, s]", "a", "b c", "");
    cleanup_free char *text = cli_join(list);
    assert_string_equal(text, "a b c ");
    json_decref(list);
    list = json_array();
    cleanup_free char *nothing = cli_join(list);
    assert_string_equal(nothing, "");
    json_decref(list);
}

static void values_are_split_at_commas(void **state)
{
    static const struct cli_option options[] = {{"mac", "MAC", "", true, NULL},
                                                {"group", "GROUP", ""}};
    struct args args = {.n_values = 3};
    args.values[0].option = &options[0];
    args.values[0].value = "1,2,,3";
    args.values[1].option = &options[1];
    args.values[1].value = "no,no";
    args.values[2].option = &options[0];
    args.values[2].value = ",4,";
    json_t *list = cli_values(&args, "mac"),
           *expected = json_pack("[s, s, s, s]", "1", "2", "3", "4");
    assert_true(json_equal(list, expected));
    json_decref(list);
    json_decref(expected);
}

static void times_have_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t milliseconds;
    } cases[] = {{"0", 0},       {"7", 7000},        {"7s", 7000},
                 {"250ms", 250}, {"2m", 120 * 1000}, {"1h", 3600 * 1000}};
    static const char *const wrong[] = {"",    "s",  "-1",   "1 s",
                                        "1.5", "2h", "1day", "99999999999999999999"};
    uint64_t milliseconds = 1;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_true(cli_parse_time(cases[i].text, 3600 * 1000, &milliseconds));
        assert_int_equal(milliseconds, cases[i].milliseconds);
    }
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        if (cli_parse_time(wrong[i], 3600 * 1000, &milliseconds))
            fail_msg("'%s' was taken", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_are_encoded_for_a_path), TEST(paths_are_made_absolute), TEST(lists_are_joined),
        TEST(values_are_split_at_commas),   TEST(times_have_units),
    };
    return RUN_TESTS(tests);
}
