/*
 * RESERVE(6) and RELEASE(6) (SPC-2 7.21, 7.16): the LU for one nexus, until it is released, lost or
 * reset. They and persistent reservations exclude each other (SPC-2 5.5.1); so CRH is not set.
 */
#include "scsi/command.h"

/* 3RDPTY, EXTENT: obsolete. */
static bool is_plain(struct scsi_task *task)
{
    struct scsi_lu *lu = task->nexus->lu;
    if (task->cdb[1] & 0x1f)
        scsi_task_check_field(task, 1);
    else if (lu->reservations->n > 0)
        scsi_task_conflict(task);
    else
        return true;
    return false;
}

void scsi_reserve_6(struct scsi_task *task)
{
    struct scsi_lu *lu = task->nexus->lu;
    if (!is_plain(task))
        return;
    if (lu->reserved_by && lu->reserved_by != task->nexus) {
        scsi_task_conflict(task);
        return;
    }
    lu->reserved_by = task->nexus;
    scsi_task_good(task);
}

/* Of somebody else's reservation: nothing happens. */
void scsi_release_6(struct scsi_task *task)
{
    if (!is_plain(task))
        return;
    scsi_nexus_lose(task->nexus);
    scsi_task_good(task);
}
