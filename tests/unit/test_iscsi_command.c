/*
 * Data that comes unasked and data that was asked for: what is taken, what is let pass, and what
 * ends the connection. (How commands go through as a whole is in test_iscsi_session.c.)
 */
#include "iscsi_writes.h"

#include <errno.h>

#define BURST BUFFER_MAX_SIZE

static int setup(void **state)
{
    fill_pattern();
    lab_set_up(DISK_SIZE);
    lab->disk->immediate = true;
    return 0;
}

/* InitialR2T and ImmediateData as given, FirstBurstLength 4096, MaxBurstLength 8192. */
static void log_in(const char *initial_r2t, const char *immediate_data)
{
    char text[512];
    int n = snprintf(text, sizeof(text),
                     "InitiatorName=%s%cTargetName=%s%cInitialR2T=%s%cImmediateData=%s%c"
                     "FirstBurstLength=4096%cMaxBurstLength=8192%cMaxRecvDataSegmentLength=4096%c",
                     LAB_INITIATOR, 0, LAB_TARGET, 0, initial_r2t, 0, immediate_data, 0, 0, 0, 0);
    send_login(node, 0x87, text, (size_t)n);
    expect_login_status(node, ISCSI_LOGIN_OK);
}

static void expect_violation(const char *words)
{
    initiator_run(node);
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
    assert_true(node->conn.violated);
    assert_contains(node->conn.end_reason, words);
    assert_int_equal(buffer_pool_used(lab->thread->buffers), 0);
}

/* --- the four ways to begin a write (RFC 7143 13.11) --- */

static void nothing_comes_unasked(void **state)
{
    log_in("Yes", "No");
    uint32_t itt = write_blocks(16, true, 16 * BLOCK, 0);
    struct answer r2t = expect_r2t(itt, 0, 8192);
    fulfil(&r2t);
    expect_good(itt);
}

static void immediate_data_alone(void **state)
{
    log_in("Yes", "Yes");
    uint32_t itt = write_blocks(16, true, 16 * BLOCK, 1000); /* not a whole block */
    struct answer r2t = expect_r2t(itt, 1000, 8192 - 1000);
    fulfil(&r2t);
    expect_good(itt);
    assert_memory_equal(lab->disk->data, pattern, 16 * BLOCK);
}

static void unsolicited_data_alone(void **state)
{
    log_in("No", "No");
    uint32_t itt = write_blocks(16, false, 16 * BLOCK, 0);
    assert_null(initiator_next(node));
    send_unasked(itt, 0, 0, 1024, false);
    send_unasked(itt, 1, 1024, 3072, true);
    struct answer r2t = expect_r2t(itt, 4096, 4096);
    fulfil(&r2t);
    expect_good(itt);
    assert_memory_equal(lab->disk->data, pattern, 16 * BLOCK);
}

static void all_of_it_unsolicited(void **state)
{
    log_in("No", "Yes");
    uint32_t itt = write_blocks(8, false, 8 * BLOCK, 512);
    send_unasked(itt, 0, 512, 3584, true);
    expect_good(itt);
    assert_memory_equal(lab->disk->data, pattern, 8 * BLOCK);
    assert_int_equal(lab->disk->writes, 1);
}

static void an_empty_end_of_the_unsolicited_data(void **state)
{
    log_in("No", "Yes");
    uint32_t itt = write_blocks(8, false, 8 * BLOCK, 512);
    send_unasked(itt, 0, 512, 0, true);
    struct answer r2t = expect_r2t(itt, 512, 3584);
    fulfil(&r2t);
    expect_good(itt);
}

/* --- what is asked for --- */

static void bursts_are_no_longer_than_agreed(void **state)
{
    log_in("Yes", "No");
    uint32_t itt = write_blocks(40, true, 40 * BLOCK, 0), got = 0;
    for (uint32_t sn = 0; got < 40 * BLOCK; sn++) {
        uint32_t length = MIN(8192, 40 * BLOCK - got);
        struct answer r2t = expect_r2t(itt, got, length);
        assert_int_equal(bhs_get32(r2t.bhs, BHS_R2TSN), sn);
        assert_null(initiator_next(node)); /* MaxOutstandingR2T is 1 */
        fulfil(&r2t);
        got += length;
    }
    const struct answer *a = expect_response(itt, SCSI_GOOD);
    assert_int_equal(bhs_get32(a->bhs, BHS_EXPDATASN), 3); /* R2Ts that were sent */
    assert_memory_equal(lab->disk->data, pattern, 40 * BLOCK);
}

