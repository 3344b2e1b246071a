#include "block/layer_format.h"

#include <isa-l/crc.h>

#define VERSION  1
#define CRC_INIT 0xffffffffu

static const uint8_t map_magic[8] = {'n', 'o', 'd', 'i', 's', 'k', 'M', 'P'};
static const uint8_t log_magic[8] = {'n', 'o', 'd', 'i', 's', 'k', 'L', 'G'};

static uint32_t crc32c(const uint8_t *data, size_t size)
{
    return crc32_iscsi((unsigned char *)data, (int)size, CRC_INIT) ^ CRC_INIT;
}

static bool is_zero(const uint8_t *data, size_t size)
{
    return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

bool layer_id_is_zero(const uint8_t id[static LAYER_ID_SIZE])
{
    return is_zero(id, LAYER_ID_SIZE);
}

/* --- slots: magic, version, fields, checksum, zeroes --- */

static struct wire_writer begin_slot(uint8_t slot[static LAYER_SLOT_SIZE], const uint8_t magic[8])
{
    memset(slot, 0, LAYER_SLOT_SIZE);
    struct wire_writer w = wire_writer_of(slot, LAYER_SLOT_SIZE);
    wire_put_bytes(&w, magic, 8);
    wire_put_be32(&w, VERSION);
    return w;
}

static void end_slot(struct wire_writer *w)
{
    wire_put_be32(w, crc32c(w->start, wire_writer_used(w)));
}

/* What its first bytes say. The version comes before the checksum, whose place it may have moved.
 */
static enum layer_slot look_at_slot(struct wire_reader *r, const uint8_t magic[8])
{
    if (is_zero(r->pos, wire_reader_left(r)))
        return LAYER_SLOT_EMPTY;
    if (memcmp(wire_get_bytes(r, 8), magic, 8) != 0)
        return LAYER_SLOT_DAMAGED;
    return wire_get_be32(r) == VERSION ? LAYER_SLOT_GOOD : LAYER_SLOT_UNKNOWN;
}

static bool crc_matches(const uint8_t *slot, struct wire_reader *r)
{
    uint32_t expected = crc32c(slot, (size_t)(r->pos - slot));
    return wire_get_be32(r) == expected;
}

/* --- the header of the map --- */

void layer_header_encode(const struct layer_header *header, uint8_t slot[static LAYER_SLOT_SIZE])
{
    struct wire_writer w = begin_slot(slot, map_magic);
    wire_put_be32(&w, LAYER_BLOCK_SIZE);
    wire_put_be64(&w, header->sequence);
    wire_put_be64(&w, header->size);
    wire_put_bytes(&w, header->id, LAYER_ID_SIZE);
    wire_put_bytes(&w, header->below_id, LAYER_ID_SIZE);
    wire_put_bytes(&w, header->merged_id, LAYER_ID_SIZE);
    wire_put_be32(&w, header->in_use);
    end_slot(&w);
}

enum layer_slot layer_header_decode(const uint8_t slot[static LAYER_SLOT_SIZE],
                                    struct layer_header *ret_header)
{
    struct wire_reader r = wire_reader_of(slot, LAYER_SLOT_SIZE);
    struct layer_header header;
    enum layer_slot state = look_at_slot(&r, map_magic);
    if (state != LAYER_SLOT_GOOD)
        return state;
    uint32_t block_size = wire_get_be32(&r);
    header.sequence = wire_get_be64(&r);
    header.size = wire_get_be64(&r);
    wire_get_copy(&r, header.id, LAYER_ID_SIZE);
    wire_get_copy(&r, header.below_id, LAYER_ID_SIZE);
    wire_get_copy(&r, header.merged_id, LAYER_ID_SIZE);
    uint32_t in_use = wire_get_be32(&r);
    header.in_use = in_use;
    if (!crc_matches(slot, &r) || block_size != LAYER_BLOCK_SIZE || in_use > 1 || !header.size ||
        header.size % 512 || header.size > LAYER_MAX_SIZE || !header.sequence)
        return LAYER_SLOT_DAMAGED;
    *ret_header = header;
    return LAYER_SLOT_GOOD;
}

/* --- the header of the log --- */

void layer_log_header_encode(const struct layer_log_header *header,
                             uint8_t slot[static LAYER_SLOT_SIZE])
{
    struct wire_writer w = begin_slot(slot, log_magic);
    wire_put_be64(&w, header->epoch);
    wire_put_bytes(&w, header->id, LAYER_ID_SIZE);
    wire_put_bytes(&w, header->boot_id, LAYER_ID_SIZE);
    end_slot(&w);
}

enum layer_slot layer_log_header_decode(const uint8_t slot[static LAYER_SLOT_SIZE],
                                        struct layer_log_header *ret_header)
{
    struct wire_reader r = wire_reader_of(slot, LAYER_SLOT_SIZE);
    struct layer_log_header header;
    enum layer_slot state = look_at_slot(&r, log_magic);
    if (state != LAYER_SLOT_GOOD)
        return state;
    header.epoch = wire_get_be64(&r);
    wire_get_copy(&r, header.id, LAYER_ID_SIZE);
    wire_get_copy(&r, header.boot_id, LAYER_ID_SIZE);
    if (!crc_matches(slot, &r) || !header.epoch)
        return LAYER_SLOT_DAMAGED;
    *ret_header = header;
    return LAYER_SLOT_GOOD;
}

/* --- entries --- */

static uint32_t entry_crc(const struct layer_entry *entry, uint64_t epoch)
{
    uint8_t bytes[20];
    struct wire_writer w = wire_writer_of(bytes, sizeof(bytes));
    wire_put_be64(&w, epoch);
    wire_put_be64(&w, entry->first);
    wire_put_be32(&w, entry->count);
    return crc32c(bytes, sizeof(bytes));
}

void layer_entry_encode(const struct layer_entry *entry, uint64_t epoch,
                        uint8_t bytes[static LAYER_ENTRY_SIZE])
{
    struct wire_writer w = wire_writer_of(bytes, LAYER_ENTRY_SIZE);
    wire_put_be64(&w, entry->first);
    wire_put_be32(&w, entry->count);
    wire_put_be32(&w, entry_crc(entry, epoch));
}

bool layer_entry_decode(const uint8_t bytes[static LAYER_ENTRY_SIZE], uint64_t epoch,
                        uint64_t n_blocks, struct layer_entry *ret_entry)
{
    struct wire_reader r = wire_reader_of(bytes, LAYER_ENTRY_SIZE);
    struct layer_entry entry;
    entry.first = wire_get_be64(&r);
    entry.count = wire_get_be32(&r);
    if (wire_get_be32(&r) != entry_crc(&entry, epoch) || !entry.count || entry.first >= n_blocks ||
        entry.count > n_blocks - entry.first)
        return false;
    *ret_entry = entry;
    return true;
}
