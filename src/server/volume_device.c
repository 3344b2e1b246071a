#include "server/volume_device.h"

#include <errno.h>

#include "block/file.h"
#include "block/nbd.h"

static int open_file(struct io_thread *thread, const struct volume_spec *spec,
                     struct block_device **ret_device, struct error *ret_error)
{
    unsigned how =
        (spec->read_only ? BLOCK_FILE_READ_ONLY : 0) | (spec->thick ? BLOCK_FILE_THICK : 0);
    return block_file_open(thread, spec->path, spec->size, how, ret_device, ret_error);
}

static int open_nbd(struct io_thread *thread, const struct volume_spec *spec,
                    struct block_device **ret_device, struct error *ret_error)
{
    struct nbd_settings settings = {.uri = spec->path,
                                    .size = spec->size,
                                    .block_size = spec->block_size,
                                    .how = (spec->read_only ? BLOCK_NBD_READ_ONLY : 0) |
                                           (spec->thick ? BLOCK_NBD_THICK : 0)};
    return block_nbd_open(thread, &settings, ret_device, ret_error);
}

static const char kernel_advice[] = "see the kernel's log for what is wrong with its disk";

static const struct {
    int (*open)(struct io_thread *thread, const struct volume_spec *spec,
                struct block_device **ret_device, struct error *ret_error);
    const char *advice;
} kinds[] = {
    [VOLUME_FILE] = {open_file, kernel_advice},
    [VOLUME_DEVICE] = {open_file, kernel_advice},
    [VOLUME_NBD] = {open_nbd, "see what has become of its NBD server"},
};

int volume_device_open(struct io_thread *thread, const struct volume_spec *spec,
                       struct block_device **ret_device, struct error *ret_error)
{
    if (spec->kind >= ARRAY_SIZE(kinds) || !kinds[spec->kind].open)
        return error_set(ret_error, -EOPNOTSUPP, "this daemon serves no volumes of the kind '%s'",
                         volume_kind_name(spec->kind));
    return kinds[spec->kind].open(thread, spec, ret_device, ret_error);
}

const char *volume_device_advice(enum volume_kind kind)
{
    return kinds[kind].advice;
}
