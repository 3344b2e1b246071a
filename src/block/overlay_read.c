/*
 * Reading. What comes from one place is handed on as it is; else each run of blocks is read from
 * where it is, all at the same time.
 */
#include "block/overlay_device.h"

#include <errno.h>

static struct overlay_part *part_new(struct overlay_op *op)
{
    struct list *node = list_pop(&op->overlay->free_parts);
    struct overlay_part *part =
        node ? container_of(node, struct overlay_part, link) : calloc(1, sizeof(*part));
    if (part)
        part->op = op;
    return part;
}

static void end_part(struct overlay_op *op, int result)
{
    struct block_request *request = op->request;
    if (result < 0)
        op->result = result;
    if (--op->n_parts > 0)
        return;
    result = op->result;
    overlay_op_free(op);
    request->done(request, result);
}

static void part_done(struct block_request *request, int result)
{
    struct overlay_part *part = container_of(request, struct overlay_part, request);
    struct overlay_op *op = part->op;
    list_append(&op->overlay->free_parts, &part->link);
    end_part(op, result);
}

static void read_part(struct overlay_op *op, struct block_device *from, uint64_t begin,
                      uint64_t end)
{
    const struct block_request *request = op->request;
    struct overlay_part *part = part_new(op);
    op->n_parts++;
    if (!part) {
        end_part(op, -EIO);
        return;
    }
    part->request.done = part_done;
    overlay_submit(from, &part->request, BLOCK_READ, begin, end - begin,
                   request->data + (begin - request->offset));
}

/* A run of blocks that are not in the layer. */
static void read_below(struct overlay_op *op, uint64_t begin, uint64_t end)
{
    const struct block_request *request = op->request;
    uint64_t stop = MIN(end, MAX(begin, op->overlay->below_size));
    memset(request->data + (stop - request->offset), 0, end - stop);
    if (begin < stop)
        read_part(op, op->overlay->parts.below, begin, stop);
}

static void read_runs(struct overlay_op *op)
{
    const struct overlay *overlay = op->overlay;
    uint64_t at = op->request->offset, end = at + op->request->length, stop_block;
    for (uint64_t stop; at < end; at = stop) {
        bool set = block_map_run(&overlay->layer.map, at / LAYER_BLOCK_SIZE, layer_blocks(end),
                                 &stop_block);
        stop = MIN(end, stop_block * LAYER_BLOCK_SIZE);
        if (set)
            read_part(op, overlay->parts.data, at, stop);
        else
            read_below(op, at, stop);
    }
}

void overlay_read(struct overlay *overlay, struct block_request *request)
{
    uint64_t end = request->offset + request->length;
    uint64_t end_block = layer_blocks(end), stop = end_block;
    bool set =
        request->length > 0 &&
        block_map_run(&overlay->layer.map, request->offset / LAYER_BLOCK_SIZE, end_block, &stop);
    if (stop == end_block && set) {
        block_submit(overlay->parts.data, request);
    } else if (stop == end_block && end <= overlay->below_size) {
        block_submit(overlay->parts.below, request);
    } else if (stop == end_block && request->offset >= overlay->below_size) {
        memset(request->data, 0, request->length);
        request->done(request, 0);
    } else {
        struct overlay_op *op = overlay_op_new(overlay, request);
        if (!op) {
            request->done(request, -EIO);
            return;
        }
        op->n_parts = 1; /* this one, until all are under way */
        read_runs(op);
        end_part(op, 0);
    }
}
