/*
 * The parameter list of EXTENDED COPY (LID1): what it asks for, and whether that can be (SPC-4
 * 6.4.3). Pure: bytes in, a list or a sense out.
 */
#pragma once

#include "core/wire.h"
#include "scsi/constants.h"

/* Told in the operating parameters and in VPD page 8F. */
#define SCSI_COPY_MAX_CSCDS        8
#define SCSI_COPY_MAX_SEGMENTS     16
#define SCSI_COPY_MAX_LIST         1024 /* bytes of all descriptors */
#define SCSI_COPY_MAX_SEGMENT_SIZE (256 * MIB)

#define SCSI_COPY_HEADER_SIZE 16
#define SCSI_COPY_CSCD_SIZE   32

/* In the place of a CSCD: the LU to which the command was sent (SPC-4 6.4.6.1). */
#define SCSI_COPY_THIS_LU 0xffff

/* Where it is in the descriptors. */
enum scsi_copy_field {
    SCSI_COPY_AT_BLOCK_SIZE = 29, /* of a CSCD */
    SCSI_COPY_AT_SOURCE = 4,      /* of a segment */
    SCSI_COPY_AT_DESTINATION = 6,
    SCSI_COPY_AT_BLOCKS = 10, /* the count of SCSI_COPY_BLOCKS */
    SCSI_COPY_AT_SOURCE_LBA = 12,
    SCSI_COPY_AT_DESTINATION_LBA = 20,
};

enum scsi_copy_descriptor_type {
    SCSI_COPY_BLOCKS = 0x02, /* block device to block device, in blocks */
    SCSI_COPY_BYTES = 0x0a,  /* the same, to the byte */
    SCSI_COPY_CSCD = 0xe4,   /* names an LU by a designator */
};

enum scsi_copy_list_id_usage {
    SCSI_COPY_KEEP = 0,      /* what came of it may be asked for afterwards */
    SCSI_COPY_DISCARD = 2,   /* only while it runs */
    SCSI_COPY_ANONYMOUS = 3, /* it has no list identifier */
};

/* An LU that is copied from or to. */
struct scsi_copy_cscd {
    uint8_t code_set, designator_type, designator_size;
    const uint8_t *designator; /* in the list */
    uint32_t block_size;       /* that the initiator thinks it has */
};

struct scsi_copy_segment {
    enum scsi_copy_descriptor_type type;
    bool counts_destination;      /* `count` is in blocks of the destination, not of the source */
    uint16_t at;                  /* the byte of the list at which it begins */
    uint16_t source, destination; /* CSCDs, or SCSI_COPY_THIS_LU */
    uint32_t count;               /* blocks, or (BYTES) bytes */
    uint64_t source_lba, destination_lba;
    uint16_t source_offset, destination_offset; /* bytes behind that */
};

struct scsi_copy_list {
    uint8_t id;
    enum scsi_copy_list_id_usage usage;
    unsigned n_cscds, n_segments;
    struct scsi_copy_cscd cscds[SCSI_COPY_MAX_CSCDS];
    struct scsi_copy_segment segments[SCSI_COPY_MAX_SEGMENTS];
};

/* SENSE_NONE, or why it is refused; then *ret_field is the byte that is wrong (-1: none in
 * particular). */
enum scsi_sense scsi_copy_list_parse(const uint8_t *data, uint32_t size,
                                     struct scsi_copy_list *ret_list, int *ret_field);
