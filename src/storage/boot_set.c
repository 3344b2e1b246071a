/*
 * The file: a header (magic, version, shift, size, time, identity, number of boots, checksum of the
 * pieces, and of all before it), then a byte for each piece. Integers are big-endian, checksums
 * CRC32C.
 */
#include "storage/boot_set.h"

#include "core/wire.h"

#include <errno.h>

#include <isa-l/crc.h>

#define VERSION   1
#define MIN_SHIFT 16 /* 64 KiB */
#define MAX_SIZE  (UINT64_C(1) << 56)
#define CRC_INIT  0xffffffffu

static const uint8_t magic[8] = {'n', 'o', 'd', 'i', 's', 'k', 'B', 'S'};

unsigned boot_set_shift(uint64_t size)
{
    unsigned shift = MIN_SHIFT;
    while (size > BOOT_SET_MAX_PIECES << shift)
        shift++;
    return shift;
}

int boot_set_init(struct boot_set *ret_set, const uint8_t identity[static BOOT_SET_IDENTITY_SIZE],
                  uint64_t size)
{
    if (size == 0 || size > MAX_SIZE)
        return -EINVAL;
    unsigned shift = boot_set_shift(size);
    struct boot_set set = {.size = size, .n_pieces = (size + (UINT64_C(1) << shift) - 1) >> shift};
    memcpy(set.identity, identity, sizeof(set.identity));
    set.pieces = calloc(set.n_pieces, 1);
    if (!set.pieces)
        return -ENOMEM;
    *ret_set = set;
    return 0;
}

void boot_set_free(struct boot_set *set)
{
    free(take_ptr(set->pieces));
}

void boot_set_add(struct boot_set *set, const struct block_reads *reads, uint64_t at)
{
    for (uint64_t i = 0; i < set->n_pieces && i < reads->n_pieces; i++)
        set->pieces[i] = (uint8_t)(set->pieces[i] << 1 | block_reads_has(reads, i));
    set->n_boots = MIN(set->n_boots + 1, BOOT_SET_BOOTS);
    set->recorded_at = at;
}

/* --- what belongs to it --- */

static unsigned times_read(const struct boot_set *set, uint64_t piece)
{
    return (unsigned)__builtin_popcount(set->pieces[piece]);
}

/* While there are but two boots, nobody knows which of them was an odd one. */
static unsigned lowest_threshold(const struct boot_set *set)
{
    return set->n_boots <= 2 ? 1 : 2;
}

static uint64_t piece_begin(const struct boot_set *set, uint64_t piece)
{
    return MIN(set->size, piece << boot_set_shift(set->size));
}

uint64_t boot_set_bytes(const struct boot_set *set, unsigned threshold)
{
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < set->n_pieces; i++)
        if (times_read(set, i) >= threshold)
            bytes += piece_begin(set, i + 1) - piece_begin(set, i);
    return bytes;
}

unsigned boot_set_threshold(const struct boot_set *set, uint64_t limit)
{
    unsigned threshold = lowest_threshold(set);
    while (threshold <= BOOT_SET_BOOTS && boot_set_bytes(set, threshold) > limit)
        threshold++;
    return threshold;
}

bool boot_set_next_run(const struct boot_set *set, unsigned threshold, uint64_t *offset,
                       uint64_t *ret_length)
{
    unsigned shift = boot_set_shift(set->size);
    uint64_t first = *offset < set->size ? *offset >> shift : set->n_pieces;
    while (first < set->n_pieces && times_read(set, first) < threshold)
        first++;
    uint64_t end = first;
    while (end < set->n_pieces && times_read(set, end) >= threshold)
        end++;
    if (first == end)
        return false;
    *offset = MAX(*offset, piece_begin(set, first));
    *ret_length = piece_begin(set, end) - *offset;
    return true;
}

/* --- as it is stored --- */

static uint32_t crc32c(const uint8_t *data, size_t size)
{
    return crc32_iscsi((unsigned char *)data, (int)size, CRC_INIT) ^ CRC_INIT;
}

