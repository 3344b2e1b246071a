#include "test.h"

#include "storage/digest.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static struct error error;

static int make_file(off_t size)
{
    int fd = memfd_create("image", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, size), 0);
    return fd;
}

static void put(int fd, const char *text, off_t at)
{
    assert_int_equal(pwrite(fd, text, strlen(text), at), (ssize_t)strlen(text));
}

static void step(struct digest *d, int fd, uint64_t end)
{
    assert_int_equal(digest_step(d, fd, "/x", end, UINT64_MAX, &error), 0);
    assert_int_equal(d->done, end);
}

/* The plain way: every byte in one piece. */
static void expected(int fd, size_t size, char text[static DIGEST_TEXT_SIZE])
{
    struct digest d = {0};
    uint8_t *bytes = malloc(size);
    assert_int_equal(pread(fd, bytes, size, 0), (ssize_t)size);
    sha256_init(&d.hash);
    sha256_update(&d.hash, size, bytes);
    digest_text(&d, text);
    free(bytes);
}

static void a_known_value(void **state)
{
    struct digest d;
    char text[DIGEST_TEXT_SIZE];
    cleanup_close int fd = make_file(0);
    put(fd, "abc", 0);
    assert_int_equal(digest_begin(&d, &error), 0);
    step(&d, fd, 3);
    digest_text(&d, text);
    digest_end(&d);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void holes_count_as_zeroes(void **state)
{
    static const off_t places[][3] = {
        {0, 3 << 20, 5 << 20}, {4096, 4097, 9000}, {(6 << 20) - 3, 1 << 20, 1}, {7, 7, 7}};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        struct digest d;
        char text[DIGEST_TEXT_SIZE], want[DIGEST_TEXT_SIZE];
        cleanup_close int fd = make_file(6 << 20);
        for (size_t k = 0; k < 3; k++)
            put(fd, "xyz", places[i][k]);
        assert_int_equal(digest_begin(&d, &error), 0);
        step(&d, fd, 6 << 20);
        digest_text(&d, text);
        digest_end(&d);
        expected(fd, 6 << 20, want);
        assert_string_equal(text, want);
    }
}

/* It follows whoever writes: what is behind it may become data, or a hole before the end. */
static void a_file_that_grows(void **state)
{
    struct digest d;
    char text[DIGEST_TEXT_SIZE], want[DIGEST_TEXT_SIZE];
    cleanup_close int fd = make_file(0);
    assert_int_equal(digest_begin(&d, &error), 0);
    for (unsigned i = 1; i <= 40; i++) {
        uint64_t end = (uint64_t)i * 100000 + i % 7;
        assert_int_equal(ftruncate(fd, (off_t)end + (i % 3 == 0 ? 50000 : 0)), 0);
        if (i % 4)
            put(fd, "some data", (off_t)end - 60000);
        step(&d, fd, end);
    }
    digest_text(&d, text);
    digest_end(&d);
    expected(fd, 4000000 + 40 % 7, want);
    assert_string_equal(text, want);
}

static void it_stops_when_time_is_up(void **state)
{
    struct digest d;
    cleanup_close int fd = make_file(1 << 20);
    assert_int_equal(digest_begin(&d, &error), 0);
    assert_int_equal(digest_step(&d, fd, "/x", 1 << 20, 0, &error), 0);
    assert_int_equal(d.done, 0);
    digest_end(&d);
}

static void a_file_that_is_too_short_is_told(void **state)
{
    struct digest d;
    cleanup_close int fd = make_file(1000);
    assert_int_equal(digest_begin(&d, &error), 0);
    assert_int_equal(digest_step(&d, fd, "/x", 2000, UINT64_MAX, &error), -EIO);
    assert_contains(error.text, "/x is shorter than it should be");
    digest_end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_known_value),
        TEST(holes_count_as_zeroes),
        TEST(a_file_that_grows),
        TEST(it_stops_when_time_is_up),
        TEST(a_file_that_is_too_short_is_told),
    };
    return RUN_TESTS(tests);
}
