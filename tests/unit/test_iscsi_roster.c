/* Who is in the roster is seen once, on his own thread, whatever happens meanwhile. */
#include "test.h"

#include "thread_call.h"

#include "iscsi/session.h"

#define N_THREADS 2
#define N         200 /* of each thread: more than are visited at a time */

static struct io_thread *threads[N_THREADS];
static struct iscsi_roster *roster;
static struct iscsi_session sessions[N_THREADS][N];
static unsigned seen[N_THREADS][N];

static void add_all(void *context)
{
    unsigned thread = *(unsigned *)context;
    for (unsigned i = 0; i < N; i++)
        iscsi_roster_add(roster, thread, &sessions[thread][i]);
}

static void remove_all(void *context)
{
    unsigned thread = *(unsigned *)context;
    for (unsigned i = 0; i < N; i++)
        iscsi_roster_remove(&sessions[thread][i]);
}

static void on_all(void (*run)(void *context))
{
    for (unsigned i = 0; i < N_THREADS; i++)
        thread_call(threads[i], run, &i);
}

static int setup(void **state)
{
    struct error error;
    memset(seen, 0, sizeof(seen));
    memset(sessions, 0, sizeof(sessions));
    for (unsigned i = 0; i < N_THREADS; i++)
        assert_int_equal(io_thread_start(i, MIB, &threads[i], &error), 0);
    roster = iscsi_roster_new(threads, N_THREADS);
    assert_non_null(roster);
    on_all(add_all);
    return 0;
}

static int teardown(void **state)
{
    on_all(remove_all);
    for (unsigned i = 0; i < N_THREADS; i++)
        io_thread_stop(threads[i]);
    iscsi_roster_free(roster);
    return 0;
}

static void count(void *context, unsigned thread, struct iscsi_session *session)
{
    assert_true(pthread_equal(pthread_self(), threads[thread]->thread));
    seen[thread][session - sessions[thread]]++;
}

static void assert_seen(unsigned times)
{
    for (unsigned t = 0; t < N_THREADS; t++)
        for (unsigned i = 0; i < N; i++)
            assert_int_equal(seen[t][i], times);
}

static void each_is_visited_once(void **state)
{
    assert_int_equal(iscsi_roster_threads(roster), N_THREADS);
    assert_int_equal(iscsi_roster_visit(roster, count, NULL), 0);
    assert_seen(1);
    assert_int_equal(iscsi_roster_visit(roster, count, NULL), 0);
    assert_seen(2);
}

static void an_empty_one_is_gone_through(void **state)
{
    on_all(remove_all);
    assert_int_equal(iscsi_roster_visit(roster, count, NULL), 0);
    assert_seen(0);
}

static void ids_are_unique(void **state)
{
    static bool taken[N_THREADS * N + 1];
    for (unsigned t = 0; t < N_THREADS; t++)
        for (unsigned i = 0; i < N; i++) {
            uint64_t id = sessions[t][i].roster.id;
            assert_true(id >= 1 && id <= N_THREADS * N && !taken[id]);
            taken[id] = true;
        }
}

/* It ends itself and the one behind it. */
static void end_two(void *context, unsigned thread, struct iscsi_session *session)
{
    count(context, thread, session);
    size_t at = (size_t)(session - sessions[thread]);
    iscsi_roster_remove(session);
    iscsi_roster_remove(&sessions[thread][MIN(at + 1, N - 1)]);
}

static void sessions_may_end_meanwhile(void **state)
{
    assert_int_equal(iscsi_roster_visit(roster, end_two, NULL), 0);
    for (unsigned t = 0; t < N_THREADS; t++)
        for (unsigned i = 0; i < N; i++)
            assert_int_equal(seen[t][i], i % 2 == 0);
    memset(seen, 0, sizeof(seen));
    assert_int_equal(iscsi_roster_visit(roster, count, NULL), 0);
    assert_seen(0);
}

static void count_atomically(void *context, unsigned thread, struct iscsi_session *session)
{
    atomic_fetch_add((atomic_uint *)context, 1);
}

static void *visit_often(void *context)
{
    atomic_uint n = 0;
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(iscsi_roster_visit(roster, count_atomically, &n), 0);
    assert_int_equal(atomic_load(&n), 50 * N_THREADS * N);
    return context;
}

static void several_visit_at_once(void **state)
{
    pthread_t visitors[4];
    for (unsigned i = 0; i < ARRAY_SIZE(visitors); i++)
        assert_int_equal(pthread_create(&visitors[i], NULL, visit_often, NULL), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(visitors); i++)
        pthread_join(visitors[i], NULL);
}

#define IN_LAB(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LAB(each_is_visited_once), IN_LAB(an_empty_one_is_gone_through), IN_LAB(ids_are_unique),
        IN_LAB(sessions_may_end_meanwhile), IN_LAB(several_visit_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
