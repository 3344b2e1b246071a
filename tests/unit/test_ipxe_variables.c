/* The file of the operator's own variables. */
#include "test.h"

#include "ipxe/variables.h"

#include <errno.h>

static struct script_variables variables;
static struct error error;

static int read_text(const char *text)
{
    script_variables_free(&variables);
    return script_variables_read(&variables, text, strlen(text), &error);
}

static const char *value(const char *name)
{
    const char *text;
    return script_variables_look(&variables, name, &text) ? text ?: "(none)" : "(unknown)";
}

static void lines_are_variables(void **state)
{
    assert_int_equal(read_text("# mine\n\n menu-timeout = 5000\r\nmirror=http://deb.lan/a b\n"
                               "empty =\nmirror = two"),
                     0);
    assert_string_equal(value("menu-timeout"), "5000");
    assert_string_equal(value("mirror"), "two");
    assert_string_equal(value("empty"), "");
    assert_string_equal(value("node"), "(none)");
    assert_string_equal(value("other"), "(unknown)");
    assert_int_equal(script_variables_set(&variables, "node", "n1"), 0);
    assert_string_equal(value("node"), "n1");
    assert_int_equal(script_variables_set(&variables, "node", NULL), 0);
    assert_string_equal(value("node"), "(none)");
}

static void mistakes_are_told(void **state)
{
    static const char *const bad[] = {"\nNAME = x", "\na b = x",  "\n= x",       "\nx",
                                      "\nnode = x", "\nx = ${y}", "\nx = a || b"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(read_text(bad[i]), -EINVAL);
        assert_contains(error.text, "line 2: ");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(lines_are_variables), TEST(mistakes_are_told)};
    int r = RUN_TESTS(tests);
    script_variables_free(&variables);
    return r;
}
