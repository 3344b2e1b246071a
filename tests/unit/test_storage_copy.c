#include "scratch_dir.h"

#include "storage/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct place {
    char *directory;
};

static int setup(void **state)
{
    *state = scratch_dir_make();
    return 0;
}

static int teardown(void **state)
{
    char *directory = *state;
    umount2(directory, MNT_DETACH);
    scratch_dir_remove(directory);
    return 0;
}

static int open_in(const char *directory, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static void write_at(int fd, const void *data, size_t size, off_t offset)
{
    assert_int_equal(pwrite(fd, data, size, offset), (ssize_t)size);
}

static uint64_t allocated(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

static void assert_same(int a, int b, uint64_t size)
{
    static uint8_t x[1 << 16], y[1 << 16];
    for (uint64_t at = 0; at < size; at += sizeof(x)) {
        ssize_t n = pread(a, x, sizeof(x), (off_t)at);
        assert_int_equal(pread(b, y, sizeof(y), (off_t)at), n);
        assert_memory_equal(x, y, (size_t)n);
    }
    struct stat st;
    assert_int_equal(fstat(b, &st), 0);
    assert_true((uint64_t)st.st_size == size);
}

static int copy_whole(int from, int to, uint64_t size, bool by_hand, struct error *error)
{
    struct copy copy = {.from = from, .to = to, .from_name = "from", .to_name = "to", .size = size};
    int r = copy_begin(&copy, error);
    copy.by_hand = by_hand;
    while (r >= 0 && (r = copy_step(&copy, 0, error)) > 0)
        assert_true(copy.done < size);
    if (r == 0)
        assert_true(copy.done == size);
    copy_end(&copy);
    return r;
}

/* 40 MiB with data at the start, in the middle (unaligned) and at the end */
static int make_sparse(const char *directory)
{
    int fd = open_in(directory, "sparse");
    assert_int_equal(ftruncate(fd, 40 << 20), 0);
    write_at(fd, "start", 5, 0);
    write_at(fd, "middle", 6, (20 << 20) + 777);
    write_at(fd, "end", 3, (40 << 20) - 3);
    return fd;
}

static void holes_stay_holes(void **state)
{
    cleanup_close int from = make_sparse(*state);
    for (int by_hand = 0; by_hand < 2; by_hand++) {
        struct error error;
        cleanup_close int to = open_in(*state, by_hand ? "by-hand" : "by-kernel");
        assert_int_equal(copy_whole(from, to, 40 << 20, by_hand, &error), 0);
        assert_same(from, to, 40 << 20);
        assert_true(allocated(to) <= 64 * KIB);
    }
}

static void written_zeroes_become_holes_by_hand(void **state)
{
    static uint8_t zeroes[1 << 20];
    struct error error;
    cleanup_close int from = open_in(*state, "from");
    cleanup_close int to = open_in(*state, "to");
    for (int i = 0; i < 8; i++)
        write_at(from, zeroes, sizeof(zeroes), i << 20);
    write_at(from, "x", 1, (3 << 20) + 5000);
    write_at(from, "y", 1, (8 << 20) - 1);
    assert_int_equal(copy_whole(from, to, 8 << 20, true, &error), 0);
    assert_same(from, to, 8 << 20);
    assert_true(allocated(to) <= 32 * KIB);
}

static void a_size_that_is_no_multiple_of_a_block(void **state)
{
    struct error error;
    cleanup_close int from = open_in(*state, "from");
    cleanup_close int to = open_in(*state, "to");
    char text[4096 + 513];
    memset(text, 'x', sizeof(text));
    write_at(from, text, sizeof(text), 0);
    assert_int_equal(copy_whole(from, to, sizeof(text), true, &error), 0);
    assert_same(from, to, sizeof(text));
}

static void a_source_that_shrinks_is_told(void **state)
{
    struct error error;
    cleanup_close int from = open_in(*state, "from");
    cleanup_close int to = open_in(*state, "to");
    write_at(from, "x", 1, 0);
    assert_int_equal(copy_whole(from, to, 1 << 20, false, &error), -EIO);
    assert_non_null(strstr(error.text, "from became shorter while it was copied"));
}

static void no_room_is_told_before_and_while(void **state)
{
    char *directory = *state;
    struct error error;
    if (mount("tmpfs", directory, "tmpfs", 0, "size=2m") < 0)
        skip(); /* not root */
    char *elsewhere = scratch_dir_make();
    cleanup_close int from = open_in(elsewhere, "from");
    scratch_dir_remove(elsewhere);
    static uint8_t ones[4 << 20];
    memset(ones, 1, sizeof(ones));
    write_at(from, ones, sizeof(ones), 0);
    cleanup_close int to = open_in(directory, "to");
    assert_int_equal(copy_whole(from, to, sizeof(ones), false, &error), -ENOSPC);
    assert_string_equal(error.text, "not enough space for to: it needs 4 MiB, 2 MiB are free; free "
                                    "some and try again");
    /* somebody else takes the space meanwhile */
    struct copy copy = {
        .from = from, .to = to, .from_name = "from", .to_name = "to", .size = 1 << 20};
    cleanup_close int other = open_in(directory, "other");
    assert_int_equal(copy_begin(&copy, &error), 0);
    ssize_t n = pwrite(other, ones, sizeof(ones), 0);
    assert_true(n > 0 && n < (ssize_t)sizeof(ones));
    int r;
    while ((r = copy_step(&copy, 0, &error)) > 0)
        ;
    assert_int_equal(r, -ENOSPC);
    assert_non_null(strstr(error.text, "no space left for to"));
    copy_end(&copy);
}

static void a_thick_copy_takes_all_of_its_space(void **state)
{
    struct error error;
    cleanup_close int from = make_sparse(*state);
    cleanup_close int to = open_in(*state, "to");
    struct copy copy = {.from = from,
                        .to = to,
                        .from_name = "from",
                        .to_name = "to",
                        .size = 40 << 20,
                        .thick = true};
    int r = copy_begin(&copy, &error);
    if (r == -EOPNOTSUPP)
        skip();
    assert_int_equal(r, 0);
    assert_true(copy.by_hand && copy.done == 0); /* nothing is shared */
    assert_true(allocated(to) >= 40 << 20);
    while ((r = copy_step(&copy, 0, &error)) > 0)
        ;
    assert_int_equal(r, 0);
    assert_same(from, to, 40 << 20);
    assert_true(allocated(to) >= 40 << 20);
    copy_end(&copy);
}

#define COPY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        COPY_TEST(holes_stay_holes),
        COPY_TEST(written_zeroes_become_holes_by_hand),
        COPY_TEST(a_size_that_is_no_multiple_of_a_block),
        COPY_TEST(a_source_that_shrinks_is_told),
        COPY_TEST(no_room_is_told_before_and_while),
        COPY_TEST(a_thick_copy_takes_all_of_its_space),
    };
    scratch_dir_own_mounts();
    return RUN_TESTS(tests);
}
