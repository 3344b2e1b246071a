/* Files that appear whole or not at all. */
#include "storage/private.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>

static int tmp_path(const char *path, char tmp[static PATH_MAX])
{
    int n = snprintf(tmp, PATH_MAX, "%s.tmp", path);
    return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int failed(const char *path, int errnum, struct error *ret_error)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return error_set(ret_error, -errnum, "no space left for %s; free some and try again", path);
    case EROFS:
        return error_set(ret_error, -errnum,
                         "%s is on a read-only file system; mount it writable and try again", path);
    case EEXIST:
        return error_set(ret_error, -errnum, "%s is in the way; move it away and try again", path);
    default:
        return error_set(ret_error, -errnum, "%s cannot be written: %s", path, strerror(errnum));
    }
}

int file_sync_directory(const char *path, struct error *ret_error)
{
    char copy[PATH_MAX];
    str_copy(copy, sizeof(copy), path);
    const char *directory = dirname(copy);
    cleanup_close int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return failed(directory, errno, ret_error);
    return 0;
}

int file_create_tmp(const char *path, struct error *ret_error)
{
    char tmp[PATH_MAX];
    if (tmp_path(path, tmp) < 0)
        return failed(path, ENAMETOOLONG, ret_error);
    /* the registry says that the name is ours: what lies there is a leftover */
    if (unlink(tmp) < 0 && errno != ENOENT)
        return failed(tmp, errno, ret_error);
    int fd = open(tmp, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? failed(tmp, errno, ret_error) : fd;
}

int file_create_nameless(const char *path, struct error *ret_error)
{
    char copy[PATH_MAX];
    str_copy(copy, sizeof(copy), path);
    int fd = open(dirname(copy), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EISDIR) /* a kernel's way to say that, too */
        errno = EOPNOTSUPP;
    return fd < 0 ? failed(path, errno, ret_error) : fd;
}

int file_give_name(int fd, const char *path, mode_t mode, struct error *ret_error)
{
    char own[32];
    snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0 ||
        linkat(AT_FDCWD, own, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
        return failed(path, errno, ret_error);
    int r = file_sync_directory(path, ret_error);
    if (r < 0)
        unlink(path);
    return r;
}

int file_publish(int fd, const char *path, mode_t mode, struct error *ret_error)
{
    char tmp[PATH_MAX];
    if (tmp_path(path, tmp) < 0)
        return failed(path, ENAMETOOLONG, ret_error);
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
        return failed(tmp, errno, ret_error);
    int r = renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_NOREPLACE);
    if (r < 0 && errno == EINVAL) /* a file system that does not know the flag */
        r = access(path, F_OK) == 0 ? (errno = EEXIST, -1) : rename(tmp, path);
    if (r < 0)
        return failed(path, errno, ret_error);
    r = file_sync_directory(path, ret_error);
    if (r < 0)
        unlink(path);
    return r;
}

int file_replace(int fd, const char *path, mode_t mode, struct error *ret_error)
{
    char tmp[PATH_MAX];
    if (tmp_path(path, tmp) < 0)
        return failed(path, ENAMETOOLONG, ret_error);
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
        return failed(tmp, errno, ret_error);
    if (rename(tmp, path) < 0)
        return failed(path, errno, ret_error);
    return file_sync_directory(path, ret_error);
}

int file_remove(const char *path, bool also_final, struct error *ret_error)
{
    char tmp[PATH_MAX];
    if (tmp_path(path, tmp) == 0 && unlink(tmp) < 0 && errno != ENOENT)
        return failed(tmp, errno, ret_error);
    if (also_final && unlink(path) < 0 && errno != ENOENT)
        return failed(path, errno, ret_error);
    return 0;
}
