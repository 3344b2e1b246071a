#include "test.h"

#include "storage/private.h"

#include <errno.h>

static const char *refused(const char *uri)
{
    static struct error error;
    assert_int_equal(export_check_uri(uri, &error), -EINVAL);
    return error.text;
}

static void uris_of_exports_are_taken(void **state)
{
    static const char *const uris[] = {
        "nbd://10.0.0.5",
        "nbd://disks.example:10810/disk1",
        "nbds://alice@disks.example/disk1?tls-psk-file=/etc/nodisk/psk",
        "nbd+unix:///?socket=/run/nbd.sock",
        "nbds+unix:///a:b@c?socket=/run/nbd.sock", /* a name of an export */
    };
    struct error error;
    for (size_t i = 0; i < ARRAY_SIZE(uris); i++)
        if (export_check_uri(uris[i], &error) < 0)
            fail_msg("%s: %s", uris[i], error.text);
}

static void others_are_refused(void **state)
{
    static const char *const uris[] = {
        "",          "nbd:",     "nbd:/x",         "http://10.0.0.5/",
        "NBD://x/y", "/dev/sdb", "nbd+vsock://2/", "nbd+ssh://x/"};
    for (size_t i = 0; i < ARRAY_SIZE(uris); i++)
        assert_contains(refused(uris[i]), "not the URI of an NBD export");
    assert_contains(refused("nbd://10.0.0.5/a b"), "no spaces");
    assert_contains(refused("nbd://10.0.0.5/\x1b[2J"), "no spaces");
    char longest[EXPORT_URI_SIZE + 1];
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "nbd://", 6);
    longest[EXPORT_URI_SIZE - 1] = '\0';
    struct error error;
    assert_int_equal(export_check_uri(longest, &error), 0);
    longest[EXPORT_URI_SIZE - 1] = 'a';
    longest[EXPORT_URI_SIZE] = '\0';
    assert_contains(refused(longest), "at most 1023 characters");
}

static void a_password_is_refused_and_not_repeated(void **state)
{
    const char *text = refused("nbds://alice:geheim@disks.example/disk1");
    assert_contains(text, "has no password");
    assert_null(strstr(text, "geheim"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(uris_of_exports_are_taken),
        TEST(others_are_refused),
        TEST(a_password_is_refused_and_not_repeated),
    };
    return RUN_TESTS(tests);
}
