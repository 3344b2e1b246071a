/* Whose values a tree's boot.ipxe.cfg has when it is handed out. */
#include "test.h"

#include "ipxe/tree.h"

#include <errno.h>

static struct script_tree_values values = {
    .boot_url = "http://10.0.0.1/scripts/",
    .iscsi_server = "10.0.0.1",
    .base_iqn = "iqn.2026-11.lan.example",
    .base_iscsi = "iscsi:10.0.0.1::3261:0:iqn.2026-11.lan.example",
};

static void assert_fills(const char *text, const char *expected)
{
    char *filled;
    size_t size;
    assert_int_equal(script_tree_fill(text, strlen(text), &values, &filled, &size), 0);
    assert_int_equal(size, strlen(filled));
    assert_string_equal(filled, expected);
    free(filled);
}

static void our_values_replace_the_trees(void **state)
{
    assert_fills("#!ipxe\n# set base-iqn in this file\n"
                 "set boot-url http://old.lan/ipxe/\n"
                 "set sanboot-url ${boot-url}\n"
                 "\tset  menu-url http://old.lan/ipxe/menu.ipxe\n"
                 "set iscsi-server 192.0.2.1 # the NAS\n"
                 "set base-iqn iqn.2011-02.lan.old\r\n"
                 "set base-iscsi iscsi:${iscsi-server}:::1:${base-iqn}\n"
                 "set other-url http://other.lan/\n",
                 "#!ipxe\n# set base-iqn in this file\n"
                 "set boot-url http://10.0.0.1/scripts/\n"
                 "set sanboot-url ${boot-url}\n"
                 "\tset  menu-url http://10.0.0.1/scripts/menu.ipxe\n"
                 "set iscsi-server 10.0.0.1 # the NAS\n"
                 "set base-iqn iqn.2026-11.lan.example\r\n"
                 "set base-iscsi iscsi:10.0.0.1::3261:0:iqn.2026-11.lan.example\n"
                 "set other-url http://other.lan/\n");
}

static void what_is_conditional_stays(void **state)
{
    assert_fills("isset ${x} && set base-iqn old || set base-iqn older",
                 "isset ${x} && set base-iqn old || set base-iqn older");
    assert_fills(
        "set base-iqn old || echo no\nset base-iqn\nset base-iqn ||\n",
        "set base-iqn iqn.2026-11.lan.example || echo no\nset base-iqn\nset base-iqn ||\n");
    assert_fills("set base-iqnx old\nsetbase-iqn old\n:set base-iqn old\n",
                 "set base-iqnx old\nsetbase-iqn old\n:set base-iqn old\n");
    assert_fills("", "");
}

static void a_node_has_its_initiator(void **state)
{
    assert_fills("set initiator-iqn ${base-iqn}:${mac}\n",
                 "set initiator-iqn ${base-iqn}:${mac}\n");
    values.initiator_iqn = "iqn.2026-11.lan.example:n1";
    assert_fills("set initiator-iqn ${base-iqn}:${mac}\n",
                 "set initiator-iqn iqn.2026-11.lan.example:n1\n");
    values.initiator_iqn = NULL;
}

/* What we make is what filling would make of it. */
static void one_is_made(void **state)
{
    for (unsigned node = 0; node < 2; node++) {
        values.initiator_iqn = node ? "iqn.2026-11.lan.example:n1" : NULL;
        char *made = script_tree_make_settings(&values);
        assert_non_null(made);
        assert_contains(made, "#!ipxe\n");
        assert_contains(made, "\nset menu-url ${boot-url}menu.ipxe\nset iscsi-server 10.0.0.1\n");
        assert_int_equal(strstr(made, "set initiator-iqn") != NULL, node);
        assert_fills(made, made);
        free(made);
    }
    values.initiator_iqn = NULL;
}

static void a_large_one_is_refused(void **state)
{
    static char large[SCRIPT_TREE_SETTINGS_MAX_SIZE + 1];
    char *filled;
    size_t size;
    assert_int_equal(script_tree_fill(large, sizeof(large), &values, &filled, &size), -EFBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(our_values_replace_the_trees), TEST(what_is_conditional_stays),
        TEST(a_node_has_its_initiator),     TEST(one_is_made),
        TEST(a_large_one_is_refused),
    };
    return RUN_TESTS(tests);
}
