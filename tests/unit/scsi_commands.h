/* The port that a test talks to, commands for it, and what must come of them. */
#pragma once

#include "test.h"

#include "scsi_port.h"

#include "scsi/command.h"

static struct scsi_port *port;

/* Buffers hold what somebody else read before: nothing of it may ever be sent. */
static inline void scsi_soil_buffers(struct buffer_pool *pool)
{
    for (uint32_t size = 4 * KIB; size <= BUFFER_MAX_SIZE; size *= 4) {
        struct buffer *buffers[] = {buffer_get(pool, size), buffer_get(pool, size)};
        for (size_t i = 0; i < ARRAY_SIZE(buffers); i++) {
            memset(buffers[i]->data, 0xe5, size);
            buffer_unref(pool, buffers[i]);
        }
    }
}

/* A disk of 1 MiB in blocks of 512 bytes. */
static inline int scsi_set_up(void **state)
{
    port = scsi_port_new(1 * MIB, 512);
    scsi_soil_buffers(port->thread->buffers);
    return 0;
}

static inline int scsi_tear_down(void **state)
{
    assert_int_equal(buffer_pool_used(port->thread->buffers), 0);
    scsi_port_free(port);
    return 0;
}

#define SCSI_TEST(f) cmocka_unit_test_setup_teardown(f, scsi_set_up, scsi_tear_down)

#define CDB(...) ((const uint8_t[SCSI_CDB_SIZE]){__VA_ARGS__})

/* The CDB of a command that names a range of blocks, in the form that its opcode has. */
static inline const uint8_t *cdb_range(uint8_t opcode, uint8_t byte1, uint64_t lba, uint32_t count)
{
    static uint8_t cdb[SCSI_CDB_SIZE];
    struct wire_writer w = wire_writer_of(cdb, sizeof(cdb));
    memset(cdb, 0, sizeof(cdb));
    wire_put_u8(&w, opcode);
    wire_put_u8(&w, byte1);
    switch (scsi_cdb_size(opcode)) {
    case 6:
        cdb[1] = (uint8_t)(lba >> 16);
        wire_put_be16(&w, (uint16_t)lba);
        wire_put_u8(&w, (uint8_t)count);
        break;
    case 10:
        wire_put_be32(&w, (uint32_t)lba);
        wire_put_u8(&w, 0);
        wire_put_be16(&w, (uint16_t)count);
        break;
    case 12:
        wire_put_be32(&w, (uint32_t)lba);
        wire_put_be32(&w, count);
        break;
    default:
        wire_put_be64(&w, lba);
        wire_put_be32(&w, count);
    }
    return cdb;
}

/* Runs a command and expects this sense (SENSE_NONE: GOOD). */
static inline void scsi_expect(const uint8_t *cdb, const void *out, uint32_t out_size,
                               uint32_t in_size, enum scsi_sense sense)
{
    scsi_port_run(port, cdb, out, out_size, in_size);
    if (scsi_port_sense(port) != sense)
        fail_msg("%02x %02x: sense %06x instead of %06x", cdb[0], cdb[1], scsi_port_sense(port),
                 sense);
}

/* A command that brings size bytes at most; returns them (port->moved is how many came). */
static inline const uint8_t *scsi_fetch(const uint8_t *cdb, uint32_t size)
{
    scsi_expect(cdb, NULL, 0, size, SENSE_NONE);
    return port->in;
}

static inline void scsi_refused(const uint8_t *cdb, enum scsi_sense sense)
{
    scsi_expect(cdb, NULL, 0, 4096, sense);
    assert_int_equal(port->moved, 0);
}

/* A command that a reservation keeps from running. */
static inline void scsi_expect_conflict(const uint8_t *cdb, const void *out, uint32_t out_size)
{
    scsi_port_run(port, cdb, out, out_size, 4096);
    if (!scsi_port_conflict(port))
        fail_msg("%02x %02x: no conflict but %06x", cdb[0], cdb[1], scsi_port_sense(port));
    assert_int_equal(port->moved, 0);
}

static inline struct wire_reader scsi_reader(void)
{
    return wire_reader_of(port->in, port->moved);
}
