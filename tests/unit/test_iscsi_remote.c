/* Commands for an LU of another thread: what each side does while messages are on their way. */
#include "further_lab.h"
#include "iscsi_writes.h"

#include "iscsi/remote.h"

#include <errno.h>

enum { ABORT_TASK = 1 };

static int setup(void **state)
{
    fill_pattern();
    further_lab_set_up(DISK_SIZE);
    far->disk->immediate = true;
    return 0;
}

/* Unsolicited data up to 8 KiB, immediate data, and R2Ts of 256 KiB. */
static void log_in(void)
{
    SEND_LOGIN(node, 0x87,
               LAB_NAMES "InitialR2T=No\0ImmediateData=Yes\0FirstBurstLength=8192\0"
                         "MaxBurstLength=262144\0MaxRecvDataSegmentLength=262144\0");
    expect_login_status(node, ISCSI_LOGIN_OK);
}

static void expect_written(uint32_t size)
{
    assert_memory_equal(far->disk->data, pattern, size);
    for (uint32_t i = size; i < size + BLOCK; i++)
        assert_int_equal(far->disk->data[i], 0);
}

static void fulfil_next_r2t(uint32_t itt, uint32_t offset, uint32_t length)
{
    struct answer r2t = expect_r2t(itt, offset, length);
    fulfil(&r2t);
}

/* --- data that comes before the LU asks for it --- */

static void all_of_it_comes_before(void **state)
{
    log_in();
    lab->holds_messages = true;
    uint32_t itt = write_blocks(16, false, 16 * BLOCK, 1000);
    send_unasked(itt, 0, 1000, 3000, false);
    send_unasked(itt, 1, 4000, 4192, true);
    assert_null(initiator_next(node));
    lab_deliver(lab);
    expect_good(itt);
    expect_written(16 * BLOCK);
    assert_int_equal(far->disk->writes, 1);
}

static void without_immediate_data_too(void **state)
{
    log_in();
    lab->holds_messages = true;
    uint32_t itt = write_blocks(16, false, 16 * BLOCK, 0);
    send_unasked(itt, 0, 0, 8192, true);
    lab_deliver(lab);
    expect_good(itt);
    expect_written(16 * BLOCK);
}

/* One PDU before, one after. */
static void the_lu_asks_between_two_pdus(void **state)
{
    log_in();
    lab->holds_messages = true;
    uint32_t itt = write_blocks(16, false, 16 * BLOCK, 512);
    send_unasked(itt, 0, 512, 3000, false);
    lab_deliver(lab);
    send_unasked(itt, 1, 3512, 4680, true);
    lab_deliver(lab);
    expect_good(itt);
    expect_written(16 * BLOCK);
}

/* A data segment of 4096 bytes, of which the first part comes before the LU asks. */
static void send_in_two_parts(uint32_t itt, uint32_t offset, size_t first, bool final)
{
    node->collects = true;
    send_unasked(itt, 0, offset, 4096, final);
    node->collects = false;
    uint8_t *bytes = take_ptr(node->collected);
    size_t size = node->n_collected;
    node->n_collected = 0;
    initiator_send_bytes(node, bytes, first);
    lab_deliver(lab);
    initiator_send_bytes(node, bytes + first, size - first);
    lab_deliver(lab);
    free(bytes);
}

static void the_lu_asks_in_the_midst_of_a_pdu(void **state)
{
    const size_t cuts[] = {1, ISCSI_BHS_SIZE, ISCSI_BHS_SIZE + 1, ISCSI_BHS_SIZE + 2000};
    log_in();
    for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
        memset(far->disk->data, 0, DISK_SIZE);
        lab->holds_messages = true;
        uint32_t itt = write_blocks(9, false, 9 * BLOCK, BLOCK);
        send_in_two_parts(itt, BLOCK, cuts[i], true);
        expect_good(itt);
        expect_written(9 * BLOCK);
    }
}

/* The immediate data is enough for the command: it goes on while more comes, to nowhere. */
static void the_rest_of_a_pdu_is_not_wanted_any_more(void **state)
{
    log_in();
    lab->holds_messages = true;
    uint32_t itt = write_blocks(1, false, 9 * BLOCK, BLOCK);
    send_in_two_parts(itt, BLOCK, ISCSI_BHS_SIZE + 2000, true);
    const struct answer *a = expect_response(itt, SCSI_GOOD);
    assert_int_equal(a->bhs[BHS_FLAGS], 0x80 | ISCSI_FLAG_DATA_UNDERFLOW);
    assert_int_equal(bhs_get32(a->bhs, BHS_RESIDUAL), 8 * BLOCK);
    expect_written(BLOCK);
}

