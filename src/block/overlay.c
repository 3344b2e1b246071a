/*
 * A layer over what is below it.
 *
 * A block that is in the layer (its bit in the map is set) is read and written in .data, at its own
 * offset; such a request is handed on as it is. Any other is read from below. The first write to a
 * block puts it into the layer; a write that has only a part of it fills the rest from below.
 *
 * What a crash may do, and why nothing is lost or mixed up:
 *
 * - A block comes into the layer only when all of its data is written, and a write is answered only
 *   when its entry is in the log (overlay_log.c), too. So if this process dies at any moment, what
 *   was answered is in .data and in the log, both in the page cache; and a block of which only a
 *   part was written reads as what is below, as before.
 * - A flush is answered when the data, and after it the bits of the map, are durable
 *   (overlay_flush.c). Bits are only ever set. So if power is lost, the map says only what is in
 *   .data, and all that was flushed. What was not flushed reads as it was before, or as it was
 *   written: of a block that was in the layer already, sector by sector.
 * - Bytes of .data whose bit is clear are nobody's. They may be there: of a write that failed, or
 *   was under way in a crash. That is why a hole is made in .data before zeroes are in the layer,
 *   and why the rest of a block is filled even from zeroes.
 * - A flush that fails has lost what it does not tell, and the page cache is no truth any more
 *   either. So the log is made worthless at once, and it is as if power had been lost.
 * - After a loss of power the log is worthless, and the header says whether something may be lost
 *   (overlay_begin.c): a machine that kept running must not go on with such a volume.
 */
#include "block/overlay_device.h"

#include <errno.h>

bool overlay_failed(struct overlay *overlay)
{
    const struct overlay_parts *parts = &overlay->parts;
    if (parts->data->failed || (parts->map && parts->map->failed))
        overlay->device.failed = true;
    return overlay->device.failed;
}

void overlay_fail(struct overlay *overlay)
{
    overlay->device.failed = true;
}

void overlay_submit(struct block_device *device, struct block_request *request,
                    enum block_operation operation, uint64_t offset, uint64_t length, uint8_t *data)
{
    request->operation = operation;
    request->flags = 0;
    request->offset = offset;
    request->length = length;
    request->data = data;
    block_submit(device, request);
}

/* --- operations --- */

struct overlay_op *overlay_op_new(struct overlay *overlay, struct block_request *request)
{
    struct list *node = list_pop(&overlay->free_ops);
    struct overlay_op *op =
        node ? container_of(node, struct overlay_op, link) : calloc(1, sizeof(*op));
    if (!op)
        return NULL;
    *op = (struct overlay_op){.overlay = overlay, .request = request, .fill = op->fill};
    return op;
}

void overlay_op_free(struct overlay_op *op)
{
    list_append(&op->overlay->free_ops, &op->link);
}

static void flushed(struct overlay_op *op, int result)
{
    struct block_request *request = op->request;
    overlay_op_free(op);
    request->done(request, result);
}

static void submit_flush(struct overlay *overlay, struct block_request *request)
{
    struct overlay_op *op = overlay_op_new(overlay, request);
    if (!op) {
        request->done(request, -EIO);
        return;
    }
    op->flushed = flushed;
    overlay_flush_want(op);
}

/* --- the device --- */

static void submit(struct block_device *device, struct block_request *request)
{
    struct overlay *overlay = overlay_of(device);
    if (overlay_failed(overlay))
        request->done(request, -EIO);
    else if (request->operation == BLOCK_READ)
        overlay_read(overlay, request);
    else if (request->operation == BLOCK_FLUSH)
        submit_flush(overlay, request);
    else if (device->read_only)
        request->done(request, -EIO);
    else
        overlay_write(overlay, request);
}

/* What is below, from offset on, where it is looked through. */
static bool is_allocated_below(const struct overlay *overlay, uint64_t offset, uint64_t *ret_length)
{
    struct block_device *below = overlay->parts.below;
    if (offset < overlay->below_size)
        return below->operations->is_allocated(below, offset, ret_length);
    *ret_length = UINT64_MAX;
    return false;
}

