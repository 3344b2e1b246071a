/* An initramfs of whatever kind: archives of cpio, packed or not. */
#include "prepare/initramfs.h"

#include <assert.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct initramfs found;
    cleanup_close int fd = memfd_create("initramfs", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)
        abort();
    if (initramfs_look(fd, "ext4", &arena, &found) == 0) {
        assert(found.n_entries > 0 && found.n_drivers <= found.n_entries);
        assert(!found.our_script || strlen(found.our_script) <= CPIO_MAX_KEPT);
    }
    arena_free(&arena);
    return 0;
}