static void two_bursts_may_be_asked_for_at_once(void **state)
{
    SEND_LOGIN(node, 0x87, LAB_NAMES "InitialR2T=Yes\0ImmediateData=No\0MaxOutstandingR2T=8\0");
    expect_login_status(node, ISCSI_LOGIN_OK);
    lab->disk->immediate = false;
    uint32_t itt = write_blocks(3 * BURST / BLOCK, true, 3 * BURST, 0);
    struct answer first = expect_r2t(itt, 0, BURST), second = expect_r2t(itt, BURST, BURST);
    assert_null(initiator_next(node));
    assert_int_not_equal(bhs_get32(first.bhs, BHS_TTT), bhs_get32(second.bhs, BHS_TTT));
    fulfil(&second); /* in any order */
    fulfil(&first);
    memdisk_run(lab->disk, false);
    struct answer third = expect_r2t(itt, 2 * BURST, BURST);
    fulfil(&third);
    memdisk_run(lab->disk, false);
    expect_good(itt);
    assert_memory_equal(lab->disk->data, pattern, 3 * BURST);
}

static void the_reserved_tag_is_no_tag_of_ours(void **state)
{
    log_in("Yes", "No");
    node->conn.session->next_ttt = ISCSI_RESERVED_TAG;
    uint32_t itt = write_blocks(1, true, BLOCK, 0);
    struct answer r2t = expect_r2t(itt, 0, BLOCK);
    assert_int_equal(bhs_get32(r2t.bhs, BHS_TTT), 0);
    fulfil(&r2t);
    expect_good(itt);
}

/* As if other sessions had all memory for data that there is. */
static struct buffer *all[32];

static void take_all_buffers(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        all[i] = buffer_get(lab->thread->buffers, BURST);
}

static void give_them_back(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        buffer_unref(lab->thread->buffers, all[i]);
}

static void a_write_waits_for_a_buffer_before_it_asks(void **state)
{
    log_in("Yes", "No");
    take_all_buffers();
    uint32_t first = write_blocks(16, true, 16 * BLOCK, 0);
    struct answer r2t = expect_r2t(first, 0, 8192); /* it gets one buffer in any case */
    uint32_t itt = write_blocks(16, true, 16 * BLOCK, 0);
    assert_null(initiator_next(node));
    give_them_back();
    fake_thread_round(lab->thread);
    struct answer second = expect_r2t(itt, 0, 8192);
    fulfil(&r2t);
    fulfil(&second);
    expect_good(first);
    expect_good(itt);
}

/* It goes at once, not when there are buffers again. */
static void abort_while_it_waits(uint32_t itt)
{
    assert_null(initiator_next(node));
    send_task_management(node, 1, itt, node->cmdsn - 1);
    const struct answer *a = expect_answer(node, ISCSI_TASK_MANAGEMENT_RESPONSE, node->itt);
    assert_int_equal(a->bhs[BHS_RESPONSE], 0);
    give_them_back();
    assert_null(initiator_next(node));
}

static void a_write_that_waits_for_a_buffer_may_be_aborted(void **state)
{
    log_in("Yes", "No");
    take_all_buffers();
    expect_r2t(write_blocks(16, true, 16 * BLOCK, 0), 0, 8192); /* it gets one in any case */
    abort_while_it_waits(write_blocks(16, true, 16 * BLOCK, 0));
}

static void a_read_that_waits_for_a_buffer_may_be_aborted(void **state)
{
    log_in("Yes", "No");
    take_all_buffers();
    expect_r2t(write_blocks(16, true, 16 * BLOCK, 0), 0, 8192); /* it gets one in any case */
    abort_while_it_waits(read_10(node, 0, 16, BLOCK));
    assert_int_equal(lab->disk->reads, 0);
}

/* --- residuals of writes --- */

static void more_than_the_command_moves_is_told(void **state)
{
    log_in("No", "Yes");
    uint32_t itt = write_blocks(1, true, 3 * BLOCK, 3 * BLOCK);
    const struct answer *a = expect_response(itt, SCSI_GOOD);
    assert_int_equal(a->bhs[BHS_FLAGS], 0x80 | ISCSI_FLAG_DATA_UNDERFLOW);
    assert_int_equal(bhs_get32(a->bhs, BHS_RESIDUAL), 2 * BLOCK);
    assert_memory_equal(lab->disk->data, pattern, BLOCK);
    assert_int_equal(lab->disk->data[BLOCK], 0);
}

