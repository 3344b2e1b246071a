#include "block/none.h"

#include <errno.h>

static void none_submit(struct block_device *device, struct block_request *request)
{
    request->done(request, -EIO);
}

static bool none_is_allocated(struct block_device *device, uint64_t offset, uint64_t *ret_length)
{
    *ret_length = device->size - offset;
    return true;
}

static void none_close(struct block_device *device)
{
    free(device);
}

static const struct block_operations operations = {
    .submit = none_submit, .is_allocated = none_is_allocated, .close = none_close};

struct block_device *block_none_new(uint64_t size)
{
    struct block_device *device = calloc(1, sizeof(*device));
    if (device)
        *device = (struct block_device){.operations = &operations, .size = size, .failed = true};
    return device;
}
