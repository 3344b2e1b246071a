/*
 * What real file systems would boot, made by mkfs.ext4; the corpus of the fuzz target has them.
 * tests/protocol/test_direct_boot.py compares more of them with their files.
 */
#include "test.h"

#include "boot/direct_boot.h"

#include "core/wire.h"

#include <errno.h>

#define DISK_SIZE (1 * MIB)
#define BIOS_AT   (34 * 512)
#define ROOT_AT   (128 * 512)

static uint8_t bytes[DISK_SIZE];
static int read_result;
static struct error error;
static struct direct_boot found;

static int read_disk(void *context, uint64_t offset, uint8_t *data, size_t size)
{
    memcpy(data, bytes + offset, size);
    return read_result;
}

static struct boot_disk disk = {.read = read_disk, .size = DISK_SIZE, .block_size = 512};

static void load(const char *name)
{
    static uint8_t data[DISK_SIZE];
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", CORPUS, name);
    cleanup_fclose FILE *file = fopen(path, "re");
    assert_non_null(file);
    struct wire_reader r = wire_reader_of(data, fread(data, 1, sizeof(data), file));
    memset(bytes, 0, sizeof(bytes));
    while (wire_reader_left(&r) > 0) {
        size_t block = wire_get_be16(&r);
        wire_get_copy(&r, bytes + block * 1024, 1024);
    }
    disk.budget = DIRECT_BOOT_READS;
    read_result = 0;
}

static int find(void)
{
    error.text[0] = '\0';
    return direct_boot_find(&disk, true, &found, &error);
}

static void assert_filled(const struct ext4_file *file, uint64_t size, char with)
{
    uint64_t length, at_disk;
    assert_true(file->size == size);
    for (uint64_t at = 0; at < size; at += length) {
        assert_true(ext4_file_run(file, at, &length, &at_disk));
        for (uint64_t i = 0; i < length; i++)
            assert_int_equal(bytes[at_disk + i], with);
    }
}

static void files_are_found_as_the_loader_finds_them(void **state)
{
    static const char *const names[] = {"plain", "csum64", "blocks4k", "links"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        load(names[i]);
        if (find() < 0)
            fail_msg("%s: %s", names[i], error.text);
        assert_string_equal(found.record.kernel, "/vmlinuz");
        assert_filled(found.kernel, 3000, 'K');
        assert_filled(found.initrd, 1500, 'I');
        direct_boot_release(&found);
    }
}

/* More pieces than an inode has room for, with holes between them. */
static void a_file_in_pieces_is_found_whole(void **state)
{
    uint64_t length, at_disk;
    load("tree");
    assert_int_equal(find(), 0);
    assert_true(found.kernel->size == 30 * 8192);
    assert_true(found.kernel->n_extents > 4);
    for (unsigned i = 0; i < 30; i++) {
        char expected[3];
        snprintf(expected, sizeof(expected), "%02u", i);
        assert_true(ext4_file_run(found.kernel, i * 8192, &length, &at_disk));
        assert_memory_equal(bytes + at_disk, expected, 2);
        assert_false(ext4_file_run(found.kernel, i * 8192 + 5000, &length, &at_disk));
        assert_true(length == 8192 - 5000);
    }
    direct_boot_release(&found);
}

static void what_cannot_be_known_is_left_to_the_loader(void **state)
{
    static const struct {
        const char *name;
        int code;
        const char *words;
    } cases[] = {
        {"loop", -ELOOP, "/vmlinuz: too many symbolic links"},
        {"ext2", -ENOENT, "it has no /boot/nodisk-boot in an ext4 file system"},
        {"inline", -ENOENT, "it has no /boot/nodisk-boot in an ext4 file system"},
        {"stale", -ESTALE, "/boot/grub/grub.cfg was changed since"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        load(cases[i].name);
        assert_int_equal(find(), cases[i].code);
        assert_contains(error.text, cases[i].words);
    }
}

static void another_loader_is_noticed(void **state)
{
    load("plain");
    bytes[439] ^= 1; /* the boot code */
    assert_int_equal(find(), -ESTALE);
    assert_contains(error.text, "boot loader is another one");
    bytes[439] ^= 1;
    bytes[440] ^= 1; /* the disk's number, which every copy may have another one of */
    assert_int_equal(find(), 0);
    direct_boot_release(&found);
    bytes[BIOS_AT + 20000] ^= 1; /* GRUB's core image */
    assert_int_equal(find(), -ESTALE);
    assert_int_equal(direct_boot_find(&disk, false, &found, &error), 0); /* who has looked before */
    direct_boot_release(&found);
}

static void another_file_system_is_noticed(void **state)
{
    load("plain");
    bytes[ROOT_AT + 1024 + 0x68] ^= 1;
    assert_int_equal(find(), -ESTALE);
    assert_contains(error.text, "another file system");
}

static void two_records_fit_nobody(void **state)
{
    static uint8_t copy[128];
    load("plain");
    memcpy(copy, bytes + 1024 + 128, sizeof(copy)); /* the partition once more */
    memcpy(bytes + 1024 + 256, copy, sizeof(copy));
    assert_int_equal(find(), -EEXIST);
    assert_contains(error.text, "several /boot/nodisk-boot");
}

static void a_disk_without_a_table_is_left_alone(void **state)
{
    load("plain");
    bytes[512] = 'X';
    assert_int_equal(find(), -ENOENT);
    assert_contains(error.text, "no GUID partition table");
}

static void the_token_changes_with_what_is_booted(void **state)
{
    char first[DIRECT_BOOT_TOKEN_SIZE];
    load("plain");
    assert_int_equal(find(), 0);
    str_copy(first, sizeof(first), found.token);
    direct_boot_release(&found);
    assert_int_equal(find(), 0);
    assert_string_equal(found.token, first);
    direct_boot_release(&found);
    load("links");
    assert_int_equal(find(), 0);
    assert_string_not_equal(found.token, first);
    direct_boot_release(&found);
}

static void a_disk_that_cannot_be_read_says_so(void **state)
{
    load("plain");
    read_result = -EIO;
    assert_int_equal(find(), -EIO);
    assert_contains(error.text, "the disk cannot be read");
}

static void reads_are_bounded(void **state)
{
    struct boot_disk small = disk;
    uint8_t data[1];
    load("plain");
    small.budget = 1;
    assert_int_equal(boot_disk_read(&small, 0, data, 1, &error), 0);
    assert_int_equal(boot_disk_read(&small, 0, data, 1, &error), -E2BIG);
    small.budget = 1;
    assert_int_equal(boot_disk_read(&small, DISK_SIZE, data, 1, &error), -EBADMSG);
    assert_int_equal(boot_disk_read(&small, UINT64_MAX, data, 1, &error), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_are_found_as_the_loader_finds_them),
        TEST(a_file_in_pieces_is_found_whole),
        TEST(what_cannot_be_known_is_left_to_the_loader),
        TEST(another_loader_is_noticed),
        TEST(another_file_system_is_noticed),
        TEST(two_records_fit_nobody),
        TEST(a_disk_without_a_table_is_left_alone),
        TEST(the_token_changes_with_what_is_booted),
        TEST(a_disk_that_cannot_be_read_says_so),
        TEST(reads_are_bounded),
    };
    return RUN_TESTS(tests);
}
