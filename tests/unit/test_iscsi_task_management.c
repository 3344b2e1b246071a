/* Functions that end tasks early, beyond what test_iscsi_session.c has of aborts and resets. */
#include "iscsi_lab.h"

#define BLOCK 512

enum {
    ABORT_TASK = 1,
    ABORT_TASK_SET,
    CLEAR_ACA,
    CLEAR_TASK_SET,
    LU_RESET,
    WARM_RESET,
    COLD_RESET,
    REASSIGN,
};

enum { COMPLETE = 0, NO_TASK = 1, NO_LUN = 2, NO_REASSIGN = 4, NOT_SUPPORTED = 5 };

static struct initiator *other; /* of the same volume, which is for several here */

static int setup(void **state)
{
    lab_set_up(1 * MIB);
    lab->target->single_writer = false;
    other = initiator_new(lab, 12);
    login_like_linux(node);
    SEND_LOGIN(other, 0x87, "InitiatorName=" LAB_INITIATOR "2\0TargetName=" LAB_TARGET "\0");
    expect_login_status(other, ISCSI_LOGIN_OK);
    return 0;
}

static int teardown(void **state)
{
    memdisk_run(lab->disk, false);
    initiator_free(other);
    return lab_tear_down(state);
}

static uint32_t start_read(struct initiator *i)
{
    return read_10(i, 0, 8, BLOCK);
}

/* A write whose data is all there: it is on the disk until memdisk_run(). */
static uint32_t start_write(struct initiator *i)
{
    static const uint8_t cdb[10] = {SCSI_WRITE_10, [8] = 1}, data[BLOCK];
    return send_command(i, ISCSI_FLAG_FINAL | ISCSI_FLAG_WRITE, cdb, 10, BLOCK, data, BLOCK);
}

/* It is asked for its data. */
static uint32_t start_unfilled_write(struct initiator *i)
{
    static const uint8_t cdb[10] = {SCSI_WRITE_10, [8] = 8};
    return send_command(i, ISCSI_FLAG_FINAL | ISCSI_FLAG_WRITE, cdb, 10, 8 * BLOCK, NULL, 0);
}

static void expect_function(struct initiator *i, uint8_t response)
{
    const struct answer *a = expect_answer(i, ISCSI_TASK_MANAGEMENT_RESPONSE, i->itt);
    assert_int_equal(a->bhs[BHS_RESPONSE], response);
}

/* Its next command is told this; SENSE_NONE: it goes through. */
static void expect_attention(struct initiator *i, enum scsi_sense sense)
{
    static const uint8_t tur[6] = {SCSI_TEST_UNIT_READY};
    uint32_t itt = send_command(i, ISCSI_FLAG_FINAL, tur, 6, 0, NULL, 0);
    const struct answer *a = expect_answer(i, ISCSI_SCSI_RESPONSE, itt);
    assert_int_equal(a->bhs[BHS_STATUS], sense ? SCSI_CHECK_CONDITION : SCSI_GOOD);
    if (sense)
        assert_int_equal(a->data[4] << 16 | a->data[14] << 8 | a->data[15], sense);
}

static void a_task_set_is_that_of_the_session(void **state)
{
    start_write(node);
    start_write(node);
    uint32_t itt = start_read(other);
    start_write(other);
    send_task_management(node, ABORT_TASK_SET, 0, 0);
    assert_null(initiator_next(node));
    memdisk_run(lab->disk, false);
    expect_function(node, COMPLETE);
    expect_answer(other, ISCSI_DATA_IN, itt); /* another's tasks go on */
    expect_answer(other, ISCSI_SCSI_RESPONSE, other->itt);
    expect_attention(node, SENSE_NONE);
    expect_attention(other, SENSE_NONE);
}

static void clearing_ends_everybodys_tasks_and_tells_who_lost_some(void **state)
{
    start_write(node);
    start_write(other);
    send_task_management(node, CLEAR_TASK_SET, 0, 0);
    assert_null(initiator_next(node));
    memdisk_run(lab->disk, false);
    expect_function(node, COMPLETE);
    assert_null(initiator_next(other));
    expect_attention(node, SENSE_NONE); /* it knows */
    expect_attention(other, SENSE_COMMANDS_CLEARED);
    expect_attention(other, SENSE_NONE);
}

