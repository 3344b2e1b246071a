#include "sim_disk.h"

#include <assert.h>
#include <errno.h>

static struct sim_disk *disk_of(struct block_device *device)
{
    return container_of(device, struct sim_disk, device);
}

unsigned sim_random(struct sim *sim, unsigned n)
{
    return (unsigned)rand_r(sim->seed) % n;
}

static bool survives(struct sim *sim, enum sim_survival survival)
{
    return survival == SIM_EVERYTHING || (survival == SIM_SOMETHING && sim_random(sim, 2));
}

static bool writes(const struct block_request *request)
{
    return request->operation == BLOCK_WRITE || request->operation == BLOCK_WRITE_ZEROES;
}

/* The part of a request that is in one sector. */
struct piece {
    uint64_t offset, length;
    const uint8_t *bytes;
};

static struct piece piece_at(const struct block_request *request, uint64_t offset)
{
    static const uint8_t zeroes[SIM_SECTOR];
    uint64_t end = MIN(request->offset + request->length, (offset / SIM_SECTOR + 1) * SIM_SECTOR);
    return (struct piece){
        offset, end - offset,
        request->operation == BLOCK_WRITE ? request->data + (offset - request->offset) : zeroes};
}

/* --- what a disk does --- */

static void write_piece(struct sim_disk *disk, struct piece piece)
{
    if (disk->n_pending == disk->room) {
        disk->room = disk->room ? 2 * disk->room : 64;
        disk->pending = realloc(disk->pending, disk->room * sizeof(*disk->pending));
        assert(disk->pending);
    }
    struct sim_pending *pending = &disk->pending[disk->n_pending++];
    *pending = (struct sim_pending){.sector = piece.offset / SIM_SECTOR,
                                    .sequence = disk->sim->sequence++};
    memcpy(disk->now + piece.offset, piece.bytes, piece.length);
    memcpy(pending->bytes, disk->now + pending->sector * SIM_SECTOR, SIM_SECTOR);
}

static void carry_out_write(struct sim_disk *disk, const struct block_request *request,
                            enum sim_survival survival)
{
    struct piece piece;
    uint64_t end = request->offset + request->length;
    for (uint64_t at = request->offset; at < end; at += piece.length) {
        piece = piece_at(request, at);
        if (survives(disk->sim, survival))
            write_piece(disk, piece);
    }
}

/* What was written before the flush was asked for. One that fails has lost some of it for good,
 * whatever the page cache says. */
static void carry_out_flush(struct sim_disk *disk, uint64_t asked, bool fails)
{
    size_t kept = 0;
    for (size_t i = 0; i < disk->n_pending; i++) {
        const struct sim_pending *pending = &disk->pending[i];
        if (pending->sequence >= asked)
            disk->pending[kept++] = *pending;
        else if (!fails || sim_random(disk->sim, 2))
            memcpy(disk->durable + pending->sector * SIM_SECTOR, pending->bytes, SIM_SECTOR);
    }
    disk->n_pending = kept;
    disk->device.failed |= fails;
}

static int carry_out(struct sim_disk *disk, struct block_request *request)
{
    struct sim *sim = disk->sim;
    bool fails = sim->error_rate && sim_random(sim, sim->error_rate) == 0;
    switch (request->operation) {
    case BLOCK_READ:
        if (!fails)
            memcpy(request->data, disk->now + request->offset, request->length);
        return fails ? -EIO : 0;
    case BLOCK_WRITE:
    case BLOCK_WRITE_ZEROES:
        carry_out_write(disk, request, fails ? SIM_SOMETHING : SIM_EVERYTHING);
        return !fails ? 0 : sim_random(sim, 2) ? -EIO : -ENOSPC;
    default:
        fails = fails && sim_random(sim, 4) == 0; /* it is the end of the volume */
        carry_out_flush(disk, request->progress, fails);
        return fails ? -EIO : 0;
    }
}

void sim_carry_out(struct sim *sim, unsigned i)
{
    struct block_request *request = sim->queue[i];
    struct sim_disk *disk = disk_of(request->device);
    sim->queue[i] = sim->queue[--sim->n_queue];
    request->done(request, disk->device.failed ? -EIO : carry_out(disk, request));
}

static void submit(struct block_device *device, struct block_request *request)
{
    struct sim_disk *disk = disk_of(device);
    struct sim *sim = disk->sim;
    assert(sim->n_queue < SIM_MAX_QUEUE);
    assert(request->operation == BLOCK_FLUSH ||
           (request->length > 0 && request->offset + request->length <= device->size));
    request->progress = sim->sequence;
    sim->queue[sim->n_queue++] = request;
}

/* --- images --- */

static void apply_queued(struct sim_disk *disk, enum sim_survival survival, uint8_t *image)
{
    struct sim *sim = disk->sim;
    for (unsigned q = 0; q < sim->n_queue; q++) {
        const struct block_request *request = sim->queue[q];
        if (request->device != &disk->device || !writes(request))
            continue;
        struct piece piece;
        for (uint64_t at = request->offset; at < request->offset + request->length;
             at += piece.length) {
            piece = piece_at(request, at);
            if (survives(sim, survival))
                memcpy(image + at, piece.bytes, piece.length);
        }
    }
}

void sim_image_killed(struct sim_disk *disk, enum sim_survival of_queued, uint8_t *image)
{
    memcpy(image, disk->now, disk->device.size);
    apply_queued(disk, of_queued, image);
}

void sim_image_powerless(struct sim_disk *disk, enum sim_survival survival, uint8_t *image)
{
    memcpy(image, disk->durable, disk->device.size);
    for (size_t i = 0; i < disk->n_pending; i++)
        if (survives(disk->sim, survival))
            memcpy(image + disk->pending[i].sector * SIM_SECTOR, disk->pending[i].bytes,
                   SIM_SECTOR);
    apply_queued(disk, survival, image);
}

/* --- */

void sim_disk_reset(struct sim_disk *disk, const uint8_t *image)
{
    memcpy(disk->now, image, disk->device.size);
    memcpy(disk->durable, image, disk->device.size);
    disk->n_pending = 0;
}

static const struct block_operations operations;

struct sim_disk *sim_disk_new(struct sim *sim, uint64_t size)
{
    struct sim_disk *disk = calloc(1, sizeof(*disk));
    assert(disk);
    disk->device = (struct block_device){.operations = &operations, .size = size};
    disk->sim = sim;
    disk->now = calloc(1, size);
    disk->durable = calloc(1, size);
    assert(disk->now && disk->durable);
    return disk;
}

void sim_disk_free(struct sim_disk *disk)
{
    free(disk->now);
    free(disk->durable);
    free(disk->pending);
    free(disk);
}

/* The disk outlives who uses it. */
static void close_disk(struct block_device *device)
{
}

static const struct block_operations operations = {.submit = submit, .close = close_disk};
