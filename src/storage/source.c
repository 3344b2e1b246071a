/* Files and devices of the operator's own: what an image is imported from, and volumes in place. */
#include "storage/format.h"
#include "storage/private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static int cannot_open(const char *path, int errnum, struct error *ret_error)
{
    if (errnum == EBUSY)
        return error_set(ret_error, -errnum,
                         "%s is in use (mounted, or part of LVM, RAID or another program); free it "
                         "first",
                         path);
    if (errnum == EROFS)
        return error_set(ret_error, -errnum,
                         "%s cannot be written: mount its file system writable, or, under systemd, "
                         "let the daemon write there by a drop-in with ReadWritePaths=",
                         path);
    return error_set(ret_error, -errnum, "%s cannot be opened: %s", path, strerror(errnum));
}

static int check_path(const char *path, struct error *ret_error)
{
    if (path[0] != '/')
        return error_set(ret_error, -EINVAL, "'%s' must be an absolute path", path);
    if (strlen(path) >= PATH_MAX)
        return error_set(ret_error, -ENAMETOOLONG, "the path is longer than %d bytes", PATH_MAX);
    return 0;
}

static int device_size(int fd, const char *path, uint64_t *ret_size, struct error *ret_error)
{
    uint64_t size;
    if (ioctl(fd, BLKGETSIZE64, &size) < 0)
        return error_set(ret_error, -errno, "%s does not tell its size: %s", path, strerror(errno));
    *ret_size = size;
    return 0;
}

static int check_size(const char *path, uint64_t size, uint32_t block_size, struct error *ret_error)
{
    if (size == 0)
        return error_set(ret_error, -EINVAL, "%s is empty", path);
    if (size % block_size)
        return error_set(ret_error, -EINVAL,
                         "%s has %llu bytes, which is not a multiple of the block size %u: not a "
                         "raw disk",
                         path, (unsigned long long)size, block_size);
    return 0;
}

int source_open(const char *path, uint64_t *ret_size, struct error *ret_error)
{
    struct stat st;
    uint64_t size = 0;
    int r = check_path(path, ret_error);
    if (r < 0)
        return r;
    /* O_NONBLOCK: a FIFO must not hold us up */
    cleanup_close int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return cannot_open(path, errno, ret_error);
    if (S_ISBLK(st.st_mode))
        r = device_size(fd, path, &size, ret_error);
    else if (S_ISREG(st.st_mode))
        size = (uint64_t)st.st_size;
    else
        r = error_set(ret_error, -EINVAL, "%s is neither a file nor a block device", path);
    if (r >= 0 && size == 0)
        r = error_set(ret_error, -EINVAL, "%s is empty", path);
    if (r < 0)
        return r;
    *ret_size = size;
    return take_fd(&fd);
}

static bool is_same_thing(const struct stat *a, const char *other_path)
{
    struct stat b;
    if (stat(other_path, &b) < 0)
        return false;
    if (S_ISBLK(a->st_mode))
        return S_ISBLK(b.st_mode) && a->st_rdev == b.st_rdev;
    return a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

int source_check_idle(struct storage *storage, int fd, const char *path, struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(storage->settings.catalog);
    struct stat st;
    char peer[256];
    size_t count;
    const struct catalog_volume *volumes = catalog_volumes(catalog, &count);
    if (fstat(fd, &st) < 0)
        return cannot_open(path, errno, ret_error);
    for (size_t i = 0; i < count; i++)
        if (!volumes[i].read_only && is_same_thing(&st, volumes[i].path) &&
            storage_volume_in_use(storage, volumes[i].id, peer))
            return error_set(ret_error, -EBUSY,
                             "%s is volume '%s', which is in use by %s: what is copied now would "
                             "be torn; shut that machine down first",
                             path, volumes[i].name, peer);
    return 0;
}

/* Another path to the same file or device is the same disk. */
static int check_not_taken(struct storage *storage, const char *path, const struct stat *st,
                           struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(storage->settings.catalog);
    size_t count;
    const struct catalog_volume *volumes = catalog_volumes(catalog, &count);
    for (size_t i = 0; i < count; i++)
        if (is_same_thing(st, volumes[i].path))
            return error_set(ret_error, -EEXIST, "%s is already volume '%s'", path,
                             volumes[i].name);
    const struct catalog_image *images = catalog_images(catalog, &count);
    for (size_t i = 0; i < count; i++)
        if (is_same_thing(st, images[i].path))
            return error_set(ret_error, -EEXIST,
                             "%s is image '%s@%u', which never changes; use --image", path,
                             images[i].name, images[i].version);
    return 0;
}

int source_check_file(struct storage *storage, const char *path, uint32_t *block_size,
                      uint64_t *ret_size, bool read_only, struct error *ret_error)
{
    struct stat st;
    int r = check_path(path, ret_error);
    if (r < 0)
        return r;
    int flags = (read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    cleanup_close int fd = open(path, flags);
    if (fd < 0 || fstat(fd, &st) < 0)
        return cannot_open(path, errno, ret_error);
    if (!S_ISREG(st.st_mode))
        return error_set(ret_error, -EINVAL, "%s is not a regular file%s", path,
                         S_ISBLK(st.st_mode) ? "; use --device" : "");
    r = format_check_raw(fd, path, ret_error);
    if (r >= 0)
        r = check_not_taken(storage, path, &st, ret_error);
    if (*block_size == 0)
        *block_size = 512;
    if (r >= 0)
        r = check_size(path, (uint64_t)st.st_size, *block_size, ret_error);
    if (r >= 0)
        *ret_size = (uint64_t)st.st_size;
    return r;
}

/* A device cannot write less than its own logical block. */
static int choose_block_size(int fd, const char *path, uint32_t *block_size,
                             struct error *ret_error)
{
    int logical = 0;
    if (ioctl(fd, BLKSSZGET, &logical) < 0)
        return error_set(ret_error, -errno, "%s does not tell its block size: %s", path,
                         strerror(errno));
    if (*block_size == 0)
        *block_size = (uint32_t)logical;
    if (*block_size < (uint32_t)logical || (*block_size != 512 && *block_size != 4096))
        return error_set(ret_error, -EINVAL, "%s has blocks of %d bytes; use --block-size %d", path,
                         logical, logical);
    return 0;
}

int source_check_device(struct storage *storage, const char *path, uint32_t *block_size,
                        uint64_t *ret_size, bool read_only, struct error *ret_error)
{
    struct stat st;
    int r = check_path(path, ret_error);
    if (r < 0)
        return r;
    if (stat(path, &st) < 0)
        return cannot_open(path, errno, ret_error);
    if (!S_ISBLK(st.st_mode))
        return error_set(ret_error, -EINVAL, "%s is not a block device%s", path,
                         S_ISREG(st.st_mode) ? "; use --file" : "");
    r = check_not_taken(storage, path, &st, ret_error);
    if (r < 0)
        return r;
    /* O_EXCL: the kernel refuses what is mounted or held by somebody else */
    int flags = (read_only ? O_RDONLY : O_RDWR) | O_EXCL | O_NONBLOCK | O_CLOEXEC;
    cleanup_close int fd = open(path, flags);
    if (fd < 0)
        return cannot_open(path, errno, ret_error);
    uint64_t size = 0;
    r = device_size(fd, path, &size, ret_error);
    if (r >= 0)
        r = choose_block_size(fd, path, block_size, ret_error);
    if (r >= 0)
        r = check_size(path, size, *block_size, ret_error);
    if (r >= 0)
        *ret_size = size;
    return r;
}