static void clearing_tells_nobody_who_had_none(void **state)
{
    start_read(node);
    send_task_management(node, CLEAR_TASK_SET, 0, 0);
    memdisk_run(lab->disk, false);
    expect_function(node, COMPLETE);
    expect_attention(other, SENSE_NONE);
}

static void resets_tell_everybody(void **state)
{
    static const struct {
        uint8_t function;
        enum scsi_sense attention;
    } resets[] = {{LU_RESET, SENSE_LU_RESET}, {WARM_RESET, SENSE_RESET}};
    for (size_t i = 0; i < ARRAY_SIZE(resets); i++) {
        start_write(other);
        send_task_management(node, resets[i].function, 0, 0);
        assert_null(initiator_next(node)); /* waits for the other's task, too */
        memdisk_run(lab->disk, false);
        expect_function(node, COMPLETE);
        assert_null(initiator_next(other));
        expect_attention(node, resets[i].attention);
        expect_attention(other, resets[i].attention);
    }
}

/* What MODE SELECT changed is gone after a reset, and stays when only tasks go. */
static void resets_bring_the_mode_pages_back(void **state)
{
    static const uint8_t functions[] = {CLEAR_TASK_SET, LU_RESET, WARM_RESET};
    struct scsi_mode_settings *mode = &lab->target->lun0.lu->mode;
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        *mode = (struct scsi_mode_settings){true, true};
        send_task_management(node, functions[i], 0, 0);
        expect_function(node, COMPLETE);
        assert_int_equal(mode->descriptor_sense, functions[i] == CLEAR_TASK_SET);
        assert_int_equal(mode->write_protect, functions[i] == CLEAR_TASK_SET);
    }
}

/* --- reservations --- */

/* PERSISTENT RESERVE OUT with these keys; `type` as in byte 2 of the CDB. */
static uint32_t start_reserve_out(struct initiator *i, enum scsi_service_action action,
                                  uint8_t type, uint8_t key, uint8_t service_action_key)
{
    const uint8_t cdb[10] = {SCSI_PERSISTENT_RESERVE_OUT, (uint8_t)action, type, [8] = 24};
    const uint8_t list[24] = {[7] = key, [15] = service_action_key};
    return send_command(i, ISCSI_FLAG_FINAL | ISCSI_FLAG_WRITE, cdb, 10, sizeof(list), list,
                        sizeof(list));
}

static void expect_status(struct initiator *i, uint32_t itt, enum scsi_status status)
{
    const struct answer *a = expect_answer(i, ISCSI_SCSI_RESPONSE, itt);
    assert_int_equal(a->bhs[BHS_STATUS], status);
}

static void reserve_out(struct initiator *i, enum scsi_service_action action, uint8_t type,
                        uint8_t key, uint8_t service_action_key)
{
    expect_status(i, start_reserve_out(i, action, type, key, service_action_key), SCSI_GOOD);
}

static void run_round(struct initiator *i)
{
    fake_thread_round(lab->thread);
    initiator_run(i);
}

/* What is on the disk of somebody who was preempted lands before anybody is told. */
static void preempt_and_abort_ends_the_tasks_of_who_is_preempted(void **state)
{
    reserve_out(node, SCSI_REGISTER, 0, 0, 1);
    reserve_out(other, SCSI_REGISTER, 0, 0, 2);
    reserve_out(other, SCSI_RESERVE, SCSI_WRITE_EXCLUSIVE, 2, 0);
    start_write(other);
    start_unfilled_write(other);
    expect_answer(other, ISCSI_R2T, other->itt);
    uint32_t itt = start_reserve_out(node, SCSI_PREEMPT_AND_ABORT, SCSI_WRITE_EXCLUSIVE, 1, 2);
    run_round(node);
    assert_null(initiator_next(node));
    memdisk_run(lab->disk, false);
    run_round(node);
    expect_status(node, itt, SCSI_GOOD);
    assert_null(initiator_next(other)); /* neither of its commands is answered */
    expect_attention(other, SENSE_REGISTRATIONS_PREEMPTED);
    expect_status(other, start_write(other), SCSI_RESERVATION_CONFLICT);
    start_write(node);
    memdisk_run(lab->disk, false);
    expect_status(node, node->itt, SCSI_GOOD);
}

