#include "storage/boot_file.h"

#include "core/read_at.h"
#include "storage/private.h"

#include <errno.h>
#include <fcntl.h>

_Static_assert(CATALOG_IDENTITY_SIZE == BOOT_SET_IDENTITY_SIZE, "an image's identity");

/* DIRECTORY/3.raw -> DIRECTORY/3.boot */
static int make_path(const char *image_path, char path[static PATH_MAX], struct error *ret_error)
{
    size_t n = strlen(image_path);
    if (n > 4 && str_eq(image_path + n - 4, ".raw"))
        n -= 4;
    int written = snprintf(path, PATH_MAX, "%.*s.boot", (int)n, image_path);
    if (written >= PATH_MAX)
        return error_set(ret_error, -ENAMETOOLONG, "the path of image %s is too long", image_path);
    return 0;
}

static int decode(const char *path, const uint8_t *bytes, size_t size,
                  const struct catalog_base *image, struct boot_set *ret_set,
                  struct error *ret_error)
{
    struct error why;
    int r = boot_set_decode(bytes, size, image->identity, image->size, ret_set, &why);
    return r < 0 ? error_set(ret_error, r, "%s is ignored: %s", path, why.text) : r;
}

int boot_file_load(const struct catalog_base *image, struct boot_set *ret_set,
                   struct error *ret_error)
{
    char path[PATH_MAX];
    int r = make_path(image->path, path, ret_error);
    if (r < 0)
        return r;
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return error_set(ret_error, -errno, "%s cannot be opened: %s", path, strerror(errno));
    size_t room = BOOT_SET_MAX_FILE + 1;
    cleanup_free uint8_t *bytes = malloc(room);
    if (!bytes)
        return error_set(ret_error, -ENOMEM, "out of memory");
    ssize_t n = read_at(fd, bytes, room, 0);
    if (n < 0)
        return error_set(ret_error, (int)n, "%s cannot be read: %s", path, strerror((int)-n));
    return decode(path, bytes, (size_t)n, image, ret_set, ret_error);
}

static int write_all(int fd, const char *path, const uint8_t *bytes, size_t size,
                     struct error *ret_error)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, bytes + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(ret_error, -errno, "%s cannot be written: %s", path, strerror(errno));
        done += (size_t)n;
    }
    return 0;
}

static int store(const char *path, const uint8_t *bytes, size_t size, struct error *ret_error)
{
    struct error ignored;
    cleanup_close int fd = file_create_tmp(path, ret_error);
    if (fd < 0)
        return fd;
    int r = write_all(fd, path, bytes, size, ret_error);
    if (r >= 0)
        r = file_replace(fd, path, 0644, ret_error);
    if (r < 0)
        (void)!file_remove(path, false, &ignored);
    return r;
}

int boot_file_store(const struct catalog_base *image, const struct boot_set *set,
                    struct error *ret_error)
{
    char path[PATH_MAX];
    size_t size = boot_set_encoded_size(set);
    cleanup_free uint8_t *bytes = malloc(size);
    if (!bytes)
        return error_set(ret_error, -ENOMEM, "out of memory");
    boot_set_encode(set, bytes);
    int r = make_path(image->path, path, ret_error);
    return r < 0 ? r : store(path, bytes, size, ret_error);
}

int boot_file_remove(const char *image_path, struct error *ret_error)
{
    char path[PATH_MAX];
    int r = make_path(image_path, path, ret_error);
    return r < 0 ? r : file_remove(path, true, ret_error);
}

struct catalog_base boot_file_image(const struct catalog_image *image)
{
    struct catalog_base base = {
        .version_id = image->id, .image = image->name, .path = image->path, .size = image->size};
    memcpy(base.identity, image->identity, sizeof(base.identity));
    return base;
}
