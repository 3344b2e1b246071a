#include "scsi/copy_list.h"

#define SEGMENT_HEADER_SIZE 4
#define SEGMENT_SIZE        28 /* BLOCKS; BYTES has four more */

#define DESIGNATOR_ROOM 20

/* Field pointers of the header. */
enum { AT_USAGE = 1, AT_CSCDS_LENGTH = 2, AT_INLINE_LENGTH = 12 };

struct header {
    uint16_t cscds_length;
    uint32_t segments_length, inline_length;
};

/* Lengths come before what they are the lengths of. */
static enum scsi_sense check_header(const struct scsi_copy_list *list, const struct header *h,
                                    uint32_t left, int *ret_field)
{
    uint64_t descriptors = (uint64_t)h->cscds_length + h->segments_length;
    if (descriptors > SCSI_COPY_MAX_LIST || descriptors + h->inline_length > left)
        return SENSE_PARAMETER_LIST_LENGTH;
    if (h->inline_length > 0) {
        *ret_field = AT_INLINE_LENGTH;
        return SENSE_INLINE_DATA_LENGTH_EXCEEDED;
    }
    if (list->usage == 1 || (list->usage == SCSI_COPY_ANONYMOUS && list->id)) {
        *ret_field = list->usage == 1 ? AT_USAGE : 0;
        return SENSE_INVALID_FIELD_IN_PARAMETERS;
    }
    if (h->cscds_length % SCSI_COPY_CSCD_SIZE) {
        *ret_field = AT_CSCDS_LENGTH;
        return SENSE_INVALID_FIELD_IN_PARAMETERS;
    }
    return h->cscds_length / SCSI_COPY_CSCD_SIZE > SCSI_COPY_MAX_CSCDS ? SENSE_TOO_MANY_CSCDS
                                                                       : SENSE_NONE;
}

/* Relative port, LU ID TYPE and NUL say nothing to us; what it is not can be told only by looking
 * at it. */
static enum scsi_sense parse_cscd(struct wire_reader *r, struct scsi_copy_cscd *cscd)
{
    uint8_t type = wire_get_u8(r);
    wire_skip(r, 3);
    cscd->code_set = wire_get_u8(r) & 0x0f;
    cscd->designator_type = wire_get_u8(r) & 0x3f; /* with its association: 0 is an LU's */
    wire_skip(r, 1);
    uint8_t size = wire_get_u8(r);
    cscd->designator_size = size <= DESIGNATOR_ROOM ? size : 0; /* then it names nothing */
    cscd->designator = wire_get_bytes(r, DESIGNATOR_ROOM);
    wire_skip(r, 1);
    cscd->block_size = wire_get_be24(r);
    return type == SCSI_COPY_CSCD ? SENSE_NONE : SENSE_UNSUPPORTED_CSCD_TYPE;
}

static void parse_blocks(struct wire_reader *r, struct scsi_copy_segment *segment)
{
    wire_skip(r, 2);
    segment->count = wire_get_be16(r);
    segment->source_lba = wire_get_be64(r);
    segment->destination_lba = wire_get_be64(r);
}

static void parse_bytes(struct wire_reader *r, struct scsi_copy_segment *segment)
{
    segment->count = wire_get_be32(r);
    segment->source_lba = wire_get_be64(r);
    segment->destination_lba = wire_get_be64(r);
    segment->source_offset = wire_get_be16(r);
    segment->destination_offset = wire_get_be16(r);
}

