#include "test.h"

#include "core/arena.h"

static void pieces_are_zeroed_aligned_and_apart(void **state)
{
    struct arena arena = {0};
    uint8_t *pieces[1000];
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) { /* many chunks full */
        size_t size = i % 100;
        pieces[i] = arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        for (size_t k = 0; k < size; k++)
            assert_int_equal(pieces[i][k], 0);
        memset(pieces[i], (int)i, size);
    }
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
        for (size_t k = 0; k < i % 100; k++)
            assert_int_equal(pieces[i][k], (uint8_t)i);
    arena_free(&arena);
    assert_null(arena.chunks);
}

static void one_may_be_larger_than_a_chunk(void **state)
{
    struct arena arena = {0};
    uint8_t *small = arena_alloc(&arena, 10), *large = arena_alloc(&arena, MIB);
    small[9] = 1;
    memset(large, 2, MIB);
    uint8_t *next = arena_alloc(&arena, 10);
    next[0] = 3;
    assert_int_equal(small[9], 1);
    assert_int_equal(large[MIB - 1], 2);
    arena_free(&arena);
}

static void texts_are_copied(void **state)
{
    struct arena arena = {0};
    char text[] = "web1";
    char *copy = arena_strdup(&arena, text);
    text[0] = 'X';
    assert_string_equal(copy, "web1");
    assert_string_equal(arena_strdup(&arena, ""), "");
    assert_null(arena_strdup(&arena, NULL));
    arena_free(&arena);
    arena_free(&arena); /* there is nothing left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pieces_are_zeroed_aligned_and_apart),
        TEST(one_may_be_larger_than_a_chunk),
        TEST(texts_are_copied),
    };
    return RUN_TESTS(tests);
}
