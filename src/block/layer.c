#include "block/layer.h"

#include "core/read_at.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define READ_ENTRIES 256 /* at a time */

int layer_path(const char *path, const char *suffix, char ret_path[static LAYER_PATH_SIZE],
               struct error *ret_error)
{
    int n = snprintf(ret_path, LAYER_PATH_SIZE, "%s.%s", path, suffix);
    if (n < LAYER_PATH_SIZE)
        return 0;
    return error_set(ret_error, -ENAMETOOLONG, "a path of %d bytes is too long", n);
}

static int open_file(const char *path, const char *suffix, int flags, int *ret_fd,
                     struct error *ret_error)
{
    char full[LAYER_PATH_SIZE];
    int r = layer_path(path, suffix, full, ret_error);
    if (r < 0)
        return r;
    int fd = open(full, flags | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return error_set(ret_error, -ENOENT, "%s is missing; restore it from a backup", full);
    if (fd < 0)
        return error_set(ret_error, -errno, "cannot open %s: %s", full, strerror(errno));
    *ret_fd = fd;
    return 0;
}

int layer_files_open(const char *path, bool read_only, struct layer_files *ret_files,
                     struct error *ret_error)
{
    struct layer_files files = LAYER_NO_FILES;
    int flags = read_only ? O_RDONLY : O_RDWR;
    int r = open_file(path, "data", flags, &files.data, ret_error);
    if (r >= 0)
        r = open_file(path, "map", flags, &files.map, ret_error);
    if (r >= 0)
        r = open_file(path, "log", flags, &files.log, ret_error);
    if (r < 0)
        layer_files_close(&files);
    else
        *ret_files = files;
    return r;
}

void layer_files_close(struct layer_files *files)
{
    util_close_fd(&files->data);
    util_close_fd(&files->map);
    util_close_fd(&files->log);
    *files = LAYER_NO_FILES;
}

/* --- reading and writing --- */

static int write_at(int fd, const void *data, size_t size, uint64_t offset)
{
    const uint8_t *bytes = data;
    while (size > 0) {
        ssize_t n = pwrite(fd, bytes, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        bytes += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

static int sync_fd(int fd)
{
    return fdatasync(fd) < 0 ? -errno : 0;
}

static int unreadable(const char *path, const char *suffix, int r, struct error *ret_error)
{
    return error_set(ret_error, r, "%s.%s cannot be read: %s", path, suffix, strerror(-r));
}

/* --- the header --- */

static int no_header(const char *path, struct error *ret_error)
{
    return error_set(ret_error, -EIO,
                     "%s.map is damaged: it has no valid header; restore it from "
                     "a backup",
                     path);
}

static int read_slots(int map_fd, const char *path, struct layer_header *ret_header,
                      struct error *ret_error)
{
    struct layer_header headers[2];
    enum layer_slot states[2];
    for (unsigned i = 0; i < 2; i++) {
        uint8_t slot[LAYER_SLOT_SIZE] = {0};
        ssize_t n = read_at(map_fd, slot, sizeof(slot), layer_header_offset(i));
        if (n < 0)
            return unreadable(path, "map", (int)n, ret_error);
        states[i] = layer_header_decode(slot, &headers[i]);
        if (states[i] == LAYER_SLOT_UNKNOWN)
            return error_set(ret_error, -ENOTSUP,
                             "%s.map was written by another version of nodisk; use that one", path);
    }
    bool good[2] = {states[0] == LAYER_SLOT_GOOD, states[1] == LAYER_SLOT_GOOD};
    if (!good[0] && !good[1])
        return no_header(path, ret_error);
    unsigned newest = !good[0] || (good[1] && headers[1].sequence > headers[0].sequence);
    *ret_header = headers[newest];
    /* torn while it was written: what it was to say is not known */
    if (states[!newest] == LAYER_SLOT_DAMAGED)
        ret_header->in_use = true;
    return 0;
}

/* Over what it was made for, or over what is below a layer that it has taken in. */
static bool fits_below(const struct layer_header *header, const uint8_t *below_id)
{
    return !below_id || layer_id_eq(header->below_id, below_id) ||
           (!layer_id_is_zero(below_id) && layer_id_eq(header->merged_id, below_id));
}

static int check_header(const struct layer_header *header, const char *path,
                        const struct layer_expected *expected, struct error *ret_error)
{
    if (!layer_id_eq(header->id, expected->id))
        return error_set(ret_error, -EINVAL,
                         "%s.map belongs to another volume; put the right file back", path);
    if (!fits_below(header, expected->below_id))
        return error_set(ret_error, -EINVAL,
                         "%s.map was made over something else than what the registry has below it; "
                         "restore both from the same backup",
                         path);
    if (header->size < expected->size)
        return error_set(
            ret_error, -EIO,
            "%s.map has only %llu of the volume's %llu bytes; restore it from a backup", path,
            (unsigned long long)header->size, (unsigned long long)expected->size);
    return 0;
}

int layer_read_header(int map_fd, const char *path, const struct layer_expected *expected,
                      struct layer_header *ret_header, struct error *ret_error)
{
    struct layer_header header = {0};
    int r = read_slots(map_fd, path, &header, ret_error);
    if (r >= 0)
        r = check_header(&header, path, expected, ret_error);
    if (r >= 0)
        *ret_header = header;
    return r;
}

static int check_file_size(int fd, const char *path, const char *suffix, uint64_t size,
                           struct error *ret_error)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return unreadable(path, suffix, -errno, ret_error);
    if ((uint64_t)st.st_size >= size)
        return 0;
    return error_set(ret_error, -EIO,
                     "%s.%s has only %llu of its %llu bytes; restore it from a "
                     "backup",
                     path, suffix, (unsigned long long)st.st_size, (unsigned long long)size);
}

int layer_write_header(int map_fd, struct layer_header *header)
{
    uint8_t slot[LAYER_SLOT_SIZE];
    header->sequence++;
    layer_header_encode(header, slot);
    int r = write_at(map_fd, slot, sizeof(slot), layer_header_offset(header->sequence));
    return r < 0 ? r : sync_fd(map_fd);
}

/* --- the map --- */

static bool is_empty(const uint8_t page[static BLOCK_MAP_PAGE_SIZE])
{
    return page[0] == 0 && memcmp(page, page + 1, BLOCK_MAP_PAGE_SIZE - 1) == 0;
}

static int load_pages(int map_fd, struct block_map *map, uint64_t from, uint64_t to)
{
    uint8_t page[BLOCK_MAP_PAGE_SIZE];
    for (uint64_t chunk = from / BLOCK_MAP_PAGE_SIZE;
         chunk < map->n_chunks && chunk * BLOCK_MAP_PAGE_SIZE < to; chunk++) {
        ssize_t n =
            read_at(map_fd, page, sizeof(page), LAYER_MAP_OFFSET + chunk * BLOCK_MAP_PAGE_SIZE);
        if (n != sizeof(page))
            return n < 0 ? (int)n : -EIO;
        int r = is_empty(page) ? 0 : block_map_load(map, (size_t)chunk, page);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Without the holes: the map of a large volume is mostly one, or space that nothing was written to.
 */
static int load_map(int map_fd, struct block_map *map)
{
    uint64_t size = map->n_chunks * (uint64_t)BLOCK_MAP_PAGE_SIZE;
    for (uint64_t at = 0; at < size;) {
        off_t data = lseek(map_fd, (off_t)(LAYER_MAP_OFFSET + at), SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break;
        uint64_t from = data < 0 ? at : (uint64_t)data - LAYER_MAP_OFFSET;
        off_t hole = data < 0 ? -1 : lseek(map_fd, data, SEEK_HOLE);
        uint64_t to = hole < 0 ? size : (uint64_t)hole - LAYER_MAP_OFFSET;
        int r = load_pages(map_fd, map, from, to);
        if (r < 0)
            return r;
        at = (to + BLOCK_MAP_PAGE_SIZE - 1) / BLOCK_MAP_PAGE_SIZE * BLOCK_MAP_PAGE_SIZE;
    }
    return 0;
}

static int write_map(int map_fd, struct block_map *map)
{
    uint8_t page[BLOCK_MAP_PAGE_SIZE];
    block_map_begin_sync(map);
    for (size_t chunk; (chunk = block_map_next_sync(map, 0)) < map->n_chunks;) {
        block_map_page(map, chunk, page);
        int r =
            write_at(map_fd, page, sizeof(page), LAYER_MAP_OFFSET + chunk * BLOCK_MAP_PAGE_SIZE);
        if (r < 0) {
            block_map_abort_sync(map, chunk, 1);
            return r;
        }
    }
    return 0;
}

int layer_sync_map(int map_fd, struct block_map *map)
{
    int r = write_map(map_fd, map);
    return r < 0 ? r : sync_fd(map_fd);
}

/* --- the log --- */

/* Its newest header, if it is of this layer and the running kernel. */
static int read_log_header(int log_fd, const struct layer_header *header, struct layer *layer)
{
    for (unsigned i = 0; i < 2; i++) {
        struct layer_log_header log;
        uint8_t slot[LAYER_SLOT_SIZE] = {0};
        ssize_t n = read_at(log_fd, slot, sizeof(slot), layer_log_header_offset(i));
        if (n < 0)
            return (int)n;
        if (layer_log_header_decode(slot, &log) != LAYER_SLOT_GOOD ||
            !layer_id_eq(log.id, header->id) || log.epoch <= layer->epoch)
            continue;
        layer->epoch = log.epoch;
        layer->logged = !layer_id_is_zero(log.boot_id) && layer_id_eq(log.boot_id, layer->boot_id);
    }
    return 0;
}

/* Sets the bits of the entries in a piece of the log; *ret_last: none come behind them. */
static int replay_piece(struct layer *layer, const uint8_t *bytes, size_t n, bool *ret_last)
{
    struct layer_entry entry;
    for (size_t i = 0; i < n; i++) {
        if (!layer_entry_decode(bytes + i * LAYER_ENTRY_SIZE, layer->epoch, layer->map.n_blocks,
                                &entry)) {
            *ret_last = true;
            return 0;
        }
        int r = block_map_reserve(&layer->map, entry.first, entry.first + entry.count);
        if (r < 0)
            return r;
        block_map_set(&layer->map, entry.first, entry.first + entry.count);
        layer->n_entries++;
    }
    return 0;
}

static int replay(int log_fd, struct layer *layer)
{
    uint8_t bytes[READ_ENTRIES * LAYER_ENTRY_SIZE];
    bool last = false;
    while (!last && layer->n_entries < LAYER_LOG_MAX_ENTRIES) {
        uint64_t left = LAYER_LOG_MAX_ENTRIES - layer->n_entries;
        ssize_t n = read_at(log_fd, bytes, (size_t)MIN(left, READ_ENTRIES) * LAYER_ENTRY_SIZE,
                            LAYER_LOG_OFFSET + layer->n_entries * LAYER_ENTRY_SIZE);
        if (n < 0)
            return (int)n;
        if (n < LAYER_ENTRY_SIZE)
            break;
        int r = replay_piece(layer, bytes, (size_t)n / LAYER_ENTRY_SIZE, &last);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Of a log of another kernel. It keeps its space, so that a full disk can still be written to;
 * unless it cannot be written to as it is. */
static bool wipe_log_header(int log_fd)
{
    static const uint8_t zeroes[LAYER_LOG_OFFSET];
    return write_at(log_fd, zeroes, sizeof(zeroes), 0) >= 0;
}

/* What is behind its entries may be valid ones that were never told of: behind further ones they
 * would be found. The file is long again afterwards, but empty there. */
static int cut_log(int log_fd, const struct layer *layer)
{
    uint64_t used = LAYER_LOG_OFFSET + layer->n_entries * LAYER_ENTRY_SIZE;
    if (!layer->logged && !wipe_log_header(log_fd))
        used = 0;
    if (ftruncate(log_fd, (off_t)used) < 0 || ftruncate(log_fd, (off_t)LAYER_LOG_SIZE) < 0)
        return -errno;
    return 0;
}

static int load_log(int log_fd, bool read_only, struct layer *layer)
{
    int r = read_log_header(log_fd, &layer->header, layer);
    if (r >= 0 && layer->logged)
        r = replay(log_fd, layer);
    if (r < 0)
        return r;
    layer->lost = layer->header.in_use && !layer->logged;
    if (!layer->logged)
        layer->epoch = 0;
    return read_only ? 0 : cut_log(log_fd, layer);
}

/* --- all of it --- */

static int load(const struct layer_files *files, const char *path,
                const struct layer_expected *expected, struct layer *layer, struct error *ret_error)
{
    const struct layer_header *header = &layer->header;
    int r = layer_read_header(files->map, path, expected, &layer->header, ret_error);
    if (r >= 0)
        r = check_file_size(files->map, path, "map", layer_map_size(header->size), ret_error);
    if (r >= 0)
        r = check_file_size(files->data, path, "data", header->size, ret_error);
    if (r < 0)
        return r;
    if (block_map_init(&layer->map, layer_blocks(header->size)) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    r = load_map(files->map, &layer->map);
    if (r < 0)
        return unreadable(path, "map", r, ret_error);
    r = load_log(files->log, expected->read_only, layer);
    return r < 0 ? unreadable(path, "log", r, ret_error) : 0;
}

int layer_load(const struct layer_files *files, const char *path,
               const struct layer_expected *expected, struct layer *ret_layer,
               struct error *ret_error)
{
    struct layer layer = {0};
    memcpy(layer.boot_id, expected->boot_id, LAYER_ID_SIZE);
    int r = load(files, path, expected, &layer, ret_error);
    if (r < 0)
        layer_free(&layer);
    else
        *ret_layer = layer;
    return r;
}

void layer_free(struct layer *layer)
{
    block_map_free(&layer->map);
}

/* --- settling --- */

/* False: something may be lost. What cannot be written (no space) is not: it is in the page cache,
 * and the log says so, as if this process had been killed. */
static bool make_clean(const struct layer_files *files, struct layer *layer)
{
    if (sync_fd(files->data) < 0)
        return false;
    if (write_map(files->map, &layer->map) < 0)
        return true;
    /* also if no bit was dirty: who wrote them may have died before they were durable */
    if (sync_fd(files->map) < 0)
        return false;
    layer->header.in_use = false;
    int r = layer_write_header(files->map, &layer->header);
    (void)r; /* it stays in use, which is as true */
    return true;
}

/* A header of no kernel's. */
static void make_worthless(int log_fd, const struct layer *layer)
{
    uint8_t slot[LAYER_SLOT_SIZE];
    struct layer_log_header log = {.epoch = layer->epoch + 1};
    memcpy(log.id, layer->header.id, LAYER_ID_SIZE);
    layer_log_header_encode(&log, slot);
    int r = write_at(log_fd, slot, sizeof(slot), layer_log_header_offset(log.epoch));
    (void)r; /* the disk is beyond help */
}

void layer_settle(const char *path, struct layer *layer, bool failed)
{
    struct layer_files files;
    struct error error;
    if (!layer->header.in_use || layer_files_open(path, false, &files, &error) < 0)
        return; /* it stays in use, which is as true */
    if (failed || !make_clean(&files, layer))
        make_worthless(files.log, layer);
    layer_files_close(&files);
}
