#include "scsi_commands.h"

#include <errno.h>

#define BLOCK     512
#define BLOCKS    2048
#define MAX_BYTES (128 * KIB)

static uint8_t out[2 * MAX_BYTES];

static const uint8_t *cdb_compare(uint8_t byte1, uint64_t lba, uint8_t count)
{
    static uint8_t cdb[SCSI_CDB_SIZE];
    memcpy(cdb, cdb_range(SCSI_COMPARE_AND_WRITE, byte1, lba, 0), sizeof(cdb));
    cdb[13] = count;
    return cdb;
}

/* The medium holds one pattern; what is sent compares equal to it and writes another. */
static int setup(void **state)
{
    scsi_set_up(state);
    for (size_t i = 0; i < BLOCKS * BLOCK; i++)
        port->disk->data[i] = (uint8_t)(i * 7 + (i >> 9) * 3);
    return 0;
}

static void prepare(uint64_t lba, uint32_t bytes)
{
    memcpy(out, port->disk->data + lba * BLOCK, bytes);
    memset(out + bytes, 0xa6, bytes);
}

static void compare(uint64_t lba, uint8_t count, enum scsi_sense sense)
{
    scsi_expect(cdb_compare(0, lba, count), out, 2 * count * BLOCK, 0, sense);
}

static void what_is_equal_is_written(void **state)
{
    static const uint8_t counts[] = {1, 2, 255};
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        prepare(0x321, counts[i] * BLOCK);
        uint8_t before = port->disk->data[0x321 * BLOCK - 1];
        uint8_t behind = port->disk->data[(0x321 + counts[i]) * BLOCK];
        compare(0x321, counts[i], SENSE_NONE);
        assert_int_equal(port->bursts, 1);
        assert_int_equal(port->data_length, 2 * counts[i] * BLOCK);
        assert_memory_equal(port->disk->data + 0x321 * BLOCK, out + counts[i] * BLOCK,
                            counts[i] * BLOCK);
        assert_int_equal(port->disk->data[0x321 * BLOCK - 1], before);
        assert_int_equal(port->disk->data[(0x321 + counts[i]) * BLOCK], behind);
    }
    assert_int_equal(port->disk->fua, 0);
}

static void what_differs_is_not(void **state)
{
    static const uint32_t places[] = {0, 1, 511, 512, 0x2ff};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        prepare(5, 2 * BLOCK);
        out[places[i]] ^= 0x40;
        out[2 * BLOCK - 1] ^= 0x01; /* the first one is told */
        compare(5, 2, SENSE_MISCOMPARE);
        struct wire_reader information = wire_reader_of(port->sense + 3, 4);
        assert_int_equal(port->sense[0], 0xf0); /* VALID */
        assert_int_equal(wire_get_be32(&information), places[i]);
    }
    assert_int_equal(port->disk->writes, 0);
}

static void it_writes_through_if_asked(void **state)
{
    prepare(0, BLOCK);
    scsi_expect(cdb_compare(0x18, 0, 1), out, 2 * BLOCK, 0, SENSE_NONE);
    assert_int_equal(port->disk->fua, 1);
}

