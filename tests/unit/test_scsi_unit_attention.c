#include "scsi_commands.h"

/* These are told, in this order, and no others. */
static void expect_told(enum scsi_sense first, enum scsi_sense second, enum scsi_sense third)
{
    assert_int_equal(scsi_nexus_take_unit_attention(&port->nexus), first);
    assert_int_equal(scsi_nexus_take_unit_attention(&port->nexus), second);
    assert_int_equal(scsi_nexus_take_unit_attention(&port->nexus), third);
    assert_int_equal(scsi_nexus_take_unit_attention(&port->nexus), SENSE_NONE);
}

static void establish(enum scsi_sense sense)
{
    scsi_nexus_establish_unit_attention(&port->nexus, sense);
}

static void unit_attentions_are_queued_in_order_and_once(void **state)
{
    struct scsi_nexus *nexus = &port->nexus;
    assert_int_equal(scsi_nexus_take_unit_attention(nexus), SENSE_NONE);
    scsi_nexus_establish_unit_attention(nexus, SENSE_COMMANDS_CLEARED);
    scsi_nexus_establish_unit_attention(nexus, SENSE_CAPACITY_CHANGED);
    scsi_nexus_establish_unit_attention(nexus, SENSE_COMMANDS_CLEARED);
    assert_int_equal(nexus->n_unit_attentions, 2);
    assert_int_equal(scsi_nexus_take_unit_attention(nexus), SENSE_COMMANDS_CLEARED);
    scsi_nexus_establish_unit_attention(nexus, SENSE_COMMANDS_CLEARED); /* now at the end */
    expect_told(SENSE_CAPACITY_CHANGED, SENSE_COMMANDS_CLEARED, SENSE_NONE);
}

static void more_than_fit_become_a_reset(void **state)
{
    struct scsi_nexus *nexus = &port->nexus;
    for (int i = 0; i < SCSI_MAX_UNIT_ATTENTIONS; i++)
        scsi_nexus_establish_unit_attention(nexus, (enum scsi_sense)(0x063f00 + i));
    assert_int_equal(nexus->n_unit_attentions, SCSI_MAX_UNIT_ATTENTIONS);
    scsi_nexus_establish_unit_attention(nexus, SENSE_CAPACITY_CHANGED);
    assert_int_equal(scsi_nexus_take_unit_attention(nexus), SENSE_RESET);
    assert_int_equal(scsi_nexus_take_unit_attention(nexus), SENSE_NONE);
}

static void what_is_cleared_is_not_told(void **state)
{
    scsi_nexus_clear_unit_attention(&port->nexus, SENSE_REPORTED_LUNS_CHANGED); /* nothing */
    establish(SENSE_COMMANDS_CLEARED);
    establish(SENSE_REPORTED_LUNS_CHANGED);
    establish(SENSE_CAPACITY_CHANGED);
    scsi_nexus_clear_unit_attention(&port->nexus, SENSE_REPORTED_LUNS_CHANGED);
    expect_told(SENSE_COMMANDS_CLEARED, SENSE_CAPACITY_CHANGED, SENSE_NONE);
}

static void all_nexuses_are_told_but_for_one(void **state)
{
    struct scsi_nexus one, two;
    scsi_port_connect(port, &one, 2);
    scsi_port_connect(port, &two, 3);
    scsi_lu_establish_unit_attention(port->lu, &one, SENSE_CAPACITY_CHANGED);
    assert_int_equal(scsi_nexus_take_unit_attention(&one), SENSE_NONE);
    assert_int_equal(scsi_nexus_take_unit_attention(&two), SENSE_CAPACITY_CHANGED);
    assert_int_equal(scsi_nexus_take_unit_attention(&port->nexus), SENSE_CAPACITY_CHANGED);
    scsi_nexus_disconnect(&two);
    scsi_lu_establish_unit_attention(port->lu, NULL, SENSE_LU_RESET);
    assert_int_equal(scsi_nexus_take_unit_attention(&one), SENSE_LU_RESET);
    assert_int_equal(scsi_nexus_take_unit_attention(&two), SENSE_NONE);
    scsi_nexus_disconnect(&one);
    scsi_port_connect(port, &one, 2); /* a new nexus knows nothing of the old one */
    assert_int_equal(scsi_nexus_take_unit_attention(&one), SENSE_NONE);
    scsi_nexus_disconnect(&one);
}

