/*
 * Exchanges the device under a volume that is in use.
 *
 *   the gate of its LU is shut, what is under way ends, and all is made durable  (its thread)
 *   the device is closed; the change is made; what there is then is opened       (a job)
 *   the LU has the new device, and its gate opens                                (its thread)
 *
 * If it cannot be made durable, nothing is changed: what was lost would be missing in what the old
 * device is then, and nobody would be told.
 *
 * If nothing can be opened after that, its sessions end: what they wrote is durable, and whoever
 * logs in again is told why he cannot.
 */
#include <errno.h>

#include "block/none.h"
#include "server/open_volumes_internal.h"

void open_volumes_run_exchange(struct volume *volume)
{
    struct open_volumes_exchange *e = volume->exchange;
    struct error error;
    block_close(take_ptr(volume->device));
    volume->opens_at_boot = false; /* nobody boots: what is staged waits */
    e->result = e->change(e->argument, true, &e->error);
    if (open_volumes_open_device(volume) >= 0)
        return;
    volume->device = NULL;
    if (e->result >= 0)
        e->result = error_set(&e->error, -EIO, "after the change, %s", volume->error.text);
    error = volume->error;
    open_volumes_tell(volume, &error);
}

/* There is no device any more. */
static void give_up(struct volume *volume)
{
    volume->anew = true; /* who logs in next has it opened anew */
    iscsi_target_close_sessions(volume->target, "its volume cannot be opened any more");
}

static void exchanged(struct volume *volume)
{
    struct scsi_lu *lu = volume->target->lun0.lu;
    struct block_device *device = take_ptr(volume->device);
    struct open_volumes_exchange *e = take_ptr(volume->exchange);
    volume->state = OPEN;
    if (device) {
        open_volumes_adopt(volume, device);
        block_close(scsi_lu_exchange_device(lu, device));
        open_volumes_attach_recorder(volume);
    } else {
        give_up(volume);
    }
    scsi_lu_open_gate(lu);
    if (!volume->anew)
        open_volumes_answer(volume, NULL);
    iscsi_target_check_idle(volume->target); /* the last session may have ended meanwhile */
    e->done(e, e->result);
}

static void job_done(struct message *message)
{
    exchanged(container_of(message, struct volume, done));
}

/* Everything stays as it was. */
static void call_off(struct volume *volume, int result)
{
    struct open_volumes_exchange *e = take_ptr(volume->exchange);
    volume->state = OPEN;
    scsi_lu_open_gate(volume->target->lun0.lu);
    if (!volume->anew)
        open_volumes_answer(volume, NULL);
    iscsi_target_check_idle(volume->target);
    e->done(e, result);
}

/* The device has nothing to do. Another one stands in for it. */
static void begin(struct volume *volume)
{
    struct scsi_lu *lu = volume->target->lun0.lu;
    struct block_device *none = block_none_new(lu->device->size);
    if (!none) {
        call_off(volume, error_set(&volume->exchange->error, -ENOMEM, "out of memory"));
        return;
    }
    open_volumes_detach_recorder(volume);
    volume->device = scsi_lu_exchange_device(lu, none);
    if (open_volumes_start_job(volume, EXCHANGING, job_done))
        return;
    open_volumes_run_exchange(volume);
    exchanged(volume);
}

static void flushed(struct block_request *request, int result)
{
    struct open_volumes_exchange *e = container_of(request, struct open_volumes_exchange, flush);
    if (result >= 0)
        begin(e->volume);
    else if (result == -ENOSPC)
        call_off(e->volume, error_set(&e->error, result,
                                      "no space left to make durable what was written to it; free "
                                      "some and try again"));
    else
        call_off(e->volume, error_set(&e->error, result,
                                      "what was written to it cannot be made durable; the daemon's "
                                      "log tells why"));
}

static void drained(struct scsi_lu *lu, void *context)
{
    struct volume *volume = context;
    struct open_volumes_exchange *e = volume->exchange;
    e->volume = volume;
    e->flush = (struct block_request){.operation = BLOCK_FLUSH, .done = flushed};
    block_submit(lu->device, &e->flush);
}

void open_volumes_exchange(struct open_volumes *volumes, struct io_thread *thread,
                           struct open_volumes_exchange *exchange)
{
    struct volume *volume = idmap_get(&volumes->volumes[thread->index], exchange->volume_id);
    if (volume && volume->state == KEPT) { /* it is shut soon, and perhaps forgotten already */
        open_volumes_keep_no_longer(volume);
        exchange->done(exchange, -EAGAIN);
    } else if (!volume || volume->state == SHUT) {
        exchange->done(exchange, -ESHUTDOWN);
    } else if (volume->state != OPEN || volume->anew) {
        exchange->done(exchange, -EAGAIN);
    } else {
        volume->exchange = exchange;
        volume->state = EXCHANGING;
        scsi_lu_shut_gate(volume->target->lun0.lu, drained, volume);
    }
}
