#include "test.h"

#include "cli/print.h"

static char *captured;
static size_t captured_size;

static void columns_line_up(void **state)
{
    static const char *const headings[] = {"NAME", ">SIZE", "STATE", NULL};
    FILE *file = fopen("/dev/null", "w"); /* not a terminal: no colours */
    struct table table = table_new(file, headings);
    fclose(file);
    assert_false(table.colour);
    table.file = open_memstream(&captured, &captured_size);
    table_add(&table, "a-long-name");
    table_add_size(&table, 10 * GIB);
    table_add(&table, "ready");
    table_add(&table, "b");
    table_add_size(&table, 512);
    table_add(&table, NULL);
    file = table.file;
    table_print(&table, "nothing");
    fclose(file);
    assert_string_equal(captured, "NAME           SIZE  STATE\n"
                                  "a-long-name  10 GiB  ready\n"
                                  "b             512 B  -\n");
    free(captured);
}

static void an_empty_table_says_what_to_do(void **state)
{
    static const char *const headings[] = {"NAME", NULL};
    FILE *file = open_memstream(&captured, &captured_size);
    struct table table = {.file = file, .headings = {headings[0]}, .n_columns = 1};
    table_print(&table, "no nodes yet");
    fclose(file);
    assert_string_equal(captured, "no nodes yet\n");
    free(captured);
}

static void colours_only_where_asked(void **state)
{
    FILE *file = open_memstream(&captured, &captured_size);
    struct table table = {.file = file, .colour = true, .headings = {"STATE"}, .n_columns = 1};
    table_add(&table, "failed");
    table_print(&table, "");
    fclose(file);
    assert_string_equal(captured, "\033[1mSTATE\033[0m\n\033[31mfailed\033[0m\n");
    free(captured);
}

static void ages(void **state)
{
    char text[AGE_TEXT_SIZE];
    uint64_t now = 1000000 * USEC_PER_SEC;
    assert_string_equal(print_age(0, now, text), "-");
    assert_string_equal(print_age(now - 3 * USEC_PER_SEC, now, text), "3 s ago");
    assert_string_equal(print_age(now + USEC_PER_SEC, now, text), "0 s ago");
    assert_string_equal(print_age(now - 300 * USEC_PER_SEC, now, text), "5 min ago");
    assert_string_equal(print_age(now - 3 * 3600 * USEC_PER_SEC, now, text), "3 h ago");
    assert_string_equal(print_age(now - 400000 * USEC_PER_SEC, now, text), "4 days ago");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(columns_line_up),
        TEST(an_empty_table_says_what_to_do),
        TEST(colours_only_where_asked),
        TEST(ages),
    };
    return RUN_TESTS(tests);
}
