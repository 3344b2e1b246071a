/*
 * Moving data in bursts: what is under way when, and how a task ends that goes wrong on the way.
 * What holds for every task (order, sizes, complete() once) is asserted by struct scsi_port.
 */
#include "scsi_commands.h"

#include <errno.h>

#define BLOCK     512
#define DISK_SIZE (4 * MIB)
#define BURST     BUFFER_MAX_SIZE
#define PER_BURST (BURST / BLOCK)

static uint8_t pattern[DISK_SIZE];

static int setup(void **state)
{
    port = scsi_port_new(DISK_SIZE, BLOCK);
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 7 + (i >> 9) * 3);
    return 0;
}

static void begin_read(uint32_t lba, uint16_t count)
{
    memcpy(port->disk->data, pattern, sizeof(pattern));
    scsi_port_begin(port, cdb_range(SCSI_READ_10, 0, lba, count), NULL, 0, count * BLOCK);
}

static void begin_write(uint32_t lba, uint16_t count)
{
    scsi_port_begin(port, cdb_range(SCSI_WRITE_10, 0, lba, count), pattern, count * BLOCK, 0);
}

static void assert_ended(enum scsi_sense sense)
{
    assert_null(port->task);
    assert_int_equal(scsi_port_sense(port), sense);
}

/* --- reading --- */

static void two_bursts_are_read_at_once_and_no_more(void **state)
{
    port->hold = true;
    begin_read(0, 5 * PER_BURST);
    assert_int_equal(port->disk->n_pending, 2);
    memdisk_run(port->disk, false);
    assert_int_equal(port->n_held, 2);
    assert_int_equal(port->disk->n_pending, 0); /* both are on their way to the initiator */
    assert_int_equal(buffer_pool_used(port->thread->buffers), 2 * BURST);
    for (unsigned sent = 1; sent <= 5; sent++) {
        scsi_port_move(port, true);
        assert_int_equal(port->disk->n_pending, sent <= 3 ? 1 : 0);
        memdisk_run(port->disk, false);
    }
    assert_ended(SENSE_NONE);
    assert_int_equal(port->moved, 5 * BURST);
    assert_memory_equal(port->in, pattern, 5 * BURST);
    assert_int_equal(port->bursts, 5);
}

static void the_last_burst_is_as_short_as_the_rest(void **state)
{
    begin_read(3, PER_BURST + 1);
    memdisk_run(port->disk, false);
    assert_ended(SENSE_NONE);
    assert_int_equal(port->bursts, 2);
    assert_memory_equal(port->in, pattern + 3 * BLOCK, BURST + BLOCK);
}

static void what_is_read_first_waits_for_what_stands_before_it(void **state)
{
    begin_read(0, 2 * PER_BURST);
    memdisk_run_one(port->disk, true);
    assert_int_equal(port->moved, 0);
    memdisk_run(port->disk, false);
    assert_ended(SENSE_NONE);
    assert_memory_equal(port->in, pattern, 2 * BURST);
}

static void the_initiator_gets_no_more_than_it_takes(void **state)
{
    memcpy(port->disk->data, pattern, sizeof(pattern));
    scsi_port_run(port, cdb_range(SCSI_READ_10, 0, 0, 4), NULL, 0, 3 * BLOCK + 5);
    assert_ended(SENSE_NONE);
    assert_int_equal(port->moved, 3 * BLOCK + 5);
    assert_int_equal(port->data_length, 4 * BLOCK); /* the residual tells */
    assert_memory_equal(port->in, pattern, port->moved);
    scsi_port_run(port, cdb_range(SCSI_READ_10, 0, 0, 4), NULL, 0, 0);
    assert_ended(SENSE_NONE);
    assert_int_equal(port->moved, 0);
    assert_int_equal(port->data_length, 4 * BLOCK);
}

