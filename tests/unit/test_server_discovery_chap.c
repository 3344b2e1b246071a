#include "scratch_dir.h"

#include "server/discovery_chap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static char *directory;
static struct config config;
static struct chap_credentials found;
static struct error error;

static int setup(void **state)
{
    directory = scratch_dir_make();
    config = (struct config){0};
    found = (struct chap_credentials){.mode = CHAP_MUTUAL};
    return 0;
}

static int teardown(void **state)
{
    scratch_dir_remove(directory);
    return 0;
}

static void put_secret(const char *name, const char *text, mode_t mode, char place[static PATH_MAX])
{
    snprintf(place, PATH_MAX, "%s/%s", directory, name);
    cleanup_close int fd = open(place, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
}

static void configure(const char *secret, const char *target_secret)
{
    struct discovery_chap *c = &config.discovery_chap;
    str_copy(c->user, sizeof(c->user), "finder");
    put_secret("secret", secret, 0600, c->secret_file);
    if (!target_secret)
        return;
    str_copy(c->target_user, sizeof(c->target_user), "portal");
    put_secret("target-secret", target_secret, 0640, c->target_secret_file);
}

static void nothing_is_asked_for(void **state)
{
    assert_int_equal(discovery_chap_read(&config, &found, &error), 0);
    assert_int_equal(found.mode, CHAP_NONE);
}

static void secrets_are_the_first_lines_of_their_files(void **state)
{
    configure("correct-horse\nand more", NULL);
    assert_int_equal(discovery_chap_read(&config, &found, &error), 0);
    assert_int_equal(found.mode, CHAP_ONE_WAY);
    assert_string_equal(found.initiator.user, "finder");
    assert_string_equal(found.initiator.secret, "correct-horse");
    configure("correct-horse\r\n", "battery-staple");
    assert_int_equal(discovery_chap_read(&config, &found, &error), 0);
    assert_int_equal(found.mode, CHAP_MUTUAL);
    assert_string_equal(found.initiator.secret, "correct-horse");
    assert_string_equal(found.target.user, "portal");
    assert_string_equal(found.target.secret, "battery-staple");
}

static void refused(int code, const char *words)
{
    assert_int_equal(discovery_chap_read(&config, &found, &error), code);
    assert_contains(error.text, "discovery-chap");
    assert_contains(error.text, words);
    assert_null(strstr(error.text, "horse"));
}

static void what_is_wrong_is_told_without_the_secret(void **state)
{
    char longest[300];
    memset(longest, 'x', sizeof(longest));
    longest[299] = '\0';
    configure("short-horse", NULL);
    refused(-EINVAL, "has 11");
    configure(longest, NULL);
    refused(-EINVAL, "12 to 255");
    configure("", NULL);
    refused(-EINVAL, "has 0");
    configure("correct-horse", "correct-horse");
    refused(-EINVAL, "must differ");
    configure("correct-horse", "battery-staple");
    assert_int_equal(chmod(config.discovery_chap.secret_file, 0604), 0);
    refused(-EPERM, "everybody may read");
    assert_int_equal(unlink(config.discovery_chap.secret_file), 0);
    refused(-ENOENT, "cannot be read");
    str_copy(config.discovery_chap.secret_file, PATH_MAX, directory);
    refused(-EISDIR, "cannot be read");
}

#define DISCOVERY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISCOVERY_TEST(nothing_is_asked_for),
        DISCOVERY_TEST(secrets_are_the_first_lines_of_their_files),
        DISCOVERY_TEST(what_is_wrong_is_told_without_the_secret),
    };
    return RUN_TESTS(tests);
}
