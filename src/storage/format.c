#include "storage/format.h"

#include "core/wire.h"

#include <errno.h>

#define CONVERT "qemu-img convert -O raw '%s' '%s.raw'"

static const struct format raw = {FORMAT_RAW, "raw", NULL, false, NULL, NULL};
static const struct format qcow2 = {FORMAT_QEMU, "qcow2", "qcow2", true, NULL, NULL};
static const struct format qed = {FORMAT_QEMU, "qed", "qed", true, NULL, NULL};
static const struct format vmdk = {FORMAT_QEMU, "vmdk", "vmdk", true, NULL, NULL};
static const struct format vhdx = {FORMAT_QEMU, "vhdx", "vhdx", false, NULL, NULL};
static const struct format vhd = {FORMAT_QEMU, "vhd", "vpc", false, NULL, NULL};
static const struct format vdi = {FORMAT_QEMU, "vdi", "vdi", false, NULL, NULL};
static const struct format fixed_vhd = {FORMAT_RAW, "vhd", NULL, false, NULL, NULL};
static const struct format gzip = {FORMAT_PACKED, "gz", NULL, false, "gzip", "gzip"};
static const struct format xz = {FORMAT_PACKED, "xz", NULL, false, "xz", "xz-utils"};
static const struct format zstd = {FORMAT_PACKED, "zstd", NULL, false, "zstd", "zstd"};
static const struct format bzip2 = {FORMAT_PACKED, "bz2", NULL, false, "bzip2", "bzip2"};

struct magic {
    size_t offset;
    const char *bytes;
    size_t size;
    const char *name;
    const struct format *format; /* NULL: refused, with the advice */
    const char *command; /* that makes it raw, with the path put in for %s (twice: from, to) */
};

static const struct magic magics[] = {
    {0, "QFI\xfb", 4, "qcow2 image", &qcow2, CONVERT},
    {0, "QED\0", 4, "QED image", &qed, CONVERT},
    {0, "KDMV", 4, "VMDK image", &vmdk, CONVERT},
    {0, "COWD", 4, "VMDK image", &vmdk, CONVERT},
    {0, "# Disk DescriptorFile", 21, "VMDK descriptor", NULL, CONVERT},
    {0, "vhdxfile", 8, "VHDX image", &vhdx, CONVERT},
    {0, "conectix", 8, "VHD image", &vhd, CONVERT},
    {64, "\x7f\x10\xda\xbe", 4, "VDI image", &vdi, CONVERT},
    {0, "\x1f\x8b", 2, "gzip file", &gzip, "gunzip -c '%s' > '%s.raw'"},
    {0, "\xfd\x37zXZ\0", 6, "xz file", &xz, "xz -dc '%s' > '%s.raw'"},
    {0, "\x28\xb5\x2f\xfd", 4, "zstd file", &zstd, "zstd -dc '%s' > '%s.raw'"},
    {0, "BZh", 3, "bzip2 file", &bzip2, "bzip2 -dc '%s' > '%s.raw'"},
    {0, "PK\x03\x04", 4, "zip archive", NULL, "unzip -p '%s' > '%s.raw'"},
    {0, "7z\xbc\xaf\x27\x1c", 6, "7z archive", NULL, "7z x -so '%s' > '%s.raw'"},
    {257, "ustar", 5, "tar archive (an OVA is one)", NULL, "tar -xOf '%s' DISK > '%s.disk'"},
};

/* What a fixed VHD has behind the disk is no part of that. */
static const struct magic footer = {
    0, "conectix", 8, "VHD image", &fixed_vhd, "qemu-img convert -f vpc -O raw '%s' '%s.raw'"};

static const struct magic *find_magic(const void *head, size_t size)
{
    const char *bytes = head;
    for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
        const struct magic *m = &magics[i];
        if (m->offset + m->size <= size && memcmp(bytes + m->offset, m->bytes, m->size) == 0)
            return m;
    }
    return NULL;
}

/* Puts path in for each %s of a command. */
static void fill_in(const char *command, const char *path, char *text, size_t size)
{
    size_t used = 0;
    for (const char *p = command; *p && used + 1 < size; p++) {
        if (str_has_prefix(p, "%s")) {
            used += (size_t)snprintf(text + used, size - used, "%.150s", path);
            p++;
        } else {
            text[used++] = *p;
        }
    }
    text[MIN(used, size - 1)] = '\0';
}

static int refuse(const struct magic *m, const char *path, const char *first,
                  struct error *ret_error)
{
    char command[400];
    fill_in(m->command, path, command, sizeof(command));
    return error_set(ret_error, -EINVAL, "this is a %s, not a raw disk; %s: %s", m->name, first,
                     command);
}

/* A fixed VHD is a raw disk with a footer behind it. The bytes of the disk; 0: it is none. */
static uint64_t fixed_vhd_size(const uint8_t *tail, uint64_t size)
{
    struct wire_reader r = wire_reader_of(tail, FORMAT_TAIL_SIZE);
    uint32_t sum = 0;
    if (memcmp(tail, "conectix", 8) != 0)
        return 0;
    for (size_t i = 0; i < FORMAT_TAIL_SIZE; i++)
        sum += i >= 64 && i < 68 ? 0 : tail[i];
    wire_skip(&r, 48);
    uint64_t current = wire_get_be64(&r);
    wire_skip(&r, 4);
    uint32_t type = wire_get_be32(&r);
    if (wire_get_be32(&r) != ~sum || type != 2)
        return 0;
    return MIN(current, size - FORMAT_TAIL_SIZE);
}

