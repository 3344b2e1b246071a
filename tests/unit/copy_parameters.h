/* The parameter list of an EXTENDED COPY, put together for a test. */
#pragma once

#include "scsi/copy_list.h"

struct copy_parameters {
    uint8_t bytes[4096];
    uint32_t size;
    uint32_t cscds_length, segments_length;
};

static inline struct wire_writer copy_parameters_at(struct copy_parameters *p, size_t at)
{
    return wire_writer_of(p->bytes + at, sizeof(p->bytes) - at);
}

/* The header says what there is. */
static inline void copy_parameters_head(struct copy_parameters *p, uint8_t list_id, uint8_t usage)
{
    struct wire_writer w = copy_parameters_at(p, 0);
    wire_put_u8(&w, list_id);
    wire_put_u8(&w, (uint8_t)(usage << 3));
    wire_put_be16(&w, (uint16_t)p->cscds_length);
    wire_put_be32(&w, 0);
    wire_put_be32(&w, p->segments_length);
    wire_put_be32(&w, 0);
    p->size = SCSI_COPY_HEADER_SIZE + p->cscds_length + p->segments_length;
}

/* An LU by its NAA designator; before any segment. */
static inline void copy_parameters_cscd(struct copy_parameters *p, const uint8_t naa[static 8],
                                        uint32_t block_size)
{
    struct wire_writer w = copy_parameters_at(p, SCSI_COPY_HEADER_SIZE + p->cscds_length);
    wire_put_be32(&w, (uint32_t)SCSI_COPY_CSCD << 24);
    wire_put_be32(&w, 0x01030008); /* binary, of the LU, NAA */
    wire_put_bytes(&w, naa, 8);
    wire_put_zeros(&w, 12);
    wire_put_be32(&w, block_size);
    p->cscds_length += 32;
}

/* After all LUs. */
static inline void copy_parameters_blocks(struct copy_parameters *p, uint8_t flags, uint16_t source,
                                          uint16_t destination, uint16_t count, uint64_t from,
                                          uint64_t to)
{
    struct wire_writer w =
        copy_parameters_at(p, SCSI_COPY_HEADER_SIZE + p->cscds_length + p->segments_length);
    wire_put_u8(&w, SCSI_COPY_BLOCKS);
    wire_put_u8(&w, flags);
    wire_put_be16(&w, 0x18);
    wire_put_be16(&w, source);
    wire_put_be16(&w, destination);
    wire_put_be16(&w, 0);
    wire_put_be16(&w, count);
    wire_put_be64(&w, from);
    wire_put_be64(&w, to);
    p->segments_length += 28;
}

static inline void copy_parameters_bytes(struct copy_parameters *p, uint16_t source,
                                         uint16_t destination, uint32_t count, uint64_t from,
                                         uint16_t from_offset, uint64_t to, uint16_t to_offset)
{
    struct wire_writer w =
        copy_parameters_at(p, SCSI_COPY_HEADER_SIZE + p->cscds_length + p->segments_length);
    wire_put_u8(&w, SCSI_COPY_BYTES);
    wire_put_u8(&w, 0);
    wire_put_be16(&w, 0x1c);
    wire_put_be16(&w, source);
    wire_put_be16(&w, destination);
    wire_put_be32(&w, count);
    wire_put_be64(&w, from);
    wire_put_be64(&w, to);
    wire_put_be16(&w, from_offset);
    wire_put_be16(&w, to_offset);
    p->segments_length += 32;
}
