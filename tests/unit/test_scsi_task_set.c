/*
 * Which command begins when. Each test starts numbered commands with an attribute each; those that
 * have begun wait for the disk until the test says that it is through with them.
 */
#include "scsi_commands.h"

#define COMMANDS 8

struct command {
    struct scsi_task scsi;
    bool completed;
};

static struct command commands[COMMANDS];
static struct scsi_nexus other; /* the odd commands come from it */

enum { SIMPLE = SCSI_ATTRIBUTE_SIMPLE, ORDERED = SCSI_ATTRIBUTE_ORDERED };
enum { HEAD = SCSI_ATTRIBUTE_HEAD_OF_QUEUE, UNTAGGED = SCSI_ATTRIBUTE_UNTAGGED };

static int setup(void **state)
{
    scsi_set_up(state);
    memset(commands, 0, sizeof(commands));
    scsi_port_connect(port, &other, 2);
    return 0;
}

static int teardown(void **state)
{
    const struct scsi_task_set *set = &port->lu->tasks;
    assert_int_equal(set->n_enabled + set->n_heads + set->has_ordered, 0);
    assert_true(list_empty(&set->dormant));
    assert_true(list_empty(&port->thread->deferred)); /* the LU may be gone from here on */
    scsi_nexus_disconnect(&other);
    return scsi_tear_down(state);
}

static void send_burst(struct scsi_task *task, struct scsi_burst *burst)
{
    scsi_burst_moved(burst, true);
}

static void receive_burst(struct scsi_task *task, struct scsi_burst *burst)
{
    fail_msg("nothing here writes");
}

static void complete(struct scsi_task *task)
{
    struct command *command = container_of(task, struct command, scsi);
    assert_false(command->completed);
    command->completed = true;
}

static const struct scsi_transport transport = {send_burst, receive_burst, complete};

static void prepare(unsigned n, uint8_t attribute, const uint8_t *cdb)
{
    struct scsi_task *task = &commands[n].scsi;
    task->transport = &transport;
    task->target = &port->target;
    task->nexus = n % 2 ? &other : &port->nexus;
    task->thread = port->thread;
    task->share = &port->share;
    task->attribute = attribute;
    task->expected_in = 512;
    memcpy(task->cdb, cdb, SCSI_CDB_SIZE);
}

/* Command n reads a block. */
static void start(unsigned n, uint8_t attribute)
{
    prepare(n, attribute, cdb_range(SCSI_READ_10, 0, n, 1));
    scsi_task_start(&commands[n].scsi);
}

static bool on_disk(unsigned n)
{
    return commands[n].scsi.bursts[0].buffer != NULL;
}

/* Exactly those whose bit is set are with the disk. */
static void assert_begun(unsigned mask)
{
    fake_thread_round(port->thread);
    for (unsigned n = 0; n < COMMANDS; n++)
        if (on_disk(n) != (mask >> n & 1))
            fail_msg("command %u %s", n, on_disk(n) ? "has begun" : "has not begun");
}

/* The disk is through with command n. */
static void finish(unsigned n)
{
    struct block_request *request = &commands[n].scsi.bursts[0].request;
    assert_true(on_disk(n));
    assert_true(memdisk_finish(port->disk, request));
    assert_true(commands[n].completed);
    assert_int_equal(commands[n].scsi.status, SCSI_GOOD);
}

static void finish_all(void)
{
    do
        fake_thread_round(port->thread);
    while (memdisk_run(port->disk, true) > 0);
}

static void simple_ones_begin_at_once(void **state)
{
    start(0, SIMPLE);
    start(1, UNTAGGED);
    start(2, SIMPLE);
    assert_begun(0x07);
    finish(2); /* and end in any order */
    finish(0);
    finish(1);
}

static void an_ordered_one_waits_for_all_that_are_older(void **state)
{
    start(0, SIMPLE);
    start(1, SIMPLE);
    start(2, ORDERED);
    assert_begun(0x03);
    finish(1);
    assert_begun(0x01);
    finish(0);
    assert_begun(0x04);
    finish(2);
}

static void an_ordered_one_alone_does_not_wait(void **state)
{
    start(0, ORDERED);
    assert_begun(0x01);
    finish(0);
}

static void simple_ones_wait_for_an_older_ordered_one(void **state)
{
    start(0, SIMPLE);
    start(1, ORDERED);
    start(2, SIMPLE);
    start(3, UNTAGGED);
    assert_begun(0x01);
    finish(0);
    assert_begun(0x02);
    start(4, SIMPLE);
    assert_begun(0x02);
    finish(1);
    assert_begun(0x1c);
    finish_all();
}

static void ordered_ones_keep_their_order(void **state)
{
    start(0, ORDERED);
    start(1, ORDERED);
    start(2, SIMPLE);
    start(3, ORDERED);
    assert_begun(0x01);
    finish(0);
    assert_begun(0x02);
    finish(1);
    assert_begun(0x04);
    finish(2);
    assert_begun(0x08);
    finish(3);
}

static void the_head_of_the_queue_waits_for_nothing(void **state)
{
    start(0, ORDERED);
    start(1, ORDERED);
    start(2, HEAD);
    start(3, HEAD);
    assert_begun(0x0d);
    finish(0);
    assert_begun(0x0c); /* but is waited for */
    finish(3);
    assert_begun(0x04);
    finish(2);
    assert_begun(0x02);
    finish(1);
}

