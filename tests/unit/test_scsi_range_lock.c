#include "test.h"

#include "fake_thread.h"

#include "scsi/range_lock.h"

static struct io_thread *thread;
static struct scsi_range_lock lock;
static struct scsi_range_claim claims[8];
static unsigned n_ready;
static struct scsi_range_claim *ready[ARRAY_SIZE(claims)]; /* in order */

static int setup(void **state)
{
    thread = fake_thread_new(1 * MIB);
    scsi_range_lock_init(&lock, thread);
    memset(claims, 0, sizeof(claims));
    n_ready = 0;
    return 0;
}

static int teardown(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(claims); i++)
        scsi_range_release(&lock, &claims[i]);
    assert_true(list_empty(&lock.held) && list_empty(&lock.waiting));
    assert_int_equal(lock.exclusive, 0);
    assert_true(list_empty(&thread->deferred)); /* the lock may be gone from here on */
    fake_thread_free(thread);
    return 0;
}

static void note_ready(struct scsi_range_claim *claim)
{
    ready[n_ready++] = claim;
}

static bool claim(unsigned i, uint64_t begin, uint64_t end, bool exclusive)
{
    claims[i] = (struct scsi_range_claim){
        .begin = begin, .end = end, .exclusive = exclusive, .ready = note_ready};
    bool claimed = scsi_range_claim(&lock, &claims[i]);
    assert_true(scsi_range_claimed(&claims[i]));
    return claimed;
}

/* Gives one back; how many have been served in all by then. */
static unsigned let_go(unsigned i)
{
    unsigned before = n_ready;
    scsi_range_release(&lock, &claims[i]);
    assert_false(scsi_range_claimed(&claims[i]));
    assert_int_equal(n_ready, before); /* never inside somebody else's call */
    fake_thread_round(thread);
    return n_ready;
}

static void writes_share(void **state)
{
    assert_true(claim(0, 0, 100, false));
    assert_true(claim(1, 50, 150, false));
    assert_true(claim(2, 0, 100, false));
    assert_int_equal(let_go(0), 0);
}

static void an_exclusive_claim_waits_for_writes(void **state)
{
    assert_true(claim(0, 0, 100, false));
    assert_true(claim(1, 99, 150, false));
    assert_false(claim(2, 50, 120, true));
    assert_int_equal(let_go(0), 0);
    assert_int_equal(let_go(1), 1);
    assert_ptr_equal(ready[0], &claims[2]);
}

static void neighbours_do_not_wait(void **state)
{
    assert_true(claim(0, 0, 100, false));
    assert_true(claim(1, 100, 200, true));
    assert_true(claim(2, 200, 300, true));
    assert_true(claim(3, 300, 400, false));
    assert_false(claim(4, 199, 200, false));
    assert_false(claim(5, 299, 301, false));
}

static void writes_wait_for_an_exclusive_claim(void **state)
{
    assert_true(claim(0, 0, 100, true));
    assert_false(claim(1, 0, 10, false));
    assert_false(claim(2, 0, 10, false));
    assert_true(claim(3, 100, 110, false));
    assert_int_equal(let_go(0), 2); /* both at once */
    assert_ptr_equal(ready[0], &claims[1]);
    assert_ptr_equal(ready[1], &claims[2]);
}

/* A stream of writes must not get past one that waits. */
static void nobody_starves(void **state)
{
    assert_true(claim(0, 0, 100, false));
    assert_false(claim(1, 0, 100, true));
    assert_false(claim(2, 0, 100, false)); /* could share with the first */
    assert_false(claim(3, 50, 60, true));
    assert_false(claim(4, 50, 60, true));
    assert_int_equal(let_go(0), 1);
    assert_int_equal(let_go(1), 2);
    assert_int_equal(let_go(2), 3);
    assert_int_equal(let_go(3), 4);
    for (unsigned i = 0; i < 4; i++)
        assert_ptr_equal(ready[i], &claims[i + 1]);
}

static void a_chain_of_overlaps(void **state)
{
    assert_true(claim(0, 0, 20, true));
    assert_false(claim(1, 10, 40, true));
    assert_false(claim(2, 30, 60, true)); /* the first is not in its way, the second is */
    assert_true(claim(3, 60, 70, true));
    assert_int_equal(let_go(0), 1);
    assert_int_equal(let_go(1), 2);
}

static void who_waits_no_longer_is_in_nobodys_way(void **state)
{
    assert_true(claim(0, 0, 100, false));
    assert_false(claim(1, 0, 100, true));
    assert_false(claim(2, 0, 100, false));
    assert_int_equal(let_go(1), 1);
    assert_ptr_equal(ready[0], &claims[2]);
    assert_int_equal(let_go(1), 1); /* twice: nothing */
    assert_false(claim(3, 0, 100, true));
    assert_int_equal(let_go(3), 1);
}

static void called_off_between_its_turn_and_its_call(void **state)
{
    assert_true(claim(0, 0, 100, true));
    assert_false(claim(1, 0, 100, true));
    scsi_range_release(&lock, &claims[0]);
    assert_false(claim(2, 0, 100, false)); /* whose turn it is comes first */
    scsi_range_release(&lock, &claims[1]);
    fake_thread_round(thread);
    assert_int_equal(n_ready, 1);
    assert_ptr_equal(ready[0], &claims[2]);
}

#define LOCK_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOCK_TEST(writes_share),
        LOCK_TEST(an_exclusive_claim_waits_for_writes),
        LOCK_TEST(neighbours_do_not_wait),
        LOCK_TEST(writes_wait_for_an_exclusive_claim),
        LOCK_TEST(nobody_starves),
        LOCK_TEST(a_chain_of_overlaps),
        LOCK_TEST(who_waits_no_longer_is_in_nobodys_way),
        LOCK_TEST(called_off_between_its_turn_and_its_call),
    };
    return RUN_TESTS(tests);
}