static bool is_allocated(struct block_device *device, uint64_t offset, uint64_t *ret_length)
{
    const struct overlay *overlay = overlay_of(device);
    struct block_device *data = overlay->parts.data;
    uint64_t stop, length;
    bool set = block_map_run(&overlay->layer.map, offset / LAYER_BLOCK_SIZE,
                             layer_blocks(device->size), &stop);
    bool allocated = set ? data->operations->is_allocated(data, offset, &length)
                         : is_allocated_below(overlay, offset, &length);
    *ret_length = MIN(length, MIN(stop * LAYER_BLOCK_SIZE, device->size) - offset);
    return allocated;
}

/* What is wholly below. */
static bool view(struct block_device *device, uint64_t offset, uint64_t length,
                 struct block_view *ret_view)
{
    struct overlay *overlay = overlay_of(device);
    uint64_t end = offset + length, end_block = layer_blocks(end), stop;
    return !overlay_failed(overlay) && end <= overlay->below_size &&
           !block_map_run(&overlay->layer.map, offset / LAYER_BLOCK_SIZE, end_block, &stop) &&
           stop == end_block && block_view(overlay->parts.below, offset, length, ret_view);
}

static void free_spares(struct overlay *overlay)
{
    list_for_each(node, &overlay->free_ops) {
        struct overlay_op *op = container_of(node, struct overlay_op, link);
        free(op->fill);
        free(op);
    }
    list_for_each(node, &overlay->free_parts) {
        free(container_of(node, struct overlay_part, link));
    }
}

static void free_overlay(struct overlay *overlay)
{
    overlay_log_clear(overlay);
    overlay_flush_clear(overlay);
    free((char *)overlay->parts.path);
    free(overlay);
}

static void close_overlay(struct block_device *device)
{
    struct overlay *overlay = overlay_of(device);
    const struct overlay_parts *parts = &overlay->parts;
    if (!device->read_only && parts->path)
        layer_settle(parts->path, &overlay->layer, overlay_failed(overlay));
    block_close(parts->data);
    block_close(parts->map);
    block_close(parts->log);
    block_close(parts->below);
    layer_free(&overlay->layer);
    free_spares(overlay);
    free_overlay(overlay);
}

static const struct block_operations operations = {
    .submit = submit, .is_allocated = is_allocated, .view = view, .close = close_overlay};

/* What is at the bottom; NULL: nothing. */
static struct block_device *find_base(struct block_device *device)
{
    while (device && device->operations == &operations)
        device = overlay_of(device)->parts.below;
    return device;
}

void block_overlay_note_base_reads(struct block_device *device, struct block_reads *reads)
{
    struct block_device *base = find_base(device);
    if (base)
        base->reads = reads;
}

/* --- making it --- */

/* One of the devices below has failed a request. */
static void relay_error(struct block_device *device, enum block_operation operation, int result)
{
    struct overlay *overlay = device->context;
    if (operation == BLOCK_FLUSH)
        overlay_fail(overlay);
    if (overlay->device.on_error)
        overlay->device.on_error(&overlay->device, operation, result);
}

static void adopt(struct overlay *overlay, struct block_device *device)
{
    if (!device)
        return;
    device->on_error = relay_error;
    device->context = overlay;
}

static int init(struct overlay *overlay, const struct overlay_parts *parts)
{
    list_init(&overlay->writing);
    list_init(&overlay->free_ops);
    list_init(&overlay->free_parts);
    list_init(&overlay->begin.waiting);
    overlay_flush_init(overlay);
    overlay->parts = *parts;
    overlay->parts.path = parts->path ? strdup(parts->path) : NULL;
    overlay->below_size = parts->below ? parts->below->size : 0;
    int r = overlay_log_init(overlay);
    return r < 0 || (parts->path && !overlay->parts.path) ? -ENOMEM : 0;
}

struct block_device *overlay_device_new(struct layer *layer, const struct overlay_parts *parts,
                                        uint64_t size)
{
    struct overlay *overlay = calloc(1, sizeof(*overlay));
    if (!overlay)
        return NULL;
    if (init(overlay, parts) < 0) {
        free_overlay(overlay);
        return NULL;
    }
    overlay->layer = *layer;
    overlay->flush.map_is_ahead = layer->header.in_use;
    overlay->device = (struct block_device){
        .operations = &operations, .size = size, .read_only = parts->read_only};
    adopt(overlay, parts->data);
    adopt(overlay, parts->map);
    adopt(overlay, parts->log);
    adopt(overlay, parts->below);
    return &overlay->device;
}