static void less_than_the_command_moves_is_told(void **state)
{
    log_in("Yes", "No");
    uint32_t itt = write_blocks(3, true, 2 * BLOCK, 0);
    struct answer r2t = expect_r2t(itt, 0, 2 * BLOCK);
    fulfil(&r2t);
    const struct answer *a = expect_response(itt, SCSI_GOOD);
    assert_int_equal(a->bhs[BHS_FLAGS], 0x80 | ISCSI_FLAG_DATA_OVERFLOW);
    assert_int_equal(bhs_get32(a->bhs, BHS_RESIDUAL), BLOCK);
    assert_memory_equal(lab->disk->data, pattern, 2 * BLOCK);
}

static void unsolicited_data_that_is_too_much_for_the_command_is_let_pass(void **state)
{
    log_in("No", "Yes");
    lab->disk->immediate = false;
    uint32_t itt = write_blocks(2, false, 8 * BLOCK, 512);
    send_unasked(itt, 0, 512, 3584, true); /* the command takes 512 bytes of them */
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
    struct answer r2t = expect_r2t(itt, 512, 512);
    fulfil(&r2t);
    memdisk_run(lab->disk, false);
    assert_int_equal(expect_response(itt, SCSI_GOOD)->bhs[BHS_FLAGS],
                     0x80 | ISCSI_FLAG_DATA_UNDERFLOW);
    assert_memory_equal(lab->disk->data, pattern, 2 * BLOCK);
}

/* --- what costs the command (RFC 7143 7.9, 11.4.7.2) --- */

/* The session lives on, and nothing is kept. */
static void expect_sense(uint32_t itt, enum scsi_sense sense)
{
    static const uint8_t tur[6] = {SCSI_TEST_UNIT_READY};
    const struct answer *a = expect_response(itt, SCSI_CHECK_CONDITION);
    assert_int_equal(a->data[2 + 2] << 16 | a->data[2 + 12] << 8 | a->data[2 + 13], sense);
    assert_null(initiator_next(node));
    expect_good(send_command(node, ISCSI_FLAG_FINAL, tur, 6, 0, NULL, 0));
    assert_int_equal(buffer_pool_used(lab->thread->buffers), 0);
}

static void more_immediate_data_than_the_first_burst(void **state)
{
    log_in("No", "Yes");
    write_blocks(16, true, 16 * BLOCK, 4096);
    expect_r2t(node->itt, 4096, 4096);
    send_task_management(node, 1, node->itt, node->cmdsn - 1);
    expect_answer(node, ISCSI_TASK_MANAGEMENT_RESPONSE, node->itt);
    expect_sense(write_blocks(16, true, 16 * BLOCK, 4100), SENSE_INCORRECT_AMOUNT_OF_DATA);
    uint32_t itt = write_blocks(16, false, 16 * BLOCK, 4100);
    assert_null(initiator_next(node)); /* more is to come */
    send_unasked(itt, 0, 4100, 512, false);
    assert_null(initiator_next(node));
    send_unasked(itt, 1, 4612, 512, true);
    expect_sense(itt, SENSE_INCORRECT_AMOUNT_OF_DATA);
    assert_int_equal(lab->disk->writes, 0);
}

static void immediate_data_that_was_not_agreed_on(void **state)
{
    log_in("Yes", "No");
    expect_sense(write_blocks(16, true, 16 * BLOCK, 512), SENSE_UNEXPECTED_UNSOLICITED_DATA);
    assert_int_equal(lab->disk->writes, 0);
}

static void more_unsolicited_data_than_the_first_burst(void **state)
{
    log_in("No", "Yes");
    uint32_t itt = write_blocks(16, false, 16 * BLOCK, 1024);
    send_unasked(itt, 0, 1024, 3076, true);
    expect_sense(itt, SENSE_INCORRECT_AMOUNT_OF_DATA);
}

static void unsolicited_data_with_a_wrong_number(void **state)
{
    log_in("No", "Yes");
    uint32_t itt = write_blocks(16, false, 16 * BLOCK, 512);
    send_unasked(itt, 1, 512, 512, false);
    assert_null(initiator_next(node)); /* not before all has come */
    send_unasked(itt, 1, 1024, 512, true);
    expect_sense(itt, SENSE_PROTOCOL_SERVICE_CRC_ERROR);
}

static void unsolicited_data_after_its_end(void **state)
{
    log_in("No", "Yes");
    uint32_t itt = write_blocks(16, false, 16 * BLOCK, 512);
    send_unasked(itt, 0, 512, 512, true);
    struct answer r2t = expect_r2t(itt, 1024, 7168);
    send_unasked(itt, 1, 1024, 512, true);
    assert_null(initiator_next(node)); /* what was asked for is still to come */
    fulfil(&r2t);
    expect_sense(itt, SENSE_UNEXPECTED_UNSOLICITED_DATA);
    assert_int_equal(lab->disk->writes, 0);
}

