/*
 * ext: Documentation/filesystems/ext4/super.rst: at 1024, s_magic at 0x38, s_uuid at 0x68.
 * XFS: xfs_dsb in fs/xfs/libxfs/xfs_format.h: sb_magicnum at 0, sb_uuid at 32.
 */
#include "prepare/filesystem.h"

#include "core/wire.h"

#define EXT_AT       1024
#define EXT_MAGIC_AT 0x38
#define EXT_UUID_AT  0x68
#define EXT_MAGIC    0xef53
#define XFS_MAGIC    0x58465342
#define XFS_UUID_AT  32

static void print_uuid(const uint8_t *bytes, char uuid[static FILESYSTEM_UUID_SIZE])
{
    char *p = uuid;
    for (size_t i = 0; i < 16; i++)
        p += sprintf(p, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
}

static bool get_uuid(struct wire_reader reader, size_t at, char uuid[static FILESYSTEM_UUID_SIZE])
{
    static const uint8_t none[16];
    wire_skip(&reader, at);
    const uint8_t *bytes = wire_get_bytes(&reader, 16);
    if (!bytes || memcmp(bytes, none, sizeof(none)) == 0)
        return false;
    print_uuid(bytes, uuid);
    return true;
}

bool filesystem_uuid(const void *head, size_t size, char uuid[static FILESYSTEM_UUID_SIZE])
{
    struct wire_reader begin = wire_reader_of(head, size), ext = begin, magic;
    wire_skip(&ext, EXT_AT);
    magic = ext;
    wire_skip(&magic, EXT_MAGIC_AT);
    if (wire_get_le16(&magic) == EXT_MAGIC)
        return get_uuid(ext, EXT_UUID_AT, uuid);
    magic = begin;
    return wire_get_be32(&magic) == XFS_MAGIC && get_uuid(begin, XFS_UUID_AT, uuid);
}
