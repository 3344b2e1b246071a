#include "test.h"

#include "core/idmap.h"

#define IDS 5000

/* A plain array as the reference, and ids that collide in their low bits. */
static uint64_t id_of(unsigned n)
{
    return n % 2 ? (uint64_t)n << 40 : n;
}

static void behaves_like_an_array(void **state)
{
    static void *reference[IDS];
    static char values[IDS];
    struct idmap map = {0};
    srand(1);
    for (unsigned step = 0; step < 200000; step++) {
        unsigned n = (unsigned)rand() % IDS;
        if (rand() % 3) {
            assert_int_equal(idmap_put(&map, id_of(n), &values[n]), 0);
            reference[n] = &values[n];
        } else {
            assert_ptr_equal(idmap_remove(&map, id_of(n)), reference[n]);
            reference[n] = NULL;
        }
        unsigned other = (unsigned)rand() % IDS;
        assert_ptr_equal(idmap_get(&map, id_of(other)), reference[other]);
    }
    size_t count = 0;
    for (unsigned n = 0; n < IDS; n++) {
        count += reference[n] != NULL;
        assert_ptr_equal(idmap_get(&map, id_of(n)), reference[n]);
    }
    assert_int_equal(map.count, count);
    idmap_free(&map);
}

static void is_taken_apart_by_any(void **state)
{
    struct idmap map = {0};
    static char value;
    uint64_t id;
    assert_null(idmap_any(&map, &id));
    for (uint64_t n = 0; n < 100; n++)
        assert_int_equal(idmap_put(&map, n, &value), 0);
    unsigned taken = 0;
    while (idmap_any(&map, &id)) {
        assert_ptr_equal(idmap_remove(&map, id), &value);
        taken++;
    }
    assert_int_equal(taken, 100);
    idmap_free(&map);
}

static void has_each_value_once(void **state)
{
    struct idmap map = {0};
    static unsigned values[100];
    size_t cursor = 0;
    assert_null(idmap_next(&map, &cursor));
    for (uint64_t n = 0; n < ARRAY_SIZE(values); n++)
        assert_int_equal(idmap_put(&map, n * 1000, &values[n]), 0);
    for (unsigned *value; (value = idmap_next(&map, &cursor));)
        ++*value;
    for (size_t n = 0; n < ARRAY_SIZE(values); n++)
        assert_int_equal(values[n], 1);
    assert_null(idmap_next(&map, &cursor));
    idmap_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(behaves_like_an_array), TEST(is_taken_apart_by_any),
                                       TEST(has_each_value_once)};
    return RUN_TESTS(tests);
}