static void no_blocks_are_equal(void **state)
{
    scsi_expect(cdb_compare(0, 7, 0), out, 0, 0, SENSE_NONE);
    scsi_expect(cdb_compare(0, BLOCKS, 0), out, 0, 0, SENSE_NONE);
    scsi_expect(cdb_compare(0, BLOCKS + 1, 0), out, 0, 0, SENSE_LBA_OUT_OF_RANGE);
    scsi_expect(cdb_compare(0, 7, 0), out, 2 * BLOCK, 0, SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(port->disk->reads + port->disk->writes, 0);
}

static void what_is_refused(void **state)
{
    for (uint8_t bits = 0x20; bits; bits = (uint8_t)(bits << 1))
        scsi_expect(cdb_compare(bits, 0, 1), out, 2 * BLOCK, 0, SENSE_INVALID_FIELD_IN_CDB);
    compare(BLOCKS, 1, SENSE_LBA_OUT_OF_RANGE);
    compare(BLOCKS - 1, 2, SENSE_LBA_OUT_OF_RANGE);
    compare(UINT64_MAX, 2, SENSE_LBA_OUT_OF_RANGE);
    scsi_expect(cdb_compare(0, 0, 1), out, 4 * BLOCK, 0, SENSE_INVALID_FIELD_IN_CDB);
    scsi_expect(cdb_compare(0, 0, 3), out, 4 * BLOCK, 0, SENSE_INVALID_FIELD_IN_CDB);
    scsi_expect(cdb_compare(0, 0, 1), out, 0, 0, SENSE_INVALID_FIELD_IN_CDB);
    port->lu->read_only = true;
    compare(0, 1, SENSE_WRITE_PROTECTED);
    assert_int_equal(port->disk->reads + port->disk->writes, 0);
}

static void large_blocks_come_in_one_burst_too(void **state)
{
    port->lu->block_size = 4096;
    port->lu->n_blocks = BLOCKS / 8;
    prepare(0, 32 * 4096);
    scsi_expect(cdb_compare(0, 0, 32), out, 64 * 4096, 0, SENSE_NONE);
    assert_int_equal(port->bursts, 1);
    scsi_expect(cdb_compare(0, 0, 33), out, 66 * 4096, 0, SENSE_INVALID_FIELD_IN_CDB);
}

static void a_broken_disk(void **state)
{
    prepare(0, BLOCK);
    port->disk->fail_with = -EIO;
    compare(0, 1, SENSE_MEDIUM_READ_ERROR);
    port->disk->fail_after = 1;
    compare(0, 1, SENSE_MEDIUM_WRITE_ERROR);
    assert_int_equal(port->lu->ranges.exclusive, 0);
}

/* --- with others --- */

static struct scsi_port *other; /* a second initiator, to the same LU */

static void connect_other(void)
{
    other = scsi_port_new(BLOCK, BLOCK);
    scsi_nexus_disconnect(&other->nexus);
    scsi_port_connect(port, &other->nexus, 2);
}

static void disconnect_other(void)
{
    assert_null(other->task);
    scsi_port_free(other);
}

static unsigned pending(void)
{
    fake_thread_round(port->thread);
    return port->disk->n_pending;
}

static void it_waits_for_a_write_in_flight(void **state)
{
    static const uint8_t written[BLOCK] = {1};
    connect_other();
    prepare(8, BLOCK); /* not what will be there */
    scsi_port_begin(other, cdb_range(SCSI_WRITE_10, 0, 8, 1), written, BLOCK, 0);
    scsi_port_begin(port, cdb_compare(0, 8, 1), out, 2 * BLOCK, 0);
    assert_int_equal(pending(), 1);
    memdisk_run_one(port->disk, true);
    assert_null(other->task);
    assert_int_equal(pending(), 1);
    memdisk_run(port->disk, false);
    assert_null(port->task);
    assert_int_equal(scsi_port_sense(port), SENSE_MISCOMPARE);
    assert_memory_equal(port->disk->data + 8 * BLOCK, written, BLOCK);
    disconnect_other();
}

static const struct {
    const uint8_t cdb[SCSI_CDB_SIZE];
    uint32_t size;
} others[] = {
    {{SCSI_WRITE_10, [5] = 8, [8] = 2}, 2 * BLOCK},
    {{SCSI_WRITE_SAME_10, [5] = 8, [8] = 2}, BLOCK},
    {{SCSI_WRITE_AND_VERIFY_10, [5] = 8, [8] = 2}, 2 * BLOCK},
    {{SCSI_COMPARE_AND_WRITE, [9] = 8, [13] = 2}, 4 * BLOCK},
    {{SCSI_ORWRITE_16, [9] = 8, [13] = 2}, 2 * BLOCK},
};

/* Whoever writes does so before the read or after the write, not between. */
static void others_wait_for_it(void **state)
{
    static const uint8_t theirs[4 * BLOCK];
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        connect_other();
        prepare(9, BLOCK);
        unsigned writes = port->disk->writes;
        scsi_port_begin(port, cdb_compare(0, 9, 1), out, 2 * BLOCK, 0);
        scsi_port_begin(other, others[i].cdb, theirs, others[i].size, 0);
        assert_int_equal(pending(), 1);
        memdisk_run_one(port->disk, true);
        assert_int_equal(pending(), 1); /* its write, and no other */
        memdisk_run_one(port->disk, true);
        assert_null(port->task);
        assert_int_equal(port->disk->writes, writes + 1);
        assert_int_equal(scsi_port_sense(port), SENSE_NONE);
        assert_int_equal(pending(), 1);
        memdisk_run(port->disk, false);
        disconnect_other();
    }
}

