/*
 * The live map, as a log: what blocks came into the layer, so that a daemon which dies loses none
 * that it has told of. It is in the page cache and is never flushed: it is worth something only to
 * the kernel that has it there.
 *
 * Why a log and not a mapped map: one small append for all that came together, wherever its blocks
 * are; ENOSPC and EIO are errors, where a mapping would be the end of the process; and what has to
 * be read again at the start is bounded.
 *
 * When it is full, a flush makes all durable that it says, and it begins anew, with the next epoch.
 * The same after an append that failed: then some of its entries may be on the disk, of blocks that
 * are not in the map, and may not be found behind later ones.
 */
#include "block/overlay_device.h"

#include <errno.h>

#define MAX_APPEND ((uint64_t)256) /* entries */

static void start(struct overlay *overlay);

static void finish_all(struct list *ops, int result)
{
    for (struct list *node; (node = list_pop(ops));) {
        struct overlay_op *op = container_of(node, struct overlay_op, turn);
        op->flushed(op, result);
    }
}

/* --- appends --- */

static void appended(struct block_request *request, int result)
{
    struct overlay *overlay = container_of(request, struct overlay, log.request);
    struct overlay_log *log = &overlay->log;
    struct list done;
    list_move(&done, &log->appending);
    log->busy = false;
    if (result < 0) {
        log->broken = true;
    } else {
        overlay->layer.n_entries += log->n_taken;
        list_for_each(node, &done) {
            const struct overlay_op *op = container_of(node, struct overlay_op, turn);
            block_map_set(&overlay->layer.map, op->first, op->end);
        }
    }
    start(overlay);
    finish_all(&done, result);
}

/* Grows the entry by a range that touches it; false: it does not, or it would be too large. */
static bool join(struct layer_entry *entry, uint64_t first, uint64_t end)
{
    uint64_t entry_end = entry->first + entry->count;
    if (!entry->count || first > entry_end || end < entry->first)
        return false;
    uint64_t new_first = MIN(first, entry->first), new_end = MAX(end, entry_end);
    if (new_end - new_first > UINT32_MAX)
        return false;
    *entry = (struct layer_entry){new_first, (uint32_t)(new_end - new_first)};
    return true;
}

static void put_entry(struct overlay *overlay, const struct layer_entry *entry)
{
    struct overlay_log *log = &overlay->log;
    layer_entry_encode(entry, overlay->layer.epoch, log->entries + log->n_taken * LAYER_ENTRY_SIZE);
    log->n_taken++;
}

/* Turns as many of those who wait as fit into at most `room` entries. */
static void take_entries(struct overlay *overlay, uint64_t room)
{
    struct overlay_log *log = &overlay->log;
    struct layer_entry entry = {0};
    log->n_taken = 0;
    while (!list_empty(&log->waiting)) {
        struct overlay_op *op = container_of(log->waiting.next, struct overlay_op, turn);
        if (!join(&entry, op->first, op->end)) {
            if (log->n_taken + (entry.count > 0) == room)
                break;
            if (entry.count)
                put_entry(overlay, &entry);
            entry = (struct layer_entry){op->first, (uint32_t)(op->end - op->first)};
        }
        list_remove(&op->turn);
        list_append(&log->appending, &op->turn);
    }
    put_entry(overlay, &entry);
}

static void append(struct overlay *overlay)
{
    struct overlay_log *log = &overlay->log;
    uint64_t n = overlay->layer.n_entries;
    log->busy = true;
    take_entries(overlay, MIN(log->max_entries - n, MAX_APPEND));
    log->request.done = appended;
    overlay_submit(overlay->parts.log, &log->request, BLOCK_WRITE,
                   LAYER_LOG_OFFSET + n * LAYER_ENTRY_SIZE, log->n_taken * LAYER_ENTRY_SIZE,
                   log->entries);
}

/* --- beginning anew --- */

static void begun_anew(struct overlay *overlay, int result)
{
    struct overlay_log *log = &overlay->log;
    struct list waiting;
    log->busy = false;
    if (result < 0) {
        list_move(&waiting, &log->waiting);
        finish_all(&waiting, result);
        return;
    }
    start(overlay);
}

/* If it fails, the new header may be there all the same: nothing may be appended to the old one. */
static void header_written(struct block_request *request, int result)
{
    struct overlay *overlay = container_of(request, struct overlay, log.request);
    overlay->log.broken = result < 0;
    if (result >= 0) {
        overlay->layer.epoch++;
        overlay->layer.n_entries = 0;
    }
    begun_anew(overlay, result);
}

static void all_durable(struct overlay_op *op, int result)
{
    struct overlay *overlay = op->overlay;
    struct overlay_log *log = &overlay->log;
    if (result < 0) {
        begun_anew(overlay, result);
        return;
    }
    struct layer_log_header header = {.epoch = overlay->layer.epoch + 1};
    memcpy(header.id, overlay->layer.header.id, LAYER_ID_SIZE);
    memcpy(header.boot_id, overlay->layer.boot_id, LAYER_ID_SIZE);
    layer_log_header_encode(&header, log->slot);
    log->request.done = header_written;
    overlay_submit(overlay->parts.log, &log->request, BLOCK_WRITE,
                   layer_log_header_offset(header.epoch), LAYER_SLOT_SIZE, log->slot);
}

static void begin_anew(struct overlay *overlay)
{
    overlay->log.busy = true;
    overlay->log.own->flushed = all_durable;
    overlay_flush_want(overlay->log.own);
}

static void start(struct overlay *overlay)
{
    struct overlay_log *log = &overlay->log;
    if (log->busy || list_empty(&log->waiting))
        return;
    if (overlay_failed(overlay))
        begun_anew(overlay, -EIO);
    else if (log->broken || overlay->layer.n_entries >= log->max_entries)
        begin_anew(overlay);
    else
        append(overlay);
}

/* --- */

/* Both are newer than what a header that is being written now may say. */
void overlay_log_encode_worthless(const struct overlay *overlay,
                                  uint8_t slots[static 2 * LAYER_SLOT_SIZE])
{
    struct layer_log_header header = {0};
    memcpy(header.id, overlay->layer.header.id, LAYER_ID_SIZE);
    for (unsigned i = 1; i <= 2; i++) {
        header.epoch = overlay->layer.epoch + i;
        layer_log_header_encode(&header, slots + layer_log_header_offset(header.epoch));
    }
}

void overlay_log_want(struct overlay_op *op)
{
    list_append(&op->overlay->log.waiting, &op->turn);
    start(op->overlay);
}

int overlay_log_init(struct overlay *overlay)
{
    struct overlay_log *log = &overlay->log;
    list_init(&log->waiting);
    list_init(&log->appending);
    log->max_entries = LAYER_LOG_MAX_ENTRIES;
    log->entries = malloc((size_t)MAX_APPEND * LAYER_ENTRY_SIZE);
    log->own = overlay_op_new(overlay, NULL);
    return log->entries && log->own ? 0 : -ENOMEM;
}

void overlay_log_clear(struct overlay *overlay)
{
    free(overlay->log.entries);
    free(overlay->log.own);
}

void overlay_device_set_log_limit(struct block_device *device, uint64_t n_entries)
{
    overlay_of(device)->log.max_entries = n_entries;
}
