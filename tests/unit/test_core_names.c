#include "test.h"

#include "core/names.h"

static void check(bool (*is)(const char *), const char *const *good, const char *const *bad)
{
    for (; *good; good++)
        if (!is(*good))
            fail_msg("'%s' should be taken", *good);
    for (; *bad; bad++)
        if (is(*bad))
            fail_msg("'%s' should be refused", *bad);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define LABEL_64  "a234567890123456789012345678901234567890123456789012345678901234"

static void hosts(void **state)
{
    check(name_is_host, LIST("a", "web1", "1-2", "x--y"),
          LIST("", "-a", "a-", "Web", "a.b", "a_b", "a b", "a\n", "${x}", "\xc3\xa4", LABEL_64));
}

static void objects(void **state)
{
    check(name_is_object, LIST("debian12", "a.b-c", "9"),
          LIST("", ".a", "-a", "a..b", "a/b", "a@1", "A", "a_b", LABEL_64));
}

static void iqns(void **state)
{
    check(name_is_iqn, LIST("iqn.2026-11.lan.example", "iqn.2026-11.lan.example:a:b-c.d"),
          LIST("", "iqn.", "iqn.2026-11", "iqn.2026-11.", "iqn.2026-1.lan.example",
               "eui.0123456789abcdef", "iqn.2026-11.Lan", "iqn.2026-11.lan example",
               "iqn.2026-11.lan\n"));
}

static void domains(void **state)
{
    check(name_is_domain, LIST("lan", "a.b.c"), LIST("", ".", "a.", ".a", "a..b", "a b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(hosts), TEST(objects), TEST(iqns), TEST(domains)};
    return RUN_TESTS(tests);
}
