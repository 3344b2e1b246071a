#include "storage/unpacked.h"

#include "block/sparse.h"
#include "core/size.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* Of the file system, for those who write to thin volumes on it meanwhile. */
#define MAX_RESERVE (1 * GIB)
#define RESERVED    50 /* one part in so many */

/* Where the file system does not know files without a name; leftovers_clear() knows the ending. */
static int create_and_unlink(const char *beside)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s.unpacked.raw.tmp", beside) >= PATH_MAX)
        return -ENAMETOOLONG;
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        unlink(path);
    return fd < 0 ? -errno : fd;
}

int unpacked_create(const char *beside, struct error *ret_error)
{
    char path[PATH_MAX];
    str_copy(path, sizeof(path), beside);
    const char *directory = dirname(path);
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = create_and_unlink(beside);
    if (fd < 0)
        return error_set(ret_error, fd, "%s cannot be written: %s", directory, strerror(-fd));
    return fd;
}

int unpacked_no_space(const char *name, struct error *ret_error)
{
    return error_set(ret_error, -ENOSPC, "no space left for %s; free some and try again", name);
}

static int check_reserve(int fd, const char *name, struct error *ret_error)
{
    struct statvfs fs;
    if (fstatvfs(fd, &fs) < 0)
        return error_set(ret_error, -errno, "%s cannot be looked at: %s", name, strerror(errno));
    uint64_t reserve = MIN((uint64_t)fs.f_blocks * fs.f_frsize / RESERVED, MAX_RESERVE);
    return (uint64_t)fs.f_bavail * fs.f_frsize < reserve ? unpacked_no_space(name, ret_error) : 0;
}

int unpacked_write(int fd, const char *name, const uint8_t *data, size_t size, uint64_t offset,
                   uint64_t limit, struct error *ret_error)
{
    char text[SIZE_TEXT_SIZE];
    if (size > limit || offset > limit - size)
        return error_set(ret_error, -EFBIG,
                         "what is to become %s is larger than the whole file system of %s", name,
                         size_format(limit, text));
    int r = check_reserve(fd, name, ret_error);
    if (r < 0 || size == 0)
        return r;
    r = sparse_write(fd, data, size, offset);
    if (r >= 0 && ftruncate(fd, (off_t)(offset + size)) < 0)
        r = -errno;
    if (r == -ENOSPC || r == -EDQUOT)
        return unpacked_no_space(name, ret_error);
    if (r < 0)
        return error_set(ret_error, r, "%s cannot be written: %s", name, strerror(-r));
    (void)sync_file_range(fd, (off64_t)offset, (off64_t)size, SYNC_FILE_RANGE_WRITE);
    return 0;
}
