#include "iscsi/remote.h"

#include "iscsi/target.h"

/* References of a lent buffer: more than anybody will ever give back. */
#define LENT 1000

struct remote_task {
    struct iscsi_task task;
    struct iscsi_remote remote;
};

static void to_far(struct iscsi_remote *remote, struct message *message,
                   void (*run)(struct message *message))
{
    message->run = run;
    io_thread_post(remote->lun->thread, message);
}

static void to_near(struct iscsi_remote *remote, struct message *message,
                    void (*run)(struct message *message))
{
    message->run = run;
    io_thread_post(remote->lun->luns->thread, message);
}

static struct buffer_pool *near_pool(const struct iscsi_remote *remote)
{
    return remote->lun->luns->thread->buffers;
}

/* --- the session's thread: what the LU's asks for --- */

static void give_back(struct iscsi_remote *remote, struct scsi_burst *near)
{
    if (!remote->task->scsi.is_read)
        buffer_unref(near_pool(remote), take_ptr(near->buffer));
    near->buffer = NULL;
}

static void step_here(struct message *message)
{
    struct iscsi_remote_burst *b = container_of(message, struct iscsi_remote_burst, step);
    struct iscsi_remote *remote = b->remote;
    struct scsi_task *scsi = &remote->task->scsi;
    struct scsi_burst *near = &scsi->bursts[b->index];
    scsi->is_read = b->is_read;
    scsi->data_length = b->data_length;
    give_back(remote, near); /* what it moved before is on the medium */
    near->task = scsi;
    near->offset = b->offset;
    near->length = b->length;
    near->is_last = b->is_last;
    near->buffer = b->buffer;
    if (remote->aborted) /* while this was on its way */
        iscsi_remote_burst_moved(remote->task, near, false);
    else if (b->is_read)
        scsi->transport->send(scsi, near);
    else
        scsi->transport->receive(scsi, near);
}

static void finish(struct iscsi_remote *remote)
{
    struct scsi_task *scsi = &remote->task->scsi;
    if (!remote->near_ended || remote->aborting)
        return; /* a message of it is still under way */
    for (size_t i = 0; i < SCSI_BURSTS; i++)
        give_back(remote, &scsi->bursts[i]);
    if (remote->task->data_error)
        scsi_task_fail(scsi, remote->task->data_error); /* completes it */
    else
        scsi->transport->complete(scsi); /* frees it */
}

static void ended_here(struct message *message)
{
    struct iscsi_remote *remote = container_of(message, struct iscsi_remote, ended);
    const struct scsi_task *far = &remote->far; /* the other side is through with it */
    struct scsi_task *scsi = &remote->task->scsi;
    scsi->is_read = far->is_read;
    scsi->data_length = far->data_length;
    scsi->status = far->status;
    scsi->descriptor_sense = far->descriptor_sense;
    scsi->sense_size = far->sense_size;
    memcpy(scsi->sense, far->sense, sizeof(scsi->sense));
    remote->near_ended = true;
    finish(remote);
}

static void reported_here(struct message *message)
{
    const struct iscsi_remote *remote = container_of(message, struct iscsi_remote, reported);
    iscsi_luns_reported(remote->task->session, remote->task->scsi.target);
}

static void aborted_here(struct message *message)
{
    struct iscsi_remote *remote = container_of(message, struct iscsi_remote, abort);
    remote->aborting = false;
    finish(remote);
}

/* --- the LU's thread: the transport of the command set --- */

static struct iscsi_remote *remote_of(struct scsi_task *far)
{
    return container_of(far, struct iscsi_remote, far);
}

static void post_step(struct scsi_task *far, struct scsi_burst *burst)
{
    struct iscsi_remote *remote = remote_of(far);
    struct iscsi_remote_burst *b = &remote->bursts[burst - far->bursts];
    b->buffer = far->is_read ? burst->buffer : NULL;
    b->offset = burst->offset;
    b->length = burst->length;
    b->is_last = burst->is_last;
    b->is_read = far->is_read;
    b->data_length = far->data_length;
    to_near(remote, &b->step, step_here);
}

static void send_far(struct scsi_task *far, struct scsi_burst *burst)
{
    post_step(far, burst);
}

static void receive_far(struct scsi_task *far, struct scsi_burst *burst)
{
    burst->buffer = NULL;
    post_step(far, burst);
}

static void complete_far(struct scsi_task *far)
{
    struct iscsi_remote *remote = remote_of(far);
    struct iscsi_target *target = remote->lun->target;
    remote->far_ended = true;
    list_remove(&remote->link);
    to_near(remote, &remote->ended, ended_here); /* may free it, once the abort is back */
    iscsi_target_task_ended(target);
}

static void luns_reported_far(struct scsi_task *far)
{
    struct iscsi_remote *remote = remote_of(far);
    to_near(remote, &remote->reported, reported_here);
}

static const struct scsi_transport transport = {send_far, receive_far, complete_far,
                                                luns_reported_far};

static void start_there(struct message *message)
{
    struct iscsi_remote *remote = container_of(message, struct iscsi_remote, start);
    list_append(&remote->lun->tasks, &remote->link);
    scsi_task_start(&remote->far);
}

static void moved_there(struct message *message)
{
    struct iscsi_remote_burst *b = container_of(message, struct iscsi_remote_burst, step);
    struct scsi_burst *burst = &b->remote->far.bursts[b->index];
    if (!b->is_read && b->ok) {
        b->lent.data = b->buffer->data;
        b->lent.references = LENT;
        burst->buffer = &b->lent;
    }
    scsi_burst_moved(burst, b->ok);
}

static void abort_there(struct message *message)
{
    struct iscsi_remote *remote = container_of(message, struct iscsi_remote, abort);
    bool ended = remote->far_ended;
    if (!ended)
        scsi_task_abort(&remote->far);
    to_near(remote, &remote->abort, aborted_here); /* it is theirs now */
}

/* --- the session's thread: what it tells the LU's --- */

struct iscsi_task *iscsi_remote_task_new(struct iscsi_lun *lun)
{
    struct remote_task *made = calloc(1, sizeof(*made));
    if (!made)
        return NULL;
    struct iscsi_remote *remote = &made->remote;
    made->task.remote = remote;
    remote->task = &made->task;
    remote->lun = lun;
    for (unsigned i = 0; i < SCSI_BURSTS; i++) {
        remote->bursts[i].remote = remote;
        remote->bursts[i].index = i;
    }
    return &made->task;
}

void iscsi_remote_start(struct iscsi_task *task)
{
    struct iscsi_remote *remote = task->remote;
    struct scsi_task *far = &remote->far;
    *far = task->scsi; /* the command and its lengths */
    far->transport = &transport;
    far->nexus = &remote->lun->nexus;
    far->thread = remote->lun->thread;
    far->share = &remote->lun->share;
    remote->writes = scsi_cdb_writes(far->cdb);
    to_far(remote, &remote->start, start_there);
}

void iscsi_remote_burst_moved(struct iscsi_task *task, struct scsi_burst *burst, bool ok)
{
    struct iscsi_remote_burst *b = &task->remote->bursts[burst - task->scsi.bursts];
    b->buffer = burst->buffer;
    b->ok = ok;
    to_far(task->remote, &b->step, moved_there);
}

void iscsi_remote_abort(struct iscsi_task *task)
{
    if (task->remote->aborted)
        return;
    task->remote->aborting = task->remote->aborted = true;
    to_far(task->remote, &task->remote->abort, abort_there);
}