void boot_set_encode(const struct boot_set *set, uint8_t *bytes)
{
    uint8_t *pieces = bytes + BOOT_SET_HEADER_SIZE;
    struct wire_writer w = wire_writer_of(bytes, BOOT_SET_HEADER_SIZE);
    memcpy(pieces, set->pieces, set->n_pieces);
    wire_put_bytes(&w, magic, sizeof(magic));
    wire_put_be32(&w, VERSION);
    wire_put_be32(&w, boot_set_shift(set->size));
    wire_put_be64(&w, set->size);
    wire_put_be64(&w, set->recorded_at);
    wire_put_bytes(&w, set->identity, sizeof(set->identity));
    wire_put_be32(&w, set->n_boots);
    wire_put_be32(&w, crc32c(pieces, set->n_pieces));
    wire_put_be32(&w, crc32c(bytes, wire_writer_used(&w)));
}

static int damaged(const char *how, struct error *ret_error)
{
    return error_set(ret_error, -EBADMSG, "%s", how);
}

/* What it says of itself; not yet whether it belongs to this image. */
static int decode_header(struct wire_reader *r, const uint8_t *bytes, struct boot_set *set,
                         uint32_t *ret_shift, uint32_t *ret_crc, struct error *ret_error)
{
    uint8_t found[sizeof(magic)];
    wire_get_copy(r, found, sizeof(found));
    if (wire_reader_left(r) < BOOT_SET_HEADER_SIZE - sizeof(found))
        return damaged("it is too short", ret_error);
    if (memcmp(found, magic, sizeof(magic)) != 0)
        return damaged("it is something else", ret_error);
    if (wire_get_be32(r) != VERSION)
        return error_set(ret_error, -ENOTSUP, "another version of nodisk wrote it");
    *ret_shift = wire_get_be32(r);
    set->size = wire_get_be64(r);
    set->recorded_at = wire_get_be64(r);
    wire_get_copy(r, set->identity, sizeof(set->identity));
    set->n_boots = wire_get_be32(r);
    *ret_crc = wire_get_be32(r);
    size_t n = (size_t)(r->pos - bytes);
    uint32_t crc = wire_get_be32(r);
    if (crc != crc32c(bytes, n))
        return damaged("its header is damaged", ret_error);
    return 0;
}

static int take_pieces(struct wire_reader *r, struct boot_set *set, uint32_t crc,
                       struct error *ret_error)
{
    uint8_t known = (uint8_t)((1u << set->n_boots) - 1);
    const uint8_t *pieces = wire_get_bytes(r, set->n_pieces);
    if (!pieces || wire_reader_left(r) > 0 || crc != crc32c(pieces, set->n_pieces))
        return damaged("it is damaged", ret_error);
    for (uint64_t i = 0; i < set->n_pieces; i++)
        if (pieces[i] & ~known)
            return damaged("it knows of boots that there were not", ret_error);
    memcpy(set->pieces, pieces, set->n_pieces);
    return 0;
}

int boot_set_decode(const uint8_t *bytes, size_t n_bytes,
                    const uint8_t identity[static BOOT_SET_IDENTITY_SIZE], uint64_t size,
                    struct boot_set *ret_set, struct error *ret_error)
{
    struct boot_set header = {0}, set;
    struct wire_reader r = wire_reader_of(bytes, n_bytes);
    uint32_t shift = 0, crc = 0;
    int result = decode_header(&r, bytes, &header, &shift, &crc, ret_error);
    if (result < 0)
        return result;
    if (memcmp(header.identity, identity, sizeof(header.identity)) != 0 || header.size != size)
        return damaged("it belongs to another image", ret_error);
    if (header.n_boots > BOOT_SET_BOOTS || shift != boot_set_shift(size))
        return damaged("its header makes no sense", ret_error);
    result = boot_set_init(&set, identity, size);
    if (result < 0)
        return error_set(ret_error, result, "%s", strerror(-result));
    set.recorded_at = header.recorded_at;
    set.n_boots = header.n_boots;
    result = take_pieces(&r, &set, crc, ret_error);
    if (result < 0)
        boot_set_free(&set);
    else
        *ret_set = set;
    return result;
}
