#include "test.h"

#include "core/source.h"

#include <errno.h>

static void forms(void **state)
{
    static const struct {
        const char *given, *shown;
        bool v4;
    } good[] = {
        {"10.0.0.7", "10.0.0.7", true},
        {"10.0.0.7/32", "10.0.0.7", true},
        {"10.0.0.0/24", "10.0.0.0/24", true},
        {"0.0.0.0/0", "0.0.0.0/0", true},
        {"2001:DB8::/32", "2001:db8::/32", false},
        {"::1/128", "::1", false},
        {"::/0", "::/0", false},
        {"::ffff:10.0.0.0/104", "10.0.0.0/8", true},
        {"node", "node", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct source source;
        char text[SOURCE_TEXT_SIZE];
        assert_int_equal(source_parse(good[i].given, &source), 0);
        assert_string_equal(source_format(&source, text), good[i].shown);
        assert_int_equal(source_is_ipv4(&source), good[i].v4);
    }
    static const char *const bad[] = {"",
                                      "any",
                                      "10.0.0",
                                      "10.0.0.1/24",
                                      "10.0.0.0/33",
                                      "10.0.0.0/",
                                      "10.0.0.0/ 8",
                                      "10.0.0.0/8x",
                                      "10.0.0.0/-1",
                                      "/8",
                                      "2001:db8::1/64",
                                      "::/129",
                                      "nodes",
                                      "10.0.0.7:80",
                                      "[::1]",
                                      "10.0.0.0/0000"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct source source;
        assert_int_equal(source_parse(bad[i], &source), -EINVAL);
    }
}

static void who_is_there(void **state)
{
    static const struct {
        const char *source, *peer;
        bool there;
    } cases[] = {
        {"10.0.0.7", "10.0.0.7:1", true},
        {"10.0.0.7", "10.0.0.6:1", false},
        {"10.0.0.7", "[::ffff:10.0.0.7]:1", true},
        {"10.0.0.4/30", "10.0.0.7:1", true},
        {"10.0.0.4/30", "10.0.0.8:1", false},
        {"10.0.0.0/9", "10.127.255.255:1", true},
        {"10.0.0.0/9", "10.128.0.0:1", false},
        {"0.0.0.0/0", "192.0.2.1:1", true},
        {"0.0.0.0/0", "[2001:db8::1]:1", false},
        {"::/0", "[2001:db8::1]:1", true},
        {"::/0", "10.0.0.7:1", false},
        {"::/0", "[::ffff:10.0.0.7]:1", false},
        {"2001:db8::/33", "[2001:db8:7fff::1]:1", true},
        {"2001:db8::/33", "[2001:db8:8000::1]:1", false},
        {"node", "10.0.0.7:1", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct source source;
        struct endpoint peer;
        assert_int_equal(source_parse(cases[i].source, &source), 0);
        assert_int_equal(endpoint_parse(cases[i].peer, &peer), 0);
        if (source_has(&source, &peer) != cases[i].there)
            fail_msg("%s %s", cases[i].source, cases[i].peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        cmocka_unit_test(who_is_there),
    };
    return RUN_TESTS(tests);
}
