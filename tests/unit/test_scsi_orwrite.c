#include "scsi_commands.h"

#include <errno.h>

#define BLOCK  512
#define BLOCKS 2048

static uint8_t before[BLOCKS * BLOCK], out[BLOCKS * BLOCK];

static int setup(void **state)
{
    scsi_set_up(state);
    for (size_t i = 0; i < sizeof(before); i++) {
        before[i] = (uint8_t)(i * 7 + (i >> 9) * 3);
        out[i] = (uint8_t)(i * 5 + (i >> 9));
    }
    memcpy(port->disk->data, before, sizeof(before));
    return 0;
}

static void orwrite(uint8_t byte1, uint64_t lba, uint32_t count, enum scsi_sense sense)
{
    scsi_expect(cdb_range(SCSI_ORWRITE_16, byte1, lba, count), out, count * BLOCK, 0, sense);
}

/* The first count bytes from LBA on are or'ed, and no others. */
static void assert_ored(uint64_t lba, size_t size)
{
    for (size_t i = 0; i < sizeof(before); i++) {
        size_t at = i - lba * BLOCK;
        uint8_t sent = i >= lba * BLOCK && at < size ? out[at] : 0;
        assert_int_equal(port->disk->data[i], before[i] | sent);
    }
}

static void what_is_sent_is_ored(void **state)
{
    orwrite(0, 0x21, 17, SENSE_NONE);
    assert_int_equal(port->data_length, 17 * BLOCK);
    assert_ored(0x21, 17 * BLOCK);
    assert_int_equal(port->disk->fua, 0);
}

static void more_than_a_burst(void **state)
{
    orwrite(0, 1, BLOCKS - 1, SENSE_NONE);
    assert_int_equal(port->bursts, 4);
    assert_ored(1, (BLOCKS - 1) * BLOCK);
}

static void it_writes_through_if_asked(void **state)
{
    orwrite(0x18, 0, 1, SENSE_NONE);
    assert_int_equal(port->disk->fua, 1);
}

static void a_block_that_comes_in_part_keeps_its_rest(void **state)
{
    scsi_expect(cdb_range(SCSI_ORWRITE_16, 0, 4, 3), out, 2 * BLOCK + 100, 0, SENSE_NONE);
    assert_ored(4, 2 * BLOCK + 100);
}

static void what_is_refused(void **state)
{
    for (uint8_t bits = 0x20; bits; bits = (uint8_t)(bits << 1))
        orwrite(bits, 0, 1, SENSE_INVALID_FIELD_IN_CDB);
    orwrite(0, BLOCKS, 1, SENSE_LBA_OUT_OF_RANGE);
    orwrite(0, BLOCKS - 1, 2, SENSE_LBA_OUT_OF_RANGE);
    orwrite(0, 3, 0, SENSE_NONE);
    port->lu->read_only = true;
    orwrite(0, 0, 1, SENSE_WRITE_PROTECTED);
    assert_int_equal(port->disk->reads + port->disk->writes, 0);
}

static void a_broken_disk(void **state)
{
    port->disk->fail_with = -EIO;
    orwrite(0, 0, 1, SENSE_MEDIUM_READ_ERROR);
    port->disk->fail_with = -ENOSPC;
    port->disk->fail_after = 1;
    orwrite(0, 0, 1, SENSE_NO_SPACE);
    assert_int_equal(port->lu->ranges.exclusive, 0);
}

static void a_disk_that_answers_at_once(void **state)
{
    port->disk->immediate = true;
    orwrite(0, 0, BLOCKS, SENSE_NONE);
    assert_ored(0, sizeof(before));
}

static void never(struct scsi_range_claim *claim)
{
    fail();
}

/* A burst waits for a write to its bytes; an abort does not. */
static void it_waits_for_writes(void **state)
{
    struct scsi_range_claim write = {.begin = 0, .end = 600, .ready = never};
    assert_true(scsi_range_claim(&port->lu->ranges, &write));
    scsi_port_begin(port, cdb_range(SCSI_ORWRITE_16, 0, 1, 1), out, BLOCK, 0);
    assert_int_equal(port->disk->n_pending, 0);
    scsi_range_release(&port->lu->ranges, &write);
    fake_thread_round(port->thread);
    assert_int_equal(memdisk_run(port->disk, false), 2);
    assert_int_equal(scsi_port_sense(port), SENSE_NONE);
    assert_ored(1, BLOCK);
    assert_true(scsi_range_claim(&port->lu->ranges, &write));
    scsi_port_begin(port, cdb_range(SCSI_ORWRITE_16, 0, 0, 1024), out, 1024 * BLOCK, 0);
    assert_int_equal(port->disk->n_pending, 1); /* the second burst does not wait */
    scsi_port_abort(port);
    memdisk_run(port->disk, false);
    assert_null(port->task);
    scsi_range_release(&port->lu->ranges, &write);
    assert_ored(1, BLOCK);
}

#define ORWRITE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, scsi_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ORWRITE_TEST(what_is_sent_is_ored),
        ORWRITE_TEST(more_than_a_burst),
        ORWRITE_TEST(it_writes_through_if_asked),
        ORWRITE_TEST(a_block_that_comes_in_part_keeps_its_rest),
        ORWRITE_TEST(what_is_refused),
        ORWRITE_TEST(a_broken_disk),
        ORWRITE_TEST(a_disk_that_answers_at_once),
        ORWRITE_TEST(it_waits_for_writes),
    };
    return RUN_TESTS(tests);
}
