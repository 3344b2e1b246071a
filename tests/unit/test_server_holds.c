#include "test.h"

#include "server/holds.h"

static struct holds *holds;

static int setup(void **state)
{
    holds = holds_new();
    assert_non_null(holds);
    return 0;
}

static int teardown(void **state)
{
    holds_free(holds);
    return 0;
}

static void nothing_is_held_at_first(void **state)
{
    assert_false(holds_match(holds, 0, 1));
    assert_false(holds_match(holds, 1, 1));
    assert_false(holds_remove(holds, HOLD_ALL, 0));
}

static void a_volume(void **state)
{
    assert_int_equal(holds_add(holds, HOLD_VOLUME, 5), 0);
    assert_true(holds_match(holds, 0, 5));
    assert_true(holds_match(holds, 7, 5));
    assert_false(holds_match(holds, 5, 7)); /* a node is no volume */
    assert_false(holds_remove(holds, HOLD_NODE, 5));
    assert_true(holds_remove(holds, HOLD_VOLUME, 5));
    assert_false(holds_match(holds, 0, 5));
}

static void a_node(void **state)
{
    assert_int_equal(holds_add(holds, HOLD_NODE, 5), 0);
    assert_true(holds_match(holds, 5, 7));
    assert_false(holds_match(holds, 0, 5));
    assert_false(holds_match(holds, 6, 5));
}

static void everything(void **state)
{
    assert_int_equal(holds_add(holds, HOLD_ALL, 0), 0);
    assert_true(holds_match(holds, 0, 1));
    assert_true(holds_match(holds, 3, 4));
}

static void each_is_listed_once(void **state)
{
    size_t n;
    assert_int_equal(holds_add(holds, HOLD_VOLUME, 1), 0);
    assert_int_equal(holds_add(holds, HOLD_NODE, 1), 0);
    assert_int_equal(holds_add(holds, HOLD_ALL, 0), 0);
    assert_int_equal(holds_add(holds, HOLD_VOLUME, 1), 0);
    assert_true(holds_remove(holds, HOLD_NODE, 1));
    cleanup_free struct hold *list = holds_list(holds, &n);
    assert_int_equal(n, 2);
    assert_int_equal(list[0].kind, HOLD_VOLUME);
    assert_int_equal(list[0].id, 1);
    assert_int_equal(list[1].kind, HOLD_ALL);
    assert_true(list[0].since > 0 && list[0].since <= list[1].since);
}

#define IN_LAB(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {IN_LAB(nothing_is_held_at_first), IN_LAB(a_volume),
                                       IN_LAB(a_node), IN_LAB(everything),
                                       IN_LAB(each_is_listed_once)};
    return RUN_TESTS(tests);
}
