#include "test.h"

#include "server/file_limit.h"

#include <sys/resource.h>

static void as_many_as_allowed(void **state)
{
    struct rlimit limit;
    struct error error;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 16;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(file_limit_raise(0, &error), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(limit.rlim_cur == limit.rlim_max);
}

static void some_sessions_fit(void **state)
{
    struct rlimit limit;
    struct error error;
    assert_int_equal(file_limit_raise(8, &error), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(limit.rlim_cur >= 16);
}

/* More than fs.nr_open, so that not even root may. */
static void too_many_are_refused_with_what_to_do(void **state)
{
    struct rlimit before, after;
    struct error error = {0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(file_limit_raise(UINT32_MAX, &error) < 0);
    assert_contains(error.text, "max-sessions = 4294967295 needs 34359738872 open files");
    assert_contains(error.text, "LimitNOFILE=");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_true(after.rlim_cur == before.rlim_cur && after.rlim_max == before.rlim_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(as_many_as_allowed), TEST(some_sessions_fit),
                                       TEST(too_many_are_refused_with_what_to_do)};
    return RUN_TESTS(tests);
}
