/*
 * What happens once, before the first write: the log gets a header of this run of the kernel,
 * unless it has one, and then the header of the layer says, durably, that it is in use. So after a
 * loss of power it is known that something may be lost; and if only the daemon dies, the log is the
 * truth.
 *
 * A header that says so already is written again: the daemon that wrote it may have died before it
 * was durable.
 */
#include "block/overlay_device.h"

static void finish(struct overlay *overlay, int result)
{
    struct list waiting;
    overlay->begin.busy = false;
    overlay->begin.done = result >= 0;
    list_move(&waiting, &overlay->begin.waiting);
    for (struct list *node; (node = list_pop(&waiting));) {
        struct overlay_op *op = container_of(node, struct overlay_op, turn);
        op->flushed(op, result);
    }
}

static void header_flushed(struct block_request *request, int result)
{
    struct overlay *overlay = container_of(request, struct overlay, begin.request);
    if (result < 0)
        overlay_fail(overlay);
    else
        overlay->layer.header = overlay->begin.header;
    finish(overlay, result);
}

static void header_written(struct block_request *request, int result)
{
    struct overlay *overlay = container_of(request, struct overlay, begin.request);
    if (result < 0) {
        finish(overlay, result);
        return;
    }
    request->done = header_flushed;
    overlay_submit(overlay->parts.map, request, BLOCK_FLUSH, 0, 0, NULL);
}

static void write_header(struct overlay *overlay)
{
    struct overlay_begin *begin = &overlay->begin;
    begin->header = overlay->layer.header;
    begin->header.in_use = true;
    begin->header.sequence++;
    layer_header_encode(&begin->header, begin->slot);
    begin->request.done = header_written;
    overlay_submit(overlay->parts.map, &begin->request, BLOCK_WRITE,
                   layer_header_offset(begin->header.sequence), LAYER_SLOT_SIZE, begin->slot);
}

static void log_header_written(struct block_request *request, int result)
{
    struct overlay *overlay = container_of(request, struct overlay, begin.request);
    if (result < 0) {
        finish(overlay, result);
        return;
    }
    overlay->layer.logged = true;
    overlay->layer.epoch++;
    overlay->layer.n_entries = 0;
    write_header(overlay);
}

static void write_log_header(struct overlay *overlay)
{
    struct overlay_begin *begin = &overlay->begin;
    struct layer_log_header log = {.epoch = overlay->layer.epoch + 1};
    memcpy(log.id, overlay->layer.header.id, LAYER_ID_SIZE);
    memcpy(log.boot_id, overlay->layer.boot_id, LAYER_ID_SIZE);
    layer_log_header_encode(&log, begin->slot);
    begin->request.done = log_header_written;
    overlay_submit(overlay->parts.log, &begin->request, BLOCK_WRITE,
                   layer_log_header_offset(log.epoch), LAYER_SLOT_SIZE, begin->slot);
}

void overlay_begin_want(struct overlay_op *op)
{
    struct overlay *overlay = op->overlay;
    list_append(&overlay->begin.waiting, &op->turn);
    if (overlay->begin.busy)
        return;
    overlay->begin.busy = true;
    if (overlay->layer.logged)
        write_header(overlay);
    else
        write_log_header(overlay);
}