static const enum scsi_sense resets[] = {SENSE_RESET, SENSE_LU_RESET, SENSE_NEXUS_LOSS};

/* SAM-5 5.14: of two resets the one of higher precedence is told, whichever came first. */
static void a_reset_covers_those_below_it(void **state)
{
    for (size_t high = 0; high < ARRAY_SIZE(resets); high++) {
        for (size_t low = high; low < ARRAY_SIZE(resets); low++) {
            establish(resets[high]);
            establish(resets[low]);
            expect_told(resets[high], SENSE_NONE, SENSE_NONE);
            establish(resets[low]);
            establish(resets[high]);
            expect_told(resets[high], SENSE_NONE, SENSE_NONE);
        }
    }
}

static void a_reset_is_told_before_everything_else(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(resets); i++) {
        establish(SENSE_MODE_PARAMETERS_CHANGED);
        establish(resets[i]);
        establish(SENSE_CAPACITY_CHANGED);
        expect_told(resets[i], SENSE_MODE_PARAMETERS_CHANGED, SENSE_CAPACITY_CHANGED);
    }
    establish(SENSE_NEXUS_LOSS);
    establish(SENSE_CAPACITY_CHANGED);
    establish(SENSE_RESET);
    expect_told(SENSE_RESET, SENSE_CAPACITY_CHANGED, SENSE_NONE);
}

/* One that takes the place of others needs no room for itself. */
static void a_reset_into_a_full_queue(void **state)
{
    establish(SENSE_LU_RESET);
    for (int i = 1; i < SCSI_MAX_UNIT_ATTENTIONS; i++)
        establish((enum scsi_sense)(0x063f00 + i));
    establish(SENSE_RESET);
    assert_int_equal(port->nexus.n_unit_attentions, SCSI_MAX_UNIT_ATTENTIONS);
    assert_int_equal(scsi_nexus_take_unit_attention(&port->nexus), SENSE_RESET);
    assert_int_equal(scsi_nexus_take_unit_attention(&port->nexus), 0x063f01);
    establish(SENSE_CAPACITY_CHANGED);
    establish(SENSE_COMMANDS_CLEARED);
    establish(SENSE_MODE_PARAMETERS_CHANGED); /* does not fit */
    expect_told(SENSE_RESET, SENSE_NONE, SENSE_NONE);
}

/* What clears one, and what does not. */
static void they_are_told_once(void **state)
{
    establish(SENSE_LU_RESET);
    establish(SENSE_CAPACITY_CHANGED);
    scsi_fetch(CDB(SCSI_INQUIRY, 0, 0, 0, 36), 36);
    scsi_fetch(CDB(SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 0, 16), 16);
    scsi_refused(CDB(SCSI_TEST_UNIT_READY), SENSE_LU_RESET);
    scsi_fetch(CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 18), 18);
    assert_int_equal(port->in[2] << 16 | port->in[12] << 8 | port->in[13], SENSE_CAPACITY_CHANGED);
    scsi_expect(CDB(SCSI_TEST_UNIT_READY), NULL, 0, 0, SENSE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCSI_TEST(unit_attentions_are_queued_in_order_and_once),
        SCSI_TEST(more_than_fit_become_a_reset),
        SCSI_TEST(all_nexuses_are_told_but_for_one),
        SCSI_TEST(what_is_cleared_is_not_told),
        SCSI_TEST(a_reset_covers_those_below_it),
        SCSI_TEST(a_reset_is_told_before_everything_else),
        SCSI_TEST(a_reset_into_a_full_queue),
        SCSI_TEST(they_are_told_once),
    };
    return RUN_TESTS(tests);
}
