/*
 * Making durable what is done, so that a loss of power does not lose it: first the data, then those
 * bits of the map that were set before the data was flushed, then the map. A bit that is set
 * meanwhile is of data that this round has not flushed: it belongs to the next one.
 *
 * A page of the map that cannot be written (no space) is not yet a loss: its bits are tried again
 * by the next round. A flush that fails is one.
 */
#include "block/overlay_device.h"

#include <errno.h>

#define MAX_PAGES ((size_t)16) /* of the map, written at once */

static void start(struct overlay *overlay);
static void write_pages(struct overlay *overlay, size_t from);

static void finish_all(struct list *ops, int result)
{
    for (struct list *node; (node = list_pop(ops));) {
        struct overlay_op *op = container_of(node, struct overlay_op, turn);
        op->flushed(op, result);
    }
}

static void finish_round(struct overlay *overlay, int result)
{
    struct overlay_flush *flush = &overlay->flush;
    struct list done;
    list_move(&done, &flush->flushing);
    if (overlay->device.failed)
        while (!list_empty(&flush->waiting))
            list_append(&done, list_pop(&flush->waiting));
    if (list_empty(&overlay->writing))
        block_map_trim(&overlay->layer.map);
    start(overlay);
    finish_all(&done, result);
}

static void fail(struct overlay *overlay)
{
    overlay_fail(overlay);
    finish_round(overlay, -EIO);
}

static void map_flushed(struct block_request *request, int result)
{
    struct overlay *overlay = container_of(request, struct overlay, flush.request);
    if (result < 0)
        fail(overlay);
    else
        finish_round(overlay, 0);
}

static void pages_written(struct block_request *request, int result)
{
    struct overlay *overlay = container_of(request, struct overlay, flush.request);
    struct overlay_flush *flush = &overlay->flush;
    if (result < 0) {
        block_map_abort_sync(&overlay->layer.map, flush->first_page, flush->n_pages);
        finish_round(overlay, result);
        return;
    }
    write_pages(overlay, flush->first_page + flush->n_pages);
}

/* Those from `from` on that come together; when there are none any more, the map is flushed. */
static void write_pages(struct overlay *overlay, size_t from)
{
    struct overlay_flush *flush = &overlay->flush;
    struct block_map *map = &overlay->layer.map;
    size_t page = block_map_next_sync(map, from);
    flush->first_page = page;
    if (page == map->n_chunks) {
        flush->request.done = map_flushed;
        overlay_submit(overlay->parts.map, &flush->request, BLOCK_FLUSH, 0, 0, NULL);
        return;
    }
    size_t n = 0;
    for (; n < MAX_PAGES && page + n < map->n_chunks && block_map_is_syncing(map, page + n); n++)
        block_map_page(map, page + n, flush->pages + n * BLOCK_MAP_PAGE_SIZE);
    flush->n_pages = n;
    flush->request.done = pages_written;
    overlay_submit(overlay->parts.map, &flush->request, BLOCK_WRITE,
                   LAYER_MAP_OFFSET + page * BLOCK_MAP_PAGE_SIZE, n * BLOCK_MAP_PAGE_SIZE,
                   flush->pages);
}

static void data_flushed(struct block_request *request, int result)
{
    struct overlay *overlay = container_of(request, struct overlay, flush.request);
    if (result < 0)
        fail(overlay);
    else if (overlay->layer.map.n_syncing == 0)
        finish_round(overlay, 0);
    else
        write_pages(overlay, 0);
}

static void start(struct overlay *overlay)
{
    struct overlay_flush *flush = &overlay->flush;
    struct block_map *map = &overlay->layer.map;
    if (!list_empty(&flush->flushing) || list_empty(&flush->waiting))
        return;
    list_move(&flush->flushing, &flush->waiting);
    if (block_map_is_dirty(map) && !flush->pages)
        flush->pages = malloc(MAX_PAGES * BLOCK_MAP_PAGE_SIZE);
    if (block_map_is_dirty(map) && !flush->pages) {
        finish_round(overlay, -EIO);
        return;
    }
    block_map_begin_sync(map);
    flush->request.done = data_flushed;
    overlay_submit(overlay->parts.data, &flush->request, BLOCK_FLUSH, 0, 0, NULL);
}

void overlay_flush_want(struct overlay_op *op)
{
    struct overlay *overlay = op->overlay;
    if (overlay_failed(overlay)) {
        op->flushed(op, -EIO);
        return;
    }
    list_append(&overlay->flush.waiting, &op->turn);
    start(overlay);
}

bool overlay_flush_is_plain(const struct overlay *overlay)
{
    return list_empty(&overlay->flush.flushing) && !block_map_is_dirty(&overlay->layer.map);
}

void overlay_flush_init(struct overlay *overlay)
{
    list_init(&overlay->flush.waiting);
    list_init(&overlay->flush.flushing);
}

void overlay_flush_clear(struct overlay *overlay)
{
    free(overlay->flush.pages);
}
