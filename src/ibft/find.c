/*
 * Finds the table in memory, as Linux does (drivers/firmware/iscsi_ibft_find.c), but does not take
 * the first signature for the table: a copy of it that was left behind, or a program that looks for
 * it, has one, too.
 */
#include "ibft/ibft.h"
#include "ibft/layout.h"

#include "core/wire.h"

#define LOW_MEMORY  (512 * KIB) /* where Linux begins to look */
#define VIDEO_BEGIN (640 * KIB)
#define VIDEO_END   (768 * KIB)

/* So much is added up for checksums: every 16 bytes a table of 64 KiB may seem to begin. */
#define MAX_ADDED (16 * MIB)

bool ibft_has_signature(const void *data, size_t size)
{
    return size >= 4 && (memcmp(data, "iBFT", 4) == 0 || memcmp(data, "IBFT", 4) == 0 ||
                         memcmp(data, "BIFT", 4) == 0);
}

/* Bytes of it; 0: it cannot be one. */
static size_t table_size(const uint8_t *data, size_t left)
{
    struct wire_reader r = wire_reader_of(data, left);
    wire_skip(&r, 4);
    uint32_t length = wire_get_le32(&r);
    wire_skip(&r, IBFT_HEADER_SIZE - 8);
    uint8_t id = wire_get_u8(&r);
    bool fits = wire_reader_ok(&r) && length >= IBFT_FIXED_SIZE && length <= IBFT_MAX_SIZE &&
                length <= left;
    return fits && id == IBFT_ID_CONTROL ? length : 0;
}

static bool has_checksum(const uint8_t *data, size_t size)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + data[i]);
    return sum == 0;
}

bool ibft_find(const uint8_t *data, size_t size, size_t *ret_offset, size_t *ret_size)
{
    bool found = false, from_zero = size > LOW_MEMORY;
    size_t added = 0;
    for (size_t at = 0; at + IBFT_FIXED_SIZE <= size; at += 16) {
        if (from_zero && at == VIDEO_BEGIN)
            at = VIDEO_END;
        if (size - MIN(at, size) < IBFT_FIXED_SIZE)
            break;
        if (!ibft_has_signature(data + at, size - at))
            continue;
        size_t length = table_size(data + at, size - at);
        added += length;
        if (added > MAX_ADDED)
            break;
        bool right = length && has_checksum(data + at, length);
        if (!length || (found && !right))
            continue;
        found = true;
        *ret_offset = at;
        *ret_size = length;
        if (right)
            break;
    }
    return found;
}
