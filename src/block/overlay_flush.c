/*
 * Making durable what is done, so that a loss of power does not lose it: first the data, then those
 * bits of the map that were set before the data was flushed, then the map. A bit that is set
 * meanwhile is of data that this round has not flushed: it belongs to the next one.
 *
 * A page of the map that is written and not flushed, by a round that went no further, or by a
 * daemon that died, is not durable for all that its bits are set: the next round flushes the map,
 * too.
 *
 * A page of the map that cannot be written (no space) is not yet a loss: its bits are tried again
 * by the next round. A flush that fails is one: see overlay.c.
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

static void log_is_worthless(struct block_request *request, int result)
{
    finish_round(container_of(request, struct overlay, flush.request), -EIO);
}

/* Who waits is told when the log is worthless: from then on a later daemon knows it, too. */
static void fail(struct overlay *overlay)
{
    struct overlay_flush *flush = &overlay->flush;
    overlay_fail(overlay);
    if (!overlay->layer.logged) {
        finish_round(overlay, -EIO);
        return;
    }
    overlay_log_encode_worthless(overlay, flush->slots);
    flush->request.done = log_is_worthless;
    overlay_submit(overlay->parts.log, &flush->request, BLOCK_WRITE, 0, sizeof(flush->slots),
                   flush->slots);
}

static void map_flushed(struct block_request *request, int result)
{
    struct overlay *overlay = container_of(request, struct overlay, flush.request);
    if (result < 0) {
        fail(overlay);
        return;
    }
    overlay->flush.map_is_ahead = false;
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
    flush->map_is_ahead = true;
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
    else if (overlay->layer.map.n_syncing == 0 && !overlay->flush.map_is_ahead)
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

void overlay_flush_init(struct overlay *overlay)
{
    list_init(&overlay->flush.waiting);
    list_init(&overlay->flush.flushing);
}

void overlay_flush_clear(struct overlay *overlay)
{
    free(overlay->flush.pages);
}
