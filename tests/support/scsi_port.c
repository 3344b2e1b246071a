#include "scsi_port.h"

#include <assert.h>

struct port_task {
    struct scsi_task scsi;
    struct scsi_port *port;
};

static struct port_task *task_of(struct scsi_task *task)
{
    return container_of(task, struct port_task, scsi);
}

static void take_burst(struct scsi_port *port, struct scsi_burst *burst)
{
    bool is_in = port->task->is_read;
    assert(port->n_held < SCSI_BURSTS);
    assert(burst->task == port->task && !port->had_last);
    assert(burst->length > 0 && burst->length <= BUFFER_MAX_SIZE);
    assert(burst->offset == port->moved);
    port->moved += burst->length;
    port->bursts++;
    assert(port->moved <= (is_in ? port->task->expected_in : port->task->expected_out));
    assert(!is_in || (burst->buffer && port->moved <= SCSI_PORT_ROOM));
    port->had_last |= is_in && burst->is_last;
    port->held[port->n_held++] = burst;
    if (!port->hold)
        scsi_port_move(port, true);
}

static void send_burst(struct scsi_task *task, struct scsi_burst *burst)
{
    assert(task->is_read);
    take_burst(task_of(task)->port, burst);
}

static void receive_burst(struct scsi_task *task, struct scsi_burst *burst)
{
    assert(!task->is_read);
    burst->buffer = NULL;
    take_burst(task_of(task)->port, burst);
}

static void complete(struct scsi_task *task)
{
    struct scsi_port *port = task_of(task)->port;
    assert(port->task == task);
    assert(port->n_held == 0 && port->disk->n_pending == 0);
    bool good_read = task->is_read && task->status == SCSI_GOOD && !task->aborted && !port->lost;
    assert(!good_read || port->moved == task->length);
    assert(!good_read || port->had_last == (port->moved > 0));
    port->status = task->status;
    port->sense_size = task->sense_size;
    memcpy(port->sense, task->sense, sizeof(port->sense));
    port->data_length = task->data_length;
    port->aborted = task->aborted;
    port->task = NULL;
    free(task_of(task));
}

static const struct scsi_transport transport = {send_burst, receive_burst, complete};

struct scsi_port *scsi_port_new(uint64_t disk_size, uint32_t block_size)
{
    static const uint8_t serial[16] = {0xab, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xfe};
    struct scsi_port *port = calloc(1, sizeof(*port));
    port->thread = fake_thread_new(8 * MIB);
    buffer_share_init(&port->share);
    port->disk = memdisk_new(disk_size);
    port->lu = scsi_lu_new(port->thread, &port->disk->device, block_size, serial);
    port->in = malloc(SCSI_PORT_ROOM);
    port->lun0 = (struct scsi_target_lun){0, port->lu};
    port->target = (struct scsi_target){"iqn.2026-11.lan.example:disk", &port->lun0, 1};
    scsi_port_connect(port, &port->nexus, 1);
    return port;
}

void scsi_port_connect(struct scsi_port *port, struct scsi_nexus *nexus, uint8_t number)
{
    struct scsi_nexus_id id = {.initiator.isid = {0x40, 0, 0, 0, 0, number},
                               .target = "iqn.2026-11.lan.example:disk"};
    snprintf(id.initiator.name, sizeof(id.initiator.name), "iqn.2026-11.lan.example:host%u",
             number);
    scsi_nexus_connect(nexus, port->lu, &id, NULL);
}

void scsi_port_free(struct scsi_port *port)
{
    assert(!port->task);
    scsi_nexus_disconnect(&port->nexus);
    scsi_lu_free(port->lu);
    buffer_share_clear(&port->share);
    fake_thread_free(port->thread);
    free(port->in);
    free(port);
}

