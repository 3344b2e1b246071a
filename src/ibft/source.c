/* Where a table is: files of ACPI, low memory, memory in a file, what the kernel shows. */
#include "ibft/ibft.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define LOW_BEGIN 0x80000 /* as Linux looks: iscsi_ibft_find.c */
#define LOW_END   0x100000
#define VIDEO     0xa0000
#define VIDEO_END 0xc0000
#define STDIN_MAX (64 * MIB)

/* The bytes of a pipe or of a file of /sys, whose size nobody knows before; free() them. */
static int read_all(int fd, uint8_t **ret_data, size_t *ret_size)
{
    size_t size = 0, room = 0;
    uint8_t *data = NULL;
    for (;;) {
        if (size == room) {
            room = room ? room * 2 : 4096;
            uint8_t *grown = room > STDIN_MAX ? NULL : realloc(data, room);
            if (!grown) {
                free(data);
                return room > STDIN_MAX ? -EFBIG : -ENOMEM;
            }
            data = grown;
        }
        ssize_t n = read(fd, data + size, room - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(data);
            return -errno;
        }
        if (n == 0)
            break;
        size += (size_t)n;
    }
    *ret_data = data;
    *ret_size = size;
    return 0;
}

/* A table, or memory with one in it. where: what the memory is, for the name of the source. */
static int take(const uint8_t *data, size_t size, uint64_t base, const char *where,
                struct ibft *ret_ibft, struct ibft_source *ret_source, struct ibft_faults *faults,
                struct error *ret_error)
{
    size_t at = 0, length = size;
    bool alone = ibft_has_signature(data, size) && size <= IBFT_MAX_SIZE;
    if (!alone && !ibft_find(data, size, &at, &length))
        return error_set(ret_error, -ENOENT, "%s: there is no iBFT in it", where);
    int r = ibft_decode(data + at, length, ret_ibft, faults, ret_error);
    if (r < 0)
        return error_prefix(ret_error, "%s", where);
    *ret_source = (struct ibft_source){0};
    if (alone)
        str_copy(ret_source->name, sizeof(ret_source->name), where);
    else
        snprintf(ret_source->name, sizeof(ret_source->name), "%s at 0x%llx", where,
                 (unsigned long long)(base + at));
    return 0;
}

static int read_stream(int fd, const char *name, struct ibft *ret_ibft,
                       struct ibft_source *ret_source, struct ibft_faults *faults,
                       struct error *ret_error)
{
    cleanup_free uint8_t *data = NULL;
    size_t size = 0;
    int r = read_all(fd, &data, &size);
    if (r < 0)
        return error_set(ret_error, r, "%s cannot be read: %s", name, strerror(-r));
    return take(data, size, 0, name, ret_ibft, ret_source, faults, ret_error);
}

static int read_mapped(int fd, size_t size, const char *name, struct ibft *ret_ibft,
                       struct ibft_source *ret_source, struct ibft_faults *faults,
                       struct error *ret_error)
{
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return error_set(ret_error, -errno, "%s cannot be read: %s", name, strerror(errno));
    int r = take(data, size, 0, name, ret_ibft, ret_source, faults, ret_error);
    munmap(data, size);
    return r;
}

/* /dev/mem: only where a table may be. A kernel that lets nobody read there says EPERM. */
static int read_low_memory(int fd, const char *name, struct ibft *ret_ibft,
                           struct ibft_source *ret_source, struct ibft_faults *faults,
                           struct error *ret_error)
{
    cleanup_free uint8_t *data = calloc(1, LOW_END - LOW_BEGIN);
    size_t done = 0;
    if (!data)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (size_t at = LOW_BEGIN; at < LOW_END; at += 4096) {
        bool video = at >= VIDEO && at < VIDEO_END;
        if (!video && pread(fd, data + (at - LOW_BEGIN), 4096, (off_t)at) > 0)
            done++;
    }
    if (done == 0)
        return error_set(ret_error, -EPERM, "%s cannot be read", name);
    return take(data, LOW_END - LOW_BEGIN, LOW_BEGIN, name, ret_ibft, ret_source, faults,
                ret_error);
}

/* fd: of anything but a directory. */
static int read_open(int fd, const struct stat *st, const char *name, struct ibft *ret_ibft,
                     struct ibft_source *ret_source, struct ibft_faults *faults,
                     struct error *ret_error)
{
    if (S_ISCHR(st->st_mode))
        return read_low_memory(fd, name, ret_ibft, ret_source, faults, ret_error);
    if (S_ISREG(st->st_mode) && st->st_size > IBFT_MAX_SIZE)
        return read_mapped(fd, (size_t)st->st_size, name, ret_ibft, ret_source, faults, ret_error);
    return read_stream(fd, name, ret_ibft, ret_source, faults, ret_error);
}

int ibft_read_path(const char *path, struct ibft *ret_ibft, struct ibft_source *ret_source,
                   struct ibft_faults *faults, struct error *ret_error)
{
    struct stat st;
    if (str_eq(path, "-"))
        return read_stream(STDIN_FILENO, "standard input", ret_ibft, ret_source, faults, ret_error);
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(ret_error, -errno, "%s cannot be opened: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return read_open(fd, &st, path, ret_ibft, ret_source, faults, ret_error);
    int r = ibft_read_kernel(path, ret_ibft, faults, ret_error);
    if (r >= 0) {
        *ret_source = (struct ibft_source){.kernel = true};
        str_copy(ret_source->name, sizeof(ret_source->name), path);
    }
    return r;
}

int ibft_read_machine(const char *root, struct ibft *ret_ibft, struct ibft_source *ret_source,
                      struct ibft_faults *faults, struct error *ret_error)
{
    static const char *const places[] = {
        "/sys/firmware/acpi/tables/iBFT", "/sys/firmware/acpi/tables/IBFT",
        "/sys/firmware/acpi/tables/BIFT", "/dev/mem", "/sys/firmware/ibft"};
    bool denied = false;
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        char path[4096];
        struct error error;
        struct ibft_faults own = {0};
        snprintf(path, sizeof(path), "%s%s", root, places[i]);
        int r = ibft_read_path(path, ret_ibft, ret_source, &own, &error);
        if (r >= 0) {
            *faults = own;
            return 0;
        }
        if (r == -EBADMSG) {
            *ret_error = error;
            return r;
        }
        denied |= r == -EACCES || r == -EPERM;
    }
    return error_set(ret_error, -ENOENT, "this machine has no iBFT: it has not booted from iSCSI%s",
                     denied ? ", or this user may not see it; try as root" : "");
}
