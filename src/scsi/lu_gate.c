#include "scsi/lu_gate.h"

#include "scsi/lu.h"

void scsi_lu_gate_init(struct scsi_lu_gate *gate)
{
    *gate = (struct scsi_lu_gate){0};
    list_init(&gate->waiting);
}

void scsi_lu_submit(struct scsi_lu *lu, struct block_request *request)
{
    if (lu->gate.shut) {
        list_append(&lu->gate.waiting, &request->link);
        return;
    }
    lu->gate.under_way++;
    block_submit(lu->device, request);
}

bool scsi_lu_view(struct scsi_lu *lu, uint64_t offset, uint64_t length, struct block_view *ret_view)
{
    return !lu->gate.shut && block_view(lu->device, offset, length, ret_view);
}

static void tell_drained(struct scsi_lu *lu)
{
    void (*drained)(struct scsi_lu *, void *) = lu->gate.drained;
    lu->gate.drained = NULL;
    if (drained)
        drained(lu, lu->gate.context);
}

void scsi_lu_request_ended(struct scsi_lu *lu)
{
    if (--lu->gate.under_way == 0 && lu->gate.shut)
        tell_drained(lu);
}

void scsi_lu_shut_gate(struct scsi_lu *lu, void (*drained)(struct scsi_lu *lu, void *context),
                       void *context)
{
    lu->gate.shut = true;
    lu->gate.drained = drained;
    lu->gate.context = context;
    if (lu->gate.under_way == 0)
        tell_drained(lu);
}

struct block_device *scsi_lu_exchange_device(struct scsi_lu *lu, struct block_device *device)
{
    struct block_device *old = lu->device;
    uint64_t n_blocks = device->size / lu->block_size;
    lu->device = device;
    if (n_blocks != lu->n_blocks)
        scsi_lu_establish_unit_attention(lu, NULL, SENSE_CAPACITY_CHANGED);
    lu->n_blocks = n_blocks;
    return old;
}

void scsi_lu_open_gate(struct scsi_lu *lu)
{
    struct list waiting;
    lu->gate.shut = false;
    list_move(&waiting, &lu->gate.waiting);
    for (struct list *node; (node = list_pop(&waiting));)
        scsi_lu_submit(lu, container_of(node, struct block_request, link));
}