static bool ends_as_vhd(int fd)
{
    uint8_t tail[FORMAT_TAIL_SIZE];
    off_t size = lseek(fd, 0, SEEK_END);
    return size > FORMAT_TAIL_SIZE &&
           pread(fd, tail, sizeof(tail), size - FORMAT_TAIL_SIZE) == FORMAT_TAIL_SIZE &&
           fixed_vhd_size(tail, (uint64_t)size) > 0;
}

int format_check_raw(int fd, const char *path, struct error *ret_error)
{
    char head[FORMAT_HEAD_SIZE];
    ssize_t n = pread(fd, head, sizeof(head), 0);
    if (n < 0)
        return error_set(ret_error, -errno, "%s cannot be read: %s", path, strerror(errno));
    const struct magic *m = find_magic(head, (size_t)n);
    if (m)
        return refuse(m, path, "convert it first", ret_error);
    return ends_as_vhd(fd) ? refuse(&footer, path, "convert it first", ret_error) : 0;
}

/* --- what headers say of other files: a stranger's image must be whole in itself --- */

#define WHOLE "; import one that is whole: qemu-img convert -O qcow2 FROM TO"

/* QEMU docs/interop/qcow2.txt, "Header" */
static const char *foreign_in_qcow2(struct wire_reader r)
{
    wire_get_be32(&r); /* magic */
    uint32_t version = wire_get_be32(&r);
    if (wire_get_be64(&r) != 0)
        return "is an overlay over another image (it has a backing file)";
    wire_skip(&r, 56); /* up to the features of version 3 */
    uint64_t incompatible = version >= 3 ? wire_get_be64(&r) : 0;
    return incompatible & 4 ? "keeps its data in another file (data_file)" : NULL;
}

static uint64_t get_le64(struct wire_reader *r)
{
    return __builtin_bswap64(wire_get_be64(r));
}

static uint32_t get_le32(struct wire_reader *r)
{
    return __builtin_bswap32(wire_get_be32(r));
}

/* QEMU docs/interop/qed_spec.txt, "Header" */
static const char *foreign_in_qed(struct wire_reader r)
{
    wire_skip(&r, 16);
    return get_le64(&r) & 1 ? "is an overlay over another image (it has a backing file)" : NULL;
}

/* QEMU block/vdi.c, "VdiHeader": qemu-img reads what is behind the end as zeroes */
static bool vdi_is_cut_off(struct wire_reader r, uint64_t size)
{
    wire_skip(&r, 344);
    uint64_t data = get_le32(&r);
    wire_skip(&r, 28);
    uint64_t block_size = get_le32(&r);
    wire_skip(&r, 8);
    uint64_t n_blocks = get_le32(&r);
    return !wire_reader_ok(&r) || data + n_blocks * block_size > size;
}

/* VMware Virtual Disk Format 5.0, "Hosted Sparse Extent Header": without a capacity it is only the
 * descriptor of others */
static const char *foreign_in_vmdk(struct wire_reader r)
{
    bool hosted = memcmp(r.pos, "KDMV", 4) == 0;
    wire_skip(&r, 12);
    uint64_t capacity = get_le64(&r);
    return hosted && capacity == 0 ? "keeps its data in other files (extents)" : NULL;
}

/* Virtual Hard Disk Image Format Specification, "Hard Disk Footer Format" */
static const char *foreign_in_vhd(struct wire_reader r)
{
    wire_skip(&r, 60);
    return wire_get_be32(&r) == 4 ? "is a differencing disk over another one" : NULL;
}

static const struct {
    const struct format *format;
    const char *(*find)(struct wire_reader head);
} foreign[] = {
    {&qcow2, foreign_in_qcow2},
    {&qed, foreign_in_qed},
    {&vmdk, foreign_in_vmdk},
    {&vhd, foreign_in_vhd},
};

static int check_whole(const struct format *format, const uint8_t *head, size_t n_head,
                       const char *path, struct error *ret_error)
{
    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
        const char *what =
            foreign[i].format == format ? foreign[i].find(wire_reader_of(head, n_head)) : NULL;
        if (what)
            return error_set(ret_error, -EINVAL, "%s %s, which is not read" WHOLE, path, what);
    }
    return 0;
}

int format_detect_in(const uint8_t *head, size_t n_head, const uint8_t *tail, const char *path,
                     uint64_t size, struct format_found *ret_found, struct error *ret_error)
{
    const struct magic *m = find_magic(head, n_head);
    if (m && !m->format)
        return refuse(m, path, "take the disk out of it first", ret_error);
    if (m) {
        if (m->format == &vdi && vdi_is_cut_off(wire_reader_of(head, n_head), size))
            return error_set(ret_error, -EINVAL, "%s is cut off; fetch or make it again", path);
        *ret_found = (struct format_found){.format = m->format};
        return check_whole(m->format, head, n_head, path, ret_error);
    }
    uint64_t disk = tail && size > FORMAT_TAIL_SIZE ? fixed_vhd_size(tail, size) : 0;
    *ret_found =
        (struct format_found){.format = disk ? &fixed_vhd : &raw, .size = disk ? disk : size};
    return 0;
}

int format_detect(int fd, const char *path, uint64_t size, struct format_found *ret_found,
                  struct error *ret_error)
{
    uint8_t head[FORMAT_HEAD_SIZE], tail[FORMAT_TAIL_SIZE];
    ssize_t n = pread(fd, head, sizeof(head), 0), m = 0;
    if (n >= 0 && size > FORMAT_TAIL_SIZE)
        m = pread(fd, tail, sizeof(tail), (off_t)(size - FORMAT_TAIL_SIZE));
    if (n < 0 || m < 0)
        return error_set(ret_error, -errno, "%s cannot be read: %s", path, strerror(errno));
    return format_detect_in(head, (size_t)n, m == FORMAT_TAIL_SIZE ? tail : NULL, path, size,
                            ret_found, ret_error);
}
