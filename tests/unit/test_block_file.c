/* Real files and devices, on a real I/O thread. */
#include "scratch_dir.h"

#include "thread_call.h"

#include "block/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define SIZE (4 * MIB)

struct bench {
    char *directory;
    char path[PATH_MAX];
    struct io_thread *thread;
    struct block_device *device;
    struct error error;
};

static struct bench bench;
static uint8_t pattern[BUFFER_MAX_SIZE], buffer[BUFFER_MAX_SIZE];

static int setup(void **state)
{
    bench = (struct bench){.directory = scratch_dir_make()};
    snprintf(bench.path, sizeof(bench.path), "%s/volume.raw", bench.directory);
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(1 + i * 7 + (i >> 8));
    if (io_thread_start(0, 8 * MIB, &bench.thread, &bench.error) < 0)
        fail_msg("%s", bench.error.text);
    return 0;
}

static int teardown(void **state)
{
    block_close(bench.device);
    io_thread_stop(bench.thread);
    umount2(bench.directory, MNT_DETACH);
    scratch_dir_remove(bench.directory);
    return 0;
}

static void make_file(uint64_t size)
{
    cleanup_close int fd = open(bench.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
}

static int open_device(const char *path, uint64_t size, bool read_only)
{
    block_close(take_ptr(bench.device));
    bench.error = (struct error){0};
    return block_file_open(bench.thread, path, size, read_only ? BLOCK_FILE_READ_ONLY : 0,
                           &bench.device, &bench.error);
}

static void must_open(const char *path, uint64_t size, bool read_only)
{
    if (open_device(path, size, read_only) < 0)
        fail_msg("%s", bench.error.text);
}

/* A file of SIZE bytes, all of it a hole, and the device on it. */
static void new_volume(void)
{
    make_file(SIZE);
    must_open(bench.path, SIZE, false);
}

static void mount_here(const char *type, const char *options)
{
    if (mount(type, bench.directory, type, 0, options) < 0)
        skip(); /* not root */
}

static void assert_told(int r, int expected, const char *words)
{
    assert_int_equal(r, expected);
    assert_int_equal(bench.error.code, expected);
    assert_null(bench.device);
    assert_contains(bench.error.text, words);
}

/* --- requests --- */

struct pending {
    struct block_request request;
    int result;
    struct bell done;
};

static void request_done(struct block_request *request, int result)
{
    struct pending *p = container_of(request, struct pending, request);
    p->result = result;
    bell_ring(&p->done);
}

static void submit(void *context)
{
    struct pending *p = context;
    block_submit(bench.device, &p->request);
}

static struct pending pending(enum block_operation operation, uint64_t offset, uint64_t length,
                              uint8_t *data)
{
    return (struct pending){.request = {.operation = operation,
                                        .offset = offset,
                                        .length = length,
                                        .data = data,
                                        .done = request_done},
                            .done = BELL_NEW};
}

static int run(struct pending p)
{
    thread_call(bench.thread, submit, &p);
    bell_wait(&p.done, 1);
    return p.result;
}

static int read_at(uint64_t offset, uint64_t length)
{
    memset(buffer, 0xee, sizeof(buffer));
    return run(pending(BLOCK_READ, offset, length, buffer));
}

static int write_at(uint64_t offset, uint64_t length, unsigned flags)
{
    struct pending p = pending(BLOCK_WRITE, offset, length, pattern);
    p.request.flags = flags;
    return run(p);
}

static int zero_at(uint64_t offset, uint64_t length, unsigned flags)
{
    struct pending p = pending(BLOCK_WRITE_ZEROES, offset, length, NULL);
    p.request.flags = flags;
    return run(p);
}

static int flush(void)
{
    return run(pending(BLOCK_FLUSH, 0, 0, NULL));
}

/* The bytes of the buffer from `at` on. */
static void assert_zeroes(size_t at, size_t length)
{
    for (size_t i = at; i < at + length; i++)
        if (buffer[i])
            fail_msg("byte %zu is %02x", i, buffer[i]);
}

static uint64_t allocated(void)
{
    struct stat st;
    assert_int_equal(stat(bench.path, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

/* --- reading and writing --- */

static void what_was_written_is_read(void **state)
{
    static const struct {
        uint64_t offset, length;
    } places[] = {{0, 512}, {1536, 4096}, {SIZE - 512, 512}, {MIB - 512, BUFFER_MAX_SIZE}};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        new_volume();
        assert_int_equal(write_at(places[i].offset, places[i].length, 0), 0);
        assert_int_equal(read_at(places[i].offset, places[i].length), 0);
        assert_memory_equal(buffer, pattern, places[i].length);
        block_close(take_ptr(bench.device));
        cleanup_close int fd = open(bench.path, O_RDONLY); /* it is at its place in the file */
        assert_int_equal(pread(fd, buffer, places[i].length, (off_t)places[i].offset),
                         (ssize_t)places[i].length);
        assert_memory_equal(buffer, pattern, places[i].length);
        unlink(bench.path);
    }
}

static void what_was_never_written_reads_as_zeroes(void **state)
{
    new_volume();
    assert_int_equal(write_at(4096, 4096, 0), 0);
    assert_int_equal(read_at(0, 12288), 0);
    assert_zeroes(0, 4096);
    assert_memory_equal(buffer + 4096, pattern, 4096);
    assert_zeroes(8192, 4096);
    assert_int_equal(buffer[12288], 0xee); /* and no byte more */
}

static void many_requests_at_once(void **state)
{
    enum { COUNT = 600 }; /* more than the ring has entries */
    static struct pending writes[COUNT];
    new_volume();
    for (size_t i = 0; i < COUNT; i++) {
        writes[i] = pending(BLOCK_WRITE, i * 4096, 4096, pattern + i * 64);
        thread_call(bench.thread, submit, &writes[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        bell_wait(&writes[i].done, 1);
        assert_int_equal(writes[i].result, 0);
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(read_at(i * 4096, 4096), 0);
        assert_memory_equal(buffer, pattern + i * 64, 4096);
    }
}

static void a_file_that_was_cut_fails_instead_of_waiting(void **state)
{
    new_volume();
    assert_int_equal(truncate(bench.path, MIB), 0);
    assert_int_equal(read_at(MIB - 4096, 4096), 0);
    assert_int_equal(read_at(MIB - 4096, 8192), -EIO); /* a short read first */
    assert_int_equal(read_at(2 * MIB, 512), -EIO);
    assert_int_equal(read_at(0, 512), 0);
}

static void a_read_only_volume_cannot_be_written(void **state)
{
    make_file(SIZE);
    must_open(bench.path, SIZE, true);
    assert_true(bench.device->read_only);
    assert_int_equal(write_at(0, 512, 0), -EIO);
    assert_int_equal(read_at(0, 512), 0);
    assert_zeroes(0, 512);
}

/* --- zeroes --- */

static void zeroes_give_space_back(void **state)
{
    new_volume();
    for (uint64_t at = 0; at < SIZE; at += BUFFER_MAX_SIZE)
        assert_int_equal(write_at(at, BUFFER_MAX_SIZE, 0), 0);
    assert_int_equal(flush(), 0);
    assert_true(allocated() >= SIZE);
    assert_int_equal(zero_at(MIB, 2 * MIB, 0), 0);
    assert_true(allocated() <= 2 * MIB + 64 * KIB);
    assert_int_equal(read_at(MIB - 512, 1024), 0);
    assert_memory_equal(buffer, pattern + BUFFER_MAX_SIZE - 512, 512);
    assert_zeroes(512, 512);
    assert_int_equal(read_at(3 * MIB - 512, 1024), 0);
    assert_zeroes(0, 512);
    assert_memory_equal(buffer + 512, pattern, 512);
    struct stat st;
    assert_int_equal(stat(bench.path, &st), 0);
    assert_int_equal(st.st_size, SIZE);
}

static void zeroes_of_parts_of_blocks(void **state)
{
    new_volume();
    assert_int_equal(write_at(0, 16384, 0), 0);
    assert_int_equal(zero_at(512, 8192, BLOCK_FUA), 0);
    assert_int_equal(read_at(0, 16384), 0);
    assert_memory_equal(buffer, pattern, 512);
    assert_zeroes(512, 8192);
    assert_memory_equal(buffer + 8704, pattern + 8704, 16384 - 8704);
}

/* A file system that knows no holes (ramfs): zeroes are written, in pieces. */
static void where_there_are_no_holes_zeroes_are_written(void **state)
{
    mount_here("ramfs", NULL);
    new_volume();
    for (int round = 0; round < 2; round++) { /* the second time it is known */
        assert_int_equal(write_at(MIB, BUFFER_MAX_SIZE, 0), 0);
        assert_int_equal(zero_at(MIB + 512, 200000 / 512 * 512, round ? BLOCK_FUA : 0), 0);
        assert_int_equal(read_at(MIB, BUFFER_MAX_SIZE), 0);
        assert_memory_equal(buffer, pattern, 512);
        assert_zeroes(512, 200000 / 512 * 512);
        size_t behind = 512 + 200000 / 512 * 512;
        assert_memory_equal(buffer + behind, pattern + behind, sizeof(buffer) - behind);
    }
}

static void a_thick_volume_keeps_its_space(void **state)
{
    new_volume();
    assert_false(bench.device->thick);
    for (uint64_t at = 0; at < SIZE; at += BUFFER_MAX_SIZE)
        assert_int_equal(write_at(at, BUFFER_MAX_SIZE, 0), 0);
    assert_int_equal(flush(), 0);
    uint64_t before = allocated();
    block_close(take_ptr(bench.device));
    assert_int_equal(block_file_open(bench.thread, bench.path, SIZE, BLOCK_FILE_THICK,
                                     &bench.device, &bench.error),
                     0);
    assert_true(bench.device->thick);
    assert_int_equal(zero_at(MIB, 2 * MIB, BLOCK_FUA), 0);
    assert_true(allocated() >= before);
    for (uint64_t at = MIB; at < 3 * MIB; at += BUFFER_MAX_SIZE) {
        assert_int_equal(read_at(at, BUFFER_MAX_SIZE), 0);
        assert_zeroes(0, BUFFER_MAX_SIZE);
    }
    assert_int_equal(read_at(3 * MIB, 512), 0);
    assert_memory_equal(buffer, pattern, 512);
}

/* --- durability --- */

static void flush_and_fua_are_done(void **state)
{
    new_volume();
    assert_int_equal(flush(), 0);
    assert_int_equal(write_at(0, 4096, BLOCK_FUA), 0);
    assert_int_equal(flush(), 0);
    assert_int_equal(read_at(0, 4096), 0);
    assert_memory_equal(buffer, pattern, 4096);
}

static void a_full_file_system_is_told_and_does_no_more_harm(void **state)
{
    mount_here("tmpfs", "size=1m");
    new_volume();
    int r = 0;
    uint64_t at = 0;
    for (; at < SIZE && r == 0; at += BUFFER_MAX_SIZE)
        r = write_at(at, BUFFER_MAX_SIZE, 0);
    assert_int_equal(r, -ENOSPC);
    assert_int_equal(zero_at(0, BUFFER_MAX_SIZE, 0), 0); /* room again */
    assert_int_equal(write_at(0, BUFFER_MAX_SIZE, 0), 0);
    assert_int_equal(flush(), 0);
}

static void a_write_that_is_too_large_for_the_file_system_is_an_error(void **state)
{
    struct rlimit limit, old;
    new_volume();
    getrlimit(RLIMIT_FSIZE, &old);
    limit = (struct rlimit){MIB, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    int below = write_at(MIB - 4096, 4096, 0), above = write_at(MIB, 4096, 0);
    int across = write_at(MIB - 4096, 8192, 0);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(below, 0);
    assert_int_equal(above, -EIO);
    assert_int_equal(across, -EIO);
}

/* --- devices --- */

/* A loop device on the file at bench.path; -1: there are none here. */
static int attach_loop(char path[static 32])
{
    cleanup_close int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int number = control >= 0 ? ioctl(control, LOOP_CTL_GET_FREE) : -1;
    if (number < 0)
        return -1;
    snprintf(path, 32, "/dev/loop%d", number);
    cleanup_close int file = open(bench.path, O_RDWR | O_CLOEXEC);
    int loop = open(path, O_RDWR | O_CLOEXEC);
    struct loop_config config = {.fd = (uint32_t)file, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
    if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) < 0) {
        close(loop);
        return -1;
    }
    return loop;
}

static void a_block_device_is_a_volume(void **state)
{
    char path[32];
    make_file(SIZE);
    cleanup_close int loop = attach_loop(path);
    if (loop < 0)
        skip();
    assert_told(open_device(path, SIZE + 512, false), -EIO, "has only 4194304 of the volume's");
    must_open(path, SIZE, false);
    uint64_t length;
    assert_int_equal(write_at(MIB, 8192, BLOCK_FUA), 0);
    assert_int_equal(zero_at(MIB + 4096, 4096, 0), 0);
    assert_int_equal(read_at(MIB, 8192), 0);
    assert_memory_equal(buffer, pattern, 4096);
    assert_zeroes(4096, 4096);
    assert_true(bench.device->operations->is_allocated(bench.device, MIB, &length));
    assert_int_equal(length, SIZE - MIB); /* nobody knows its holes */

    struct block_device *first = take_ptr(bench.device);
    assert_told(open_device(path, SIZE, false), -EBUSY, "mounted or used by another program");
    must_open(path, SIZE, true); /* to read it takes nothing away */
    block_close(first);
}

/* A volume of which `length` bytes are in the page cache: the device below has no room for them. */
static void write_too_much(uint64_t length)
{
    char path[32];
    mount_here("tmpfs", "size=1m");
    make_file(SIZE);
    cleanup_close int loop = attach_loop(path);
    if (loop < 0)
        skip();
    must_open(path, SIZE, false);
    for (uint64_t at = 0; at < length; at += BUFFER_MAX_SIZE)
        assert_int_equal(write_at(at, BUFFER_MAX_SIZE, 0), 0);
}

static void a_flush_that_failed_fails_the_volume_for_good(void **state)
{
    write_too_much(SIZE);
    assert_int_equal(flush(), -EIO);
    assert_int_equal(flush(), -EIO); /* where the kernel would say that all is well */
    assert_int_equal(read_at(0, 512), -EIO);
    assert_int_equal(write_at(0, 512, 0), -EIO);
    assert_int_equal(zero_at(0, 512, 0), -EIO);
}

static void a_fua_that_failed_does_so_too(void **state)
{
    write_too_much(SIZE - BUFFER_MAX_SIZE);
    assert_int_equal(write_at(SIZE - 512, 512, BLOCK_FUA), -EIO);
    assert_int_equal(read_at(0, 512), -EIO);
}

/* --- where there is space --- */

static void assert_extent(uint64_t offset, bool is_allocated, uint64_t length)
{
    uint64_t n = 0;
    bool a = bench.device->operations->is_allocated(bench.device, offset, &n);
    if (a != is_allocated || n != length)
        fail_msg("at %llu: %s, %llu bytes", (unsigned long long)offset, a ? "allocated" : "hole",
                 (unsigned long long)n);
}

static void holes_and_data_are_told_apart(void **state)
{
    new_volume();
    assert_extent(0, false, SIZE);
    assert_extent(SIZE - 512, false, 512);
    assert_int_equal(write_at(MIB, 65536, BLOCK_FUA), 0);
    assert_extent(0, false, MIB);
    assert_extent(MIB - 512, false, 512);
    assert_extent(MIB, true, 65536);
    assert_extent(MIB + 4096, true, 65536 - 4096);
    assert_extent(MIB + 65536, false, SIZE - MIB - 65536);
    assert_int_equal(write_at(SIZE - 4096, 4096, BLOCK_FUA), 0);
    assert_extent(SIZE - 4096, true, 4096);
}

static void a_file_that_is_longer_than_the_volume_ends_with_it(void **state)
{
    make_file(2 * SIZE);
    must_open(bench.path, SIZE, false);
    assert_extent(0, false, SIZE);
    assert_extent(SIZE - 512, false, 512);
    assert_int_equal(write_at(SIZE - 4096, 4096, 0), 0);
    assert_extent(SIZE - 4096, true, 4096);
    assert_int_equal(bench.device->size, SIZE);
}

/* --- opening --- */

static void what_cannot_be_a_volume_is_refused(void **state)
{
    char fifo[PATH_MAX + 8];
    make_file(SIZE - 1);
    assert_told(open_device(bench.path, SIZE, false), -EIO,
                "has only 4194303 of the volume's "
                "4194304 bytes");
    assert_told(open_device(bench.directory, 0, true), -EINVAL,
                "is neither a file nor a block device");
    assert_told(open_device("/nowhere/at/all", SIZE, false), -ENOENT,
                "cannot open /nowhere/at/all");
    snprintf(fifo, sizeof(fifo), "%s.fifo", bench.path);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_told(open_device(fifo, 0, false), -EINVAL, "is neither a file nor a block device");
    assert_told(open_device("/dev/null", 0, false), -EINVAL,
                "is neither a file nor a block device");
}

#define FILE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(what_was_written_is_read),
        FILE_TEST(what_was_never_written_reads_as_zeroes),
        FILE_TEST(many_requests_at_once),
        FILE_TEST(a_file_that_was_cut_fails_instead_of_waiting),
        FILE_TEST(a_read_only_volume_cannot_be_written),
        FILE_TEST(zeroes_give_space_back),
        FILE_TEST(zeroes_of_parts_of_blocks),
        FILE_TEST(where_there_are_no_holes_zeroes_are_written),
        FILE_TEST(a_thick_volume_keeps_its_space),
        FILE_TEST(flush_and_fua_are_done),
        FILE_TEST(a_full_file_system_is_told_and_does_no_more_harm),
        FILE_TEST(a_write_that_is_too_large_for_the_file_system_is_an_error),
        FILE_TEST(a_block_device_is_a_volume),
        FILE_TEST(a_flush_that_failed_fails_the_volume_for_good),
        FILE_TEST(a_fua_that_failed_does_so_too),
        FILE_TEST(holes_and_data_are_told_apart),
        FILE_TEST(a_file_that_is_longer_than_the_volume_ends_with_it),
        FILE_TEST(what_cannot_be_a_volume_is_refused),
    };
    scratch_dir_own_mounts();
    return RUN_TESTS(tests);
}
