#include "test.h"

#include "core/ratelimit.h"

#include <arpa/inet.h>

static struct endpoint host(uint32_t n)
{
    struct endpoint e = {0};
    e.v4.sin_family = AF_INET;
    e.v4.sin_addr.s_addr = htonl(n);
    return e;
}

static void once_per_source_per_minute(void **state)
{
    struct ratelimit limit = {0};
    struct endpoint a = host(1), b = host(2);
    uint64_t now = 1000 * USEC_PER_SEC;
    uint32_t suppressed = 99;
    assert_true(ratelimit_allow(&limit, &a, now, &suppressed));
    assert_int_equal(suppressed, 0);
    assert_false(ratelimit_allow(&limit, &a, now + 59 * USEC_PER_SEC, &suppressed));
    assert_true(ratelimit_allow(&limit, &b, now, &suppressed));
    assert_true(ratelimit_allow(&limit, &a, now + 60 * USEC_PER_SEC, &suppressed));
    assert_int_equal(suppressed, 1);
}

static void many_sources_share_an_allowance(void **state)
{
    struct ratelimit limit = {0};
    uint64_t now = 1000 * USEC_PER_SEC;
    uint32_t suppressed;
    unsigned shown = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        struct endpoint e = host(i);
        shown += ratelimit_allow(&limit, &e, now, &suppressed);
    }
    assert_int_equal(shown, 60);
    struct endpoint e = host(20000);
    assert_true(ratelimit_allow(&limit, &e, now + 61 * USEC_PER_SEC, &suppressed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(once_per_source_per_minute),
        TEST(many_sources_share_an_allowance),
    };
    return RUN_TESTS(tests);
}
