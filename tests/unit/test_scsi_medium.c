/* START STOP UNIT, PREVENT ALLOW MEDIUM REMOVAL, and an LU without its medium. */
#include "scsi_commands.h"

#include <errno.h>

enum { START = 0x01, LOEJ = 0x02, NO_FLUSH = 0x04, EJECT = LOEJ, LOAD = LOEJ | START };

static struct scsi_nexus other;

static int setup(void **state)
{
    scsi_set_up(state);
    port->lu->removable = true;
    scsi_port_connect(port, &other, 2);
    return 0;
}

static int teardown(void **state)
{
    scsi_nexus_disconnect(&other);
    return scsi_tear_down(state);
}

static void start_stop(uint8_t bits, enum scsi_sense sense)
{
    for (uint8_t immed = 0; immed < 2; immed++)
        scsi_expect(CDB(SCSI_START_STOP_UNIT, immed, 0, 0, bits), NULL, 0, 0, sense);
}

static void prevent(bool on)
{
    scsi_expect(CDB(SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, on), NULL, 0, 0, SENSE_NONE);
}

static void assert_ready(enum scsi_sense sense)
{
    scsi_expect(CDB(SCSI_TEST_UNIT_READY), NULL, 0, 0, sense);
}

static void assert_removable(bool removable)
{
    scsi_fetch(CDB(SCSI_INQUIRY, 0, 0, 0, 96), 96);
    assert_int_equal(port->in[1], removable ? 0x80 : 0);
}

static void a_fixed_medium_stays(void **state)
{
    port->lu->removable = false;
    assert_removable(false);
    prevent(true);
    for (unsigned bits = 0; bits < 256; bits++) {
        bool moves = bits >> 4 == 0 && bits & LOEJ;
        start_stop((uint8_t)bits, moves ? SENSE_INVALID_FIELD_IN_CDB : SENSE_NONE);
        if (moves) {
            assert_int_equal(port->sense[15], 0xc0);
            assert_int_equal(port->sense[16] << 8 | port->sense[17], 4);
        }
    }
    assert_ready(SENSE_NONE);
    assert_int_equal(port->disk->flushes, 0);
}

static void what_was_written_is_durable_before_it_goes(void **state)
{
    assert_removable(true);
    scsi_expect(CDB(SCSI_START_STOP_UNIT, 0, 0, 0, EJECT), NULL, 0, 0, SENSE_NONE);
    assert_int_equal(port->disk->flushes, 1);
    assert_ready(SENSE_MEDIUM_NOT_PRESENT);
    start_stop(EJECT, SENSE_NONE); /* it is gone already */
    assert_int_equal(port->disk->flushes, 1);
}

static void a_flush_that_fails_keeps_it(void **state)
{
    port->disk->fail_with = -EIO;
    scsi_expect(CDB(SCSI_START_STOP_UNIT, 0, 0, 0, EJECT), NULL, 0, 0, SENSE_MEDIUM_WRITE_ERROR);
    assert_ready(SENSE_NONE);
}

static void without_it_no_command_reaches_the_disk(void **state)
{
    start_stop(EJECT, SENSE_NONE);
    unsigned before = port->disk->reads + port->disk->writes + port->disk->zeroes;
    static const uint8_t out[4096];
    for (size_t i = 0; i < scsi_n_commands; i++) {
        const struct scsi_command *c = &scsi_commands[i];
        if (c->flags & (SCSI_CMD_NO_MEDIUM | SCSI_CMD_ANY_LUN))
            continue;
        uint8_t cdb[SCSI_CDB_SIZE] = {c->opcode, c->service_action};
        scsi_expect(cdb, out, c->flags & SCSI_CMD_WRITES ? sizeof(out) : 0,
                    c->flags & SCSI_CMD_WRITES ? 0 : 4096, SENSE_MEDIUM_NOT_PRESENT);
    }
    assert_int_equal(port->disk->reads + port->disk->writes + port->disk->zeroes, before);
}

static void without_it_the_lu_still_answers(void **state)
{
    start_stop(EJECT, SENSE_NONE);
    assert_removable(true);
    scsi_fetch(CDB(SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 1, 0), 256);
    scsi_fetch(CDB(SCSI_MODE_SENSE_6, 0, 0x3f, 0, 255), 255);
    const uint8_t *d = scsi_fetch(CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 252), 252);
    assert_int_equal(d[2] << 16 | d[12] << 8 | d[13], SENSE_MEDIUM_NOT_PRESENT);
    start_stop(START, SENSE_MEDIUM_NOT_PRESENT); /* there is nothing to start */
    start_stop(0, SENSE_NONE);
    start_stop(0x10 | START, SENSE_NONE); /* a power condition */
    prevent(true);
    prevent(false);
}

