#include "scsi/lu.h"

struct scsi_lu *scsi_lu_new(struct io_thread *thread, struct block_device *device,
                            uint32_t block_size, const uint8_t serial[static 16])
{
    struct scsi_lu *lu = calloc(1, sizeof(*lu));
    struct scsi_reservations *reservations = scsi_reservations_new(0);
    if (!lu || !reservations) {
        free(lu);
        free(reservations);
        block_close(device);
        return NULL;
    }
    lu->thread = thread;
    lu->device = device;
    lu->block_size = block_size;
    lu->n_blocks = device->size / block_size;
    lu->read_only = device->read_only;
    lu->thick = device->thick;
    memcpy(lu->serial, serial, sizeof(lu->serial));
    list_init(&lu->nexuses);
    scsi_lu_gate_init(&lu->gate);
    scsi_range_lock_init(&lu->ranges, thread);
    lu->reservations = reservations;
    list_init(&lu->preempting);
    scsi_task_set_init(&lu->tasks, thread);
    return lu;
}

struct block_device *scsi_lu_take_device(struct scsi_lu *lu)
{
    return take_ptr(lu->device);
}

void scsi_lu_free(struct scsi_lu *lu)
{
    if (!lu)
        return;
    io_deferred_cancel(&lu->check_preempting);
    block_close(lu->device);
    free(lu->reservations);
    free(lu);
}

void scsi_lu_reset(struct scsi_lu *lu)
{
    lu->mode = (struct scsi_mode_settings){0};
    lu->reserved_by = NULL;
    list_for_each(node, &lu->nexuses) {
        struct scsi_nexus *nexus = container_of(node, struct scsi_nexus, link);
        nexus->prevents_removal = false;
        scsi_copy_records_forget(&nexus->copies);
    }
}

bool scsi_lu_removal_is_prevented(const struct scsi_lu *lu)
{
    for (const struct list *node = lu->nexuses.next; node != &lu->nexuses; node = node->next)
        if (container_of(node, struct scsi_nexus, link)->prevents_removal)
            return true;
    return false;
}

/* --- reservations --- */

static void look_up_nexus(struct scsi_nexus *nexus)
{
    const struct scsi_reservations *reservations = nexus->lu->reservations;
    const struct scsi_registration *r = scsi_reservations_find(reservations, &nexus->id);
    nexus->registered = r != NULL;
    nexus->holds = scsi_reservations_holds(reservations, r);
}

void scsi_lu_set_reservations(struct scsi_lu *lu, struct scsi_reservations *reservations)
{
    free(lu->reservations);
    lu->reservations = reservations;
    list_for_each(node, &lu->nexuses)
        look_up_nexus(container_of(node, struct scsi_nexus, link));
}

struct scsi_reservations *scsi_lu_take_reservations(struct scsi_lu *lu)
{
    return take_ptr(lu->reservations);
}

void scsi_lu_tasks_ended(struct scsi_lu *lu)
{
    if (!list_empty(&lu->preempting))
        io_thread_defer(lu->thread, &lu->check_preempting);
}

/* --- nexuses --- */

void scsi_nexus_connect(struct scsi_nexus *nexus, struct scsi_lu *lu,
                        const struct scsi_nexus_id *id,
                        const struct scsi_nexus_operations *operations)
{
    if (lu->reserved_by && scsi_nexus_id_equal(&lu->reserved_by->id, id))
        scsi_nexus_lose(lu->reserved_by);
    *nexus = (struct scsi_nexus){.lu = lu, .id = *id, .operations = operations};
    list_append(&lu->nexuses, &nexus->link);
    look_up_nexus(nexus);
}

void scsi_nexus_lose(struct scsi_nexus *nexus)
{
    if (nexus->lu->reserved_by == nexus)
        nexus->lu->reserved_by = NULL;
}

void scsi_nexus_disconnect(struct scsi_nexus *nexus)
{
    scsi_nexus_lose(nexus);
    list_remove(&nexus->link);
    scsi_lu_tasks_ended(nexus->lu);
}