static uint32_t ttt_of(const struct answer *r2t)
{
    return bhs_get32(r2t->bhs, BHS_TTT);
}

/* Asked for 8192 bytes of a write, it sends this many. Returns the R2T. */
static struct answer answer_r2t_with(uint32_t size, bool final)
{
    log_in("Yes", "No");
    uint32_t itt = write_blocks(16, true, 16 * BLOCK, 0);
    struct answer r2t = expect_r2t(itt, 0, 8192);
    send_data_out(node, itt, ttt_of(&r2t), 0, 0, pattern, size, final);
    return r2t;
}

static void a_sequence_that_ends_too_early(void **state)
{
    answer_r2t_with(4096, true);
    expect_sense(node->itt, SENSE_INCORRECT_AMOUNT_OF_DATA);
}

static void a_sequence_that_does_not_end(void **state)
{
    struct answer r2t = answer_r2t_with(8192, false);
    assert_null(initiator_next(node));
    send_data_out(node, node->itt, ttt_of(&r2t), 1, 8192, pattern, 0, true);
    expect_sense(node->itt, SENSE_INCORRECT_AMOUNT_OF_DATA);
}

static void more_than_was_asked_for(void **state)
{
    answer_r2t_with(8196, true);
    expect_sense(node->itt, SENSE_INCORRECT_AMOUNT_OF_DATA);
}

static void a_number_that_is_left_out(void **state)
{
    struct answer r2t = answer_r2t_with(4096, false);
    send_data_out(node, node->itt, ttt_of(&r2t), 2, 4096, pattern, 4096, true);
    expect_sense(node->itt, SENSE_PROTOCOL_SERVICE_CRC_ERROR);
    assert_int_equal(lab->disk->writes, 0);
}

/* The other R2T is waited for, too, and what is with the disk already. */
static void one_of_two_sequences_is_wrong(void **state)
{
    SEND_LOGIN(node, 0x87, LAB_NAMES "MaxOutstandingR2T=2\0MaxBurstLength=262144\0");
    expect_login_status(node, ISCSI_LOGIN_OK);
    uint32_t itt = write_blocks(1024, true, 1024 * BLOCK, 0);
    struct answer first = expect_r2t(itt, 0, BURST), second = expect_r2t(itt, BURST, BURST);
    send_data_out(node, itt, ttt_of(&second), 5, BURST, pattern, 512, true);
    assert_null(initiator_next(node));
    fulfil(&first);
    expect_sense(itt, SENSE_PROTOCOL_SERVICE_CRC_ERROR);
}

static void a_spoiled_write_may_be_aborted(void **state)
{
    struct answer r2t = answer_r2t_with(4096, false);
    send_data_out(node, node->itt, ttt_of(&r2t), 2, 4096, pattern, 4096, false);
    send_task_management(node, 1, node->itt, node->cmdsn - 1);
    expect_answer(node, ISCSI_TASK_MANAGEMENT_RESPONSE, node->itt);
    assert_int_equal(buffer_pool_used(lab->thread->buffers), 0);
}

/* --- what ends the connection --- */

static void unsolicited_data_out_of_order(void **state)
{
    log_in("No", "Yes");
    uint32_t itt = write_blocks(16, false, 16 * BLOCK, 512);
    send_unasked(itt, 0, 1024, 512, false);
    expect_violation("unsolicited data out of order");
}

/* --- what is let pass --- */

static void data_for_a_tag_that_is_none_is_let_pass(void **state)
{
    log_in("Yes", "No");
    uint32_t itt = write_blocks(4, true, 4 * BLOCK, 0);
    struct answer r2t = expect_r2t(itt, 0, 2048);
    send_data_out(node, itt, bhs_get32(r2t.bhs, BHS_TTT) + 1, 0, 0, pattern, 512, true);
    send_data_out(node, itt + 1, bhs_get32(r2t.bhs, BHS_TTT), 0, 0, pattern, 512, true);
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
    fulfil(&r2t);
    expect_good(itt);
}

static void unsolicited_data_of_a_command_without_data_is_let_pass(void **state)
{
    static const uint8_t tur[6] = {SCSI_TEST_UNIT_READY};
    log_in("No", "Yes");
    uint32_t itt = send_command(node, ISCSI_FLAG_WRITE, tur, 6, 1024, pattern, 512);
    assert_int_equal(expect_response(itt, SCSI_GOOD)->bhs[BHS_FLAGS],
                     0x80 | ISCSI_FLAG_DATA_UNDERFLOW);
    send_unasked(itt, 0, 512, 512, true);
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
}

