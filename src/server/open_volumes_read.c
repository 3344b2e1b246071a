/* Reading a volume that is open for somebody else's sake, as its sessions see it. */
#include <errno.h>

#include "server/open_volumes_internal.h"

static void read_done(struct block_request *request, int result)
{
    struct open_volumes_read *read = container_of(request, struct open_volumes_read, request);
    struct volume *volume = read->volume;
    scsi_lu_request_ended(volume->target->lun0.lu);
    volume->n_reads--;
    iscsi_target_check_idle(volume->target); /* its last session may have ended meanwhile */
    read->done(read, result);
}

void open_volumes_read(struct open_volumes *volumes, const struct io_thread *thread,
                       struct open_volumes_read *read)
{
    struct volume *volume = idmap_get(&volumes->volumes[thread->index], read->volume_id);
    if (!volume || !volume->target || volume->anew) {
        read->done(read, -ESHUTDOWN);
        return;
    }
    struct scsi_lu *lu = volume->target->lun0.lu;
    uint64_t size = lu->n_blocks * lu->block_size;
    if (read->offset > size || read->size > size - read->offset) {
        read->done(read, -ERANGE);
        return;
    }
    read->volume = volume;
    read->request = (struct block_request){.operation = BLOCK_READ,
                                           .offset = read->offset,
                                           .length = read->size,
                                           .data = read->data,
                                           .done = read_done};
    volume->n_reads++;
    scsi_lu_submit(lu, &read->request);
}
