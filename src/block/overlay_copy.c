/* What a stack reads as, in one file. */
#include "block/overlay_transfer.h"

#include "core/size.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct copy_source {
    struct layer layer;
    int data;
};

struct overlay_files {
    struct copy_source *sources; /* of the layers, the top first */
    size_t n_sources;
    int base; /* -1: none */
    uint64_t base_size;
    struct overlay_transfer transfer;
};

/* --- finding --- */

/* Where the byte at offset is, and how many more are in the same place, up to `end` at most. */
static struct overlay_segment find(const struct overlay_files *files, uint64_t offset, uint64_t end)
{
    for (size_t i = 0; i < files->n_sources; i++) {
        const struct copy_source *source = &files->sources[i];
        uint64_t stop, size = source->layer.header.size;
        if (offset >= size)
            continue;
        bool set = block_map_run(&source->layer.map, offset / LAYER_BLOCK_SIZE,
                                 MIN(layer_blocks(end), source->layer.map.n_blocks), &stop);
        end = MIN(end, stop * LAYER_BLOCK_SIZE);
        if (set)
            return overlay_segment_in(source->data, size, offset, end);
    }
    if (files->base < 0)
        return (struct overlay_segment){-1, end - offset};
    return overlay_segment_in(files->base, files->base_size, offset, end);
}

static int check_space(struct overlay_copy *copy, struct error *ret_error)
{
    struct statvfs fs;
    for (uint64_t at = 0; at < copy->total;) {
        struct overlay_segment segment = find(copy->files, at, copy->total);
        copy->needed += segment.fd >= 0 ? segment.length : 0;
        at += segment.length;
    }
    if (fstatvfs(copy->to, &fs) < 0)
        return error_set(ret_error, -errno, "%s cannot be looked at: %s", copy->to_name,
                         strerror(errno));
    uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (copy->needed <= available)
        return 0;
    char needed_text[SIZE_TEXT_SIZE], available_text[SIZE_TEXT_SIZE];
    return error_set(ret_error, -ENOSPC,
                     "not enough space for %s: it needs %s, %s are free; free some and try again",
                     copy->to_name, size_format(copy->needed, needed_text),
                     size_format(available, available_text));
}

/* --- opening --- */

static int open_layer(const struct overlay_spec *spec, size_t i, struct copy_source *source,
                      struct error *ret_error)
{
    struct layer_files files;
    const struct overlay_layer *layer = &spec->layers[i];
    struct layer_expected expected = {.id = layer->id,
                                      .below_id = overlay_spec_below(spec, i),
                                      .size = i == 0 ? spec->size : 0,
                                      .boot_id = spec->boot_id,
                                      .read_only = true};
    int r = layer_files_open(layer->path, true, &files, ret_error);
    if (r < 0)
        return r;
    r = layer_load(&files, layer->path, &expected, &source->layer, ret_error);
    if (r >= 0)
        source->data = take_fd(&files.data);
    layer_files_close(&files);
    return r;
}

static int open_base(const struct overlay_spec *spec, struct overlay_files *files,
                     struct error *ret_error)
{
    if (!spec->base_path)
        return 0;
    files->base = open(spec->base_path, O_RDONLY | O_CLOEXEC);
    if (files->base < 0)
        return error_set(ret_error, -errno, "cannot open %s: %s", spec->base_path, strerror(errno));
    files->base_size = spec->base_size;
    return 0;
}

static int open_files(const struct overlay_spec *spec, struct overlay_files *files,
                      struct error *ret_error)
{
    int r = open_base(spec, files, ret_error);
    for (size_t i = 0; r >= 0 && i < spec->n_layers; i++) {
        r = open_layer(spec, i, &files->sources[i], ret_error);
        files->n_sources += r >= 0;
    }
    return r;
}

static struct overlay_files *files_new(size_t n_layers)
{
    struct overlay_files *files = calloc(1, sizeof(*files));
    if (!files)
        return NULL;
    files->base = -1;
    files->sources = calloc(n_layers, sizeof(*files->sources));
    if (files->sources)
        return files;
    free(files);
    return NULL;
}

int overlay_copy_begin(struct overlay_copy *copy, const struct overlay_spec *spec,
                       struct error *ret_error)
{
    copy->done = copy->needed = 0;
    copy->total = spec->size;
    copy->files = files_new(spec->n_layers);
    if (!copy->files)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int r = open_files(spec, copy->files, ret_error);
    if (r >= 0)
        r = check_space(copy, ret_error);
    if (r >= 0 && ftruncate(copy->to, (off_t)copy->total) < 0)
        r = error_set(ret_error, -errno, "%s cannot be written: %s", copy->to_name,
                      strerror(errno));
    return r;
}

/* --- copying --- */

static int cannot_copy(const struct overlay_copy *copy, int r, struct error *ret_error)
{
    if (copy->files->transfer.reading_failed)
        return error_set(ret_error, r, "what %s is copied from cannot be read: %s", copy->to_name,
                         strerror(-r));
    if (r == -ENOSPC || r == -EDQUOT)
        return error_set(ret_error, r, "no space left for %s; free some and try again",
                         copy->to_name);
    return error_set(ret_error, r, "%s cannot be written: %s", copy->to_name, strerror(-r));
}

static int copy_segment(struct overlay_copy *copy, struct error *ret_error)
{
    struct overlay_segment segment = find(copy->files, copy->done, copy->total);
    if (segment.fd < 0) {
        copy->done += segment.length;
        return 0;
    }
    ssize_t n = overlay_transfer_piece(&copy->files->transfer, segment.fd, copy->to, copy->done,
                                       segment.length);
    if (n < 0)
        return cannot_copy(copy, (int)n, ret_error);
    /* begin writing it out now, so that the fsync at the end does not take minutes */
    (void)sync_file_range(copy->to, (off64_t)copy->done, (off64_t)n, SYNC_FILE_RANGE_WRITE);
    copy->done += (uint64_t)n;
    return 0;
}

int overlay_copy_step(struct overlay_copy *copy, uint64_t budget, struct error *ret_error)
{
    uint64_t until = clock_monotonic_usec() + budget;
    do {
        int r = copy->done < copy->total ? copy_segment(copy, ret_error) : 0;
        if (r < 0 || copy->done == copy->total)
            return r;
    } while (clock_monotonic_usec() < until);
    return 1;
}

void overlay_copy_end(struct overlay_copy *copy)
{
    struct overlay_files *files = take_ptr(copy->files);
    if (!files)
        return;
    for (size_t i = 0; i < files->n_sources; i++) {
        layer_free(&files->sources[i].layer);
        close(files->sources[i].data);
    }
    util_close_fd(&files->base);
    overlay_transfer_end(&files->transfer);
    free(files->sources);
    free(files);
}
