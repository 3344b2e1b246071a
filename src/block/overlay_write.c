/*
 * Writing: how a block comes into the layer. See overlay.c for the order of things.
 *
 * Who writes to blocks that are not in the layer yet is registered (`writing`), and whoever writes
 * to one of the same blocks waits, in the order of coming: each would fill the rest of a block from
 * below, and undo the other. Nobody else waits for anybody, and a request to blocks that are all in
 * the layer is handed on as it is.
 */
#include "block/overlay_device.h"

#include <errno.h>

static void start_ready(struct overlay *overlay);

static bool overlaps(const struct overlay_op *op, uint64_t first, uint64_t end)
{
    return op->first < end && first < op->end;
}

static unsigned count_blockers(const struct overlay *overlay, uint64_t first, uint64_t end)
{
    unsigned n = 0;
    list_for_each(node, &overlay->writing)
        n += overlaps(container_of(node, struct overlay_op, link), first, end);
    return n;
}

/* It does not write to its blocks any more. */
static void leave(struct overlay_op *op)
{
    struct overlay *overlay = op->overlay;
    if (!list_linked(&op->link))
        return;
    for (struct list *node = op->link.next; node != &overlay->writing; node = node->next) {
        struct overlay_op *later = container_of(node, struct overlay_op, link);
        later->n_blockers -= overlaps(later, op->first, op->end);
    }
    list_remove(&op->link);
    start_ready(overlay);
}

static void finish(struct overlay_op *op, int result)
{
    struct block_request *request = op->request;
    leave(op);
    overlay_op_free(op);
    request->done(request, result);
}

/* Of one whose blocks are written and in the layer. */
static void settle(struct overlay_op *op)
{
    if (op->request->flags & BLOCK_FUA) {
        leave(op);
        op->flushed = finish;
        overlay_flush_want(op);
    } else {
        finish(op, 0);
    }
}

/* --- writing --- */

static void logged(struct overlay_op *op, int result)
{
    if (result < 0)
        finish(op, result);
    else
        settle(op);
}

static void data_written(struct block_request *request, int result)
{
    struct overlay_op *op = container_of(request, struct overlay_op, sub);
    if (result < 0) {
        finish(op, result);
    } else if (op->adds) {
        op->flushed = logged;
        overlay_log_want(op);
    } else {
        settle(op);
    }
}

static void write_data(struct overlay_op *op)
{
    const struct block_request *request = op->request;
    op->sub.done = data_written;
    overlay_submit(op->overlay->parts.data, &op->sub, request->operation, request->offset,
                   request->length, request->data);
}

/* --- filling the rest of a block from below --- */

static void fill_next(struct overlay_op *op);

struct range {
    uint64_t offset, length;
};

/* What a request leaves of its first block (0) and of its last one (1). */
static struct range rest_of(const struct overlay_op *op, unsigned edge)
{
    uint64_t begin = op->request->offset, end = begin + op->request->length;
    if (edge == 0)
        return (struct range){op->first * LAYER_BLOCK_SIZE, begin % LAYER_BLOCK_SIZE};
    uint64_t block_end = MIN(op->end * LAYER_BLOCK_SIZE, op->overlay->layer.header.size);
    return (struct range){end, block_end - end};
}

static void filled(struct block_request *request, int result)
{
    struct overlay_op *op = container_of(request, struct overlay_op, sub);
    if (result < 0) {
        finish(op, result);
        return;
    }
    op->edge++;
    fill_next(op);
}

static void write_fill(struct overlay_op *op)
{
    struct range rest = rest_of(op, op->edge);
    op->sub.done = filled;
    overlay_submit(op->overlay->parts.data, &op->sub, BLOCK_WRITE, rest.offset, rest.length,
                   op->fill);
}

static void fill_read(struct block_request *request, int result)
{
    struct overlay_op *op = container_of(request, struct overlay_op, sub);
    if (result < 0)
        finish(op, result);
    else
        write_fill(op);
}

static void read_fill(struct overlay_op *op, struct range rest)
{
    struct overlay *overlay = op->overlay;
    if (!op->fill && !(op->fill = malloc(LAYER_BLOCK_SIZE))) {
        finish(op, -EIO);
        return;
    }
    uint64_t there = overlay->below_size > rest.offset ? overlay->below_size - rest.offset : 0;
    uint64_t length = MIN(rest.length, there);
    memset(op->fill + length, 0, LAYER_BLOCK_SIZE - length);
    if (length == 0) {
        write_fill(op);
        return;
    }
    op->sub.done = fill_read;
    overlay_submit(overlay->parts.below, &op->sub, BLOCK_READ, rest.offset, length, op->fill);
}