static void simple_ones_wait_for_the_head_of_the_queue(void **state)
{
    start(0, SIMPLE);
    start(1, HEAD);
    start(2, SIMPLE);
    assert_begun(0x03); /* what has begun goes on beside it */
    finish(0);
    assert_begun(0x02);
    finish(1);
    assert_begun(0x04);
    finish(2);
}

static void a_dormant_one_is_aborted_without_having_begun(void **state)
{
    start(0, SIMPLE);
    start(1, ORDERED);
    start(2, SIMPLE);
    scsi_task_abort(&commands[1].scsi);
    assert_true(commands[1].completed && commands[1].scsi.aborted);
    assert_begun(0x05); /* nobody waits for it any more */
    finish_all();
    assert_int_equal(port->disk->reads, 2);
}

static void one_that_is_aborted_lets_others_begin(void **state)
{
    start(0, ORDERED);
    start(1, ORDERED);
    scsi_task_abort(&commands[0].scsi);
    assert_begun(0x01); /* what is on the disk cannot be called back */
    memdisk_run(port->disk, false);
    assert_true(commands[0].completed);
    assert_begun(0x02);
    finish(1);
}

static void a_dormant_one_whose_data_is_lost_fails(void **state)
{
    start(0, SIMPLE);
    start(1, ORDERED);
    scsi_task_fail(&commands[1].scsi, SENSE_PROTOCOL_SERVICE_CRC_ERROR);
    assert_true(commands[1].completed);
    assert_int_equal(commands[1].scsi.status, SCSI_CHECK_CONDITION);
    finish(0);
}

/* What a command finds is what those before it have left. */
static void a_dormant_one_looks_at_the_lu_when_it_begins(void **state)
{
    start(0, SIMPLE);
    prepare(2, ORDERED, CDB(SCSI_WRITE_SAME_16, 0x01, [13] = 1));
    scsi_task_start(&commands[2].scsi);
    port->lu->mode = (struct scsi_mode_settings){.write_protect = true, .descriptor_sense = true};
    scsi_nexus_establish_unit_attention(&port->nexus, SENSE_CAPACITY_CHANGED);
    assert_int_equal(port->nexus.n_unit_attentions, 1);
    finish(0);
    fake_thread_round(port->thread);
    assert_true(commands[2].completed);
    assert_int_equal(commands[2].scsi.sense[0], 0x72);
    assert_int_equal(commands[2].scsi.sense[2], 0x2a);
    prepare(4, ORDERED, CDB(SCSI_WRITE_SAME_16, 0x01, [13] = 1));
    scsi_task_start(&commands[4].scsi);
    assert_true(commands[4].completed);
    assert_int_equal(commands[4].scsi.sense[2], 0x27); /* write-protected */
}

static void commands_that_end_at_once_let_each_other_begin(void **state)
{
    start(0, SIMPLE);
    for (unsigned n = 1; n < COMMANDS; n++) {
        prepare(n, ORDERED, CDB(SCSI_TEST_UNIT_READY));
        scsi_task_start(&commands[n].scsi);
        assert_false(commands[n].completed);
    }
    finish(0);
    assert_false(commands[1].completed); /* never inside another one's end */
    fake_thread_round(port->thread);
    for (unsigned n = 1; n < COMMANDS; n++)
        assert_true(commands[n].completed);
}

static void attributes_that_there_are_not(void **state)
{
    start(0, SIMPLE);
    for (uint8_t attribute = SCSI_ATTRIBUTE_ACA; attribute < 8; attribute++) {
        memset(&commands[1], 0, sizeof(commands[1]));
        start(1, attribute);
        assert_true(commands[1].completed);
        assert_int_equal(commands[1].scsi.status, SCSI_CHECK_CONDITION);
        assert_int_equal(commands[1].scsi.sense[2], 0x05);
        assert_int_equal(commands[1].scsi.sense[12], 0x49); /* invalid message error */
    }
    finish(0);
}

#define TASK_SET_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TASK_SET_TEST(simple_ones_begin_at_once),
        TASK_SET_TEST(an_ordered_one_waits_for_all_that_are_older),
        TASK_SET_TEST(an_ordered_one_alone_does_not_wait),
        TASK_SET_TEST(simple_ones_wait_for_an_older_ordered_one),
        TASK_SET_TEST(ordered_ones_keep_their_order),
        TASK_SET_TEST(the_head_of_the_queue_waits_for_nothing),
        TASK_SET_TEST(simple_ones_wait_for_the_head_of_the_queue),
        TASK_SET_TEST(a_dormant_one_is_aborted_without_having_begun),
        TASK_SET_TEST(one_that_is_aborted_lets_others_begin),
        TASK_SET_TEST(a_dormant_one_whose_data_is_lost_fails),
        TASK_SET_TEST(a_dormant_one_looks_at_the_lu_when_it_begins),
        TASK_SET_TEST(commands_that_end_at_once_let_each_other_begin),
        TASK_SET_TEST(attributes_that_there_are_not),
    };
    return RUN_TESTS(tests);
}