/* DESCRIPTOR LENGTH: of what follows it. *ret_at: its place in the descriptor, if it is wrong. */
static enum scsi_sense parse_segment(struct wire_reader *r, struct scsi_copy_segment *segment,
                                     int *ret_at)
{
    bool whole = wire_reader_left(r) >= SEGMENT_SIZE;
    if (wire_reader_left(r) < SEGMENT_HEADER_SIZE)
        return SENSE_PARAMETER_LIST_LENGTH;
    *ret_at = 0;
    segment->type = wire_get_u8(r);
    segment->counts_destination = wire_get_u8(r) & 0x02;
    uint16_t length = wire_get_be16(r);
    segment->source = wire_get_be16(r);
    segment->destination = wire_get_be16(r);
    if (segment->type != SCSI_COPY_BLOCKS && segment->type != SCSI_COPY_BYTES)
        return SENSE_UNSUPPORTED_SEGMENT_TYPE;
    if (!whole)
        return SENSE_PARAMETER_LIST_LENGTH;
    bool bytes = segment->type == SCSI_COPY_BYTES;
    *ret_at = 2;
    if (length != SEGMENT_SIZE - SEGMENT_HEADER_SIZE + (bytes ? 4 : 0))
        return SENSE_INVALID_FIELD_IN_PARAMETERS;
    if (bytes)
        parse_bytes(r, segment);
    else
        parse_blocks(r, segment);
    *ret_at = 8;
    if (bytes && segment->count > SCSI_COPY_MAX_SEGMENT_SIZE)
        return SENSE_INVALID_FIELD_IN_PARAMETERS;
    *ret_at = -1;
    return wire_reader_ok(r) ? SENSE_NONE : SENSE_PARAMETER_LIST_LENGTH;
}

static enum scsi_sense parse_segments(struct wire_reader *r, struct scsi_copy_list *list, int begin,
                                      int *ret_field)
{
    size_t size = wire_reader_left(r);
    while (wire_reader_left(r) > 0) {
        int offset = begin + (int)(size - wire_reader_left(r)), at = -1;
        if (list->n_segments == SCSI_COPY_MAX_SEGMENTS)
            return SENSE_TOO_MANY_SEGMENTS;
        struct scsi_copy_segment *segment = &list->segments[list->n_segments++];
        segment->at = (uint16_t)offset;
        enum scsi_sense sense = parse_segment(r, segment, &at);
        if (sense) {
            *ret_field = at < 0 || sense == SENSE_PARAMETER_LIST_LENGTH ? -1 : offset + at;
            return sense;
        }
    }
    return SENSE_NONE;
}

static enum scsi_sense parse_cscds(struct wire_reader *r, struct scsi_copy_list *list,
                                   int *ret_field)
{
    while (wire_reader_left(r) > 0) {
        enum scsi_sense sense = parse_cscd(r, &list->cscds[list->n_cscds]);
        if (sense) {
            *ret_field = SCSI_COPY_HEADER_SIZE + (int)list->n_cscds * SCSI_COPY_CSCD_SIZE;
            return sense;
        }
        list->n_cscds++;
    }
    return SENSE_NONE;
}

enum scsi_sense scsi_copy_list_parse(const uint8_t *data, uint32_t size,
                                     struct scsi_copy_list *ret_list, int *ret_field)
{
    struct wire_reader r = wire_reader_of(data, size);
    struct header h;
    *ret_list = (struct scsi_copy_list){.id = wire_get_u8(&r)};
    *ret_field = -1;
    ret_list->usage = wire_get_u8(&r) >> 3 & 0x03;
    h.cscds_length = wire_get_be16(&r);
    wire_skip(&r, 4);
    h.segments_length = wire_get_be32(&r);
    h.inline_length = wire_get_be32(&r);
    if (!wire_reader_ok(&r))
        return SENSE_PARAMETER_LIST_LENGTH;
    enum scsi_sense sense = check_header(ret_list, &h, (uint32_t)wire_reader_left(&r), ret_field);
    if (sense)
        return sense;
    struct wire_reader cscds = wire_get_sub(&r, h.cscds_length);
    struct wire_reader segments = wire_get_sub(&r, h.segments_length);
    sense = parse_cscds(&cscds, ret_list, ret_field);
    if (!sense)
        sense =
            parse_segments(&segments, ret_list, SCSI_COPY_HEADER_SIZE + h.cscds_length, ret_field);
    return sense;
}
