#include "storage/format.h"

#include <errno.h>

struct magic {
    size_t offset;
    const char *bytes;
    size_t size;
    const char *name;
    const char *command; /* with the path put in for %s (twice: from, to) */
};

#define CONVERT "qemu-img convert -O raw '%s' '%s.raw'"

static const struct magic magics[] = {
    {0, "QFI\xfb", 4, "qcow2 image", CONVERT},
    {0, "QED\0", 4, "QED image", CONVERT},
    {0, "KDMV", 4, "VMDK image", CONVERT},
    {0, "COWD", 4, "VMDK image", CONVERT},
    {0, "# Disk DescriptorFile", 21, "VMDK descriptor", CONVERT},
    {0, "vhdxfile", 8, "VHDX image", CONVERT},
    {0, "conectix", 8, "VHD image", CONVERT},
    {64, "\x7f\x10\xda\xbe", 4, "VDI image", CONVERT},
    {0, "\x1f\x8b", 2, "gzip file", "gunzip -c '%s' > '%s.raw'"},
    {0, "\xfd\x37zXZ\0", 6, "xz file", "xz -dc '%s' > '%s.raw'"},
    {0, "\x28\xb5\x2f\xfd", 4, "zstd file", "zstd -dc '%s' > '%s.raw'"},
    {0, "BZh", 3, "bzip2 file", "bzip2 -dc '%s' > '%s.raw'"},
    {0, "PK\x03\x04", 4, "zip archive", "unzip -p '%s' > '%s.raw'"},
};

static const struct magic *find_magic(const char *head, size_t size)
{
    for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
        const struct magic *m = &magics[i];
        if (m->offset + m->size <= size && memcmp(head + m->offset, m->bytes, m->size) == 0)
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

int format_check_raw(int fd, const char *path, struct error *ret_error)
{
    char head[512], command[400];
    ssize_t n = pread(fd, head, sizeof(head), 0);
    if (n < 0)
        return error_set(ret_error, -errno, "%s cannot be read: %s", path, strerror(errno));
    const struct magic *m = find_magic(head, (size_t)n);
    if (!m)
        return 0;
    fill_in(m->command, path, command, sizeof(command));
    return error_set(ret_error, -EINVAL, "this is a %s, not a raw disk; convert it first: %s",
                     m->name, command);
}