/* Half of a PDU is behind the end of the command. */
static void a_pdu_reaches_beyond_the_command(void **state)
{
    for (int before = 0; before < 2; before++) {
        if (!before)
            log_in();
        lab->holds_messages = before;
        uint32_t itt = write_blocks(6, false, 16 * BLOCK, 0);
        send_unasked(itt, 0, 0, 2048, false);
        send_unasked(itt, 1, 2048, 2048, false);
        send_unasked(itt, 2, 4096, 4096, true);
        lab_deliver(lab);
        if (!before) /* what did not fit is asked for */
            fulfil_next_r2t(itt, 2048, 1024);
        lab_deliver(lab);
        const struct answer *a = expect_response(itt, SCSI_GOOD);
        assert_int_equal(bhs_get32(a->bhs, BHS_RESIDUAL), 10 * BLOCK);
        expect_written(6 * BLOCK);
    }
}

/* Unsolicited data is only the beginning of it. */
static void what_is_missing_is_asked_for(void **state)
{
    log_in();
    lab->holds_messages = true;
    uint32_t itt = write_blocks(1024, false, 1024 * BLOCK, 4096);
    send_unasked(itt, 0, 4096, 4096, true);
    lab->holds_messages = false;
    fulfil_next_r2t(itt, 8192, 256 * KIB - 8192);
    fulfil_next_r2t(itt, 256 * KIB, 256 * KIB);
    expect_good(itt);
    expect_written(1024 * BLOCK);
}

static void the_order_is_looked_at_before_it_is_asked_for(void **state)
{
    log_in();
    lab->holds_messages = true;
    uint32_t itt = write_blocks(16, false, 16 * BLOCK, 0);
    send_unasked(itt, 0, 512, 512, false);
    initiator_run(node);
    assert_true(node->conn.violated);
    assert_contains(node->conn.end_reason, "out of order");
}

/* Its command is refused, and what it sends goes nowhere. */
static void data_for_what_is_refused(void **state)
{
    log_in();
    lab->holds_messages = true;
    uint8_t cdb[10] = {SCSI_WRITE_10, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 16};
    uint32_t itt = send_command(node, ISCSI_FLAG_WRITE, cdb, 10, 16 * BLOCK, NULL, 0);
    send_in_two_parts(itt, 0, ISCSI_BHS_SIZE + 100, false);
    const struct answer *a = expect_response(itt, SCSI_CHECK_CONDITION);
    assert_int_equal(a->data[2 + 2], 0x05);
    assert_int_equal(a->data[2 + 12], 0x21);
    send_unasked(itt, 1, 4096, 4096, true);
    assert_null(initiator_next(node));
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
    assert_int_equal(far->disk->writes, 0);
}

/* --- both directions --- */

static void much_is_read_and_written(void **state)
{
    log_in();
    uint32_t itt = write_blocks(2048, true, 2048 * BLOCK, 0);
    for (uint32_t at = 0; at < MIB; at += 256 * KIB)
        fulfil_next_r2t(itt, at, 256 * KIB);
    expect_good(itt);
    expect_written(MIB);
    itt = read_10(node, 0, 2048, BLOCK);
    for (uint32_t at = 0; at < MIB; at += 256 * KIB) {
        const struct answer *a = expect_answer(node, ISCSI_DATA_IN, itt);
        assert_int_equal(a->size, 256 * KIB);
        assert_memory_equal(a->data, pattern + at, a->size);
    }
    assert_int_equal(buffer_pool_used(lab->thread->buffers), 0);
    assert_int_equal(buffer_pool_used(far->thread->buffers), 0);
}

/* Those of LUN 0 do not wait for it. */
static void the_other_lun_goes_on_meanwhile(void **state)
{
    log_in();
    lab->holds_messages = true;
    lab->disk->immediate = true;
    uint32_t slow = read_10(node, 0, 1, BLOCK);
    node->lun = 0;
    uint32_t fast = read_10(node, 0, 1, BLOCK);
    expect_answer(node, ISCSI_DATA_IN, fast);
    lab_deliver(lab);
    expect_answer(node, ISCSI_DATA_IN, slow);
}

/* --- the end --- */

/* Others may have been on their way before. */
static void expect_last_answer(uint8_t opcode, uint32_t itt)
{
    uint8_t last[ISCSI_BHS_SIZE] = {0};
    for (const struct answer *a; (a = initiator_next(node));) {
        assert_int_not_equal(bhs_opcode(last), opcode);
        memcpy(last, a->bhs, sizeof(last));
    }
    assert_int_equal(bhs_opcode(last), opcode);
    assert_int_equal(bhs_get32(last, BHS_ITT), itt);
}