void scsi_port_begin(struct scsi_port *port, const uint8_t cdb[static SCSI_CDB_SIZE],
                     const void *out, uint32_t out_size, uint32_t in_size)
{
    struct port_task *made = calloc(1, sizeof(*made));
    struct scsi_task *task = &made->scsi;
    assert(!port->task);
    made->port = port;
    task->transport = &transport;
    task->target = &port->target;
    task->nexus = port->no_such_lun ? NULL : port->speaker ? port->speaker : &port->nexus;
    task->thread = port->thread;
    task->share = &port->share;
    task->expected_out = out_size;
    task->expected_in = in_size;
    memcpy(task->cdb, cdb, SCSI_CDB_SIZE);
    port->task = task;
    port->out = out;
    port->moved = port->bursts = 0;
    port->had_last = port->lost = false;
    scsi_task_start(task);
}

void scsi_port_move(struct scsi_port *port, bool ok)
{
    struct scsi_burst *burst = port->held[0];
    assert(port->n_held > 0);
    port->held[0] = port->held[1];
    port->n_held--;
    port->lost |= !ok;
    if (port->task->is_read) {
        memcpy(port->in + burst->offset, burst->buffer->data, burst->length);
    } else if (ok) {
        burst->buffer = buffer_get(port->thread->buffers, burst->length);
        memcpy(burst->buffer->data, port->out + burst->offset, burst->length);
    }
    scsi_burst_moved(burst, ok);
}

void scsi_port_run(struct scsi_port *port, const uint8_t cdb[static SCSI_CDB_SIZE], const void *out,
                   uint32_t out_size, uint32_t in_size)
{
    scsi_port_begin(port, cdb, out, out_size, in_size);
    while (port->task) {
        if (port->n_held > 0)
            scsi_port_move(port, true);
        unsigned done = memdisk_run(port->disk, false);
        fake_thread_round(port->thread);
        assert(!port->task || done > 0 || port->n_held > 0); /* it waits for nothing */
    }
}

void scsi_port_abort(struct scsi_port *port)
{
    scsi_task_abort(port->task);
}

static enum scsi_sense descriptor_sense(const uint8_t *s, uint8_t size)
{
    assert(size >= 8 && (s[4] | s[5] | s[6]) == 0 && s[7] == size - 8);
    for (unsigned at = 8; at < size; at += 2U + s[at + 1]) {
        bool information = s[at] == 0 && s[at + 1] == 10 && s[at + 2] == 0x80;
        bool field = s[at] == 2 && s[at + 1] == 6 && (s[at + 4] | 0x40) == 0xc0;
        bool segment = s[at] == 1 && s[at + 1] == 10 && s[1] == 0x0a; /* of a copy */
        assert(at + 2U + s[at + 1] <= size && (information || segment || field));
    }
    return (enum scsi_sense)(s[1] << 16 | s[2] << 8 | s[3]);
}

static enum scsi_sense fixed_sense(const uint8_t *s, uint8_t size)
{
    assert(size == SCSI_SENSE_SIZE && (s[0] & 0x7f) == 0x70);
    assert(s[1] == 0 && s[7] == SCSI_SENSE_SIZE - 8);
    assert(s[0] & 0x80 || (s[3] | s[4] | s[5] | s[6]) == 0); /* no information that is none */
    return (enum scsi_sense)(s[2] << 16 | s[12] << 8 | s[13]);
}

bool scsi_port_conflict(const struct scsi_port *port)
{
    assert(port->status != SCSI_RESERVATION_CONFLICT || port->sense_size == 0);
    return port->status == SCSI_RESERVATION_CONFLICT;
}

enum scsi_sense scsi_port_sense(const struct scsi_port *port)
{
    if (port->status == SCSI_GOOD) {
        assert(port->sense_size == 0);
        return SENSE_NONE;
    }
    assert(port->status == SCSI_CHECK_CONDITION && port->sense_size > 0);
    enum scsi_sense sense = port->sense[0] == 0x72 ? descriptor_sense(port->sense, port->sense_size)
                                                   : fixed_sense(port->sense, port->sense_size);
    assert(sense >> 16 > 0 && sense >> 16 <= 0x0e);
    return sense;
}