static void a_disk_that_answers_at_once(void **state)
{
    port->disk->immediate = true;
    begin_read(0, 8 * PER_BURST);
    assert_ended(SENSE_NONE);
    assert_memory_equal(port->in, pattern, 8 * BURST);
    begin_write(0, 8 * PER_BURST);
    assert_ended(SENSE_NONE);
    assert_memory_equal(port->disk->data, pattern, 8 * BURST);
}

/* --- reading goes wrong --- */

static void an_error_of_the_disk_ends_a_read(void **state)
{
    port->hold = true;
    begin_read(0, 5 * PER_BURST);
    memdisk_run(port->disk, false);
    port->disk->fail_with = -EIO;
    scsi_port_move(port, true); /* a third burst begins, and fails */
    memdisk_run(port->disk, false);
    assert_non_null(port->task); /* the second is still on its way */
    assert_int_equal(port->n_held, 1);
    scsi_port_move(port, true);
    assert_ended(SENSE_MEDIUM_READ_ERROR);
    assert_int_equal(port->moved, 2 * BURST);
    assert_int_equal(port->disk->reads, 2);
}

static void of_two_errors_the_first_is_told(void **state)
{
    begin_read(0, 5 * PER_BURST);
    port->disk->fail_with = -ENOSPC;
    memdisk_run_one(port->disk, true);
    assert_non_null(port->task);
    port->disk->fail_with = -EIO;
    memdisk_run(port->disk, false);
    assert_ended(SENSE_NO_SPACE);
    assert_int_equal(port->moved, 0);
}

static void what_was_read_behind_an_error_is_not_sent(void **state)
{
    begin_read(0, 2 * PER_BURST);
    memdisk_run_one(port->disk, true);
    port->disk->fail_with = -EIO;
    memdisk_run(port->disk, false);
    assert_ended(SENSE_MEDIUM_READ_ERROR);
    assert_int_equal(port->moved, 0);
}

static void an_initiator_that_is_gone_ends_a_read(void **state)
{
    port->hold = true;
    begin_read(0, 5 * PER_BURST);
    memdisk_run(port->disk, false);
    scsi_port_move(port, false);
    assert_non_null(port->task);
    assert_int_equal(port->disk->n_pending, 0); /* no third burst is begun */
    scsi_port_move(port, false);
    assert_null(port->task);
}

/* --- buffers --- */

static void take_all_buffers(struct buffer *all[static 32])
{
    for (size_t i = 0; i < 32; i++) /* the thread's whole budget */
        all[i] = buffer_get(port->thread->buffers, BURST);
}

static void give_back(struct buffer *all[static 32])
{
    for (size_t i = 0; i < 32; i++)
        buffer_unref(port->thread->buffers, all[i]);
}

static void a_read_waits_for_buffers(void **state)
{
    struct buffer *all[32];
    take_all_buffers(all);
    begin_read(0, 2 * PER_BURST);
    assert_int_equal(port->disk->n_pending, 1); /* it gets one in any case */
    give_back(all);
    fake_thread_round(port->thread);
    assert_int_equal(port->disk->n_pending, 2);
    memdisk_run(port->disk, false);
    assert_ended(SENSE_NONE);
    assert_memory_equal(port->in, pattern, 2 * BURST);
}

static void a_read_that_waits_for_buffers_is_aborted_at_once(void **state)
{
    struct buffer *all[32];
    take_all_buffers(all);
    begin_read(0, 2 * PER_BURST);
    scsi_port_abort(port);
    memdisk_run(port->disk, false); /* of the burst that has a buffer; the other one is gone */
    assert_null(port->task);
    assert_true(port->aborted);
    give_back(all);
    fake_thread_round(port->thread); /* nobody waits any more */
}

/* --- writing --- */

