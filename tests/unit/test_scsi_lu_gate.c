#include "test.h"

#include "fake_thread.h"
#include "memdisk.h"

#include "scsi/lu.h"

#define BLOCKS 16

static const uint8_t serial[16];

struct bench {
    struct io_thread thread;
    struct memdisk *disk;
    struct scsi_lu *lu;
    unsigned drained, done;
};

static struct bench bench;

static void drained(struct scsi_lu *lu, void *context)
{
    struct bench *b = context;
    assert_ptr_equal(lu, b->lu);
    b->drained++;
}

static void request_done(struct block_request *request, int result)
{
    scsi_lu_request_ended(bench.lu);
    assert_int_equal(result, 0);
    bench.done++;
}

static int setup(void **state)
{
    bench = (struct bench){0};
    bench.disk = memdisk_new(BLOCKS * 512);
    bench.lu = scsi_lu_new(&bench.thread, &bench.disk->device, 512, serial);
    return 0;
}

static int teardown(void **state)
{
    scsi_lu_free(bench.lu);
    return 0;
}

static struct block_request write_request(uint8_t *data)
{
    return (struct block_request){
        .operation = BLOCK_WRITE, .length = 512, .data = data, .done = request_done};
}

static void an_open_gate_lets_everything_through(void **state)
{
    uint8_t data[512] = "x";
    struct block_request request = write_request(data);
    scsi_lu_submit(bench.lu, &request);
    assert_int_equal(memdisk_run(bench.disk, false), 1);
    assert_int_equal(bench.done, 1);
}

static void an_idle_device_is_drained_at_once(void **state)
{
    scsi_lu_shut_gate(bench.lu, drained, &bench);
    assert_int_equal(bench.drained, 1);
    scsi_lu_open_gate(bench.lu);
}

static void what_is_under_way_ends_and_what_comes_waits(void **state)
{
    uint8_t data[2][512] = {"x", "y"};
    struct block_request first = write_request(data[0]), second = write_request(data[1]);
    scsi_lu_submit(bench.lu, &first);
    scsi_lu_shut_gate(bench.lu, drained, &bench);
    scsi_lu_submit(bench.lu, &second);
    assert_int_equal(bench.drained, 0);
    assert_int_equal(memdisk_run(bench.disk, false), 1);
    assert_int_equal(bench.drained, 1);
    assert_int_equal(bench.done, 1);
    assert_int_equal(memdisk_run(bench.disk, false), 0); /* the second one waits */
    scsi_lu_open_gate(bench.lu);
    assert_int_equal(memdisk_run(bench.disk, false), 1);
    assert_int_equal(bench.done, 2);
    assert_int_equal(bench.drained, 1);
    assert_memory_equal(bench.disk->data, "y", 2);
}

static void what_has_waited_goes_to_the_new_device(void **state)
{
    uint8_t data[512] = "x";
    struct block_request request = write_request(data);
    struct memdisk *other = memdisk_new(2 * BLOCKS * 512);
    scsi_lu_shut_gate(bench.lu, drained, &bench);
    scsi_lu_submit(bench.lu, &request);
    struct block_device *old = scsi_lu_exchange_device(bench.lu, &other->device);
    assert_ptr_equal(old, &bench.disk->device);
    assert_int_equal(bench.lu->n_blocks, 2 * BLOCKS);
    scsi_lu_open_gate(bench.lu);
    assert_int_equal(memdisk_run(bench.disk, false), 0);
    assert_int_equal(memdisk_run(other, false), 1);
    assert_memory_equal(other->data, "x", 2);
    block_close(old);
}

static void who_is_connected_hears_of_another_size_only(void **state)
{
    struct scsi_nexus nexus;
    const struct scsi_nexus_id id = {0};
    struct memdisk *same = memdisk_new(BLOCKS * 512), *larger = memdisk_new(2 * BLOCKS * 512);
    scsi_nexus_connect(&nexus, bench.lu, &id, NULL);
    scsi_lu_shut_gate(bench.lu, drained, &bench);
    block_close(scsi_lu_exchange_device(bench.lu, &same->device));
    assert_int_equal(scsi_nexus_take_unit_attention(&nexus), SENSE_NONE);
    block_close(scsi_lu_exchange_device(bench.lu, &larger->device));
    assert_int_equal(scsi_nexus_take_unit_attention(&nexus), SENSE_CAPACITY_CHANGED);
    scsi_lu_open_gate(bench.lu);
    scsi_nexus_disconnect(&nexus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_open_gate_lets_everything_through, setup, teardown),
        cmocka_unit_test_setup_teardown(an_idle_device_is_drained_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_under_way_ends_and_what_comes_waits, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_has_waited_goes_to_the_new_device, setup, teardown),
        cmocka_unit_test_setup_teardown(who_is_connected_hears_of_another_size_only, setup,
                                        teardown),
    };
    return RUN_TESTS(tests);
}
