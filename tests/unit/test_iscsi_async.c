/* Asking an initiator to leave, and sending it away. */
#include "iscsi_lab.h"

#include "iscsi/async.h"

#define BLOCK 512

static int setup(void **state)
{
    return lab_set_up(64 * KIB);
}

/* A NOP-Out, and its answer: this initiator bears what it has not asked for. */
static void ping(void)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_NOP_OUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    uint32_t itt = ++node->itt;
    bhs_put32(bhs, BHS_ITT, itt);
    bhs_put32(bhs, BHS_TTT, ISCSI_RESERVED_TAG);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn);
    initiator_send(node, bhs, NULL, 0);
    expect_answer(node, ISCSI_NOP_IN, itt);
}

static struct iscsi_session *session(void)
{
    return node->conn.session;
}

static void expect_event(uint8_t event, uint16_t parameter2, uint16_t parameter3)
{
    const struct answer *a = expect_answer(node, ISCSI_ASYNC_MESSAGE, ISCSI_RESERVED_TAG);
    assert_int_equal(a->size, 0);
    assert_int_equal(a->bhs[BHS_FLAGS], ISCSI_FLAG_FINAL);
    assert_int_equal(a->bhs[36], event);
    assert_int_equal(a->bhs[37], 0);
    assert_int_equal(bhs_get16(a->bhs, (enum iscsi_field)38), 0);
    assert_int_equal(bhs_get16(a->bhs, (enum iscsi_field)40), parameter2);
    assert_int_equal(bhs_get16(a->bhs, (enum iscsi_field)42), parameter3);
}

static bool is_expected_to_leave(void)
{
    return list_linked(&session()->leave.link);
}

/* The time is over. */
static void expire(void)
{
    struct io_timer *timer = &session()->leave;
    assert_true(is_expected_to_leave());
    io_timer_stop(timer);
    timer->expired(timer);
}

static void who_has_pinged_is_asked_and_may_log_out(void **state)
{
    login_like_linux(node);
    ping();
    assert_true(iscsi_session_ask_to_leave(session(), 300, "because the test says so"));
    expect_event(1, 0, 300);
    uint32_t itt = read_10(node, 0, 1, BLOCK); /* what it has begun goes on */
    memdisk_run(lab->disk, false);
    expect_answer(node, ISCSI_DATA_IN, itt);
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_LOGOUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    bhs_put32(bhs, BHS_ITT, ++node->itt);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn);
    initiator_send(node, bhs, NULL, 0);
    expect_answer(node, ISCSI_LOGOUT_RESPONSE, node->itt);
    initiator_run(node);
    assert_true(node->released && list_empty(&lab->thread->timers));
}

static void who_stays_is_told_and_closed(void **state)
{
    login_like_linux(node);
    ping();
    iscsi_session_ask_to_leave(session(), 1, "because the test says so");
    expect_event(1, 0, 1);
    read_10(node, 0, 1, BLOCK); /* it will have no answer */
    expire();
    expect_event(3, 2, 0); /* DefaultTime2Wait=2 */
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
    assert_string_equal(node->conn.end_reason, "because the test says so");
    assert_null(initiator_next(node));
    assert_false(node->released); /* the disk holds it */
    memdisk_run(lab->disk, false);
    initiator_run(node);
    assert_true(node->released);
}

static void expect_only_to_be_closed(void)
{
    assert_false(iscsi_session_ask_to_leave(session(), 5, "because the test says so"));
    assert_null(initiator_next(node));
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
    expire();
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
    assert_null(initiator_next(node));
}

static void who_has_never_pinged_is_only_closed(void **state)
{
    login_like_linux(node);
    expect_only_to_be_closed();
}

static void firmware_is_only_closed(void **state)
{
    login_like_ipxe(node);
    ping();
    expect_only_to_be_closed();
}

static void the_earlier_deadline_holds(void **state)
{
    login_like_linux(node);
    iscsi_session_ask_to_leave(session(), 100, "one");
    uint64_t deadline = session()->leave.deadline;
    iscsi_session_ask_to_leave(session(), 1000, "two");
    assert_true(session()->leave.deadline == deadline);
    iscsi_session_ask_to_leave(session(), 10, "three");
    assert_true(session()->leave.deadline < deadline);
}

static void it_may_stay_after_all(void **state)
{
    login_like_linux(node);
    iscsi_session_let_stay(session());
    iscsi_session_ask_to_leave(session(), 100, "one");
    iscsi_session_let_stay(session());
    assert_false(is_expected_to_leave());
    assert_true(list_empty(&lab->thread->timers));
}

static void one_that_is_closing_is_not_asked(void **state)
{
    login_like_linux(node);
    ping();
    iscsi_conn_close_after_output(&node->conn, "it was about to go");
    assert_false(iscsi_session_ask_to_leave(session(), 100, "one"));
    assert_false(is_expected_to_leave());
}

/* Between being closed and being freed. */
static void a_deadline_of_one_that_has_gone_is_nothing(void **state)
{
    login_like_linux(node);
    iscsi_session_ask_to_leave(session(), 100, "one");
    iscsi_conn_close(&node->conn, "the line is cut");
    expire();
    assert_string_equal(node->conn.end_reason, "the line is cut");
}

#define LAB_TEST(f) cmocka_unit_test_setup_teardown(f, setup, lab_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(who_has_pinged_is_asked_and_may_log_out),
        LAB_TEST(who_stays_is_told_and_closed),
        LAB_TEST(who_has_never_pinged_is_only_closed),
        LAB_TEST(firmware_is_only_closed),
        LAB_TEST(the_earlier_deadline_holds),
        LAB_TEST(it_may_stay_after_all),
        LAB_TEST(one_that_is_closing_is_not_asked),
        LAB_TEST(a_deadline_of_one_that_has_gone_is_nothing),
    };
    return RUN_TESTS(tests);
}
