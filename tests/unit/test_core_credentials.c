#include "test.h"

#include "core/credentials.h"

#include <errno.h>

#define SECRET "correcthorse" /* as short as may be */

static const char *of_length(size_t n)
{
    static char text[CREDENTIALS_SECRET_MAX + 2];
    memset(text, 'x', n);
    text[n] = '\0';
    return text;
}

static void names_and_secrets_that_are_taken(void **state)
{
    struct credentials c;
    struct error error;
    assert_int_equal(credentials_set("iqn.2026-11.lan.example:node", SECRET, &c, &error), 0);
    assert_string_equal(c.user, "iqn.2026-11.lan.example:node");
    assert_string_equal(c.secret, SECRET);
    assert_int_equal(credentials_set(of_length(255), SECRET, &c, &error), 0);
    assert_int_equal(credentials_set("u", of_length(255), &c, &error), 0);
    assert_int_equal(strlen(c.secret), 255);
}

static void names_and_secrets_that_are_refused(void **state)
{
    static const struct {
        const char *user, *secret, *words;
    } cases[] = {
        {"", SECRET, "user name"},
        {"two words", SECRET, "user name"},
        {"tab\t", SECRET, "user name"},
        {"\xc3\xa9", SECRET, "user name"},
        {"u", "elevenchars", "has 11"},
        {"u", "", "has 0"},
        {"u", "with a space in it", "no spaces"},
        {"u", "a\nnewline-in-it", "no spaces"},
        {"u", "\xc3\xa9not-ascii-text", "ASCII"},
    };
    struct credentials c = {.user = "before", .secret = "as it was before"};
    struct error error;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(credentials_set(cases[i].user, cases[i].secret, &c, &error), -EINVAL);
        assert_contains(error.text, cases[i].words);
        if (*cases[i].secret && strstr(error.text, cases[i].secret))
            fail_msg("the secret is told: %s", error.text);
    }
    assert_int_equal(credentials_set(of_length(256), SECRET, &c, &error), -EINVAL);
    assert_int_equal(credentials_set("u", of_length(256), &c, &error), -EINVAL);
    assert_contains(error.text, "has 256");
    assert_string_equal(c.user, "before");
    assert_string_equal(c.secret, "as it was before");
}

static void generated_secrets_are_long_printable_and_never_the_same(void **state)
{
    struct credentials a, b;
    struct error error;
    assert_int_equal(credentials_generate("web1", &a, &error), 0);
    assert_int_equal(credentials_generate("web1", &b, &error), 0);
    assert_string_equal(a.user, "web1");
    assert_int_equal(strlen(a.secret), 32);
    assert_int_equal(strspn(a.secret, "0123456789abcdef"), 32);
    assert_string_not_equal(a.secret, b.secret);
    assert_int_equal(credentials_generate("no good", &a, &error), -EINVAL);
}

static void both_directions_need_a_secret_of_their_own(void **state)
{
    struct chap_credentials c = {
        .mode = CHAP_MUTUAL, .initiator = {"i", SECRET}, .target = {"t", SECRET}};
    struct error error;
    assert_int_equal(chap_credentials_check(&c, &error), -EINVAL);
    assert_contains(error.text, "must differ");
    c.target.secret[0] = 'C';
    assert_int_equal(chap_credentials_check(&c, &error), 0);
    c.mode = CHAP_ONE_WAY;
    memcpy(c.target.secret, c.initiator.secret, sizeof(c.target.secret));
    assert_int_equal(chap_credentials_check(&c, &error), 0);
}

static void modes_have_names(void **state)
{
    enum chap_mode mode;
    struct error error;
    for (enum chap_mode m = CHAP_NONE; m <= CHAP_MUTUAL; m++) {
        assert_int_equal(chap_mode_parse(chap_mode_name(m), &mode, &error), 0);
        assert_int_equal(mode, m);
    }
    assert_int_equal(chap_mode_parse("both", &mode, &error), -EINVAL);
    assert_contains(error.text, "one-way");
}

static void wiping_leaves_nothing(void **state)
{
    static const struct chap_credentials nothing;
    struct chap_credentials c = {CHAP_MUTUAL, {"i", SECRET}, {"t", "another-secret"}};
    struct credentials one = {"i", SECRET};
    chap_credentials_wipe(&c);
    credentials_wipe(&one);
    assert_memory_equal(&c, &nothing, sizeof(c));
    assert_memory_equal(&one, &nothing.initiator, sizeof(one));
}

static void a_copy_has_what_is_older_too(void **state)
{
    struct chap_credentials first = {.mode = CHAP_ONE_WAY, .initiator = {"i", SECRET}, .tag = 1};
    struct chap_credentials second = {
        .mode = CHAP_MUTUAL, .initiator = {"i", "a-newer-secret"}, .tag = 2, .older = &first};
    assert_null(chap_credentials_copy(NULL));
    struct chap_credentials *copy = chap_credentials_copy(&second);
    credentials_wipe(&first.initiator);
    assert_int_equal(copy->tag, 2);
    assert_string_equal(copy->initiator.secret, "a-newer-secret");
    assert_int_equal(copy->older->tag, 1);
    assert_string_equal(copy->older->initiator.secret, SECRET);
    assert_null(copy->older->older);
    chap_credentials_free(copy);
    chap_credentials_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_and_secrets_that_are_taken),
        TEST(names_and_secrets_that_are_refused),
        TEST(generated_secrets_are_long_printable_and_never_the_same),
        TEST(both_directions_need_a_secret_of_their_own),
        TEST(modes_have_names),
        TEST(wiping_leaves_nothing),
        TEST(a_copy_has_what_is_older_too),
    };
    return RUN_TESTS(tests);
}