static void preempt_and_abort_waits_for_nobody_else(void **state)
{
    reserve_out(node, SCSI_REGISTER, 0, 0, 1);
    reserve_out(other, SCSI_REGISTER, 0, 0, 2);
    uint32_t write = start_write(node);
    uint32_t itt = start_reserve_out(node, SCSI_PREEMPT_AND_ABORT, SCSI_WRITE_EXCLUSIVE, 1, 2);
    run_round(node);
    expect_status(node, itt, SCSI_GOOD);
    memdisk_run(lab->disk, false);
    expect_status(node, write, SCSI_GOOD);
}

/* SPC-4 5.13.11.2.6: the command itself is the only one that goes on. */
static void who_preempts_himself_loses_his_other_tasks(void **state)
{
    reserve_out(node, SCSI_REGISTER, 0, 0, 1);
    reserve_out(other, SCSI_REGISTER, 0, 0, 2);
    start_write(node);
    start_unfilled_write(node);
    expect_answer(node, ISCSI_R2T, node->itt);
    uint32_t write = start_write(other);
    uint32_t itt = start_reserve_out(node, SCSI_PREEMPT_AND_ABORT, SCSI_WRITE_EXCLUSIVE, 1, 1);
    run_round(node);
    assert_null(initiator_next(node));
    memdisk_run(lab->disk, false);
    run_round(node);
    expect_status(node, itt, SCSI_GOOD);
    assert_null(initiator_next(node));
    expect_status(other, write, SCSI_GOOD);
    assert_int_equal(lab->target->lun0.lu->reservations->n, 1);
    expect_attention(node, SENSE_NONE);
    start_write(node);
    memdisk_run(lab->disk, false);
    expect_status(node, node->itt, SCSI_GOOD);
}

static void who_is_preempted_may_go_meanwhile(void **state)
{
    reserve_out(node, SCSI_REGISTER, 0, 0, 1);
    reserve_out(other, SCSI_REGISTER, 0, 0, 2);
    start_write(other);
    uint32_t itt = start_reserve_out(node, SCSI_PREEMPT_AND_ABORT, SCSI_WRITE_EXCLUSIVE, 1, 2);
    run_round(node);
    iscsi_conn_close(&other->conn, "gone");
    initiator_run(other);
    assert_null(initiator_next(node));
    memdisk_run(lab->disk, false);
    run_round(node);
    expect_status(node, itt, SCSI_GOOD);
}

static void a_registration_is_of_the_port_and_outlives_its_session(void **state)
{
    struct scsi_reservations *const *now = &lab->target->lun0.lu->reservations;
    reserve_out(node, SCSI_REGISTER, 0, 0, 1);
    reserve_out(node, SCSI_RESERVE, SCSI_EXCLUSIVE_ACCESS, 1, 0);
    const struct scsi_nexus_id *id = &(*now)->registrations[0].nexus;
    const struct iscsi_login_identity *identity = &node->conn.session->identity;
    assert_string_equal(id->initiator.name, identity->initiator);
    assert_memory_equal(id->initiator.isid, identity->isid, SCSI_ISID_SIZE);
    assert_string_equal(id->target, LAB_TARGET);
    initiator_free(node);
    assert_int_equal((*now)->n, 1);
    expect_status(other, start_write(other), SCSI_RESERVATION_CONFLICT);
    node = initiator_new(lab, 11);
    login_like_linux(node);
    reserve_out(node, SCSI_RELEASE, SCSI_EXCLUSIVE_ACCESS, 1, 0);
}

static void reset_keeps_persistent_reservations(void **state)
{
    static const uint8_t functions[] = {LU_RESET, WARM_RESET};
    reserve_out(node, SCSI_REGISTER, 0, 0, 1);
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        send_task_management(node, functions[i], 0, 0);
        expect_function(node, COMPLETE);
        assert_int_equal(lab->target->lun0.lu->reservations->n, 1);
    }
}

static uint32_t start_reserve_6(struct initiator *i)
{
    static const uint8_t cdb[6] = {SCSI_RESERVE_6};
    return send_command(i, ISCSI_FLAG_FINAL, cdb, 6, 0, NULL, 0);
}

