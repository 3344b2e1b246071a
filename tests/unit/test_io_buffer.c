#include "test.h"

#include "io/buffer.h"

#define BUDGET (1 * MIB)

static struct buffer_pool *pool;
static struct buffer_share share, other;

static int setup(void **state)
{
    pool = buffer_pool_new(BUDGET);
    assert_non_null(pool);
    buffer_share_init(&share);
    buffer_share_init(&other);
    return 0;
}

static int teardown(void **state)
{
    assert_int_equal(buffer_pool_used(pool), 0);
    assert_int_equal(share.used + other.used, 0);
    buffer_share_clear(&share);
    buffer_share_clear(&other);
    buffer_pool_free(pool);
    return 0;
}

struct waiting {
    struct buffer_waiter waiter;
    struct buffer *buffer; /* what it got */
    unsigned turn;         /* 1: the first to be served; 0: not yet */
};

static unsigned turns;

static void ready(struct buffer_waiter *waiter, struct buffer *buffer)
{
    struct waiting *w = container_of(waiter, struct waiting, waiter);
    assert_null(w->buffer);
    assert_non_null(buffer);
    w->buffer = buffer;
    w->turn = ++turns;
}

/* Asks within a share; true: got it at once. */
static bool ask_of(struct buffer_share *of, struct waiting *w, uint32_t size)
{
    turns = 0;
    *w = (struct waiting){.waiter = {.size = size, .ready = ready}};
    w->buffer = buffer_get_or_wait(pool, of, &w->waiter);
    return w->buffer != NULL;
}

static bool ask(struct waiting *w, uint32_t size)
{
    return ask_of(&share, w, size);
}

static void give_back(struct waiting *w)
{
    buffer_cancel_wait(&w->waiter);
    buffer_unref(pool, take_ptr(w->buffer));
}

static void give_all_back(struct waiting *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        give_back(&list[i]);
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
    assert_true(held() <= before + 9 * KIB);
    assert_true(buffer_pool_wants_trim(pool));
    buffer_pool_trim(pool); /* they were used since the last time, which was never */
    buffer_pool_trim(pool);
    assert_true(held() <= before + KIB);
    assert_false(buffer_pool_wants_trim(pool));
}

static void what_is_used_now_and_then_is_kept(void **state)
{
    enum { COUNT = 8 };
    struct buffer *buffers[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        buffers[i] = buffer_get(pool, BUFFER_MAX_SIZE);
        buffers[i]->data[0] = 1; /* 0: from the kernel */
    }
    for (size_t i = 0; i < COUNT; i++)
        buffer_unref(pool, buffers[i]);
    for (size_t round = 0; round < 3; round++) {
        buffer_pool_trim(pool);
        for (size_t i = 0; i < COUNT / 2; i++) {
            buffers[i] = buffer_get(pool, BUFFER_MAX_SIZE);
            assert_int_equal(buffers[i]->data[0], 1);
        }
        for (size_t i = 0; i < COUNT / 2; i++)
            buffer_unref(pool, buffers[i]);
    }
    size_t before = held();
    buffer_pool_trim(pool);
    buffer_pool_trim(pool);
    assert_true(held() < before);
    buffers[0] = buffer_get(pool, BUFFER_MAX_SIZE); /* one is kept even so */
    assert_int_equal(buffers[0]->data[0], 1);
    buffer_unref(pool, buffers[0]);
}

/* --- the budget --- */

#define SMALL (4 * KIB)
#define PARTS (BUDGET / SMALL)

/* Asks until it has to wait; returns how many it got. */
static size_t take_all(struct buffer_share *of, struct waiting *list)
{
    size_t n = 0;
    while (ask_of(of, &list[n], SMALL))
        n++;
    buffer_cancel_wait(&list[n].waiter);
    return n;
}

static void one_alone_gets_a_third(void **state)
{
    struct waiting list[PARTS], second[PARTS];
    size_t n = take_all(&share, list);
    assert_in_range(n, PARTS / 3, PARTS / 3 + 1);
    size_t m = take_all(&other, second); /* there is as much left for the next one, of the rest */
    assert_in_range(m, (PARTS - n) / 3, (PARTS - n) / 3 + 1);
    give_all_back(list, n);
    give_all_back(second, m);
}

static void those_who_ask_side_by_side_get_the_same(void **state)
{
    enum { N = 6 };
    struct buffer_share shares[N];
    static struct waiting lists[N][PARTS];
    size_t got[N] = {0};
    for (size_t i = 0; i < N; i++)
        buffer_share_init(&shares[i]);
    for (size_t waiting = 0; waiting < N;) {
        waiting = 0;
        for (size_t i = 0; i < N; i++) {
            struct waiting *w = &lists[i][got[i]];
            if (ask_of(&shares[i], w, SMALL))
                got[i]++;
            else
                waiting++;
            buffer_cancel_wait(&w->waiter);
        }
    }
    for (size_t i = 0; i < N; i++) {
        assert_in_range(got[i], PARTS / (N + 2) - 1, PARTS / (N + 2) + 1);
        give_all_back(lists[i], got[i]);
        buffer_share_clear(&shares[i]);
    }
}

static void who_has_nothing_gets_one_whatever_the_others_do(void **state)
{
    struct buffer *buffers[8];
    struct waiting first, second;
    for (size_t i = 0; i < 8; i++)
        buffers[i] = buffer_get(pool, BUFFER_MAX_SIZE); /* unasked data is always taken in */
    assert_int_equal(buffer_pool_used(pool), 2 * BUDGET);
    assert_true(ask(&first, BUFFER_MAX_SIZE));
    assert_false(ask(&second, 1));
    give_back(&first);
    buffer_pool_serve(pool);
    assert_int_equal(second.turn, 1);
    give_back(&second);
    for (size_t i = 0; i < 8; i++)
        buffer_unref(pool, buffers[i]);
}