static void two_bursts_are_asked_for_and_no_more(void **state)
{
    port->hold = true;
    begin_write(1, 5 * PER_BURST);
    assert_int_equal(port->n_held, 2);
    scsi_port_move(port, true);
    scsi_port_move(port, true);
    assert_int_equal(port->disk->n_pending, 2);
    assert_int_equal(port->n_held, 0); /* the disk has both: first they must be written */
    memdisk_run(port->disk, true);
    assert_int_equal(port->n_held, 2);
    while (port->task) {
        scsi_port_move(port, true);
        memdisk_run(port->disk, false);
    }
    assert_ended(SENSE_NONE);
    assert_int_equal(port->bursts, 5);
    assert_memory_equal(port->disk->data + BLOCK, pattern, 5 * BURST);
}

/* Writes the first `sent` bytes of four blocks and expects those, and nothing else, on the disk. */
static void write_a_part_of_four_blocks(uint8_t opcode, uint32_t sent)
{
    memset(port->disk->data, 0xaa, 6 * (size_t)BLOCK);
    scsi_port_run(port, cdb_range(opcode, 0, 1, 4), pattern, sent, 0);
    assert_ended(SENSE_NONE);
    assert_int_equal(port->moved, sent);
    assert_int_equal(port->data_length, 4 * BLOCK); /* the residual tells */
    assert_int_equal(port->disk->data[BLOCK - 1], 0xaa);
    assert_memory_equal(port->disk->data + BLOCK, pattern, sent);
    for (size_t i = BLOCK + sent; i < 6 * (size_t)BLOCK; i++)
        assert_int_equal(port->disk->data[i], 0xaa);
}

static void a_block_that_comes_in_part_keeps_its_rest(void **state)
{
    static const uint8_t opcodes[] = {SCSI_WRITE_6,
                                      SCSI_WRITE_10,
                                      SCSI_WRITE_12,
                                      SCSI_WRITE_16,
                                      SCSI_WRITE_AND_VERIFY_10,
                                      SCSI_WRITE_AND_VERIFY_12,
                                      SCSI_WRITE_AND_VERIFY_16};
    static const uint32_t sizes[] = {0, 1, 200, BLOCK - 1, BLOCK, 2 * BLOCK + 100, 4 * BLOCK - 1};
    for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++)
        for (size_t n = 0; n < ARRAY_SIZE(sizes); n++)
            write_a_part_of_four_blocks(opcodes[i], sizes[n]);
}

/* Data may end anywhere in the last of several bursts. */
static void a_large_write_may_end_within_a_block(void **state)
{
    memset(port->disk->data, 0xaa, 3 * (size_t)BURST);
    scsi_port_run(port, cdb_range(SCSI_WRITE_10, 0, 0, 3 * PER_BURST), pattern, 2 * BURST + 777, 0);
    assert_ended(SENSE_NONE);
    assert_int_equal(port->bursts, 3);
    assert_memory_equal(port->disk->data, pattern, 2 * BURST + 777);
    assert_int_equal(port->disk->data[2 * BURST + 777], 0xaa);
}

static void the_initiator_may_have_more_than_is_written(void **state)
{
    scsi_port_run(port, cdb_range(SCSI_WRITE_10, 0, 0, 4), pattern, 10 * BLOCK, 0);
    assert_ended(SENSE_NONE);
    assert_int_equal(port->moved, 4 * BLOCK);
    assert_int_equal(port->data_length, 4 * BLOCK);
}

/* --- writing goes wrong --- */

static void a_full_disk_ends_a_write(void **state)
{
    port->disk->fail_with = -ENOSPC;
    port->disk->fail_after = 1;
    scsi_port_run(port, cdb_range(SCSI_WRITE_10, 0, 0, 5 * PER_BURST), pattern, 5 * BURST, 0);
    assert_ended(SENSE_NO_SPACE);
    assert_int_equal(port->disk->writes, 1);
    assert_true(port->bursts <= 3); /* no more is asked for */
}

