/* Opening a stack of layers, from the bottom to the top. */
#include "block/file.h"
#include "block/overlay_device.h"

#include <errno.h>

static const uint8_t nothing[LAYER_ID_SIZE];

const uint8_t *overlay_spec_below(const struct overlay_spec *spec, size_t i)
{
    if (i + 1 < spec->n_layers)
        return spec->layers[i + 1].id;
    return spec->base_path ? spec->base_id : nothing;
}

static int open_file(struct io_thread *thread, const char *path, const char *suffix, uint64_t size,
                     bool read_only, struct block_device **ret_device, struct error *ret_error)
{
    char full[LAYER_PATH_SIZE];
    int r = layer_path(path, suffix, full, ret_error);
    if (r < 0)
        return r;
    return block_file_open(thread, full, size, read_only ? BLOCK_FILE_READ_ONLY : 0, ret_device,
                           ret_error);
}

static int open_parts(struct io_thread *thread, const struct layer *layer,
                      struct overlay_parts *parts, struct error *ret_error)
{
    const struct layer_header *header = &layer->header;
    int r = open_file(thread, parts->path, "data", header->size, parts->read_only, &parts->data,
                      ret_error);
    if (r >= 0 && !parts->read_only)
        r = open_file(thread, parts->path, "map", layer_map_size(header->size), false, &parts->map,
                      ret_error);
    if (r >= 0 && !parts->read_only)
        r = open_file(thread, parts->path, "log", LAYER_LOG_SIZE, false, &parts->log, ret_error);
    return r;
}

static int load(const struct overlay_layer *layer, const struct layer_expected *expected,
                struct layer *ret_layer, struct error *ret_error)
{
    struct layer_files files;
    int r = layer_files_open(layer->path, expected->read_only, &files, ret_error);
    if (r < 0)
        return r;
    r = layer_load(&files, layer->path, expected, ret_layer, ret_error);
    layer_files_close(&files);
    return r;
}

/* Puts the layer i over *device, which is taken over, also on failure. */
static int put_layer(struct io_thread *thread, const struct overlay_spec *spec, size_t i,
                     struct block_device **device, bool *ret_lost, struct error *ret_error)
{
    struct layer layer = {0};
    bool read_only = i > 0 || spec->read_only;
    struct overlay_parts parts = {
        .below = take_ptr(*device), .path = spec->layers[i].path, .read_only = read_only};
    struct layer_expected expected = {.id = spec->layers[i].id,
                                      .below_id = overlay_spec_below(spec, i),
                                      .size = parts.below ? parts.below->size : 0,
                                      .boot_id = spec->boot_id,
                                      .read_only = read_only};
    if (i == 0)
        expected.size = MAX(expected.size, spec->size);
    int r = load(&spec->layers[i], &expected, &layer, ret_error);
    if (r >= 0)
        r = open_parts(thread, &layer, &parts, ret_error);
    if (r >= 0) {
        *ret_lost = layer.lost && !read_only;
        *device = overlay_device_new(&layer, &parts, i == 0 ? spec->size : layer.header.size);
        r = *device ? 0 : error_set(ret_error, -ENOMEM, "out of memory");
    }
    if (r < 0) {
        layer_free(&layer);
        block_close(parts.data);
        block_close(parts.map);
        block_close(parts.log);
        block_close(parts.below);
    }
    return r;
}

int overlay_is_lost(const struct overlay_spec *spec, bool *ret_lost, struct error *ret_error)
{
    struct layer layer = {0};
    const struct layer_expected expected = {.id = spec->layers[0].id,
                                            .below_id = overlay_spec_below(spec, 0),
                                            .size = spec->size,
                                            .boot_id = spec->boot_id,
                                            .read_only = true};
    int r = load(&spec->layers[0], &expected, &layer, ret_error);
    if (r < 0)
        return r;
    *ret_lost = layer.lost;
    layer_free(&layer);
    return 0;
}

int block_overlay_open(struct io_thread *thread, const struct overlay_spec *spec,
                       struct block_device **ret_device, bool *ret_lost, struct error *ret_error)
{
    struct block_device *device = NULL;
    bool lost = false;
    int r = 0;
    if (spec->base_path)
        r = block_file_open(thread, spec->base_path, spec->base_size,
                            BLOCK_FILE_READ_ONLY | BLOCK_FILE_IMMUTABLE, &device, ret_error);
    for (size_t i = spec->n_layers; r >= 0 && i-- > 0;)
        r = put_layer(thread, spec, i, &device, &lost, ret_error);
    if (r < 0)
        return r;
    *ret_device = device;
    *ret_lost = lost;
    return 0;
}