/* Others have it as soon as the logout is answered. */
static void a_logout_ends_reserve_6(void **state)
{
    uint8_t logout[ISCSI_BHS_SIZE] = {ISCSI_LOGOUT, ISCSI_FLAG_FINAL};
    expect_status(node, start_reserve_6(node), SCSI_GOOD);
    expect_status(other, start_reserve_6(other), SCSI_RESERVATION_CONFLICT);
    start_write(node); /* keeps the session */
    bhs_put32(logout, BHS_ITT, 0x77);
    bhs_put32(logout, BHS_CMDSN, node->cmdsn++);
    initiator_send(node, logout, NULL, 0);
    expect_answer(node, ISCSI_LOGOUT_RESPONSE, 0x77);
    expect_status(other, start_reserve_6(other), SCSI_GOOD);
}

static void a_lost_connection_ends_reserve_6(void **state)
{
    expect_status(node, start_reserve_6(node), SCSI_GOOD);
    start_write(node);
    iscsi_conn_close(&node->conn, "gone");
    initiator_run(node);
    expect_status(other, start_reserve_6(other), SCSI_GOOD);
}

static void an_abort_waits_for_its_own_task_alone(void **state)
{
    uint32_t mine = start_write(node);
    uint32_t stuck = start_write(node);
    start_write(other);
    send_task_management(node, ABORT_TASK, stuck, node->cmdsn - 1);
    send_task_management(node, ABORT_TASK, mine, node->cmdsn - 2);
    assert_null(initiator_next(node));
    memdisk_run_one(lab->disk, false);
    expect_function(node, COMPLETE);
    assert_int_equal(lab->disk->n_pending, 2);
    assert_int_equal(node->conn.session->record.counters.round_trips, 0); /* no response was sent */
}

/* It changes nothing on the medium. */
static void nothing_waits_for_a_read(void **state)
{
    static const uint8_t functions[] = {ABORT_TASK_SET, CLEAR_TASK_SET, LU_RESET};
    uint32_t itt = start_read(node);
    send_task_management(node, ABORT_TASK, itt, node->cmdsn - 1);
    expect_function(node, COMPLETE);
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        start_read(node);
        start_read(other);
        send_task_management(node, functions[i], 0, 0);
        expect_function(node, COMPLETE);
    }
    assert_int_equal(lab->disk->n_pending, 6); /* one was told of the clearing instead */
    memdisk_run(lab->disk, false);             /* their data goes nowhere */
    assert_null(initiator_next(node));
}

static void a_tag_is_free_when_its_task_was_aborted(void **state)
{
    uint32_t itt = start_read(node);
    send_task_management(node, ABORT_TASK, itt, node->cmdsn - 1);
    expect_function(node, COMPLETE);
    node->itt = itt - 1;
    assert_int_equal(start_read(node), itt);
    memdisk_run(lab->disk, false);
    expect_answer(node, ISCSI_DATA_IN, itt);
    assert_null(initiator_next(node));
}

static void too_many_functions_that_wait(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_TASK_MANAGEMENT, ISCSI_FLAG_FINAL | ABORT_TASK_SET};
    start_write(node);
    for (unsigned i = 0; i < ISCSI_MAX_IMMEDIATE; i++)
        send_task_management(node, ABORT_TASK_SET, 0, 0);
    assert_null(initiator_next(node));
    send_task_management(node, ABORT_TASK_SET, 0, 0);
    const struct answer *a = expect_answer(node, ISCSI_REJECT, ISCSI_RESERVED_TAG);
    assert_int_equal(a->bhs[BHS_RESPONSE], ISCSI_REJECT_TOO_MANY_IMMEDIATE);
    for (unsigned i = ISCSI_MAX_IMMEDIATE; i <= 64; i++) { /* numbered ones, too, have an end */
        assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
        bhs_put32(bhs, BHS_CMDSN, node->cmdsn++);
        initiator_send(node, bhs, NULL, 0);
    }
    initiator_run(node);
    assert_true(node->conn.violated);
}

/* RFC 7143 11.5.1: its command may still be on its way; then it counts as received. */
static void a_task_that_may_still_come(void **state)
{
    uint32_t next = node->cmdsn;
    node->cmdsn += 2; /* two commands got lost with a part of the stream, so to say */
    send_task_management(node, ABORT_TASK, 4711, next);
    expect_function(node, COMPLETE);
    send_task_management(node, ABORT_TASK, 4711, next + 2);
    expect_function(node, NO_TASK);
    send_task_management(node, ABORT_TASK, 4711, next - 1);
    expect_function(node, NO_TASK);
    node->cmdsn = next + 1;
    expect_attention(node, SENSE_NONE);
}

