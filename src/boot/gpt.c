#include "boot/gpt.h"

#include <errno.h>

#include "core/wire.h"

#define HEADER_SIZE 92
#define ENTRY_SIZE  128 /* what everybody makes */

/* As they lie on the disk. */
static const uint8_t kinds[][16] = {
    [GPT_OTHER] = {0},
    [GPT_BIOS_BOOT] = {0x48, 0x61, 0x68, 0x21, 0x49, 0x64, 0x6f, 0x6e, 0x74, 0x4e, 0x65, 0x65, 0x64,
                       0x45, 0x46, 0x49},
    [GPT_EFI] = {0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e,
                 0xc9, 0x3b},
};

static enum gpt_kind kind_of(const uint8_t type[static 16])
{
    for (size_t i = 1; i < ARRAY_SIZE(kinds); i++)
        if (memcmp(type, kinds[i], 16) == 0)
            return (enum gpt_kind)i;
    return GPT_OTHER;
}

static int wrong(struct error *ret_error, const char *what)
{
    return error_set(ret_error, -EBADMSG, "its partition table %s", what);
}

struct header {
    uint64_t entries; /* block */
    uint32_t count, entry_size;
};

static int read_header(struct boot_disk *disk, struct header *ret_header, struct error *ret_error)
{
    uint8_t bytes[HEADER_SIZE] = {0};
    int r = boot_disk_read(disk, disk->block_size, bytes, sizeof(bytes), ret_error);
    if (r < 0)
        return r;
    struct wire_reader reader = wire_reader_of(bytes, sizeof(bytes));
    if (memcmp(wire_get_bytes(&reader, 8), "EFI PART", 8) != 0)
        return error_set(ret_error, -ENOENT, "it has no GUID partition table");
    wire_skip(&reader, 72 - 8);
    ret_header->entries = wire_get_le64(&reader);
    ret_header->count = wire_get_le32(&reader);
    ret_header->entry_size = wire_get_le32(&reader);
    return 0;
}

/* An entry that is not in use has no type. */
static int add_entry(const struct boot_disk *disk, struct wire_reader entry, struct gpt *gpt,
                     struct error *ret_error)
{
    const uint8_t *type = wire_get_bytes(&entry, 16);
    if (memcmp(type, kinds[GPT_OTHER], 16) == 0)
        return 0;
    wire_skip(&entry, 16);
    uint64_t first = wire_get_le64(&entry), last = wire_get_le64(&entry);
    uint64_t n_blocks = disk->size / disk->block_size;
    if (first > last || last >= n_blocks)
        return wrong(ret_error, "has a partition that is not within the disk");
    gpt->partitions[gpt->count++] =
        (struct gpt_partition){.kind = kind_of(type),
                               .offset = first * disk->block_size,
                               .size = (last - first + 1) * disk->block_size};
    return 0;
}

int gpt_read(struct boot_disk *disk, struct gpt *ret_gpt, struct error *ret_error)
{
    uint8_t bytes[GPT_MAX_PARTITIONS * ENTRY_SIZE] = {0};
    struct header header = {0};
    int r = read_header(disk, &header, ret_error);
    if (r < 0)
        return r;
    if (header.entry_size != ENTRY_SIZE || header.count > GPT_MAX_PARTITIONS)
        return wrong(ret_error, "is larger than any that is known here");
    if (header.entries > disk->size / disk->block_size)
        return wrong(ret_error, "is not within the disk");
    r = boot_disk_read(disk, header.entries * disk->block_size, bytes,
                       (size_t)header.count * ENTRY_SIZE, ret_error);
    struct wire_reader reader = wire_reader_of(bytes, (size_t)header.count * ENTRY_SIZE);
    ret_gpt->count = 0;
    for (uint32_t i = 0; r >= 0 && i < header.count; i++)
        r = add_entry(disk, wire_get_sub(&reader, ENTRY_SIZE), ret_gpt, ret_error);
    return r;
}