/* Aborted after each number of messages that it takes: there is one answer, to the function. */
static void aborted_at_every_message(void **state)
{
    log_in();
    for (unsigned after = 0; after < 8; after++) {
        lab->holds_messages = true;
        uint32_t itt =
            after & 1 ? write_blocks(16, true, 16 * BLOCK, 0) : read_10(node, 0, 1024, BLOCK);
        for (unsigned i = 0; i < after / 2; i++)
            lab_deliver_to(i & 1 ? lab : far);
        send_task_management(node, ABORT_TASK, itt, node->cmdsn - 1);
        uint32_t function = node->itt;
        lab->holds_messages = false;
        initiator_run(node);
        expect_last_answer(ISCSI_TASK_MANAGEMENT_RESPONSE, function);
        assert_int_equal(node->conn.session->n_tasks, 0);
        assert_true(list_empty(&iscsi_luns_find(node->conn.luns, 1)->tasks));
    }
    assert_int_equal(buffer_pool_used(lab->thread->buffers), 0);
    assert_int_equal(buffer_pool_used(far->thread->buffers), 0);
}

/* The write is on the disk when the connection ends: the session goes when the disk lets go. */
static void the_session_ends_under_its_writes(void **state)
{
    log_in();
    far->disk->immediate = false;
    write_blocks(16, true, 16 * BLOCK, 8192);
    initiator_run(node);
    assert_int_equal(far->disk->n_pending, 1);
    iscsi_conn_close(&node->conn, "the test says so");
    initiator_run(node);
    assert_false(node->released);
    memdisk_run(far->disk, false);
    initiator_run(node);
    assert_true(node->released);
    assert_true(iscsi_target_is_idle(far->target));
    expect_written(16 * BLOCK);
}

/* Its sense comes back, too: the second burst fails on the disk. */
static void the_disk_fails(void **state)
{
    log_in();
    far->disk->fail_with = -EIO;
    far->disk->fail_after = 1;
    uint32_t itt = write_blocks(1024, true, 1024 * BLOCK, 0);
    fulfil_next_r2t(itt, 0, 256 * KIB);
    fulfil_next_r2t(itt, 256 * KIB, 256 * KIB);
    const struct answer *a = expect_response(itt, SCSI_CHECK_CONDITION);
    assert_int_equal(a->data[2 + 2], 0x03);
    assert_int_equal(a->data[2 + 12], 0x0c);
}

static uint32_t reserve_out(enum scsi_service_action action, uint8_t key,
                            uint8_t service_action_key)
{
    const uint8_t cdb[10] = {SCSI_PERSISTENT_RESERVE_OUT, (uint8_t)action, 1, [8] = 24};
    const uint8_t list[24] = {[7] = key, [15] = service_action_key};
    return send_command(node, ISCSI_FLAG_FINAL | ISCSI_FLAG_WRITE, cdb, 10, sizeof(list), list,
                        sizeof(list));
}

/* SPC-4 5.13.11.2.6: the command itself is the only one that goes on. */
static void who_preempts_himself_loses_his_other_tasks(void **state)
{
    log_in();
    expect_good(reserve_out(SCSI_REGISTER, 0, 1));
    far->disk->immediate = false;
    write_blocks(16, true, 16 * BLOCK, 8192);
    initiator_run(node);
    assert_int_equal(far->disk->n_pending, 1);
    uint32_t itt = reserve_out(SCSI_PREEMPT_AND_ABORT, 1, 1);
    assert_null(initiator_next(node));
    memdisk_run(far->disk, false);
    expect_good(itt);
    assert_null(initiator_next(node));
    assert_int_equal(far->target->lun0.lu->reservations->n, 0);
}

#define REMOTE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, further_lab_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REMOTE_TEST(all_of_it_comes_before),
        REMOTE_TEST(without_immediate_data_too),
        REMOTE_TEST(the_lu_asks_between_two_pdus),
        REMOTE_TEST(the_lu_asks_in_the_midst_of_a_pdu),
        REMOTE_TEST(the_rest_of_a_pdu_is_not_wanted_any_more),
        REMOTE_TEST(a_pdu_reaches_beyond_the_command),
        REMOTE_TEST(what_is_missing_is_asked_for),
        REMOTE_TEST(the_order_is_looked_at_before_it_is_asked_for),
        REMOTE_TEST(data_for_what_is_refused),
        REMOTE_TEST(much_is_read_and_written),
        REMOTE_TEST(the_other_lun_goes_on_meanwhile),
        REMOTE_TEST(aborted_at_every_message),
        REMOTE_TEST(the_session_ends_under_its_writes),
        REMOTE_TEST(the_disk_fails),
        REMOTE_TEST(who_preempts_himself_loses_his_other_tasks),
    };
    return RUN_TESTS(tests);
}
