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

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCSI_TEST(an_lu_takes_after_its_device),
    };
    return RUN_TESTS(tests);
}
