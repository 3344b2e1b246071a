#include "storage/space.h"

#include "core/size.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

int space_check(int fd, const char *name, uint64_t needed, struct error *ret_error)
{
    struct statvfs fs;
    if (fstatvfs(fd, &fs) < 0)
        return error_set(ret_error, -errno, "%s cannot be looked at: %s", name, strerror(errno));
    uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (needed <= available)
        return 0;
    char needed_text[SIZE_TEXT_SIZE], available_text[SIZE_TEXT_SIZE];
    return error_set(ret_error, -ENOSPC,
                     "not enough space for %s: it needs %s, %s are free; free some and try again",
                     name, size_format(needed, needed_text),
                     size_format(available, available_text));
}

static int allocate(int fd, int mode, uint64_t size)
{
    int r;
    do
        r = fallocate(fd, mode, 0, (off_t)size);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

/* Blocks that it shares with a reflink copy would need new ones when they are written. Where that
 * cannot be asked for, the file systems share none, or copy on every write whatever one asks. */
static int unshare(int fd, uint64_t size)
{
    int r = allocate(fd, FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE, size);
    return r == -EOPNOTSUPP || r == -EINVAL ? 0 : r;
}

static int cannot_reserve(const char *name, int r, struct error *ret_error)
{
    switch (r) {
    case -ENOSPC:
    case -EDQUOT:
        return error_set(ret_error, r, "no space left for %s; free some and try again", name);
    case -EOPNOTSUPP:
        return error_set(
            ret_error, r,
            "the file system of %s cannot reserve space; make the volume elsewhere, or "
            "a thin one",
            name);
    case -EFBIG:
        return error_set(ret_error, r, "the file system of %s cannot hold a file that large", name);
    default:
        return error_set(ret_error, r, "%s cannot be made: %s", name, strerror(-r));
    }
}

int space_reserve(int fd, const char *name, uint64_t size, struct error *ret_error)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_set(ret_error, -errno, "%s cannot be looked at: %s", name, strerror(errno));
    uint64_t taken = MIN((uint64_t)st.st_blocks * 512, size);
    int r = space_check(fd, name, size - taken, ret_error);
    if (r < 0)
        return r;
    r = allocate(fd, 0, size);
    if (r >= 0)
        r = unshare(fd, size);
    return r < 0 ? cannot_reserve(name, r, ret_error) : 0;
}
