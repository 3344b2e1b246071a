#include "test.h"

#include "io/buffer.h"

#define BUDGET (1 * MIB)

static struct buffer_pool *pool;

static int setup(void **state)
{
    pool = buffer_pool_new(BUDGET);
    assert_non_null(pool);
    return 0;
}

static int teardown(void **state)
{
    assert_int_equal(buffer_pool_used(pool), 0);
    buffer_pool_free(pool);
    return 0;
}

struct waiting {
    struct buffer_waiter waiter;
    struct buffer *buffer; /* what it got */
    unsigned turn;         /* 1: the first to be served; 0: not yet */
};

static unsigned turns;

static void ready(struct buffer_waiter *waiter)
{
    struct waiting *w = container_of(waiter, struct waiting, waiter);
    assert_null(w->buffer);
    w->buffer = buffer_get(pool, w->waiter.size);
    w->turn = ++turns;
}

/* Asks within the budget; true: got it at once. */
static bool ask(struct waiting *w, uint32_t size)
{
    turns = 0;
    *w = (struct waiting){.waiter = {.size = size, .ready = ready}};
    w->buffer = buffer_get_or_wait(pool, &w->waiter);
    return w->buffer != NULL;
}

static void sizes_are_rounded_up_to_classes(void **state)
{
    static const struct {
        uint32_t size, used;
    } cases[] = {{1, 4096},      {4096, 4096},   {4097, 16384},   {16384, 16384},
                 {16385, 65536}, {65536, 65536}, {65537, 262144}, {262144, 262144}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer *buffer = buffer_get(pool, cases[i].size);
        assert_int_equal(buffer_pool_used(pool), cases[i].used);
        assert_int_equal((uintptr_t)buffer->data % 4096, 0);
        memset(buffer->data, 0xa5, cases[i].size); /* all of it is there */
        buffer_unref(pool, buffer);
        assert_int_equal(buffer_pool_used(pool), 0);
    }
}

static void a_buffer_lives_as_long_as_its_references(void **state)
{
    struct buffer *buffer = buffer_get(pool, 100);
    assert_ptr_equal(buffer_ref(buffer), buffer);
    buffer_unref(pool, buffer);
    assert_int_equal(buffer_pool_used(pool), 4096);
    buffer->data[0] = 1;
    buffer_unref(pool, buffer);
    assert_int_equal(buffer_pool_used(pool), 0);
    buffer_unref(pool, NULL); /* no-op */
}

static void two_buffers_never_share_memory(void **state)
{
    struct buffer *a = buffer_get(pool, 4096), *b = buffer_get(pool, 4096);
    memset(a->data, 1, 4096);
    memset(b->data, 2, 4096);
    for (size_t i = 0; i < 4096; i++)
        assert_int_equal(a->data[i], 1);
    buffer_unref(pool, a);
    struct buffer *again = buffer_get(pool, 4096);
    assert_ptr_equal(again, a); /* one that is free is used again */
    assert_ptr_not_equal(again->data, b->data);
    buffer_unref(pool, again);
    buffer_unref(pool, b);
}

static void what_is_kept_is_used_again_and_again(void **state)
{
    struct buffer *buffers[4];
    for (unsigned round = 0; round < 10; round++) {
        for (size_t i = 0; i < ARRAY_SIZE(buffers); i++) {
            buffers[i] = buffer_get(pool, BUFFER_MAX_SIZE);
            assert_int_equal(buffers[i]->data[0], round); /* 0: from the kernel */
            buffers[i]->data[0]++;
        }
        for (size_t i = 0; i < ARRAY_SIZE(buffers); i++)
            buffer_unref(pool, buffers[i]);
    }
}

/* Memory that the pool holds, in KiB, by the kernel's own account. */
static size_t held(void)
{
    size_t total, resident;
    cleanup_fclose FILE *f = fopen("/proc/self/statm", "r");
    assert_int_equal(fscanf(f, "%zu %zu", &total, &resident), 2);
    return total * (size_t)sysconf(_SC_PAGESIZE) / KIB;
}

static void what_is_given_back_is_kept_only_up_to_a_limit(void **state)
{
    enum { COUNT = 64 }; /* 16 MiB */
    struct buffer *buffers[COUNT];
    size_t before = held();
    for (size_t i = 0; i < COUNT; i++)
        buffers[i] = buffer_get(pool, BUFFER_MAX_SIZE);
    assert_true(held() >= before + 15 * KIB);
    for (size_t i = 0; i < COUNT; i++)
        buffer_unref(pool, buffers[i]);
    assert_true(held() <= before + 2 * KIB);
}

/* --- the budget --- */

