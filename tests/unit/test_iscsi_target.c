/* Several sessions of one target: who replaces whom, who has to stay outside, and its end. */
#include "iscsi_lab.h"

#define BLOCK 512

static struct initiator *first, *second;

static int setup(void **state)
{
    lab_set_up(1 * MIB);
    first = node;
    second = initiator_new(lab, 11);
    return 0;
}

static int teardown(void **state)
{
    initiator_free(second);
    node = first;
    return lab_tear_down(state);
}

static void ask_to_log_in(struct initiator *i)
{
    SEND_LOGIN(i, 0x87, LAB_NAMES);
    initiator_run(first); /* whoever is thrown out sees it */
    initiator_run(i);
}

/* Its TSIH. */
static uint16_t log_in(struct initiator *i)
{
    ask_to_log_in(i);
    const struct answer *a = initiator_next(i);
    assert_int_equal(login_status(a), ISCSI_LOGIN_OK);
    assert_int_equal(i->conn.state, ISCSI_CONN_FULL);
    return bhs_get16(a->bhs, BHS_TSIH);
}

static void expect_refusal(struct initiator *i, enum iscsi_login_status status)
{
    ask_to_log_in(i);
    expect_login_status(i, status);
    assert_int_equal(i->conn.state, ISCSI_CONN_CLOSED);
    assert_int_equal(i->refused_with, status);
}

static void expect_alive(struct initiator *i)
{
    static const uint8_t tur[6] = {SCSI_TEST_UNIT_READY};
    expect_answer(i, ISCSI_SCSI_RESPONSE, send_command(i, ISCSI_FLAG_FINAL, tur, 6, 0, NULL, 0));
}

static size_t n_sessions(void)
{
    size_t n = 0;
    list_for_each(link, &lab->target->sessions)
        n++;
    return n;
}

static void expect_sessions(size_t expected)
{
    assert_int_equal(n_sessions(), expected);
}

/* --- which session is meant: ISID and TSIH --- */

static void another_isid_is_another_session(void **state)
{
    uint16_t tsih = log_in(first);
    second->isid_qualifier = 2;
    assert_int_not_equal(log_in(second), tsih);
    expect_sessions(2);
    expect_alive(first);
    expect_alive(second);
}

static void another_initiator_is_another_session(void **state)
{
    log_in(first);
    SEND_LOGIN(second, 0x87, "InitiatorName=" LAB_INITIATOR "2\0TargetName=" LAB_TARGET "\0");
    expect_login_status(second, ISCSI_LOGIN_OK);
    expect_sessions(2);
    expect_alive(first);
}

static void the_same_isid_replaces_the_session(void **state)
{
    uint16_t tsih = log_in(first);
    assert_int_not_equal(log_in(second), tsih);
    assert_true(first->released);
    expect_sessions(1);
    expect_alive(second);
}

static void its_tsih_names_the_session_that_is_replaced(void **state)
{
    second->tsih = log_in(first);
    assert_int_equal(log_in(second), second->tsih); /* it is the same session, RFC 7143 6.3.4 */
    assert_true(first->released);
    expect_sessions(1);
    expect_alive(second);
}

static void a_tsih_of_no_session_is_refused(void **state)
{
    second->tsih = (uint16_t)(log_in(first) + 1);
    expect_refusal(second, ISCSI_LOGIN_NO_SESSION);
    expect_alive(first);
}

static void a_tsih_of_another_isid_is_refused(void **state)
{
    second->tsih = log_in(first);
    second->isid_qualifier = 2;
    expect_refusal(second, ISCSI_LOGIN_NO_SESSION);
    expect_alive(first);
}

static void a_session_has_one_connection(void **state)
{
    second->tsih = log_in(first);
    second->cid = 1;
    expect_refusal(second, ISCSI_LOGIN_TOO_MANY_CONNECTIONS);
    expect_alive(first);
}

