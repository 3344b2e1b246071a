#include "scratch_dir.h"

#include "server/state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char *scratch;
static char path[PATH_MAX];
static struct error error;

static int setup(void **state)
{
    scratch = scratch_dir_make();
    snprintf(path, sizeof(path), "%s/state", scratch);
    error = (struct error){0};
    return 0;
}

static int teardown(void **state)
{
    umount2(path, MNT_DETACH);
    scratch_dir_remove(scratch);
    return 0;
}

static void assert_told(int r, int expected, const char *words)
{
    assert_int_equal(r, expected);
    assert_int_equal(error.code, expected);
    assert_contains(error.text, words);
}

static void it_is_made_for_us_alone(void **state)
{
    struct stat st;
    cleanup_close int fd = state_directory_lock(path, &error);
    assert_true(fd >= 0);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void one_daemon_at_a_time(void **state)
{
    char words[64];
    int first = state_directory_lock(path, &error);
    assert_true(first >= 0);
    snprintf(words, sizeof(words), "another nodisk with process id %d already uses", getpid());
    assert_told(state_directory_lock(path, &error), -EBUSY, words);
    assert_told(state_directory_lock(path, &error), -EBUSY, path);
    close(first);
    int second = state_directory_lock(path, &error);
    assert_true(second >= 0);
    close(second);
}

/* Its child processes (hooks, copies) must not keep the lock of a daemon that has died. */
static void the_lock_dies_with_the_daemon(void **state)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        (void)!state_directory_lock(path, &error);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    int fd = state_directory_lock(path, &error);
    assert_true(fd >= 0);
    close(fd);
}

static void what_is_in_the_lock_file_is_not_believed(void **state)
{
    char lock[PATH_MAX + 8];
    int first = state_directory_lock(path, &error);
    snprintf(lock, sizeof(lock), "%s/lock", path);
    cleanup_close int fd = open(lock, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "\x1b[2Jxxxxxxxxxxxxxxxxxxx", 23), 23);
    assert_told(state_directory_lock(path, &error), -EBUSY, "another nodisk already uses");
    assert_null(strchr(error.text, '\x1b'));
    close(first);
}

static void what_is_in_the_way_is_told(void **state)
{
    char lock[PATH_MAX + 8];
    assert_told(state_directory_lock("/nowhere/at/all", &error), -ENOENT,
                "cannot make the state directory /nowhere/at/all: No such file");
    close(open(path, O_CREAT | O_WRONLY, 0600)); /* a file is in the way */
    assert_told(state_directory_lock(path, &error), -ENOTDIR,
                "cannot write to the state directory");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(lock, sizeof(lock), "%s/lock", path);
    assert_int_equal(symlink("/etc/passwd", lock), 0); /* somebody else's file */
    assert_told(state_directory_lock(path, &error), -ELOOP, "cannot write to the state directory");
}

static void a_read_only_file_system_is_told_with_what_to_do(void **state)
{
    assert_int_equal(mkdir(path, 0700), 0);
    if (mount("tmpfs", path, "tmpfs", MS_RDONLY, NULL) < 0)
        skip(); /* not root */
    assert_told(state_directory_lock(path, &error), -EROFS, "mount it writable or set another");
}

static void a_full_file_system_does_not_matter(void **state)
{
    assert_int_equal(mkdir(path, 0700), 0);
    if (mount("tmpfs", path, "tmpfs", 0, "size=4k") < 0)
        skip(); /* not root */
    char full[PATH_MAX + 8], page[4096];
    snprintf(full, sizeof(full), "%s/full", path);
    memset(page, 'x', sizeof(page));
    cleanup_close int fd = open(full, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
    cleanup_close int lock = state_directory_lock(path, &error);
    assert_true(lock >= 0);
    assert_told(state_directory_lock(path, &error), -EBUSY, "another nodisk already uses");
}

static void the_directory_of_a_socket_is_made(void **state)
{
    char file[PATH_MAX + 32];
    struct stat st;
    snprintf(file, sizeof(file), "%s/nodisk.sock", path);
    assert_int_equal(state_make_parent(file, &error), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0755);
    assert_int_equal(state_make_parent(file, &error), 0); /* it is there */
    snprintf(file, sizeof(file), "%s/x/y/nodisk.sock", path);
    assert_told(state_make_parent(file, &error), -ENOENT, "cannot make the directory");
}

#define STATE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STATE_TEST(it_is_made_for_us_alone),
        STATE_TEST(one_daemon_at_a_time),
        STATE_TEST(the_lock_dies_with_the_daemon),
        STATE_TEST(what_is_in_the_lock_file_is_not_believed),
        STATE_TEST(what_is_in_the_way_is_told),
        STATE_TEST(a_read_only_file_system_is_told_with_what_to_do),
        STATE_TEST(a_full_file_system_does_not_matter),
        STATE_TEST(the_directory_of_a_socket_is_made),
    };
    scratch_dir_own_mounts();
    return RUN_TESTS(tests);
}