static void others_beside_it_do_not_wait(void **state)
{
    connect_other();
    prepare(7, BLOCK);
    scsi_port_begin(other, others[0].cdb, out, 2 * BLOCK, 0);
    scsi_port_begin(port, cdb_compare(0, 7, 1), out, 2 * BLOCK, 0);
    assert_int_equal(pending(), 2);
    memdisk_run_one(port->disk, false);
    memdisk_run(port->disk, false);
    disconnect_other();
}

static void an_abort_while_it_waits(void **state)
{
    static const uint8_t theirs[2 * BLOCK];
    connect_other();
    prepare(8, BLOCK);
    scsi_port_begin(other, others[0].cdb, theirs, sizeof(theirs), 0);
    unsigned held = port->disk->n_pending;
    port->disk->n_pending = 0; /* out of sight: the port wants to see none when its task ends */
    scsi_port_begin(port, cdb_compare(0, 8, 1), out, 2 * BLOCK, 0);
    assert_int_equal(pending(), 0);
    scsi_port_abort(port);
    assert_null(port->task);
    assert_true(port->aborted);
    assert_int_equal(buffer_pool_used(port->thread->buffers), 0);
    port->disk->n_pending = held;
    assert_int_equal(memdisk_run(port->disk, false), 1);
    assert_int_equal(pending(), 0);
    assert_int_equal(port->disk->reads, 0);
    disconnect_other();
}

static void a_write_that_waits_is_aborted(void **state)
{
    connect_other();
    prepare(9, BLOCK);
    scsi_port_begin(port, cdb_compare(0, 9, 1), out, 2 * BLOCK, 0);
    scsi_port_begin(other, others[0].cdb, out, 2 * BLOCK, 0);
    scsi_port_abort(other);
    assert_null(other->task);
    memdisk_run(port->disk, false);
    assert_null(port->task);
    assert_int_equal(pending(), 0);
    assert_int_equal(port->disk->writes, 1);
    disconnect_other();
}

/* Nothing is written by then, and nothing will be. */
static void an_abort_between_read_and_write(void **state)
{
    prepare(9, BLOCK);
    scsi_port_begin(port, cdb_compare(0, 9, 1), out, 2 * BLOCK, 0);
    scsi_port_abort(port);
    assert_non_null(port->task);
    memdisk_run(port->disk, false);
    assert_null(port->task);
    assert_int_equal(port->disk->writes, 0);
    assert_int_equal(port->lu->ranges.exclusive, 0);
}

#define COMPARE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, scsi_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        COMPARE_TEST(what_is_equal_is_written),
        COMPARE_TEST(what_differs_is_not),
        COMPARE_TEST(it_writes_through_if_asked),
        COMPARE_TEST(no_blocks_are_equal),
        COMPARE_TEST(what_is_refused),
        COMPARE_TEST(large_blocks_come_in_one_burst_too),
        COMPARE_TEST(a_broken_disk),
        COMPARE_TEST(it_waits_for_a_write_in_flight),
        COMPARE_TEST(others_wait_for_it),
        COMPARE_TEST(others_beside_it_do_not_wait),
        COMPARE_TEST(an_abort_while_it_waits),
        COMPARE_TEST(a_write_that_waits_is_aborted),
        COMPARE_TEST(an_abort_between_read_and_write),
    };
    return RUN_TESTS(tests);
}
