#include "scsi_commands.h"

static void an_lu_takes_after_its_device(void **state)
{
    static const uint8_t serial[16] = {9};
    struct memdisk *disk = memdisk_new(MIB + 4096);
    disk->device.read_only = true;
    struct scsi_lu *lu = scsi_lu_new(port->thread, &disk->device, 4096, serial);
    assert_ptr_equal(lu->thread, port->thread);
    assert_int_equal(lu->n_blocks, 257);
    assert_int_equal(lu->block_size, 4096);
    assert_true(lu->read_only);
    assert_memory_equal(lu->serial, serial, sizeof(serial));
    assert_true(list_empty(&lu->nexuses));
    scsi_lu_free(lu); /* and the device with it */
    scsi_lu_free(NULL);
}

static void unit_attentions_are_queued_in_order_and_once(void **state)
{
    struct scsi_nexus *nexus = &port->nexus;
    assert_int_equal(scsi_nexus_take_unit_attention(nexus), SENSE_NONE);
    scsi_nexus_establish_unit_attention(nexus, SENSE_LU_RESET);
    scsi_nexus_establish_unit_attention(nexus, SENSE_CAPACITY_CHANGED);
    scsi_nexus_establish_unit_attention(nexus, SENSE_LU_RESET);
    assert_int_equal(nexus->n_unit_attentions, 2);
    assert_int_equal(scsi_nexus_take_unit_attention(nexus), SENSE_LU_RESET);
    scsi_nexus_establish_unit_attention(nexus, SENSE_LU_RESET); /* once more, now at the end */
    assert_int_equal(scsi_nexus_take_unit_attention(nexus), SENSE_CAPACITY_CHANGED);
    assert_int_equal(scsi_nexus_take_unit_attention(nexus), SENSE_LU_RESET);
    assert_int_equal(scsi_nexus_take_unit_attention(nexus), SENSE_NONE);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCSI_TEST(an_lu_takes_after_its_device),
        SCSI_TEST(unit_attentions_are_queued_in_order_and_once),
        SCSI_TEST(more_than_fit_become_a_reset),
        SCSI_TEST(all_nexuses_are_told_but_for_one),
    };
    return RUN_TESTS(tests);
}
