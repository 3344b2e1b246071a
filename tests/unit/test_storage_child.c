#include "test.h"

#include "storage/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static struct error error;

static struct child_spec spec_of(const char *const *argv)
{
    return (struct child_spec){
        .argv = argv, .package = "some-package", .input = -1, .files = {-1, -1}, .seconds = 60};
}

static int run(const char *const *argv, char *text, size_t size)
{
    struct child_spec spec = spec_of(argv);
    error = (struct error){0};
    return child_run(&spec, text, size, &error);
}

#define RUN(text, ...) run((const char *const[]){__VA_ARGS__, NULL}, text, sizeof(text))

static void its_output_comes_back(void **state)
{
    char text[64];
    assert_int_equal(RUN(text, "printf", "%s|%s", "a b", "$(id)"), 0);
    assert_string_equal(text, "a b|$(id)");
}

static void it_gets_nothing_of_ours(void **state)
{
    char text[4096];
    cleanup_close int ours = memfd_create("ours", 0); /* would be inherited */
    assert_true(ours >= 0);
    setenv("NODISK_SECRET", "x", 1);
    assert_int_equal(RUN(text, "env"), 0);
    assert_string_equal(text, "LC_ALL=C\nPATH=/usr/bin:/bin\nMALLOC_ARENA_MAX=2\n");
    assert_int_equal(RUN(text, "sh", "-c",
                         "for n in $(seq 0 63); do [ ! -e /dev/fd/$n ] || printf '%s ' $n; done"),
                     0);
    assert_string_equal(text, "0 1 2 ");
}

static void files_are_where_they_are_expected(void **state)
{
    const char *const argv[] = {"cp", CHILD_FILE_0, CHILD_FILE_1, NULL};
    cleanup_close int from = memfd_create("from", MFD_CLOEXEC);
    cleanup_close int to = memfd_create("to", MFD_CLOEXEC);
    struct child_spec spec = spec_of(argv);
    char text[64];
    assert_int_equal(write(from, "content", 7), 7);
    spec.files[0] = from;
    spec.files[1] = to;
    assert_int_equal(child_run(&spec, text, sizeof(text), &error), 0);
    assert_int_equal(pread(to, text, sizeof(text), 0), 7);
    assert_memory_equal(text, "content", 7);
}

static void its_input_moves_ours(void **state)
{
    const char *const argv[] = {"head", "-c", "3", NULL};
    cleanup_close int from = memfd_create("from", MFD_CLOEXEC);
    struct child_spec spec = spec_of(argv);
    char text[64];
    assert_int_equal(write(from, "content", 7), 7);
    assert_int_equal(lseek(from, 0, SEEK_SET), 0);
    spec.input = from;
    assert_int_equal(child_run(&spec, text, sizeof(text), &error), 0);
    assert_string_equal(text, "con");
    assert_true(lseek(from, 0, SEEK_CUR) >= 3);
}

static void what_goes_wrong_is_told(void **state)
{
    char text[64];
    assert_int_equal(RUN(text, "no-such-program"), -ENOENT);
    assert_contains(error.text, "needs no-such-program, which is not installed");
    assert_contains(error.text, "apt install some-package");
    assert_int_equal(RUN(text, "sh", "-c", "printf 'no\\033 good\\n\\n' >&2; exit 3"), -EIO);
    assert_string_equal(error.text, "sh failed (no good )");
    assert_int_equal(RUN(text, "false"), -EIO);
    assert_contains(error.text, "it did not say why");
    assert_int_equal(RUN(text, "sh", "-c", "kill -SEGV $$"), -EIO);
    assert_contains(error.text, "sh crashed (signal 11)");
    assert_int_equal(RUN(text, "seq", "1000"), -EIO);
    assert_contains(error.text, "says more than it should");
}