static void an_error_while_data_is_on_its_way(void **state)
{
    port->hold = true;
    begin_write(0, 5 * PER_BURST);
    scsi_port_move(port, true);
    port->disk->fail_with = -EIO;
    memdisk_run(port->disk, false);
    assert_non_null(port->task); /* the second burst was asked for: it comes first */
    scsi_port_move(port, true);
    assert_ended(SENSE_MEDIUM_WRITE_ERROR);
    assert_int_equal(port->disk->n_pending, 0); /* and is not written */
}

static void data_that_never_comes(void **state)
{
    port->hold = true;
    begin_write(0, 2 * PER_BURST);
    scsi_port_move(port, true);
    scsi_port_move(port, false);
    assert_non_null(port->task); /* the first burst is on the disk */
    memdisk_run(port->disk, false);
    assert_null(port->task);
    assert_int_equal(port->disk->writes, 1);
}

/* --- aborting --- */

static void an_abort_waits_for_the_disk(void **state)
{
    begin_read(0, 5 * PER_BURST);
    scsi_port_abort(port);
    assert_non_null(port->task);
    memdisk_run(port->disk, true);
    assert_null(port->task);
    assert_true(port->aborted);
    assert_int_equal(port->moved, 0);
    assert_int_equal(port->disk->reads, 2);
}

static void an_abort_waits_for_the_transport(void **state)
{
    for (int writes = 0; writes < 2; writes++) {
        port->hold = true;
        if (writes)
            begin_write(0, 5 * PER_BURST);
        else
            begin_read(0, 5 * PER_BURST);
        memdisk_run(port->disk, false);
        assert_int_equal(port->n_held, 2);
        scsi_port_abort(port);
        assert_non_null(port->task);
        scsi_port_move(port, false);
        assert_non_null(port->task);
        scsi_port_move(port, !writes); /* what was on the wire may even have arrived */
        assert_null(port->task);
        assert_int_equal(port->disk->n_pending, 0);
    }
    assert_int_equal(port->disk->writes, 0);
}

static void an_abort_of_a_flush_waits_for_it(void **state)
{
    scsi_port_begin(port, CDB(SCSI_SYNCHRONIZE_CACHE_10), NULL, 0, 0);
    scsi_port_abort(port);
    assert_non_null(port->task);
    memdisk_run(port->disk, false);
    assert_null(port->task);
}

#define TRANSFER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, scsi_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRANSFER_TEST(two_bursts_are_read_at_once_and_no_more),
        TRANSFER_TEST(the_last_burst_is_as_short_as_the_rest),
        TRANSFER_TEST(what_is_read_first_waits_for_what_stands_before_it),
        TRANSFER_TEST(the_initiator_gets_no_more_than_it_takes),
        TRANSFER_TEST(a_disk_that_answers_at_once),
        TRANSFER_TEST(an_error_of_the_disk_ends_a_read),
        TRANSFER_TEST(of_two_errors_the_first_is_told),
        TRANSFER_TEST(what_was_read_behind_an_error_is_not_sent),
        TRANSFER_TEST(an_initiator_that_is_gone_ends_a_read),
        TRANSFER_TEST(a_read_waits_for_buffers),
        TRANSFER_TEST(a_read_that_waits_for_buffers_is_aborted_at_once),
        TRANSFER_TEST(two_bursts_are_asked_for_and_no_more),
        TRANSFER_TEST(a_block_that_comes_in_part_keeps_its_rest),
        TRANSFER_TEST(a_large_write_may_end_within_a_block),
        TRANSFER_TEST(the_initiator_may_have_more_than_is_written),
        TRANSFER_TEST(a_full_disk_ends_a_write),
        TRANSFER_TEST(an_error_while_data_is_on_its_way),
        TRANSFER_TEST(data_that_never_comes),
        TRANSFER_TEST(an_abort_waits_for_the_disk),
        TRANSFER_TEST(an_abort_waits_for_the_transport),
        TRANSFER_TEST(an_abort_of_a_flush_waits_for_it),
    };
    return RUN_TESTS(tests);
}
