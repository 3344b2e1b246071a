/*
 * A medium that can be removed: START STOP UNIT ejects and loads it (SBC-3 5.19), unless somebody
 * prevents that (PREVENT ALLOW MEDIUM REMOVAL, SBC-3 5.8).
 *
 * Each I_T nexus prevents for itself, until it allows it again, is gone, or the LU is reset. What
 * an LU is without its medium is told by dispatch.c. Commands that began before it went are carried
 * out. Of a medium that is fixed nothing is remembered: there is nothing to prevent.
 */
#include "scsi/command.h"

#define START 0x01
#define LOEJ  0x02

/* Who has loaded it knows that it may have changed. */
static void load(struct scsi_task *task)
{
    struct scsi_lu *lu = task->nexus->lu;
    if (lu->ejected)
        scsi_lu_establish_unit_attention(lu, task->nexus, SENSE_MEDIUM_MAY_HAVE_CHANGED);
    lu->ejected = false;
    scsi_task_good(task);
}

/* Once what was written is durable, the medium goes, if nobody has come to prevent it. */
static bool eject_next(struct scsi_burst *burst)
{
    struct scsi_task *task = burst->task;
    struct scsi_lu *lu = task->nexus->lu;
    if (task->left > 0) {
        task->left = 0;
        burst->request.operation = BLOCK_FLUSH;
        return true;
    }
    if (scsi_lu_removal_is_prevented(lu))
        scsi_task_check(task, SENSE_MEDIUM_REMOVAL_PREVENTED);
    else
        lu->ejected = true;
    return false;
}

static void eject(struct scsi_task *task)
{
    if (task->nexus->lu->ejected) {
        scsi_task_good(task);
        return;
    }
    task->left = 1; /* step to come before it goes */
    scsi_device_steps(scsi_device_burst(task), eject_next);
}

/* Linux stops its disks at shutdown. A volume has no motor; what was written is flushed first by
 * the SYNCHRONIZE CACHE that comes before this. With a POWER CONDITION, LOEJ says nothing; of a
 * fixed medium, it asks for what cannot be done (SBC-3 5.25). */
void scsi_start_stop_unit(struct scsi_task *task)
{
    const struct scsi_lu *lu = task->nexus->lu;
    bool power_condition = task->cdb[4] >> 4;
    bool moves_medium = !power_condition && task->cdb[4] & LOEJ;
    bool start = task->cdb[4] & START;
    if (moves_medium && !lu->removable)
        scsi_task_check_field(task, 4);
    else if (moves_medium && scsi_lu_removal_is_prevented(lu))
        scsi_task_check(task, SENSE_MEDIUM_REMOVAL_PREVENTED);
    else if (moves_medium && start)
        load(task);
    else if (moves_medium)
        eject(task);
    else if (lu->ejected && start && !power_condition)
        scsi_task_check(task, SENSE_MEDIUM_NOT_PRESENT);
    else
        scsi_task_good(task);
}

/* The higher bit of PREVENT was for medium changers and is obsolete. */
void scsi_prevent_allow(struct scsi_task *task)
{
    if (task->cdb[4] & 0x02) {
        scsi_task_check_field(task, 4);
        return;
    }
    task->nexus->prevents_removal = task->cdb[4] & 0x01;
    scsi_task_good(task);
}