/* --- reading --- */

static void data_in_is_cut_at_bursts_and_segments(void **state)
{
    memcpy(lab->disk->data, pattern, DISK_SIZE);
    SEND_LOGIN(node, 0x87,
               LAB_NAMES "MaxBurstLength=5120\0FirstBurstLength=512\0"
                         "MaxRecvDataSegmentLength=2048\0");
    expect_login_status(node, ISCSI_LOGIN_OK);
    static const struct {
        uint32_t size;
        bool final;
    } expected[] = {{2048, false}, {2048, false}, {1024, true}, {2048, false}, {1024, true}};
    uint32_t itt = read_10(node, 0, 16, BLOCK), offset = 0;
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        const struct answer *a = expect_answer(node, ISCSI_DATA_IN, itt);
        bool last = i + 1 == ARRAY_SIZE(expected);
        assert_int_equal(a->size, expected[i].size);
        assert_int_equal(a->bhs[BHS_FLAGS],
                         (expected[i].final ? 0x80 : 0) | (last ? ISCSI_FLAG_DATA_STATUS : 0));
        assert_int_equal(bhs_get32(a->bhs, BHS_BUFFER_OFFSET), offset);
        assert_int_equal(bhs_get32(a->bhs, BHS_DATASN), i);
        assert_memory_equal(a->data, pattern + offset, a->size);
        offset += a->size;
    }
    assert_int_equal(offset, 16 * BLOCK);
}

/* An error after the first burst: what was read is sent, and then the sense. */
static void an_error_in_the_middle_of_a_read(void **state)
{
    login_like_linux(node);
    lab->disk->immediate = false;
    uint32_t itt = read_10(node, 0, 3 * BURST / BLOCK, BLOCK);
    memdisk_run_one(lab->disk, false);
    lab->disk->fail_with = -EIO;
    memdisk_run(lab->disk, false);
    assert_int_equal(expect_answer(node, ISCSI_DATA_IN, itt)->size, BURST);
    const struct answer *a = expect_response(itt, SCSI_CHECK_CONDITION);
    assert_int_equal(a->data[2 + 2], SENSE_MEDIUM_READ_ERROR >> 16);
    assert_int_equal(bhs_get32(a->bhs, BHS_EXPDATASN), 1);
}

#define COMMAND_TEST(f) cmocka_unit_test_setup_teardown(f, setup, lab_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        COMMAND_TEST(nothing_comes_unasked),
        COMMAND_TEST(immediate_data_alone),
        COMMAND_TEST(unsolicited_data_alone),
        COMMAND_TEST(all_of_it_unsolicited),
        COMMAND_TEST(an_empty_end_of_the_unsolicited_data),
        COMMAND_TEST(bursts_are_no_longer_than_agreed),
        COMMAND_TEST(two_bursts_may_be_asked_for_at_once),
        COMMAND_TEST(the_reserved_tag_is_no_tag_of_ours),
        COMMAND_TEST(a_write_waits_for_a_buffer_before_it_asks),
        COMMAND_TEST(a_write_that_waits_for_a_buffer_may_be_aborted),
        COMMAND_TEST(a_read_that_waits_for_a_buffer_may_be_aborted),
        COMMAND_TEST(more_than_the_command_moves_is_told),
        COMMAND_TEST(less_than_the_command_moves_is_told),
        COMMAND_TEST(unsolicited_data_that_is_too_much_for_the_command_is_let_pass),
        COMMAND_TEST(more_immediate_data_than_the_first_burst),
        COMMAND_TEST(more_unsolicited_data_than_the_first_burst),
        COMMAND_TEST(immediate_data_that_was_not_agreed_on),
        COMMAND_TEST(a_number_that_is_left_out),
        COMMAND_TEST(one_of_two_sequences_is_wrong),
        COMMAND_TEST(a_spoiled_write_may_be_aborted),
        COMMAND_TEST(unsolicited_data_out_of_order),
        COMMAND_TEST(unsolicited_data_with_a_wrong_number),
        COMMAND_TEST(unsolicited_data_after_its_end),
        COMMAND_TEST(a_sequence_that_ends_too_early),
        COMMAND_TEST(a_sequence_that_does_not_end),
        COMMAND_TEST(more_than_was_asked_for),
        COMMAND_TEST(data_for_a_tag_that_is_none_is_let_pass),
        COMMAND_TEST(unsolicited_data_of_a_command_without_data_is_let_pass),
        COMMAND_TEST(data_in_is_cut_at_bursts_and_segments),
        COMMAND_TEST(an_error_in_the_middle_of_a_read),
    };
    return RUN_TESTS(tests);
}
