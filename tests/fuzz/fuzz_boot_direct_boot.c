/*
 * Disks of any kind, looked at for what they would boot. Input: blocks of a disk of 1 MiB, each its
 * number (2 bytes) and 1 KiB; the others are zeroes.
 */
#include "boot/direct_boot.h"

#include "core/wire.h"

#include <assert.h>
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BLOCK     1024
#define N_BLOCKS  1024
#define DISK_SIZE ((uint64_t)BLOCK * N_BLOCKS)

static unsigned n_reads;

static int read_disk(void *context, uint64_t offset, uint8_t *data, size_t size)
{
    assert(size <= BOOT_DISK_MAX_READ && offset <= DISK_SIZE && size <= DISK_SIZE - offset);
    assert(++n_reads <= DIRECT_BOOT_READS);
    memcpy(data, (const uint8_t *)context + offset, size);
    return 0;
}

/* All that would be sent lies on the disk, and it is as much as it says. */
static void check_file(const struct ext4_file *file)
{
    uint64_t length, disk = 0;
    assert(file->size > 0);
    for (uint64_t at = 0; at < file->size; at += length) {
        bool is_data = ext4_file_run(file, at, &length, &disk);
        assert(length > 0 && length <= file->size - at);
        assert(!is_data || (disk <= DISK_SIZE && length <= DISK_SIZE - disk));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes = calloc(1, DISK_SIZE);
    struct wire_reader r = wire_reader_of(data, size);
    while (wire_reader_left(&r) > 2) {
        size_t block = wire_get_be16(&r) % N_BLOCKS;
        wire_get_copy(&r, bytes + block * BLOCK, MIN(BLOCK, wire_reader_left(&r)));
    }
    struct boot_disk disk = {
        .read = read_disk, .context = bytes, .size = DISK_SIZE, .block_size = 512};
    struct direct_boot boot;
    struct error error = {0};
    for (unsigned check_loader = 0; check_loader < 2; check_loader++) {
        n_reads = 0;
        int found = direct_boot_find(&disk, check_loader, &boot, &error);
        assert((found == 0) == !error.text[0] || check_loader);
        if (found < 0)
            continue;
        check_file(boot.kernel);
        check_file(boot.initrd);
        assert(strlen(boot.token) == DIRECT_BOOT_TOKEN_SIZE - 1);
        direct_boot_release(&boot);
    }
    free(bytes);
    return 0;
}
