/* Views of a real file, which say what is in the page cache: holes are not until they are read. */
#include "scratch_dir.h"

#include "fake_thread.h"

#include "block/mapping.h"

#include <fcntl.h>

#define PAGE  4096
#define CHUNK (64 * KIB)
#define SIZE  (8 * CHUNK + 1000)

static char *directory;
static int file;
static struct io_thread *thread;
static struct block_mapping *mapping;

static void fill_page(uint64_t number)
{
    uint8_t bytes[PAGE];
    memset(bytes, (int)number, sizeof(bytes));
    assert_int_equal(pwrite(file, bytes, PAGE, (off_t)(number * PAGE)), PAGE);
}

/* The pages 0 to 15, 20 and the short one at the end are in memory. */
static int setup(void **state)
{
    char path[PATH_MAX];
    directory = scratch_dir_make();
    snprintf(path, sizeof(path), "%s/image", directory);
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (uint64_t i = 0; i < 16; i++)
        fill_page(i);
    fill_page(20);
    fill_page(8 * CHUNK / PAGE);
    assert_int_equal(ftruncate(file, SIZE), 0);
    thread = fake_thread_new(MIB);
    thread->now = 1000 * USEC_PER_SEC;
    mapping = block_mapping_open(thread, file, SIZE);
    assert_non_null(mapping);
    return 0;
}

static int teardown(void **state)
{
    block_mapping_close(mapping);
    fake_thread_free(thread);
    close(file);
    scratch_dir_remove(directory);
    return 0;
}

static bool is_there(uint64_t offset, uint64_t length)
{
    struct block_view view;
    if (!block_mapping_view(mapping, offset, length, &view))
        return false;
    assert_int_equal(view.offset, offset);
    assert_int_equal(*view.data, offset / PAGE & 0xff);
    assert_int_equal(view.data[length - 1], (offset + length - 1) / PAGE & 0xff);
    block_view_release(&view);
    block_view_release(&view); /* no-op */
    return true;
}

static void only_what_is_in_memory_is_given_out(void **state)
{
    static const struct {
        uint64_t offset, length;
        bool there;
    } rows[] = {
        {0, CHUNK, true},
        {512, 512, true},
        {0, PAGE, true},
        {15 * PAGE, PAGE, true},
        {15 * PAGE, PAGE + 1, false},
        {15 * PAGE + 1, 5 * PAGE, false},
        {16 * PAGE, 1, false},
        {19 * PAGE + 4095, 1, false},
        {20 * PAGE, PAGE, true},
        {20 * PAGE - 1, 2, false},
        {20 * PAGE + 4095, 2, false},
        {0, SIZE, false},
        {8 * CHUNK, 1000, true},
        {8 * CHUNK - 1, 2, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (is_there(rows[i].offset, rows[i].length) != rows[i].there)
            fail_msg("row %zu", i);
}

static void what_was_read_meanwhile_is_there_at_once(void **state)
{
    assert_false(is_there(16 * PAGE, PAGE));
    fill_page(16);
    assert_true(is_there(16 * PAGE, PAGE));
}

/* A hole takes pages out of memory. */
static void what_was_there_is_believed_for_two_seconds(void **state)
{
    assert_true(is_there(20 * PAGE, PAGE));
    assert_int_equal(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 20 * PAGE, PAGE),
                     0);
    struct block_view view;
    assert_true(block_mapping_view(mapping, 20 * PAGE, PAGE, &view));
    block_view_release(&view);
    thread->now += 2 * USEC_PER_SEC;
    assert_false(is_there(20 * PAGE, PAGE));
    assert_true(is_there(0, PAGE));
}

static void one_for_all_devices_of_a_thread_over_a_file(void **state)
{
    struct io_thread *other = fake_thread_new(MIB);
    struct block_mapping *again = block_mapping_open(thread, file, SIZE);
    struct block_mapping *of_other = block_mapping_open(other, file, SIZE);
    struct block_mapping *shorter = block_mapping_open(thread, file, CHUNK);
    assert_ptr_equal(again, mapping);
    assert_ptr_not_equal(of_other, mapping);
    assert_ptr_not_equal(shorter, mapping);
    block_mapping_close(again);
    block_mapping_close(of_other);
    block_mapping_close(shorter);
    fake_thread_free(other);
    assert_true(is_there(0, PAGE));
}

/* The sanitizer tells if not. */
static void a_view_outlives_the_last_device(void **state)
{
    struct block_view view;
    assert_true(block_mapping_view(mapping, PAGE, PAGE, &view));
    block_mapping_close(take_ptr(mapping));
    assert_int_equal(view.data[0], 1);
    uint8_t byte;
    assert_int_equal(pread(view.fd, &byte, 1, view.offset), 1);
    assert_int_equal(byte, 1);
    block_view_release(&view);
    mapping = block_mapping_open(thread, file, SIZE);
    assert_true(is_there(PAGE, PAGE));
}

static void what_cannot_be_mapped_is_read(void **state)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_null(block_mapping_open(thread, ends[0], SIZE));
    assert_null(block_mapping_open(thread, -1, SIZE));
    assert_null(block_mapping_open(thread, file, 0));
    block_mapping_close(NULL);
    close(ends[0]);
    close(ends[1]);
}

#define MAPPING_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAPPING_TEST(only_what_is_in_memory_is_given_out),
        MAPPING_TEST(what_was_read_meanwhile_is_there_at_once),
        MAPPING_TEST(what_was_there_is_believed_for_two_seconds),
        MAPPING_TEST(one_for_all_devices_of_a_thread_over_a_file),
        MAPPING_TEST(a_view_outlives_the_last_device),
        MAPPING_TEST(what_cannot_be_mapped_is_read),
    };
    return RUN_TESTS(tests);
}