static void they_are_served_in_order_and_not_inside_somebody_elses_call(void **state)
{
    struct waiting first[2], later[3];
    for (size_t i = 0; i < 2; i++)
        assert_true(ask(&first[i], BUFFER_MAX_SIZE));
    for (size_t i = 0; i < 3; i++)
        assert_false(ask(&later[i], BUFFER_MAX_SIZE));
    assert_false(buffer_pool_wants_serve(pool));
    buffer_pool_serve(pool);
    assert_int_equal(turns, 0); /* nothing was given back */
    give_back(&first[0]);
    assert_int_equal(turns, 0);
    assert_true(buffer_pool_wants_serve(pool));
    buffer_pool_serve(pool);
    assert_false(buffer_pool_wants_serve(pool));
    assert_int_equal(later[0].turn, 1);
    assert_int_equal(later[1].turn, 0);
    give_back(&first[1]);
    give_back(&later[0]);
    buffer_pool_serve(pool);
    assert_int_equal(later[1].turn, 2);
    assert_int_equal(later[2].turn, 3);
    give_all_back(later, 3);
    assert_false(buffer_pool_wants_serve(pool)); /* nobody waits */
}

static void shares_take_turns(void **state)
{
    struct waiting mine[8], theirs[8];
    struct buffer *all[4];
    for (size_t i = 0; i < 4; i++)
        all[i] = buffer_get(pool, BUFFER_MAX_SIZE);
    assert_true(ask_of(&share, &mine[0], SMALL));
    assert_true(ask_of(&other, &theirs[0], SMALL));
    for (size_t i = 1; i < 4; i++)
        assert_false(ask_of(&share, &mine[i], SMALL));
    for (size_t i = 1; i < 4; i++)
        assert_false(ask_of(&other, &theirs[i], SMALL));
    for (size_t i = 0; i < 4; i++)
        buffer_unref(pool, all[i]);
    buffer_pool_serve(pool);
    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(mine[i].turn, 2 * i - 1);
        assert_int_equal(theirs[i].turn, 2 * i);
    }
    give_all_back(mine, 4);
    give_all_back(theirs, 4);
}

/* Or a large one would wait for ever behind many small ones. */
static void nobody_overtakes_in_a_share(void **state)
{
    struct waiting big[2], large, small;
    for (size_t i = 0; i < 2; i++)
        assert_true(ask(&big[i], BUFFER_MAX_SIZE));
    assert_false(ask(&large, BUFFER_MAX_SIZE));
    assert_false(ask(&small, 1));
    buffer_pool_serve(pool);
    assert_int_equal(turns, 0);
    give_back(&big[0]);
    buffer_pool_serve(pool);
    assert_int_equal(large.turn, 1);
    give_back(&big[1]);
    buffer_pool_serve(pool);
    assert_int_equal(small.turn, 2);
    give_back(&large);
    give_back(&small);
}

static void one_that_is_larger_than_the_budget_goes_alone(void **state)
{
    struct waiting one, two;
    buffer_pool_free(pool);
    pool = buffer_pool_new(4096);
    assert_true(ask(&one, BUFFER_MAX_SIZE));
    assert_false(ask(&two, BUFFER_MAX_SIZE));
    give_back(&one);
    buffer_pool_serve(pool);
    assert_int_equal(two.turn, 1);
    give_back(&two);
}

static void who_has_lost_interest_is_left_out(void **state)
{
    struct waiting held[2], first, second, third, gone;
    for (size_t i = 0; i < 2; i++)
        assert_true(ask(&held[i], BUFFER_MAX_SIZE));
    assert_true(ask_of(&other, &gone, BUFFER_MAX_SIZE));
    give_back(&gone);
    assert_false(ask(&first, BUFFER_MAX_SIZE));
    assert_false(ask(&second, BUFFER_MAX_SIZE));
    assert_false(ask(&third, BUFFER_MAX_SIZE));
    buffer_cancel_wait(&first.waiter);
    buffer_cancel_wait(&second.waiter);
    buffer_cancel_wait(&second.waiter); /* no-op */
    give_all_back(held, 2);
    buffer_pool_serve(pool);
    assert_int_equal(turns, 1);
    assert_int_equal(third.turn, 1);
    give_back(&third); /* it does not wait any more */
}

static void more_than_half_of_the_budget_is_scarce(void **state)
{
    assert_false(buffer_pool_scarce(pool));
    struct buffer *a = buffer_get(pool, BUFFER_MAX_SIZE), *b = buffer_get(pool, BUFFER_MAX_SIZE);
    assert_false(buffer_pool_scarce(pool));
    struct buffer *c = buffer_get(pool, 1);
    assert_true(buffer_pool_scarce(pool));
    buffer_unref(pool, a);
    assert_false(buffer_pool_scarce(pool));
    buffer_unref(pool, b);
    buffer_unref(pool, c);
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
        BUFFER_TEST(what_is_used_now_and_then_is_kept),
        BUFFER_TEST(one_alone_gets_a_third),
        BUFFER_TEST(those_who_ask_side_by_side_get_the_same),
        BUFFER_TEST(who_has_nothing_gets_one_whatever_the_others_do),
        BUFFER_TEST(they_are_served_in_order_and_not_inside_somebody_elses_call),
        BUFFER_TEST(shares_take_turns),
        BUFFER_TEST(nobody_overtakes_in_a_share),
        BUFFER_TEST(one_that_is_larger_than_the_budget_goes_alone),
        BUFFER_TEST(who_has_lost_interest_is_left_out),
        BUFFER_TEST(more_than_half_of_the_budget_is_scarce),
    };
    return RUN_TESTS(tests);
}
