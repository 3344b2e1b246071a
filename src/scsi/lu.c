#include "scsi/lu.h"

struct scsi_lu *scsi_lu_new(struct io_thread *thread, struct block_device *device,
                            uint32_t block_size, const uint8_t serial[static 16])
{
    struct scsi_lu *lu = calloc(1, sizeof(*lu));
    if (!lu) {
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
    scsi_range_lock_init(&lu->ranges, thread);
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
    block_close(lu->device);
    free(lu);
}

void scsi_lu_reset(struct scsi_lu *lu)
{
    lu->mode = (struct scsi_mode_settings){0};
    list_for_each(node, &lu->nexuses)
        container_of(node, struct scsi_nexus, link)->prevents_removal = false;
}

bool scsi_lu_removal_is_prevented(const struct scsi_lu *lu)
{
    for (const struct list *node = lu->nexuses.next; node != &lu->nexuses; node = node->next)
        if (container_of(node, struct scsi_nexus, link)->prevents_removal)
            return true;
    return false;
}

void scsi_nexus_connect(struct scsi_nexus *nexus, struct scsi_lu *lu)
{
    *nexus = (struct scsi_nexus){.lu = lu};
    list_append(&lu->nexuses, &nexus->link);
}

void scsi_nexus_disconnect(struct scsi_nexus *nexus)
{
    list_remove(&nexus->link);
}

void scsi_nexus_establish_unit_attention(struct scsi_nexus *nexus, enum scsi_sense sense)
{
    for (unsigned i = 0; i < nexus->n_unit_attentions; i++)
        if (nexus->unit_attentions[i] == sense)
            return;
    if (nexus->n_unit_attentions == SCSI_MAX_UNIT_ATTENTIONS) {
        nexus->n_unit_attentions = 0;
        sense = SENSE_RESET;
    }
    nexus->unit_attentions[nexus->n_unit_attentions++] = sense;
}

void scsi_lu_establish_unit_attention(struct scsi_lu *lu, const struct scsi_nexus *except,
                                      enum scsi_sense sense)
{
    list_for_each(node, &lu->nexuses) {
        struct scsi_nexus *nexus = container_of(node, struct scsi_nexus, link);
        if (nexus != except)
            scsi_nexus_establish_unit_attention(nexus, sense);
    }
}

enum scsi_sense scsi_nexus_take_unit_attention(struct scsi_nexus *nexus)
{
    if (nexus->n_unit_attentions == 0)
        return SENSE_NONE;
    enum scsi_sense first = nexus->unit_attentions[0];
    nexus->n_unit_attentions--;
    memmove(nexus->unit_attentions, nexus->unit_attentions + 1,
            nexus->n_unit_attentions * sizeof(first));
    return first;
}
