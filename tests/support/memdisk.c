#include "memdisk.h"

#include <assert.h>

#define MAX_PENDING 4096

struct memdisk_pending {
    struct block_request *request;
};

static struct memdisk *disk_of(struct block_device *device)
{
    return container_of(device, struct memdisk, device);
}

static int carry_out(struct memdisk *disk, struct block_request *request)
{
    uint64_t size = disk->device.size;
    if (request->operation != BLOCK_FLUSH)
        assert(request->offset <= size && request->length <= size - request->offset);
    if (disk->fail_with && disk->fail_after == 0)
        return disk->fail_with;
    disk->fail_after -= disk->fail_with != 0;
    switch (request->operation) {
    case BLOCK_READ:
        memcpy(request->data, disk->data + request->offset, request->length);
        disk->reads++;
        break;
    case BLOCK_WRITE:
        memcpy(disk->data + request->offset, request->data, request->length);
        disk->writes++;
        disk->fua += (request->flags & BLOCK_FUA) != 0;
        break;
    case BLOCK_WRITE_ZEROES:
        memset(disk->data + request->offset, 0, request->length);
        disk->zeroes++;
        break;
    case BLOCK_FLUSH:
        disk->flushes++;
        break;
    }
    return 0;
}

static void finish(struct memdisk *disk, struct block_request *request)
{
    request->done(request, carry_out(disk, request));
}

static void memdisk_submit(struct block_device *device, struct block_request *request)
{
    struct memdisk *disk = disk_of(device);
    if (disk->immediate) {
        finish(disk, request);
        return;
    }
    assert(disk->n_pending < MAX_PENDING);
    disk->pending[disk->n_pending++].request = request;
}

static void run_pending(struct memdisk *disk, unsigned i)
{
    struct block_request *request = disk->pending[i].request;
    disk->n_pending--;
    memmove(&disk->pending[i], &disk->pending[i + 1],
            (disk->n_pending - i) * sizeof(*disk->pending));
    finish(disk, request); /* may submit more */
}

bool memdisk_run_one(struct memdisk *disk, bool newest)
{
    if (disk->n_pending == 0)
        return false;
    run_pending(disk, newest ? disk->n_pending - 1 : 0);
    return true;
}

bool memdisk_finish(struct memdisk *disk, const struct block_request *request)
{
    for (unsigned i = 0; i < disk->n_pending; i++) {
        if (disk->pending[i].request == request) {
            run_pending(disk, i);
            return true;
        }
    }
    return false;
}

unsigned memdisk_run(struct memdisk *disk, bool reverse)
{
    unsigned n = 0;
    while (memdisk_run_one(disk, reverse))
        n++;
    return n;
}

static bool memdisk_is_allocated(struct block_device *device, uint64_t offset, uint64_t *ret_length)
{
    const struct memdisk *disk = disk_of(device);
    for (size_t i = 0; i < disk->n_extents; i++) {
        if (offset >= disk->extents[i].end)
            continue;
        *ret_length = disk->extents[i].end - offset;
        return disk->extents[i].allocated;
    }
    *ret_length = device->size - offset;
    return true;
}

static void memdisk_close(struct block_device *device)
{
    struct memdisk *disk = disk_of(device);
    assert(disk->n_pending == 0);
    free(disk->pending);
    free(disk->data);
    free(disk);
}

static const struct block_operations operations = {
    .submit = memdisk_submit, .is_allocated = memdisk_is_allocated, .close = memdisk_close};

struct memdisk *memdisk_new(uint64_t size)
{
    struct memdisk *disk = calloc(1, sizeof(*disk));
    disk->data = calloc(1, size);
    disk->pending = calloc(MAX_PENDING, sizeof(*disk->pending));
    disk->device = (struct block_device){.operations = &operations, .size = size};
    return disk;
}