/* RFC 7143 11.5.1: it counts as received; should it come after all, it is old. */
static void a_command_that_never_came_is_aborted(void **state)
{
    static const uint8_t tur[6] = {SCSI_TEST_UNIT_READY};
    uint32_t lost = node->cmdsn++;
    send_task_management(node, ABORT_TASK, 4711, lost);
    expect_function(node, 0);
    uint32_t next = node->cmdsn;
    node->cmdsn = lost;
    send_command(node, ISCSI_FLAG_FINAL, tur, 6, 0, NULL, 0);
    assert_null(initiator_next(node));
    node->cmdsn = next;
    expect_attention(node, SENSE_NONE);
}

/* The answer still comes; the write of the other session is waited for, as by any reset. */
static void a_cold_reset_ends_every_session(void **state)
{
    start_write(other);
    send_task_management(node, COLD_RESET, 0, 0);
    assert_null(initiator_next(node));
    assert_int_equal(other->conn.state, ISCSI_CONN_FULL);
    memdisk_run(lab->disk, false);
    initiator_run(node);
    initiator_run(other);
    expect_function(node, 0);
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
    assert_null(initiator_next(other));
    iscsi_conn_sent(&other->conn, 0); /* there is nothing left to be sent */
    initiator_run(other);
    assert_int_equal(other->conn.state, ISCSI_CONN_CLOSED);
    assert_true(other->released && !other->conn.violated);
}

static void functions_name_a_lun(void **state)
{
    for (uint8_t function = ABORT_TASK; function <= REASSIGN; function++) {
        if (function == COLD_RESET)
            continue; /* as a warm one, but it ends the session */
        uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_TASK_MANAGEMENT | ISCSI_IMMEDIATE,
                                       (uint8_t)(ISCSI_FLAG_FINAL | function)};
        bool names_lun = function <= LU_RESET;
        bhs_put64(bhs, BHS_LUN, UINT64_C(1) << 48);
        bhs_put32(bhs, BHS_ITT, ++node->itt);
        bhs_put32(bhs, BHS_CMDSN, node->cmdsn);
        initiator_send(node, bhs, NULL, 0);
        expect_function(node, names_lun ? NO_LUN : function == REASSIGN ? NO_REASSIGN : COMPLETE);
    }
}

static void what_is_not_supported(void **state)
{
    send_task_management(node, CLEAR_ACA, 0, 0);
    expect_function(node, NOT_SUPPORTED);
    send_task_management(node, REASSIGN, 0, 0);
    expect_function(node, NO_REASSIGN);
    for (uint8_t function = REASSIGN + 1; function < 16; function++) {
        send_task_management(node, function, 0, 0);
        expect_function(node, NOT_SUPPORTED);
    }
    send_task_management(node, 0, 0, 0);
    expect_function(node, NOT_SUPPORTED);
}

static void a_session_that_ends_is_not_answered(void **state)
{
    start_write(other);
    send_task_management(node, LU_RESET, 0, 0);
    iscsi_conn_close(&node->conn, "cable pulled");
    initiator_run(node);
    assert_true(node->released); /* it had no task of its own */
    memdisk_run(lab->disk, false);
    expect_attention(other, SENSE_LU_RESET);
}

static void another_that_waits_is_still_answered_then(void **state)
{
    uint32_t itt = start_write(other);
    send_task_management(node, LU_RESET, 0, 0);
    send_task_management(other, ABORT_TASK, itt, other->cmdsn - 1);
    iscsi_conn_close(&node->conn, "cable pulled");
    initiator_run(node);
    assert_null(initiator_next(other));
    memdisk_run(lab->disk, false);
    expect_function(other, COMPLETE);
}

static void an_aborted_task_goes_to_the_disk_no_more(void **state)
{
    uint32_t itt = read_10(node, 0, 1 * MIB / BLOCK, BLOCK);
    assert_int_equal(lab->disk->n_pending, 2); /* two bursts of it */
    send_task_management(node, ABORT_TASK, itt, node->cmdsn - 1);
    memdisk_run(lab->disk, false);
    expect_function(node, COMPLETE);
    assert_int_equal(lab->disk->reads, 2);
    assert_null(initiator_next(node));
}

