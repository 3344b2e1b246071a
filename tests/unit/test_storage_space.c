#include "scratch_dir.h"

#include "storage/space.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct bench {
    char *directory;
    struct error error;
};

static struct bench bench;

static int setup(void **state)
{
    bench = (struct bench){.directory = scratch_dir_make()};
    return 0;
}

static int teardown(void **state)
{
    umount2(bench.directory, MNT_DETACH);
    scratch_dir_remove(bench.directory);
    return 0;
}

static void mount_here(const char *type, const char *options)
{
    if (mount(type, bench.directory, type, 0, options) < 0)
        skip(); /* not root */
}

/* A file with a word at 1 MiB and nothing else. */
static int make_file(void)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/file", bench.directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "word", 4, MIB), 4);
    return fd;
}

static struct stat look_at(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st;
}

static void a_file_gets_its_space_and_keeps_its_content(void **state)
{
    mount_here("tmpfs", "size=8m");
    cleanup_close int fd = make_file();
    for (int round = 0; round < 2; round++) { /* the second time it has it already */
        assert_int_equal(space_reserve(fd, "file", 6 * MIB, &bench.error), 0);
        struct stat st = look_at(fd);
        assert_int_equal(st.st_size, 6 * MIB);
        assert_true((uint64_t)st.st_blocks * 512 >= 6 * MIB);
    }
    char bytes[6];
    assert_int_equal(pread(fd, bytes, 6, MIB - 1), 6);
    assert_memory_equal(bytes, "\0word", 6);
}

static void what_is_longer_stays_as_long(void **state)
{
    mount_here("tmpfs", "size=8m");
    cleanup_close int fd = make_file();
    assert_int_equal(space_reserve(fd, "file", 4096, &bench.error), 0);
    assert_int_equal(look_at(fd).st_size, MIB + 4);
}

static void no_room_is_told_with_the_figures(void **state)
{
    mount_here("tmpfs", "size=2m");
    cleanup_close int fd = make_file();
    blkcnt_t before = look_at(fd).st_blocks;
    assert_int_equal(space_reserve(fd, "file", 4 * MIB + 4096, &bench.error), -ENOSPC);
    assert_string_equal(bench.error.text,
                        "not enough space for file: it needs 4 MiB, 1.9 MiB are free; free some "
                        "and try again");
    assert_int_equal(look_at(fd).st_blocks, before);
    assert_int_equal(space_check(fd, "file", MIB, &bench.error), 0);
    assert_int_equal(space_check(fd, "file", 2 * MIB, &bench.error), -ENOSPC);
}

static void a_file_system_that_cannot_is_told(void **state)
{
    mount_here("ramfs", NULL);
    cleanup_close int fd = make_file();
    assert_int_equal(space_reserve(fd, "file", 0, &bench.error), -EINVAL);
    int r = space_reserve(fd, "file", 2 * MIB, &bench.error);
    assert_true(r == -EOPNOTSUPP || r == -ENOSPC); /* it tells of no free space, either */
    assert_int_equal(bench.error.code, r);
}

static void what_cannot_be_looked_at_is_told(void **state)
{
    assert_int_equal(space_reserve(-1, "file", 4096, &bench.error), -EBADF);
    assert_non_null(strstr(bench.error.text, "file cannot be looked at"));
    assert_int_equal(space_check(-1, "file", 4096, &bench.error), -EBADF);
}

#define SPACE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPACE_TEST(a_file_gets_its_space_and_keeps_its_content),
        SPACE_TEST(what_is_longer_stays_as_long),
        SPACE_TEST(no_room_is_told_with_the_figures),
        SPACE_TEST(a_file_system_that_cannot_is_told),
        SPACE_TEST(what_cannot_be_looked_at_is_told),
    };
    scratch_dir_own_mounts();
    return RUN_TESTS(tests);
}