static void a_tsih_is_never_0_and_never_anothers(void **state)
{
    lab->target->last_tsih = 65534;
    assert_int_equal(log_in(first), 65535);
    second->isid_qualifier = 2;
    assert_int_equal(log_in(second), 1);
    lab->target->last_tsih = 65534;
    struct initiator *third = initiator_new(lab, 11);
    third->isid_qualifier = 3;
    assert_int_equal(log_in(third), 2);
    initiator_free(third);
}

/* --- one writer --- */

static void use_another_address(void)
{
    initiator_free(second);
    second = initiator_new(lab, 12);
}

static void a_rival_stays_outside_while_the_first_lives(void **state)
{
    log_in(first);
    use_another_address();
    expect_refusal(second, ISCSI_LOGIN_UNAVAILABLE);
    assert_int_equal(first->probes, 1);
    use_another_address();
    second->isid_qualifier = 2; /* whatever it calls itself */
    expect_refusal(second, ISCSI_LOGIN_UNAVAILABLE);
    assert_int_equal(first->probes, 2);
    expect_alive(first);
}

/* Both of the lab's addresses, of whoever has the node's name. */
static bool at_home(struct iscsi_target *target, const struct iscsi_login_identity *a,
                    const struct iscsi_login_identity *b)
{
    const struct endpoint homes[] = {endpoint_of_ipv4(0x0a00000b, 0),
                                     endpoint_of_ipv4(0x0a00000c, 0)};
    bool all = target == lab->target && str_eq(a->initiator, b->initiator);
    return all &&
           (endpoint_same_host(&a->source, homes) || endpoint_same_host(&a->source, homes + 1)) &&
           (endpoint_same_host(&b->source, homes) || endpoint_same_host(&b->source, homes + 1));
}

static void the_same_machine_may_come_through_another_card(void **state)
{
    lab->target->same_machine = at_home;
    log_in(first);
    use_another_address();
    second->isid_qualifier = 2;
    log_in(second);
    expect_sessions(2);
    struct initiator *clone = initiator_new(lab, 13); /* is nobody's card */
    clone->isid_qualifier = 3;
    expect_refusal(clone, ISCSI_LOGIN_UNAVAILABLE);
    initiator_free(clone);
    expect_alive(first);
    expect_alive(second);
}

static void a_rival_comes_in_when_the_first_is_gone(void **state)
{
    log_in(first);
    iscsi_conn_close(&first->conn, "the probe was not answered");
    initiator_run(first);
    use_another_address();
    log_in(second);
    assert_int_equal(first->probes, 0);
}

/* Its connection is gone, but a write of it is still on the disk: it must not land on what the
 * next one writes. */
/* All its data is there: it is on the disk until memdisk_run(). */
static void start_write(struct initiator *i)
{
    static const uint8_t cdb[10] = {SCSI_WRITE_10, [8] = 1}, data[BLOCK];
    send_command(i, ISCSI_FLAG_FINAL | ISCSI_FLAG_WRITE, cdb, 10, BLOCK, data, BLOCK);
}

/* Reads change nothing: nobody waits for them, not even who replaces that session. */
static void nobody_waits_for_the_firsts_last_reads(void **state)
{
    for (uint8_t isid = 1; isid <= 2; isid++) {
        struct initiator *next = initiator_new(lab, 11);
        log_in(first);
        read_10(first, 0, 1, BLOCK);
        iscsi_conn_close(&first->conn, "the probe was not answered");
        initiator_run(first);
        assert_false(first->released);
        next->isid_qualifier = isid;
        SEND_LOGIN(next, 0x87, LAB_NAMES);
        expect_login_status(next, ISCSI_LOGIN_OK);
        memdisk_run(lab->disk, false);
        initiator_run(first);
        initiator_free(next);
        initiator_free(first);
        first = initiator_new(lab, 11);
    }
}

