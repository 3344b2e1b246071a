#include "scsi/copy_record.h"

struct scsi_copy_record *scsi_copy_record_find(struct scsi_copy_records *records, uint8_t list_id)
{
    for (size_t i = 0; i < SCSI_MAX_COPIES; i++) {
        struct scsi_copy_record *record = &records->records[i];
        if (record->state != SCSI_COPY_NONE && !record->anonymous && record->list_id == list_id)
            return record;
    }
    return NULL;
}

/* One that is free, or the oldest that has ended; NULL: they all run. */
static struct scsi_copy_record *find_place(struct scsi_copy_records *records)
{
    struct scsi_copy_record *place = NULL;
    for (size_t i = 0; i < SCSI_MAX_COPIES; i++) {
        struct scsi_copy_record *record = &records->records[i];
        if (record->state == SCSI_COPY_NONE)
            return record;
        if (record->state != SCSI_COPY_RUNS && (!place || record->began < place->began))
            place = record;
    }
    return place;
}

struct scsi_copy_record *scsi_copy_record_new(struct scsi_copy_records *records, bool anonymous,
                                              uint8_t list_id)
{
    struct scsi_copy_record *same = anonymous ? NULL : scsi_copy_record_find(records, list_id);
    struct scsi_copy_record *place = same ? same : find_place(records);
    if (place)
        *place = (struct scsi_copy_record){.state = SCSI_COPY_RUNS,
                                           .anonymous = anonymous,
                                           .list_id = list_id,
                                           .began = records->n_begun++};
    return place;
}

void scsi_copy_records_forget(struct scsi_copy_records *records)
{
    for (size_t i = 0; i < SCSI_MAX_COPIES; i++)
        if (records->records[i].state != SCSI_COPY_RUNS)
            records->records[i].state = SCSI_COPY_NONE;
}