static void aborted_tasks_give_their_places_in_the_window_back(void **state)
{
    for (unsigned i = 0; i < 2 * ISCSI_QUEUE_DEPTH; i++) {
        uint32_t itt = start_read(node);
        send_task_management(node, ABORT_TASK, itt, node->cmdsn - 1);
        memdisk_run(lab->disk, false);
        expect_function(node, COMPLETE);
    }
    expect_attention(node, SENSE_NONE);
}

/* One half of a PDU has come when the memory for the other goes. */
static void data_on_its_way_when_another_ends_the_task(void **state)
{
    static const uint8_t data[8 * BLOCK] = {[0 ... 8 * BLOCK - 1] = 0xa5};
    uint32_t itt = start_unfilled_write(node);
    uint32_t ttt = bhs_get32(expect_answer(node, ISCSI_R2T, itt)->bhs, BHS_TTT);
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_DATA_OUT, ISCSI_FLAG_FINAL};
    bhs_put24(bhs, BHS_DATA_LENGTH, sizeof(data));
    bhs_put32(bhs, BHS_ITT, itt);
    bhs_put32(bhs, BHS_TTT, ttt);
    initiator_send_bytes(node, bhs, sizeof(bhs));
    initiator_send_bytes(node, data, sizeof(data) / 2);
    send_task_management(other, LU_RESET, 0, 0);
    expect_function(other, COMPLETE);
    assert_int_equal(buffer_pool_used(lab->thread->buffers), 0);
    initiator_send_bytes(node, data + sizeof(data) / 2, sizeof(data) / 2);
    expect_attention(node, SENSE_LU_RESET);
    memdisk_run(lab->disk, false);
    assert_int_equal(lab->disk->writes, 0);
}

/* The write that waits for its data goes, though an older task still waits for the disk. */
static void an_aborted_task_does_not_hold_the_session_of_others(void **state)
{
    uint32_t aborted = start_write(node);
    uint32_t itt = start_unfilled_write(node);
    expect_answer(node, ISCSI_R2T, itt);
    send_task_management(node, ABORT_TASK, aborted, node->cmdsn - 2);
    iscsi_conn_close(&node->conn, "cable pulled");
    initiator_run(node);
    assert_false(node->released);
    memdisk_run(lab->disk, false);
    initiator_run(node);
    assert_true(node->released);
}

#define FUNCTION_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FUNCTION_TEST(a_task_set_is_that_of_the_session),
        FUNCTION_TEST(clearing_ends_everybodys_tasks_and_tells_who_lost_some),
        FUNCTION_TEST(clearing_tells_nobody_who_had_none),
        FUNCTION_TEST(resets_tell_everybody),
        FUNCTION_TEST(resets_bring_the_mode_pages_back),
        FUNCTION_TEST(preempt_and_abort_ends_the_tasks_of_who_is_preempted),
        FUNCTION_TEST(preempt_and_abort_waits_for_nobody_else),
        FUNCTION_TEST(who_preempts_himself_loses_his_other_tasks),
        FUNCTION_TEST(who_is_preempted_may_go_meanwhile),
        FUNCTION_TEST(a_registration_is_of_the_port_and_outlives_its_session),
        FUNCTION_TEST(reset_keeps_persistent_reservations),
        FUNCTION_TEST(a_logout_ends_reserve_6),
        FUNCTION_TEST(a_lost_connection_ends_reserve_6),
        FUNCTION_TEST(an_abort_waits_for_its_own_task_alone),
        FUNCTION_TEST(nothing_waits_for_a_read),
        FUNCTION_TEST(a_tag_is_free_when_its_task_was_aborted),
        FUNCTION_TEST(too_many_functions_that_wait),
        FUNCTION_TEST(a_task_that_may_still_come),
        FUNCTION_TEST(a_command_that_never_came_is_aborted),
        FUNCTION_TEST(a_cold_reset_ends_every_session),
        FUNCTION_TEST(functions_name_a_lun),
        FUNCTION_TEST(what_is_not_supported),
        FUNCTION_TEST(a_session_that_ends_is_not_answered),
        FUNCTION_TEST(another_that_waits_is_still_answered_then),
        FUNCTION_TEST(an_aborted_task_goes_to_the_disk_no_more),
        FUNCTION_TEST(aborted_tasks_give_their_places_in_the_window_back),
        FUNCTION_TEST(data_on_its_way_when_another_ends_the_task),
        FUNCTION_TEST(an_aborted_task_does_not_hold_the_session_of_others),
    };
    return RUN_TESTS(tests);
}