static void loaded_again_it_is_as_it_was(void **state)
{
    memset(port->disk->data, 0x77, 512);
    start_stop(EJECT, SENSE_NONE);
    start_stop(LOAD, SENSE_NONE);
    assert_ready(SENSE_NONE); /* who has loaded it knows */
    assert_int_equal(scsi_fetch(cdb_range(SCSI_READ_10, 0, 0, 1), 512)[511], 0x77);
    assert_int_equal(scsi_nexus_take_unit_attention(&other), SENSE_MEDIUM_MAY_HAVE_CHANGED);
    assert_int_equal(scsi_nexus_take_unit_attention(&other), SENSE_NONE);
    start_stop(LOAD, SENSE_NONE); /* it was there */
    assert_int_equal(scsi_nexus_take_unit_attention(&other), SENSE_NONE);
}

static void only_loej_without_a_power_condition_moves_it(void **state)
{
    start_stop(0, SENSE_NONE);
    start_stop(START, SENSE_NONE);
    start_stop(NO_FLUSH, SENSE_NONE);
    for (unsigned condition = 1; condition < 16; condition++)
        start_stop((uint8_t)(condition << 4 | EJECT), SENSE_NONE);
    assert_ready(SENSE_NONE);
}

static void each_nexus_prevents_for_itself(void **state)
{
    prevent(true);
    start_stop(EJECT, SENSE_MEDIUM_REMOVAL_PREVENTED);
    other.prevents_removal = true;
    prevent(false);
    start_stop(EJECT, SENSE_MEDIUM_REMOVAL_PREVENTED);
    assert_ready(SENSE_NONE);
    other.prevents_removal = false;
    start_stop(EJECT, SENSE_NONE);
    prevent(true);
    start_stop(LOAD, SENSE_MEDIUM_REMOVAL_PREVENTED); /* nor can it be loaded */
    prevent(false);
    start_stop(LOAD, SENSE_NONE);
}

static void who_is_gone_prevents_nothing(void **state)
{
    other.prevents_removal = true;
    scsi_nexus_disconnect(&other);
    start_stop(EJECT, SENSE_NONE);
    start_stop(LOAD, SENSE_NONE);
    scsi_port_connect(port, &other, 2); /* and does not when it is there again */
    start_stop(EJECT, SENSE_NONE);
}

static void a_reset_ends_every_prevention(void **state)
{
    prevent(true);
    other.prevents_removal = true;
    scsi_lu_reset(port->lu);
    start_stop(EJECT, SENSE_NONE);
    scsi_lu_reset(port->lu);
    assert_ready(SENSE_MEDIUM_NOT_PRESENT); /* a reset loads nothing */
}

static void prevented_while_it_is_flushed(void **state)
{
    scsi_port_begin(port, CDB(SCSI_START_STOP_UNIT, 0, 0, 0, EJECT), NULL, 0, 0);
    assert_int_equal(port->disk->n_pending, 1);
    other.prevents_removal = true;
    memdisk_run(port->disk, false);
    assert_null(port->task);
    assert_int_equal(scsi_port_sense(port), SENSE_MEDIUM_REMOVAL_PREVENTED);
    assert_ready(SENSE_NONE);
}

static void aborted_while_it_is_flushed(void **state)
{
    scsi_port_begin(port, CDB(SCSI_START_STOP_UNIT, 0, 0, 0, EJECT), NULL, 0, 0);
    scsi_port_abort(port);
    memdisk_run(port->disk, false);
    assert_null(port->task);
    assert_true(port->aborted);
    assert_ready(SENSE_NONE);
}

static void the_bit_for_medium_changers_is_refused(void **state)
{
    for (uint8_t prevent_bits = 2; prevent_bits < 4; prevent_bits++) {
        scsi_refused(CDB(SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, prevent_bits),
                     SENSE_INVALID_FIELD_IN_CDB);
        assert_int_equal(port->sense[15], 0xc0);
        assert_int_equal(port->sense[16] << 8 | port->sense[17], 4);
    }
}

#define MEDIUM_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEDIUM_TEST(a_fixed_medium_stays),
        MEDIUM_TEST(what_was_written_is_durable_before_it_goes),
        MEDIUM_TEST(a_flush_that_fails_keeps_it),
        MEDIUM_TEST(without_it_no_command_reaches_the_disk),
        MEDIUM_TEST(without_it_the_lu_still_answers),
        MEDIUM_TEST(loaded_again_it_is_as_it_was),
        MEDIUM_TEST(only_loej_without_a_power_condition_moves_it),
        MEDIUM_TEST(each_nexus_prevents_for_itself),
        MEDIUM_TEST(who_is_gone_prevents_nothing),
        MEDIUM_TEST(a_reset_ends_every_prevention),
        MEDIUM_TEST(prevented_while_it_is_flushed),
        MEDIUM_TEST(aborted_while_it_is_flushed),
        MEDIUM_TEST(the_bit_for_medium_changers_is_refused),
    };
    return RUN_TESTS(tests);
}
