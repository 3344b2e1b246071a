/*
 * What an I_T nexus remembers of its EXTENDED COPY commands, for RECEIVE COPY RESULTS: those under
 * way, and of those that have ended the last ones whose list identifier was to be kept.
 */
#pragma once

#include "core/util.h"
#include "scsi/constants.h"

#define SCSI_MAX_COPIES 4 /* at the same time, of a nexus */

struct scsi_copy_record {
    enum { SCSI_COPY_NONE, SCSI_COPY_RUNS, SCSI_COPY_ENDED, SCSI_COPY_FAILED } state;
    bool anonymous; /* has no list identifier */
    uint8_t list_id;
    uint64_t began;    /* in this order */
    uint16_t segments; /* that were carried out */
    uint64_t bytes;    /* that were written */
    uint8_t sense_size;
    uint8_t sense[SCSI_SENSE_MAX_SIZE]; /* FAILED: what was told */
};

struct scsi_copy_records {
    struct scsi_copy_record records[SCSI_MAX_COPIES];
    uint64_t n_begun;
};

/* NULL: there is none such. */
struct scsi_copy_record *scsi_copy_record_find(struct scsi_copy_records *records, uint8_t list_id);
/* For a copy that begins; takes the place of one that has ended. NULL: as many as may be run. */
struct scsi_copy_record *scsi_copy_record_new(struct scsi_copy_records *records, bool anonymous,
                                              uint8_t list_id);
/* What a reset does: forgets those that have ended. */
void scsi_copy_records_forget(struct scsi_copy_records *records);
