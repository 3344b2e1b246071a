#include "test.h"

#include "storage/format.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

static struct error error;

/* A file of 4 KiB with these bytes at a place in it. */
static int check(const void *bytes, size_t size, off_t offset, const char *path)
{
    int fd = memfd_create("image", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_int_equal(pwrite(fd, bytes, size, offset), (ssize_t)size);
    error = (struct error){0};
    int r = format_check_raw(fd, path, &error);
    close(fd);
    return r;
}

static void other_formats_are_refused_with_the_command(void **state)
{
    static const struct {
        const char *head;
        size_t size;
        off_t offset;
        const char *expect;
    } cases[] = {
        {"QFI\xfb\0\0\0\3", 8, 0,
         "this is a qcow2 image, not a raw disk; convert it first: qemu-img convert -O raw '/x/y' "
         "'/x/y.raw'"},
        {"QED\0", 4, 0, "QED image"},
        {"KDMV", 4, 0, "VMDK image"},
        {"COWD", 4, 0, "VMDK image"},
        {"# Disk DescriptorFile\n", 22, 0, "VMDK descriptor"},
        {"vhdxfile", 8, 0, "VHDX image"},
        {"conectix", 8, 0, "VHD image"},
        {"\x7f\x10\xda\xbe", 4, 64, "VDI image"},
        {"\x1f\x8b\x08", 3, 0, "gunzip -c '/x/y' > '/x/y.raw'"},
        {"\xfd\x37zXZ\0", 6, 0, "xz -dc '/x/y' > '/x/y.raw'"},
        {"\x28\xb5\x2f\xfd", 4, 0, "zstd -dc '/x/y' > '/x/y.raw'"},
        {"BZh9", 4, 0, "bzip2 -dc '/x/y' > '/x/y.raw'"},
        {"PK\x03\x04", 4, 0, "unzip -p '/x/y' > '/x/y.raw'"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(check(cases[i].head, cases[i].size, cases[i].offset, "/x/y"), -EINVAL);
        assert_int_equal(error.code, -EINVAL);
        assert_contains(error.text, cases[i].expect);
        assert_int_equal(check(cases[i].head, cases[i].size, cases[i].offset + 1, "/x/y"), 0);
        assert_int_equal(check(cases[i].head, 1, cases[i].offset, "/x/y"), 0); /* its beginning */
    }
}

static void a_raw_disk_is_let_pass(void **state)
{
    static const uint8_t mbr[512] = {[0] = 0xeb, [1] = 0x63, [510] = 0x55, [511] = 0xaa};
    assert_int_equal(check(mbr, sizeof(mbr), 0, "/x/y"), 0);
    assert_int_equal(check("", 0, 0, "/x/y"), 0);
    assert_int_equal(error.code, 0);
}

static void a_file_that_is_shorter_than_a_sector_is_looked_at_too(void **state)
{
    cleanup_close int fd = memfd_create("image", MFD_CLOEXEC);
    assert_int_equal(format_check_raw(fd, "/x/y", &error), 0);
    assert_int_equal(write(fd, "QFI", 3), 3);
    assert_int_equal(format_check_raw(fd, "/x/y", &error), 0);
    assert_int_equal(write(fd, "\xfb", 1), 1);
    assert_int_equal(format_check_raw(fd, "/x/y", &error), -EINVAL);
}

static void a_long_path_is_cut(void **state)
{
    char path[400];
    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(check("KDMV", 4, 0, path), -EINVAL);
    assert_contains(error.text, "qemu-img convert -O raw 'ppp");
    assert_int_equal(check("KDMV", 4, 0, "/x/%s%n%d"), -EINVAL); /* nothing in it is a format */
    assert_contains(error.text, "'/x/%s%n%d' '/x/%s%n%d.raw'");
}

static void what_cannot_be_read_is_told(void **state)
{
    assert_int_equal(format_check_raw(-1, "/x/y", &error), -EBADF);
    assert_contains(error.text, "/x/y cannot be read: Bad file descriptor");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(other_formats_are_refused_with_the_command),
        TEST(a_raw_disk_is_let_pass),
        TEST(a_file_that_is_shorter_than_a_sector_is_looked_at_too),
        TEST(a_long_path_is_cut),
        TEST(what_cannot_be_read_is_told),
    };
    return RUN_TESTS(tests);
}
