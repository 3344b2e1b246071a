#include "scsi/lu_request.h"

#include "scsi/command.h"

#include <errno.h>

static struct scsi_lu_request *of_message(struct message *message)
{
    return container_of(message, struct scsi_lu_request, message);
}

static void done_here(struct message *message)
{
    struct scsi_lu_request *r = of_message(message);
    r->done(r, r->result);
}

/* --- on the LU's thread --- */

static void finish(struct scsi_lu_request *r, int result)
{
    r->result = result;
    r->message.run = done_here;
    if (r->lu->thread == r->thread)
        done_here(&r->message);
    else
        io_thread_post(r->thread, &r->message);
}

static void request_done(struct block_request *request, int result)
{
    struct scsi_lu_request *r = container_of(request, struct scsi_lu_request, request);
    scsi_lu_request_ended(r->lu);
    scsi_range_release(&r->lu->ranges, &r->claim);
    finish(r, result);
}

static void submit(struct scsi_lu_request *r)
{
    r->request.done = request_done;
    scsi_lu_submit(r->lu, &r->request);
}

static void claimed(struct scsi_range_claim *claim)
{
    submit(container_of(claim, struct scsi_lu_request, claim));
}

static int obstacle(const struct scsi_lu_request *r)
{
    bool read = r->request.operation == BLOCK_READ;
    if (scsi_nexus_is_kept_out(r->nexus, read ? SCSI_PASSES_WRITE_EXCLUSIVE : 0))
        return -EBUSY;
    if (r->lu->ejected)
        return -ENOMEDIUM;
    if (!read && scsi_lu_is_protected(r->lu))
        return -EROFS;
    return 0;
}

static void start(struct scsi_lu_request *r)
{
    const struct block_request *request = &r->request;
    int result = obstacle(r);
    r->claim = (struct scsi_range_claim){
        .begin = request->offset, .end = request->offset + request->length, .ready = claimed};
    if (result < 0)
        finish(r, result);
    else if (request->operation == BLOCK_READ || scsi_range_claim(&r->lu->ranges, &r->claim))
        submit(r);
}

static void start_there(struct message *message)
{
    start(of_message(message));
}

void scsi_lu_request_submit(struct scsi_lu_request *r)
{
    r->message.run = start_there;
    if (r->lu->thread == r->thread)
        start(r);
    else
        io_thread_post(r->lu->thread, &r->message);
}
