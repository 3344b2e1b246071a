/*
 * The files of a layer are made, grow and go.
 *
 * The map and the header of the log have their space before anything is written to the layer. So on
 * a full disk a write to new blocks fails before it is acknowledged, and what was acknowledged can
 * still be made durable: a flush needs no space, whoever has filled the disk.
 */
#include "block/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static const char *const suffixes[] = {"map", "log", "data"}; /* without .map it is none */

static int not_made(const char *path, int r, struct error *ret_error)
{
    if (r == -ENOSPC || r == -EDQUOT)
        return error_set(ret_error, r, "no space left for %s; free some and try again", path);
    return error_set(ret_error, r, "%s cannot be written: %s", path, strerror(-r));
}

/* A file system that cannot is no reason to do without the layer. */
static int reserve(int fd, uint64_t size)
{
    int r;
    if (size == 0)
        return 0;
    do
        r = fallocate(fd, 0, 0, (off_t)size);
    while (r < 0 && errno == EINTR);
    return r < 0 && errno != EOPNOTSUPP ? -errno : 0;
}

static uint64_t reserved_of_map(uint64_t size)
{
    return MIN(layer_map_size(size), LAYER_MAP_MAX_RESERVED);
}

/* An empty file of this size, whose first bytes have space of their own; durable. */
static int make_file(const char *path, const char *suffix, uint64_t size, uint64_t reserved,
                     int *ret_fd, struct error *ret_error)
{
    char full[LAYER_PATH_SIZE];
    int r = layer_path(path, suffix, full, ret_error);
    if (r < 0)
        return r;
    int fd = open(full, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return not_made(full, -errno, ret_error);
    r = ftruncate(fd, (off_t)size) < 0 ? -errno : reserve(fd, reserved);
    if (r >= 0 && fsync(fd) < 0)
        r = -errno;
    if (r < 0) {
        close(fd);
        return not_made(full, r, ret_error);
    }
    *ret_fd = fd;
    return 0;
}

static int sync_directory(const char *path, struct error *ret_error)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    snprintf(directory, sizeof(directory), "%.*s", n ? (int)n : 1, slash ? path : ".");
    cleanup_close int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return not_made(directory, -errno, ret_error);
    return 0;
}

static int make_files(const char *path, struct layer_header *header, struct layer_files *files,
                      struct error *ret_error)
{
    int r = make_file(path, "data", header->size, 0, &files->data, ret_error);
    if (r >= 0)
        r = make_file(path, "log", LAYER_LOG_SIZE, LAYER_LOG_OFFSET, &files->log, ret_error);
    if (r >= 0)
        r = make_file(path, "map", layer_map_size(header->size), reserved_of_map(header->size),
                      &files->map, ret_error);
    if (r < 0)
        return r;
    r = layer_write_header(files->map, header);
    return r < 0 ? not_made(path, r, ret_error) : sync_directory(path, ret_error);
}

static int remove_files(const char *path, struct error *ret_error)
{
    char full[LAYER_PATH_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        int r = layer_path(path, suffixes[i], full, ret_error);
        if (r < 0)
            return r;
        if (unlink(full) < 0 && errno != ENOENT)
            return error_set(ret_error, -errno, "%s cannot be removed: %s", full, strerror(errno));
    }
    return 0;
}

int overlay_create(const char *path, const uint8_t id[static BLOCK_LAYER_ID_SIZE],
                   const uint8_t below_id[static BLOCK_LAYER_ID_SIZE], uint64_t size,
                   struct error *ret_error)
{
    struct layer_files files = LAYER_NO_FILES;
    struct layer_header header = {.size = size};
    struct error ignored;
    memcpy(header.id, id, LAYER_ID_SIZE);
    memcpy(header.below_id, below_id, LAYER_ID_SIZE);
    if (!size || size % 512 || size > LAYER_MAX_SIZE)
        return error_set(ret_error, -EINVAL, "%llu bytes is no size of a volume",
                         (unsigned long long)size);
    int r = remove_files(path, ret_error);
    if (r < 0)
        return r;
    r = make_files(path, &header, &files, ret_error);
    layer_files_close(&files);
    if (r < 0 && remove_files(path, &ignored) < 0)
        return r; /* what is left has no header, and is replaced by the next try */
    return r;
}

static int grow_file(int fd, uint64_t size, uint64_t reserved)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if ((uint64_t)st.st_size < size && ftruncate(fd, (off_t)size) < 0)
        return -errno;
    int r = reserve(fd, reserved);
    return r >= 0 && fsync(fd) < 0 ? -errno : r;
}

static int grow_files(const struct layer_files *files, struct layer_header *header, uint64_t size)
{
    int r = grow_file(files->data, size, 0);
    if (r >= 0)
        r = grow_file(files->map, layer_map_size(size), reserved_of_map(size));
    header->size = size;
    return r < 0 ? r : layer_write_header(files->map, header);
}

int overlay_grow(const char *path, const uint8_t id[static BLOCK_LAYER_ID_SIZE], uint64_t size,
                 struct error *ret_error)
{
    struct layer_files files;
    struct layer_header header = {0};
    const struct layer_expected expected = {.id = id};
    if (size % 512 || size > LAYER_MAX_SIZE)
        return error_set(ret_error, -EINVAL, "%llu bytes is no size of a volume",
                         (unsigned long long)size);
    int r = layer_files_open(path, false, &files, ret_error);
    if (r < 0)
        return r;
    r = layer_read_header(files.map, path, &expected, &header, ret_error);
    if (r >= 0 && size < header.size)
        r = error_set(ret_error, -EINVAL, "%s has %llu bytes already; a volume cannot get smaller",
                      path, (unsigned long long)header.size);
    if (r >= 0 && size > header.size) {
        r = grow_files(&files, &header, size);
        if (r < 0)
            not_made(path, r, ret_error);
    }
    layer_files_close(&files);
    return r;
}

int overlay_remove(const char *path, struct error *ret_error)
{
    int r = remove_files(path, ret_error);
    return r < 0 ? r : sync_directory(path, ret_error);
}

uint64_t overlay_used(const char *path)
{
    char full[LAYER_PATH_SIZE];
    uint64_t used = 0;
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        struct error ignored;
        struct stat st;
        if (layer_path(path, suffixes[i], full, &ignored) == 0 && stat(full, &st) == 0)
            used += (uint64_t)st.st_blocks * 512;
    }
    return used;
}

int overlay_boot_id(uint8_t ret_id[static BLOCK_LAYER_ID_SIZE], struct error *ret_error)
{
    static const char *const path = "/proc/sys/kernel/random/boot_id";
    uint8_t id[LAYER_ID_SIZE] = {0};
    unsigned digits = 0;
    cleanup_fclose FILE *file = fopen(path, "re");
    if (!file)
        return error_set(ret_error, -errno, "cannot open %s: %s", path, strerror(errno));
    for (int c; digits < 2 * LAYER_ID_SIZE && (c = fgetc(file)) != EOF;) {
        const char *digit = c ? strchr("0123456789abcdef", c) : NULL;
        if (!digit)
            continue; /* dashes */
        id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | (digit - "0123456789abcdef"));
        digits++;
    }
    if (digits < 2 * LAYER_ID_SIZE)
        return error_set(ret_error, -EIO, "%s is not as expected", path);
    memcpy(ret_id, id, LAYER_ID_SIZE);
    return 0;
}
