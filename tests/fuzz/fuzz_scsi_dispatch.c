/*
 * Commands for a logical unit, one after the other. Input: a byte of options, then for each
 * command
 *
 *     actions (1 byte), CDB (16), size of the data-in room (2 bytes), of the data-out (1 byte) and
 *     its bytes
 *
 * where the data-out goes on with zeroes for a command that wants more (a whole block). What must
 * hold for every task is asserted by struct scsi_port and struct memdisk.
 */
#include "scsi_port.h"

#include <assert.h>
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DISK_SIZE (64 * KIB)
#define MAX_OUT   8192

/* options */
#define BLOCKS_4096    0x01
#define READ_ONLY      0x02
#define DISK_IMMEDIATE 0x04
#define WITH_HOLES     0x08
#define THICK          0x10
#define REMOVABLE      0x20
#define TWO_NEXUSES    0x40 /* they take turns */
#define PERSISTENT     0x80 /* reservations can be saved, unless the disk is broken */

/* actions */
#define NO_LUN      0x01
#define ATTENTION   0x02 /* there is something to tell first */
#define DISK_BROKEN 0x04
#define DISK_FULL   0x08
#define ABORT       0x10
#define LOSE        0x20 /* the connection breaks with the first burst */
#define LONG_OUT    0x40 /* the initiator sends MAX_OUT bytes */

/* What the thin ones live on; it becomes low when there is something to tell. */
static struct scsi_space space = {.total = 100 * MIB, .available = 30 * MIB, .threshold = 10 * MIB};

static void step_by_step(struct scsi_port *port, uint8_t actions)
{
    if (port->task && actions & ABORT)
        scsi_port_abort(port);
    while (port->task) {
        bool moved = port->n_held > 0;
        if (moved)
            scsi_port_move(port, !(actions & LOSE));
        bool ran = !moved && memdisk_run_one(port->disk, actions & 0x80);
        if (!moved && !ran)
            fake_thread_round(port->thread); /* what was left for its end */
        assert(moved || ran || !port->task); /* else it waits for nothing */
    }
}

static void check_result(const struct scsi_port *port, uint8_t actions)
{
    if (port->aborted || port->lost || scsi_port_conflict(port))
        return;
    enum scsi_sense sense = scsi_port_sense(port);
    if (sense == SENSE_MEDIUM_READ_ERROR || sense == SENSE_MEDIUM_WRITE_ERROR ||
        sense == SENSE_INTERNAL_FAILURE)
        assert(actions & DISK_BROKEN);
}

static void save_reservations(struct scsi_lu *lu, struct scsi_reservations_save *save)
{
    const struct memdisk *disk = container_of(lu->device, struct memdisk, device);
    save->done(save, disk->fail_with);
}

/* What must hold of reservations, whatever was asked for. */
static void check_reservations(const struct scsi_reservations *s)
{
    size_t holders = 0;
    assert(s->n <= SCSI_MAX_REGISTRATIONS);
    for (size_t i = 0; i < s->n; i++) {
        const struct scsi_registration *r = &s->registrations[i];
        assert(r->key && !r->removed && !r->notice);
        assert(scsi_reservations_find(s, &r->nexus) == r);
        holders += r->holds;
    }
    assert(holders == (s->type && !scsi_reservation_is_of_all(s->type)));
    assert(s->n > 0 || !s->type);
}

static void run_command(struct scsi_port *port, struct wire_reader *r, uint8_t actions)
{
    static uint8_t out[MAX_OUT];
    uint8_t cdb[SCSI_CDB_SIZE];
    wire_get_copy(r, cdb, sizeof(cdb));
    uint16_t in_size = wire_get_be16(r);
    uint32_t out_size = wire_get_u8(r);
    out_size = (uint32_t)MIN(out_size, wire_reader_left(r));
    memset(out, 0, sizeof(out));
    wire_get_copy(r, out, out_size);
    port->no_such_lun = actions & NO_LUN;
    port->disk->fail_with = actions & DISK_BROKEN ? -EIO : actions & DISK_FULL ? -ENOSPC : 0;
    if (actions & ATTENTION) {
        scsi_nexus_establish_unit_attention(&port->nexus, SENSE_CAPACITY_CHANGED);
        atomic_store(&space.low, !space.low);
        scsi_lu_look_at_space(port->lu);
    }
    scsi_port_begin(port, cdb, out, actions & LONG_OUT ? MAX_OUT : out_size, in_size);
    step_by_step(port, actions);
    check_result(port, actions);
    check_reservations(port->lu->reservations);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct memdisk_extent holes[] = {{4096, false}, {9000, true}, {20000, false}};
    struct wire_reader r = wire_reader_of(data, size);
    uint8_t options = wire_get_u8(&r);
    struct scsi_port *port = scsi_port_new(DISK_SIZE, options & BLOCKS_4096 ? 4096 : 512);
    struct scsi_nexus second;
    scsi_port_connect(port, &second, 2);
    port->lu->save = options & PERSISTENT ? save_reservations : NULL;
    port->hold = true;
    port->lu->read_only = options & READ_ONLY;
    port->lu->thick = options & THICK;
    port->lu->removable = options & REMOVABLE;
    atomic_store(&space.low, false);
    scsi_lu_set_space(port->lu, &space);
    port->disk->immediate = options & DISK_IMMEDIATE;
    port->disk->extents = holes;
    port->disk->n_extents = options & WITH_HOLES ? ARRAY_SIZE(holes) : 0;
    while (wire_reader_ok(&r) && wire_reader_left(&r) > 0) {
        run_command(port, &r, wire_get_u8(&r));
        if (options & TWO_NEXUSES)
            port->speaker = port->speaker ? NULL : &second;
    }
    if (options & READ_ONLY) {
        for (size_t i = 0; i < DISK_SIZE; i++)
            assert(port->disk->data[i] == 0);
    }
    scsi_nexus_disconnect(&second);
    scsi_port_free(port);
    return 0;
}