static void whoever_is_next_waits_for_the_firsts_last_writes(void **state)
{
    for (uint8_t address = 11; address <= 12; address++) { /* the same machine, another one */
        for (uint8_t isid = 1; isid <= 2; isid++) {        /* firmware and Linux differ in it */
            struct initiator *next = initiator_new(lab, address);
            log_in(first);
            start_write(first);
            iscsi_conn_close(&first->conn, "the probe was not answered");
            initiator_run(first);
            assert_false(first->released);
            next->isid_qualifier = isid;
            SEND_LOGIN(next, 0x87, LAB_NAMES);
            assert_null(initiator_next(next));
            memdisk_run(lab->disk, false);
            initiator_run(first);
            expect_login_status(next, ISCSI_LOGIN_OK);
            initiator_free(next);
            initiator_free(first);
            first = initiator_new(lab, 11);
        }
    }
}

static void a_shared_volume_has_no_rivals(void **state)
{
    lab->target->single_writer = false;
    log_in(first);
    use_another_address();
    second->isid_qualifier = 2;
    log_in(second);
    expect_sessions(2);
    expect_alive(first);
}

/* --- waiting for the disk --- */

static void a_login_waits_until_the_old_session_has_let_go(void **state)
{
    log_in(first);
    start_write(first);
    ask_to_log_in(second);
    assert_null(initiator_next(second));
    assert_int_equal(second->conn.state, ISCSI_CONN_ATTACHING);
    memdisk_run(lab->disk, false);
    initiator_run(first);
    expect_login_status(second, ISCSI_LOGIN_OK);
    expect_sessions(1);
}

/* Its volume was drained meanwhile. */
static void one_that_waits_may_not_be_admitted_any_more(void **state)
{
    log_in(first);
    start_write(first);
    ask_to_log_in(second);
    assert_null(initiator_next(second));
    lab->check_status = ISCSI_LOGIN_UNAVAILABLE;
    memdisk_run(lab->disk, false);
    initiator_run(first);
    expect_login_status(second, ISCSI_LOGIN_UNAVAILABLE);
    initiator_run(second);
    expect_sessions(0);
}

static void who_is_not_admitted_any_more_replaces_nobody(void **state)
{
    log_in(first);
    lab->check_status = ISCSI_LOGIN_UNAVAILABLE;
    expect_refusal(second, ISCSI_LOGIN_UNAVAILABLE);
    expect_sessions(1);
    expect_alive(first);
}

static void of_several_that_wait_the_last_one_stays(void **state)
{
    log_in(first);
    start_write(first);
    ask_to_log_in(second);
    struct initiator *third = initiator_new(lab, 11);
    ask_to_log_in(third);
    memdisk_run(lab->disk, false);
    initiator_run(first);
    initiator_run(second);
    initiator_run(third);
    expect_login_status(third, ISCSI_LOGIN_OK);
    assert_true(second->released);
    expect_sessions(1);
    expect_alive(third);
    initiator_free(third);
}

static void also_if_there_is_nothing_to_wait_for(void **state)
{
    log_in(first);
    read_10(first, 0, 8, BLOCK);
    struct initiator *third = initiator_new(lab, 11);
    ask_to_log_in(second);
    expect_login_status(second, ISCSI_LOGIN_OK);
    ask_to_log_in(third);
    expect_login_status(third, ISCSI_LOGIN_OK);
    memdisk_run(lab->disk, false);
    initiator_run(first);
    initiator_run(second);
    initiator_run(third);
    assert_true(first->released && second->released);
    expect_sessions(1);
    expect_alive(third);
    initiator_free(third);
}

static void one_that_waits_may_give_up(void **state)
{
    log_in(first);
    start_write(first);
    ask_to_log_in(second);
    iscsi_conn_close(&second->conn, "took too long to log in");
    initiator_run(second);
    assert_true(second->released);
    memdisk_run(lab->disk, false);
    initiator_run(first);
    expect_sessions(0);
    assert_true(iscsi_target_is_idle(lab->target));
}

