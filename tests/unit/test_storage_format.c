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

/* --- what an image is imported from --- */

struct header {
    const char *magic;
    size_t n_magic, at; /* of the magic */
    size_t place;       /* of a further byte, or 0 */
    uint8_t value;
};

static int detect(const struct header *h, struct format_found *ret_found)
{
    uint8_t head[FORMAT_HEAD_SIZE] = {0};
    memcpy(head + h->at, h->magic, h->n_magic);
    if (h->place)
        head[h->place] = h->value;
    error = (struct error){0};
    *ret_found = (struct format_found){0};
    return format_detect_in(head, sizeof(head), NULL, "/x/y", MIB, ret_found, &error);
}

static void formats_are_known_by_their_heads(void **state)
{
    static const struct {
        struct header header;
        const char *name;
        enum format_kind kind;
    } cases[] = {
        {{"QFI\xfb\0\0\0\3", 8, 0}, "qcow2", FORMAT_QEMU},
        {{"QED\0", 4, 0}, "qed", FORMAT_QEMU},
        {{"KDMV", 4, 0, 12, 8}, "vmdk", FORMAT_QEMU},
        {{"COWD", 4, 0}, "vmdk", FORMAT_QEMU},
        {{"vhdxfile", 8, 0}, "vhdx", FORMAT_QEMU},
        {{"conectix", 8, 0, 63, 3}, "vhd", FORMAT_QEMU},
        {{"\x7f\x10\xda\xbe", 4, 64}, "vdi", FORMAT_QEMU},
        {{"\x1f\x8b\x08", 3, 0}, "gz", FORMAT_PACKED},
        {{"\xfd\x37zXZ\0", 6, 0}, "xz", FORMAT_PACKED},
        {{"\x28\xb5\x2f\xfd", 4, 0}, "zstd", FORMAT_PACKED},
        {{"BZh9", 4, 0}, "bz2", FORMAT_PACKED},
        {{"\xeb\x63", 2, 0}, "raw", FORMAT_RAW},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct format_found found;
        assert_int_equal(detect(&cases[i].header, &found), 0);
        assert_string_equal(found.format->name, cases[i].name);
        assert_int_equal(found.format->kind, cases[i].kind);
        assert_int_equal(found.size, cases[i].kind == FORMAT_RAW ? MIB : 0);
    }
}

static void what_is_not_whole_is_refused(void **state)
{
    static const struct {
        struct header header;
        const char *words;
    } cases[] = {
        {{"QFI\xfb\0\0\0\2", 8, 0, 15, 1}, "is an overlay over another image"},
        {{"QFI\xfb\0\0\0\3", 8, 0, 79, 4}, "keeps its data in another file (data_file)"},
        {{"QED\0", 4, 0, 16, 1}, "is an overlay over another image"},
        {{"KDMV", 4, 0}, "keeps its data in other files (extents)"},
        {{"conectix", 8, 0, 63, 4}, "is a differencing disk"},
        {{"\x7f\x10\xda\xbe", 4, 64, 347, 1}, "is cut off"},
        {{"# Disk DescriptorFile", 21, 0}, "VMDK descriptor, not a raw disk; take the disk out"},
        {{"PK\x03\x04", 4, 0}, "unzip -p '/x/y'"},
        {{"7z\xbc\xaf\x27\x1c", 6, 0}, "7z archive"},
        {{"ustar", 5, 257}, "tar archive (an OVA is one)"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct format_found found;
        assert_int_equal(detect(&cases[i].header, &found), -EINVAL);
        assert_contains(error.text, cases[i].words);
    }
}

static void bit_4_of_an_old_qcow2_is_no_feature(void **state)
{
    struct format_found found;
    assert_int_equal(detect(&(struct header){"QFI\xfb\0\0\0\2", 8, 0, 79, 4}, &found), 0);
}

/* The footer of a fixed VHD, with a right checksum. */
static void make_footer(uint8_t tail[static FORMAT_TAIL_SIZE], uint64_t size, uint8_t type)
{
    uint32_t sum = 0;
    memset(tail, 0, FORMAT_TAIL_SIZE);
    for (size_t i = 0; i < 8; i++)
        tail[i] = (uint8_t) "conectix"[i];
    for (int i = 0; i < 8; i++)
        tail[48 + i] = (uint8_t)(size >> (56 - 8 * i));
    tail[63] = type;
    for (size_t i = 0; i < FORMAT_TAIL_SIZE; i++)
        sum += tail[i];
    for (int i = 0; i < 4; i++)
        tail[64 + i] = (uint8_t)(~sum >> (24 - 8 * i));
}

static void a_fixed_vhd_is_a_disk_and_a_footer(void **state)
{
    static const struct {
        uint64_t size;
        uint8_t type, spoil;
        const char *name;
        uint64_t expect;
    } cases[] = {
        {MIB, 2, 0, "vhd", MIB},
        {MIB - 4096, 2, 0, "vhd", MIB - 4096},
        {GIB, 2, 0, "vhd", MIB}, /* no more than there is */
        {MIB, 3, 0, "raw", MIB + FORMAT_TAIL_SIZE},
        {MIB, 2, 1, "raw", MIB + FORMAT_TAIL_SIZE}, /* a wrong checksum: data that looks like it */
    };
    static const uint8_t head[FORMAT_HEAD_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct format_found found;
        uint8_t tail[FORMAT_TAIL_SIZE];
        make_footer(tail, cases[i].size, cases[i].type);
        tail[100] = cases[i].spoil;
        assert_int_equal(format_detect_in(head, sizeof(head), tail, "/x", MIB + FORMAT_TAIL_SIZE,
                                          &found, &error),
                         0);
        assert_string_equal(found.format->name, cases[i].name);
        assert_int_equal(found.size, cases[i].expect);
    }
}

static void a_fixed_vhd_is_not_used_where_it_is(void **state)
{
    uint8_t tail[FORMAT_TAIL_SIZE];
    make_footer(tail, 4096 - FORMAT_TAIL_SIZE, 2);
    assert_int_equal(check(tail, sizeof(tail), 4096 - FORMAT_TAIL_SIZE, "/x/a.vhd"), -EINVAL);
    assert_contains(error.text, "this is a VHD image, not a raw disk");
    assert_contains(error.text, "qemu-img convert -f vpc -O raw '/x/a.vhd' '/x/a.vhd.raw'");
    assert_int_equal(check(tail, sizeof(tail), 4096 - 2 * FORMAT_TAIL_SIZE, "/x/y"), 0);
    tail[100] = 1; /* data that looks like it */
    assert_int_equal(check(tail, sizeof(tail), 4096 - FORMAT_TAIL_SIZE, "/x/y"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(other_formats_are_refused_with_the_command),
        TEST(a_raw_disk_is_let_pass),
        TEST(a_file_that_is_shorter_than_a_sector_is_looked_at_too),
        TEST(a_long_path_is_cut),
        TEST(what_cannot_be_read_is_told),
        TEST(formats_are_known_by_their_heads),
        TEST(what_is_not_whole_is_refused),
        TEST(bit_4_of_an_old_qcow2_is_no_feature),
        TEST(a_fixed_vhd_is_a_disk_and_a_footer),
        TEST(a_fixed_vhd_is_not_used_where_it_is),
    };
    return RUN_TESTS(tests);
}
