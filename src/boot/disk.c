#include "boot/disk.h"

#include <errno.h>

int boot_disk_read(struct boot_disk *disk, uint64_t offset, uint8_t *data, size_t size,
                   struct error *ret_error)
{
    if (size > BOOT_DISK_MAX_READ || offset > disk->size || size > disk->size - offset)
        return error_set(ret_error, -EBADMSG, "something lies behind the end of the disk");
    if (disk->budget == 0)
        return error_set(ret_error, -E2BIG, "too much of the disk would have to be read");
    disk->budget--;
    int r = disk->read(disk->context, offset, data, size);
    return r < 0 ? error_set(ret_error, r, "the disk cannot be read: %s", strerror(-r)) : 0;
}