static void a_tsih_still_counts_after_waiting(void **state)
{
    second->tsih = log_in(first);
    start_write(first);
    ask_to_log_in(second);
    assert_null(initiator_next(second));
    memdisk_run(lab->disk, false);
    initiator_run(first);
    expect_login_status(second, ISCSI_LOGIN_OK);
}

/* --- the end --- */

static unsigned idles;

static void count_idle(struct iscsi_target *target)
{
    assert_true(iscsi_target_is_idle(target));
    idles++;
}

static void it_is_told_when_the_last_session_has_gone(void **state)
{
    idles = 0;
    lab->target->idle = count_idle;
    log_in(first);
    second->isid_qualifier = 2;
    log_in(second);
    iscsi_conn_close(&first->conn, "gone");
    initiator_run(first);
    assert_int_equal(idles, 0);
    iscsi_conn_close(&second->conn, "gone");
    initiator_run(second);
    fake_thread_round(lab->thread);
    assert_int_equal(idles, 1);
}

static void who_comes_in_the_same_round_keeps_it_open(void **state)
{
    idles = 0;
    lab->target->idle = count_idle;
    log_in(first);
    log_in(second); /* replaces the first: for a moment there was none */
    fake_thread_round(lab->thread);
    assert_int_equal(idles, 0);
}

static void all_are_closed_at_once(void **state)
{
    struct initiator *third = initiator_new(lab, 11);
    log_in(first);
    third->isid_qualifier = 3;
    log_in(third);
    read_10(first, 0, 8, BLOCK);
    ask_to_log_in(second);
    iscsi_target_close_sessions(lab->target, "the daemon stops");
    initiator_run(first);
    initiator_run(second);
    initiator_run(third);
    assert_true(second->released && third->released);
    assert_false(iscsi_target_is_idle(lab->target)); /* the first one's read is on the disk */
    memdisk_run(lab->disk, false);
    initiator_run(first);
    assert_true(iscsi_target_is_idle(lab->target));
    assert_string_equal(second->conn.end_reason, "the daemon stops");
    assert_string_equal(third->conn.end_reason, "the daemon stops");
    initiator_free(third);
}

#define TARGET_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TARGET_TEST(another_isid_is_another_session),
        TARGET_TEST(another_initiator_is_another_session),
        TARGET_TEST(the_same_isid_replaces_the_session),
        TARGET_TEST(its_tsih_names_the_session_that_is_replaced),
        TARGET_TEST(a_tsih_of_no_session_is_refused),
        TARGET_TEST(a_tsih_of_another_isid_is_refused),
        TARGET_TEST(a_session_has_one_connection),
        TARGET_TEST(a_tsih_is_never_0_and_never_anothers),
        TARGET_TEST(a_rival_stays_outside_while_the_first_lives),
        TARGET_TEST(the_same_machine_may_come_through_another_card),
        TARGET_TEST(a_rival_comes_in_when_the_first_is_gone),
        TARGET_TEST(nobody_waits_for_the_firsts_last_reads),
        TARGET_TEST(whoever_is_next_waits_for_the_firsts_last_writes),
        TARGET_TEST(a_shared_volume_has_no_rivals),
        TARGET_TEST(a_login_waits_until_the_old_session_has_let_go),
        TARGET_TEST(one_that_waits_may_not_be_admitted_any_more),
        TARGET_TEST(who_is_not_admitted_any_more_replaces_nobody),
        TARGET_TEST(of_several_that_wait_the_last_one_stays),
        TARGET_TEST(also_if_there_is_nothing_to_wait_for),
        TARGET_TEST(one_that_waits_may_give_up),
        TARGET_TEST(a_tsih_still_counts_after_waiting),
        TARGET_TEST(it_is_told_when_the_last_session_has_gone),
        TARGET_TEST(who_comes_in_the_same_round_keeps_it_open),
        TARGET_TEST(all_are_closed_at_once),
    };
    return RUN_TESTS(tests);
}