static void the_budget_lets_wait_and_serves_in_order(void **state)
{
    struct waiting first[4], later[3];
    for (size_t i = 0; i < 4; i++)
        assert_true(ask(&first[i], BUFFER_MAX_SIZE));
    for (size_t i = 0; i < 3; i++)
        assert_false(ask(&later[i], BUFFER_MAX_SIZE));
    buffer_pool_serve(pool);
    assert_int_equal(turns, 0); /* nothing was given back */
    buffer_unref(pool, first[0].buffer);
    assert_int_equal(turns, 0); /* not inside somebody else's call */
    buffer_pool_serve(pool);
    assert_int_equal(later[0].turn, 1);
    assert_int_equal(later[1].turn, 0);
    for (size_t i = 1; i < 4; i++)
        buffer_unref(pool, first[i].buffer);
    buffer_pool_serve(pool);
    assert_int_equal(later[1].turn, 2);
    assert_int_equal(later[2].turn, 3);
    for (size_t i = 0; i < 3; i++)
        buffer_unref(pool, later[i].buffer);
}

/* Or a large one would wait for ever behind many small ones. */
static void nobody_overtakes(void **state)
{
    struct waiting big[4], large, small;
    for (size_t i = 0; i < 4; i++)
        assert_true(ask(&big[i], BUFFER_MAX_SIZE - (i == 3 ? 200000 : 0)));
    assert_false(ask(&large, BUFFER_MAX_SIZE));
    assert_false(ask(&small, 1)); /* there would be room for it */
    buffer_pool_serve(pool);
    assert_int_equal(turns, 0);
    buffer_unref(pool, big[0].buffer);
    buffer_pool_serve(pool);
    assert_int_equal(large.turn, 1);
    assert_int_equal(small.turn, 2);
    for (size_t i = 1; i < 4; i++)
        buffer_unref(pool, big[i].buffer);
    buffer_unref(pool, large.buffer);
    buffer_unref(pool, small.buffer);
}

static void who_cannot_wait_is_always_served(void **state)
{
    struct buffer *buffers[8];
    struct waiting patient;
    for (size_t i = 0; i < 8; i++)
        buffers[i] = buffer_get(pool, BUFFER_MAX_SIZE);
    assert_int_equal(buffer_pool_used(pool), 2 * BUDGET);
    assert_false(ask(&patient, 1));
    for (size_t i = 0; i < 5; i++)
        buffer_unref(pool, buffers[i]);
    buffer_pool_serve(pool);
    assert_int_equal(patient.turn, 1);
    for (size_t i = 5; i < 8; i++)
        buffer_unref(pool, buffers[i]);
    buffer_unref(pool, patient.buffer);
}

static void one_that_is_larger_than_the_budget_goes_alone(void **state)
{
    struct waiting one, two;
    buffer_pool_free(pool);
    pool = buffer_pool_new(4096);
    assert_true(ask(&one, BUFFER_MAX_SIZE));
    assert_false(ask(&two, BUFFER_MAX_SIZE));
    buffer_unref(pool, one.buffer);
    buffer_pool_serve(pool);
    assert_int_equal(two.turn, 1);
    buffer_unref(pool, two.buffer);
}

static void who_has_lost_interest_is_left_out(void **state)
{
    struct waiting first, second, third;
    struct buffer *all[4];
    for (size_t i = 0; i < 4; i++)
        all[i] = buffer_get(pool, BUFFER_MAX_SIZE);
    assert_false(ask(&first, 1));
    assert_false(ask(&second, 1));
    assert_false(ask(&third, 1));
    buffer_cancel_wait(&first.waiter);
    buffer_cancel_wait(&second.waiter);
    buffer_cancel_wait(&second.waiter); /* no-op */
    for (size_t i = 0; i < 4; i++)
        buffer_unref(pool, all[i]);
    buffer_pool_serve(pool);
    assert_int_equal(turns, 1);
    assert_int_equal(third.turn, 1);
    buffer_unref(pool, third.buffer);
    buffer_cancel_wait(&third.waiter); /* it does not wait any more: no-op */
}

static void half_of_the_budget_is_scarce(void **state)
{
    assert_false(buffer_pool_scarce(pool));
    struct buffer *a = buffer_get(pool, BUFFER_MAX_SIZE);
    assert_false(buffer_pool_scarce(pool));
    struct buffer *b = buffer_get(pool, BUFFER_MAX_SIZE);
    assert_true(buffer_pool_scarce(pool));
    buffer_unref(pool, a);
    assert_false(buffer_pool_scarce(pool));
    buffer_unref(pool, b);
}

#define BUFFER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUFFER_TEST(sizes_are_rounded_up_to_classes),
        BUFFER_TEST(a_buffer_lives_as_long_as_its_references),
        BUFFER_TEST(two_buffers_never_share_memory),
        BUFFER_TEST(what_is_kept_is_used_again_and_again),
        BUFFER_TEST(what_is_given_back_is_kept_only_up_to_a_limit),
        BUFFER_TEST(the_budget_lets_wait_and_serves_in_order),
        BUFFER_TEST(nobody_overtakes),
        BUFFER_TEST(who_cannot_wait_is_always_served),
        BUFFER_TEST(one_that_is_larger_than_the_budget_goes_alone),
        BUFFER_TEST(who_has_lost_interest_is_left_out),
        BUFFER_TEST(half_of_the_budget_is_scarce),
    };
    return RUN_TESTS(tests);
}