static void fill_next(struct overlay_op *op)
{
    for (; op->edge < 2; op->edge++) {
        struct range rest = rest_of(op, op->edge);
        if (rest.length == 0 ||
            block_map_is_set(&op->overlay->layer.map, rest.offset / LAYER_BLOCK_SIZE))
            continue;
        read_fill(op, rest);
        return;
    }
    write_data(op);
}

/* --- zeroes over nothing: only what is in the layer needs them --- */

static void zero_next(struct overlay_op *op, uint64_t from);

static void run_zeroed(struct block_request *request, int result)
{
    struct overlay_op *op = container_of(request, struct overlay_op, sub);
    if (result < 0)
        finish(op, result);
    else
        zero_next(op, layer_blocks(request->offset + request->length));
}

static void zero_next(struct overlay_op *op, uint64_t from)
{
    const struct block_request *request = op->request;
    const struct block_map *map = &op->overlay->layer.map;
    uint64_t stop = from;
    while (from < op->end && !block_map_run(map, from, op->end, &stop))
        from = stop;
    if (from >= op->end) {
        settle(op);
        return;
    }
    uint64_t begin = MAX(request->offset, from * LAYER_BLOCK_SIZE);
    uint64_t end = MIN(request->offset + request->length, stop * LAYER_BLOCK_SIZE);
    op->sub.done = run_zeroed;
    overlay_submit(op->overlay->parts.data, &op->sub, BLOCK_WRITE_ZEROES, begin, end - begin, NULL);
}

/* A block that is not in the layer reads as zeroes already. */
static bool is_over_nothing(const struct overlay_op *op)
{
    return op->request->operation == BLOCK_WRITE_ZEROES &&
           op->overlay->below_size <= op->first * LAYER_BLOCK_SIZE &&
           overlay_log_is_exact(op->overlay);
}

/* --- the way of a request that writes --- */

static void carry_out(struct overlay_op *op)
{
    struct block_map *map = &op->overlay->layer.map;
    op->adds = !block_map_all_set(map, op->first, op->end);
    if (!op->adds)
        write_data(op);
    else if (is_over_nothing(op))
        zero_next(op, op->first);
    else if (block_map_reserve(map, op->first, op->end) < 0)
        finish(op, -EIO);
    else
        fill_next(op);
}

static void begun(struct overlay_op *op, int result)
{
    if (result < 0)
        finish(op, result);
    else
        carry_out(op);
}

static void start(struct overlay_op *op)
{
    struct overlay *overlay = op->overlay;
    uint64_t stop;
    bool nothing_set =
        !block_map_run(&overlay->layer.map, op->first, op->end, &stop) && stop == op->end;
    op->started = true;
    if (overlay_failed(overlay)) {
        finish(op, -EIO);
    } else if (nothing_set && is_over_nothing(op)) {
        finish(op, 0);
    } else if (overlay->begin.done) {
        carry_out(op);
    } else {
        op->flushed = begun;
        overlay_begin_want(op);
    }
}

static struct overlay_op *first_ready(const struct overlay *overlay)
{
    list_for_each(node, &overlay->writing) {
        struct overlay_op *op = container_of(node, struct overlay_op, link);
        if (!op->started && op->n_blockers == 0)
            return op;
    }
    return NULL;
}

/* What is started may be done at once, and then this is called again. */
static void start_ready(struct overlay *overlay)
{
    if (overlay->starting)
        return;
    overlay->starting = true;
    for (struct overlay_op *op; (op = first_ready(overlay));)
        start(op);
    overlay->starting = false;
}

/* Nothing of the map changes by it, nobody fills its blocks, and no flush comes after it. */
static bool can_hand_on(const struct overlay *overlay, const struct block_request *request,
                        uint64_t first, uint64_t end)
{
    return overlay->begin.done && block_map_all_set(&overlay->layer.map, first, end) &&
           !(request->flags & BLOCK_FUA) &&
           (list_empty(&overlay->writing) || count_blockers(overlay, first, end) == 0);
}

void overlay_write(struct overlay *overlay, struct block_request *request)
{
    uint64_t first = request->offset / LAYER_BLOCK_SIZE;
    uint64_t end = layer_blocks(request->offset + request->length);
    if (request->length == 0) {
        request->done(request, 0);
        return;
    }
    if (can_hand_on(overlay, request, first, end)) {
        block_submit(overlay->parts.data, request);
        return;
    }
    struct overlay_op *op = overlay_op_new(overlay, request);
    if (!op || end - first > UINT32_MAX) {
        if (op)
            overlay_op_free(op);
        request->done(request, -EIO);
        return;
    }
    op->first = first;
    op->end = end;
    op->n_blockers = count_blockers(overlay, first, end);
    list_append(&overlay->writing, &op->link);
    start_ready(overlay);
}
