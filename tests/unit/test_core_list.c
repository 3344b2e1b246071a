#include "test.h"

#include "core/list.h"

struct item {
    struct list link;
    char letter;
};

static struct list head;
static struct item items[] = {{.letter = 'a'}, {.letter = 'b'}, {.letter = 'c'}, {.letter = 'd'}};

static char letter(const struct list *node)
{
    return container_of(node, struct item, link)->letter;
}

static int setup(void **state)
{
    list_init(&head);
    for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
        items[i].link = (struct list){0};
        list_append(&head, &items[i].link);
    }
    return 0;
}

static void assert_list(const char *expected)
{
    char text[8] = "";
    size_t n = 0;
    list_for_each(node, &head)
        text[n++] = letter(node);
    assert_string_equal(text, expected);
    for (const struct list *node = head.prev; node != &head; node = node->prev)
        assert_int_equal(letter(node), expected[--n]); /* the same backwards */
    assert_int_equal(n, 0);
    assert_int_equal(list_empty(&head), !*expected);
}

static void what_is_appended_comes_last(void **state)
{
    assert_list("abcd");
    list_remove(&items[0].link);
    list_append(&head, &items[0].link);
    assert_list("bcda");
}

static void any_may_be_removed_also_twice(void **state)
{
    assert_true(list_linked(&items[1].link));
    list_remove(&items[1].link);
    assert_false(list_linked(&items[1].link));
    list_remove(&items[1].link);
    assert_list("acd");
    list_remove(&items[3].link);
    list_remove(&items[0].link);
    assert_list("c");
    list_remove(&items[2].link);
    assert_list("");
}

static void the_first_is_popped(void **state)
{
    assert_ptr_equal(list_pop(&head), &items[0].link);
    assert_false(list_linked(&items[0].link));
    assert_list("bcd");
    while (list_pop(&head))
        ;
    assert_list("");
    assert_null(list_pop(&head));
}

static void the_current_one_may_go_while_one_walks(void **state)
{
    list_for_each(node, &head)
        if (letter(node) != 'c')
            list_remove(node);
    assert_list("c");
}

#define LIST_TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIST_TEST(what_is_appended_comes_last),
        LIST_TEST(any_may_be_removed_also_twice),
        LIST_TEST(the_first_is_popped),
        LIST_TEST(the_current_one_may_go_while_one_walks),
    };
    return RUN_TESTS(tests);
}
