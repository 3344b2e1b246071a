/* What becomes of templates, and what is refused. */
#include "test.h"

#include "ipxe/template.h"

#include <errno.h>

static const char *node, *group;

static bool look(void *context, const char *name, const char **ret_value)
{
    (void)context;
    if (str_eq(name, "node"))
        *ret_value = node;
    else if (str_eq(name, "group"))
        *ret_value = group;
    else
        return str_eq(name, "none");
    return true;
}

static char *text;
static struct error error;

static int render(const char *template, bool all)
{
    const struct template_scope scope = {look, NULL, all, NULL};
    size_t size = 0;
    free(text);
    text = NULL;
    error.text[0] = '\0';
    int r = template_render(template, strlen(template), &scope, &text, &size, &error);
    assert_true(r < 0 || strlen(text) == size);
    return r;
}

static void assert_renders(const char *template, const char *expected)
{
    assert_int_equal(render(template, false), 0);
    assert_string_equal(text, expected);
}

static void assert_refused(const char *template, const char *words)
{
    assert_int_equal(render(template, false), -EINVAL);
    assert_contains(error.text, words);
}

static void values_are_put_in(void **state)
{
    node = "n1";
    group = NULL;
    assert_renders("", "");
    assert_renders("#!ipxe\nset a {{node}}/{{ node }}\n", "#!ipxe\nset a n1/n1\n");
    assert_renders("[{{none}}{{group}}]", "[]");
    assert_renders("${net${nic}/mac} {x} }}", "${net${nic}/mac} {x} }}");
}

static bool fits_quoted(void *context, const char *value, bool quoted)
{
    (void)context;
    return quoted || !strchr(value, ' ');
}

static int render_fitting(const char *template)
{
    const struct template_scope scope = {look, NULL, false, fits_quoted};
    size_t size = 0;
    free(text);
    text = NULL;
    return template_render(template, strlen(template), &scope, &text, &size, &error);
}

static void where_a_value_stands_may_decide(void **state)
{
    node = "a b";
    assert_int_equal(render_fitting("x \"{{node}}\" '{{node}}'"), 0);
    assert_string_equal(text, "x \"a b\" 'a b'");
    static const char *const bare[] = {"{{node}}",      "\"{{node}}'", "\"{{node}}", "{{node}}\"",
                                       "\"x{{node}}\"", "{{node}} x",  "x{{node}}x", "`{{node}}`"};
    for (size_t i = 0; i < ARRAY_SIZE(bare); i++) {
        assert_int_equal(render_fitting(bare[i]), -EINVAL);
        assert_contains(error.text, "the value of node cannot stand there");
    }
}

static void conditions_choose(void **state)
{
    node = "n1";
    group = "lab";
    assert_renders("{{#node}}a{{/node}}{{^node}}b{{/node}}", "a");
    assert_renders("{{#none}}a{{/none}}{{^none}}b{{/none}}", "b");
    assert_renders("{{#group=lab}}a{{/group}}{{#group = hall}}b{{/group}}", "a");
    assert_renders("{{^group=hall}}a{{/group}}{{^group=lab}}b{{/group}}", "a");
    assert_renders("{{#none}}{{#node}}a{{/node}}{{^node}}b{{/node}}{{/none}}", "");
    assert_renders("{{#node}}{{#group}}{{node}}.{{group}}{{/group}}{{/node}}", "n1.lab");
    assert_renders("{{^none=x}}a{{/none}}{{#none=}}b{{/none}}", "ab");
}

static void a_tag_alone_is_no_line(void **state)
{
    node = "n1";
    assert_renders("a\n{{#node}}\nb\n{{/node}}\nc\n", "a\nb\nc\n");
    assert_renders("a\n  {{^node}}  \r\nb\n{{/node}}", "a\n");
    assert_renders("{{! for people }}\n#!ipxe\n", "#!ipxe\n");
    assert_renders("a {{! not alone }}\n", "a \n");
    assert_renders("{{node}}\n", "n1\n");
}

static void all_of_it_keeps_its_lines(void **state)
{
    node = "n1";
    assert_int_equal(render("1\n{{#none}}\n3 {{node}}\n{{/none}}\n{{^none}}5{{/none}}\n6", true),
                     0);
    assert_string_equal(text, "1\n\n3 n1\n\n5\n6");
    assert_int_equal(render("{{! two\nlines }}\n3", true), 0);
    assert_string_equal(text, "\n\n3");
}

static void mistakes_are_told_with_their_line(void **state)
{
    node = "n1";
    assert_refused("\n\n{{nod}}", "line 3: there is no variable nod");
    assert_refused("\n{{#none}}{{nod}}{{/none}}", "line 2: there is no variable nod");
    assert_refused("a\n{{node", "line 2: {{ has no }}");
    assert_refused("{{}}", "is a name");
    assert_refused("{{No}}", "is a name");
    assert_refused("{{#a b}}", "is a name");
    assert_refused("\n{{#node}}\n\n", "line 2: {{/node}} is missing");
    assert_refused("{{/node}}", "ends nothing");
    assert_refused("{{#node}}\n{{#group}}\n{{/node}}", "line 3: {{/node}} stands where {{/group}}");
}

static void depth_is_limited(void **state)
{
    char template[TEMPLATE_MAX_DEPTH * 32 + 64] = "";
    node = "n1";
    for (unsigned i = 0; i <= TEMPLATE_MAX_DEPTH; i++)
        strcat(template, "{{#node}}");
    assert_refused(template, "within one another");
}

static void values_cannot_be_more_than_words(void **state)
{
    static const char *const bad[] = {
        "a\nreboot", "a\rb",      "${root-path}", "a || reboot", "a && b", "a ; b", "# a", "a\\",
        "\x1b[2J",   "f\xc3\xbc", "a'b",          "a\"b",        ":label", " a",    "a ",  "`a`"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        node = bad[i];
        assert_false(template_value_is_safe(node));
        assert_refused("a\n{{node}}", "line 2: the value of node has characters");
        assert_renders("a{{#none}}{{node}}{{/none}}", "a");
    }
    node = "http://[2001:db8::1]:8080/a-b_c.d?e=f%20g,h+i@j~k (l) *";
    assert_renders("{{node}}", node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_are_put_in),         TEST(where_a_value_stands_may_decide),
        TEST(conditions_choose),         TEST(a_tag_alone_is_no_line),
        TEST(all_of_it_keeps_its_lines), TEST(mistakes_are_told_with_their_line),
        TEST(depth_is_limited),          TEST(values_cannot_be_more_than_words),
    };
    int r = RUN_TESTS(tests);
    free(text);
    return r;
}
