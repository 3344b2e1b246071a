/* Archives as the kernel has them: several, zeros between, something else behind; and damaged ones.
 */
#include "test.h"

#include "prepare/cpio.h"

#include <errno.h>

struct memory {
    const char *data;
    size_t size, at;
};

static char archive[65536];
static size_t archive_size;
static char seen[1024];
static unsigned count;

static ssize_t read_memory(void *context, void *buffer, size_t size)
{
    struct memory *memory = context;
    size_t some = MIN(MIN(size, (size_t)7), memory->size - memory->at);
    memcpy(buffer, memory->data + memory->at, some);
    memory->at += some;
    return (ssize_t)some;
}

static void add(const char *name, const char *data, size_t size)
{
    archive_size += (size_t)sprintf(archive + archive_size,
                                    "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
                                    1, 0100644, 0, 0, 1, 0, size, 0, 0, 0, 0, strlen(name) + 1, 0);
    archive_size += (size_t)sprintf(archive + archive_size, "%s", name) + 1;
    while (archive_size % 4)
        archive[archive_size++] = '\0';
    memcpy(archive + archive_size, data, size);
    archive_size += size;
    while (archive_size % 4)
        archive[archive_size++] = '\0';
}

static bool wants(void *context, const char *name)
{
    return str_has_prefix(name, "want");
}

static void entry(void *context, const struct cpio_entry *found)
{
    size_t used = strlen(seen);
    count++;
    snprintf(seen + used, sizeof(seen) - used, "%s:%u:%s ", found->name, (unsigned)found->size,
             found->data ? found->data : "-");
}

static int read_it(size_t size, uint64_t *ret_at)
{
    static const struct cpio_visitor visitor = {.wants = wants, .entry = entry};
    struct memory memory = {archive, size, 0};
    struct cpio_source source = {.read = read_memory, .context = &memory};
    seen[0] = '\0';
    count = 0;
    return cpio_read(&source, &visitor, ret_at);
}

static int set_up(void **state)
{
    memset(archive, 0, sizeof(archive));
    archive_size = 0;
    add("./wanted", "text", 4);
    add("other", "12345", 5);
    add("TRAILER!!!", "", 0);
    archive_size += 512;
    add("/want2", "", 0);
    add("TRAILER!!!", "", 0);
    return 0;
}

static void archives_follow_each_other(void **state)
{
    uint64_t at;
    assert_int_equal(read_it(archive_size, &at), 1);
    assert_int_equal(at, archive_size);
    /* a name is looked at, and shown, without what leads to the root */
    assert_string_equal(seen, "wanted:4:text other:5:- want2:0: ");
}

static void what_is_no_archive_is_told_where(void **state)
{
    uint64_t at;
    memcpy(archive + archive_size, "\x28\xb5\x2f\xfd rest", 9);
    assert_int_equal(read_it(archive_size + 9, &at), 0);
    assert_int_equal(at, archive_size);
    assert_int_equal(count, 3);
}

static void nothing_is_an_end(void **state)
{
    uint64_t at;
    assert_int_equal(read_it(0, &at), 1);
    assert_int_equal(at, 0);
}

static void each_cut_is_seen_or_an_end(void **state)
{
    for (size_t size = 1; size < archive_size; size++) {
        uint64_t at = UINT64_MAX;
        int r = read_it(size, &at);
        if (r == -EBADMSG)
            continue;
        assert_in_range(r, 0, 1);
        assert_in_range(at, 0, size);
    }
}

static void a_damaged_header_is_refused(void **state)
{
    uint64_t at;
    archive[6 + 8 + 3] = 'g'; /* mode */
    assert_int_equal(read_it(archive_size, &at), -EBADMSG);
    set_up(NULL);
    memcpy(archive + 6 + 11 * 8, "00001001", 8); /* a name of 4097 */
    assert_int_equal(read_it(archive_size, &at), -EBADMSG);
    memcpy(archive + 6 + 11 * 8, "00000000", 8);
    assert_int_equal(read_it(archive_size, &at), -EBADMSG);
}

static void a_size_that_nobody_has_ends(void **state)
{
    uint64_t at;
    memcpy(archive + 6 + 6 * 8, "ffffffff", 8);
    assert_int_equal(read_it(archive_size, &at), -EBADMSG);
}

struct zeros {
    uint64_t left;
    unsigned calls;
};

static ssize_t read_zeros(void *context, void *buffer, size_t size)
{
    struct zeros *zeros = context;
    size_t some = MIN(size, zeros->left);
    memset(buffer, 0, some);
    zeros->left -= some;
    zeros->calls++;
    return (ssize_t)some;
}

static void zeros_are_skipped_in_large_pieces_and_not_without_end(void **state)
{
    static const struct cpio_visitor visitor = {.wants = wants, .entry = entry};
    uint64_t at;
    struct zeros some = {.left = MIB}, many = {.left = CPIO_MAX_BYTES};
    struct cpio_source source = {.read = read_zeros, .context = &some};
    assert_int_equal(cpio_read(&source, &visitor, &at), 1);
    assert_int_equal(at, MIB);
    assert_in_range(some.calls, 1, 300);
    source = (struct cpio_source){.read = read_zeros, .context = &many};
    assert_int_equal(cpio_read(&source, &visitor, &at), -E2BIG);
    assert_true(CPIO_MAX_BYTES - many.left < CPIO_MAX_ZEROS + MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(archives_follow_each_other, set_up),
        cmocka_unit_test_setup(what_is_no_archive_is_told_where, set_up),
        cmocka_unit_test_setup(nothing_is_an_end, set_up),
        cmocka_unit_test_setup(each_cut_is_seen_or_an_end, set_up),
        cmocka_unit_test_setup(a_damaged_header_is_refused, set_up),
        cmocka_unit_test_setup(a_size_that_nobody_has_ends, set_up),
        cmocka_unit_test(zeros_are_skipped_in_large_pieces_and_not_without_end),
    };
    return RUN_TESTS(tests);
}
