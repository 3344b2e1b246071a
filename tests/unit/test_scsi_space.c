#include "scsi_commands.h"

static struct scsi_space space;

static void set(uint64_t total, uint64_t available, uint64_t threshold)
{
    space = (struct scsi_space){.total = total, .available = available, .threshold = threshold};
}

static void become(bool low)
{
    atomic_store(&space.low, low);
    scsi_lu_look_at_space(port->lu);
}

static void expect_told(enum scsi_sense sense)
{
    assert_int_equal(scsi_nexus_take_unit_attention(&port->nexus), sense);
}

static void who_knows_no_space_has_no_threshold(void **state)
{
    assert_false(scsi_lu_has_threshold(port->lu));
    assert_int_equal(scsi_threshold_exponent(port->lu), 0);
    scsi_lu_look_at_space(port->lu);
    expect_told(SENSE_NONE);
}

static void a_threshold_set_is_a_mebibyte(void **state)
{
    set(100 * MIB, 30 * MIB, 10 * MIB);
    scsi_lu_set_space(port->lu, &space);
    assert_int_equal(scsi_threshold_exponent(port->lu), 11);
    assert_int_equal(scsi_threshold(port->lu), 10);
    assert_int_equal(scsi_space_available(port->lu), 30);
    assert_int_equal(scsi_space_used(port->lu), 70);
    port->lu->block_size = 4096;
    assert_int_equal(scsi_threshold_exponent(port->lu), 8);
    assert_int_equal(scsi_space_used(port->lu), 70);
    set(100 * MIB, 101 * MIB, 1); /* as it is between two looks */
    assert_int_equal(scsi_threshold(port->lu), 1);
    assert_int_equal(scsi_space_used(port->lu), 0);
    set(UINT64_MAX, UINT64_MAX, UINT64_MAX);
    assert_true(scsi_space_available(port->lu) == UINT32_MAX);
}

static void the_blocks_of_the_largest_lu_are_fewer_than_its_sets_can_be(void **state)
{
    set(100 * MIB, 30 * MIB, 10 * MIB);
    scsi_lu_set_space(port->lu, &space);
    port->lu->n_blocks = UINT64_C(1) << 47; /* of 512 bytes */
    assert_int_equal(scsi_threshold_exponent(port->lu), 16);
    assert_int_equal(scsi_space_available(port->lu), 0);
    assert_int_equal(scsi_threshold(port->lu), 1);
}

static void every_nexus_is_told_once_when_the_threshold_is_reached(void **state)
{
    struct scsi_nexus other;
    set(100 * MIB, 30 * MIB, 10 * MIB);
    scsi_lu_set_space(port->lu, &space);
    scsi_port_connect(port, &other, 2);
    become(false);
    expect_told(SENSE_NONE);
    for (int i = 0; i < 2; i++) {
        become(true);
        become(true);
        expect_told(SENSE_SOFT_THRESHOLD_REACHED);
        expect_told(SENSE_NONE);
        assert_int_equal(scsi_nexus_take_unit_attention(&other), SENSE_SOFT_THRESHOLD_REACHED);
        assert_int_equal(scsi_nexus_take_unit_attention(&other), SENSE_NONE);
        become(false);
        expect_told(SENSE_NONE);
    }
    scsi_nexus_disconnect(&other);
}

static void what_was_low_before_is_no_news(void **state)
{
    set(100 * MIB, 3 * MIB, 10 * MIB);
    atomic_store(&space.low, true);
    scsi_lu_set_space(port->lu, &space);
    become(true);
    expect_told(SENSE_NONE);
}

static void another_threshold_is_another_mode_page(void **state)
{
    set(100 * MIB, 30 * MIB, 10 * MIB);
    scsi_lu_set_space(port->lu, &space);
    atomic_store(&space.threshold, 40 * MIB);
    become(true);
    expect_told(SENSE_MODE_PARAMETERS_CHANGED);
    expect_told(SENSE_SOFT_THRESHOLD_REACHED);
    atomic_store(&space.threshold, 40 * MIB + 1); /* the same in sets */
    become(true);
    expect_told(SENSE_NONE);
    atomic_store(&space.threshold, 0);
    become(false);
    expect_told(SENSE_MODE_PARAMETERS_CHANGED);
    expect_told(SENSE_NONE);
}

static void who_has_no_threshold_is_told_nothing(void **state)
{
    bool *const why[] = {&port->lu->thick, &port->lu->removable, &port->lu->read_only};
    set(100 * MIB, 30 * MIB, 10 * MIB);
    scsi_lu_set_space(port->lu, &space);
    for (size_t i = 0; i < ARRAY_SIZE(why); i++) {
        *why[i] = true;
        become(true);
        become(false);
        expect_told(SENSE_NONE);
        assert_int_equal(scsi_threshold_exponent(port->lu), 0);
        *why[i] = false;
    }
}

/* The command that is told is not carried out; the next one is. */
static void the_sense_data_names_the_descriptor(void **state)
{
    set(100 * MIB, 30 * MIB, 10 * MIB);
    scsi_lu_set_space(port->lu, &space);
    become(true);
    scsi_refused(CDB(SCSI_READ_10, [8] = 1), SENSE_SOFT_THRESHOLD_REACHED);
    assert_int_equal(port->sense[0], 0xf0); /* VALID */
    assert_int_equal(port->sense[6], SCSI_THRESHOLD_DESCRIPTOR);
    scsi_fetch(CDB(SCSI_READ_10, [8] = 1), 512);
    become(false);
    become(true);
    const uint8_t *sense = scsi_fetch(CDB(SCSI_REQUEST_SENSE, [4] = 252), 252);
    assert_int_equal(sense[0], 0xf0);
    assert_int_equal(sense[2], 0x06);
    assert_int_equal(sense[6], SCSI_THRESHOLD_DESCRIPTOR);
    assert_int_equal(sense[12] << 8 | sense[13], 0x3807);
    become(false);
    become(true);
    port->lu->mode.descriptor_sense = true;
    scsi_refused(CDB(SCSI_TEST_UNIT_READY), SENSE_SOFT_THRESHOLD_REACHED);
    static const uint8_t information[] = {0, 10, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 16};
    assert_memory_equal(port->sense + 8, information, sizeof(information));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCSI_TEST(who_knows_no_space_has_no_threshold),
        SCSI_TEST(a_threshold_set_is_a_mebibyte),
        SCSI_TEST(the_blocks_of_the_largest_lu_are_fewer_than_its_sets_can_be),
        SCSI_TEST(every_nexus_is_told_once_when_the_threshold_is_reached),
        SCSI_TEST(what_was_low_before_is_no_news),
        SCSI_TEST(another_threshold_is_another_mode_page),
        SCSI_TEST(who_has_no_threshold_is_told_nothing),
        SCSI_TEST(the_sense_data_names_the_descriptor),
    };
    return RUN_TESTS(tests);
}