static void the_end_of_what_it_said_is_kept(void **state)
{
    char text[64];
    assert_int_equal(RUN(text, "sh", "-c", "seq 100000 >&2; echo last words >&2; exit 1"), -EIO);
    assert_contains(error.text, "99999 100000 last words");
}

static void what_takes_too_long_is_stopped(void **state)
{
    const char *const sleeping[] = {"sleep", "600", NULL};
    const char *const busy[] = {"sh", "-c", "while :; do :; done", NULL};
    char text[64];
    struct child_spec spec = spec_of(sleeping);
    spec.seconds = 1;
    assert_int_equal(child_run(&spec, text, sizeof(text), &error), -EIO);
    assert_contains(error.text, "took too long");
    spec.argv = busy; /* by real time or by processor time, whichever comes first */
    assert_int_equal(child_run(&spec, text, sizeof(text), &error), -EIO);
    assert_contains(error.text, "took too long");
}

static void it_cannot_write_more_than_it_should(void **state)
{
    const char *const argv[] = {"cp", "/dev/zero", CHILD_FILE_1, NULL};
    cleanup_close int to = memfd_create("to", MFD_CLOEXEC);
    struct child_spec spec = spec_of(argv);
    char text[64];
    spec.files[1] = to;
    spec.file_size = 1 << 20;
    assert_int_equal(child_run(&spec, text, sizeof(text), &error), -EIO);
    assert_int_equal(lseek(to, 0, SEEK_END), 1 << 20);
}

/* A file of ours that it is not given. */
static void it_finds_no_other_file(void **state)
{
    char text[256], path[] = "/tmp/nodisk-child-XXXXXX";
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1)
        skip();
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(RUN(text, "cat", path), -EIO);
    assert_contains(error.text, "Permission denied");
    assert_int_equal(RUN(text, "cat", "/etc/passwd"), -EIO);
    assert_int_equal(RUN(text, "cp", "/dev/null", path), -EIO);
    assert_int_equal(RUN(text, "rm", path), -EIO);
    assert_int_equal(RUN(text, "mkdir", "/tmp/nodisk-child-directory"), -EIO);
    assert_int_equal(unlink(path), 0);
    close(fd);
}

static void given_files_are_opened_again(void **state)
{
    const char *const argv[] = {"cp", CHILD_FILE_0, CHILD_FILE_1, NULL};
    char text[256], from[] = "/tmp/nodisk-child-XXXXXX", to[] = "/tmp/nodisk-child-XXXXXX";
    struct child_spec spec = spec_of(argv);
    spec.files[0] = mkstemp(from);
    spec.files[1] = mkstemp(to);
    assert_int_equal(write(spec.files[0], "content", 7), 7);
    assert_int_equal(unlink(from) | unlink(to), 0); /* nameless, or not: no matter */
    if (child_run(&spec, text, sizeof(text), &error) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(pread(spec.files[1], text, sizeof(text), 0), 7);
    close(spec.files[0]);
    close(spec.files[1]);
}

static void it_can_be_stopped(void **state)
{
    const char *const argv[] = {"sleep", "600", NULL};
    struct child_spec spec = spec_of(argv);
    struct child child;
    char text[8];
    assert_int_equal(child_start(&child, &spec, &error), 0);
    pid_t pid = child.pid;
    assert_int_equal(child_read(&child, text, sizeof(text), 0), -EAGAIN);
    child_stop(&child);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
    child_stop(&child); /* again is fine */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(its_output_comes_back),
        TEST(it_gets_nothing_of_ours),
        TEST(files_are_where_they_are_expected),
        TEST(its_input_moves_ours),
        TEST(what_goes_wrong_is_told),
        TEST(the_end_of_what_it_said_is_kept),
        TEST(what_takes_too_long_is_stopped),
        TEST(it_cannot_write_more_than_it_should),
        TEST(it_finds_no_other_file),
        TEST(given_files_are_opened_again),
        TEST(it_can_be_stopped),
    };
    return RUN_TESTS(tests);
}
