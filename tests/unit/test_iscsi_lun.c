/* The further LUNs of a session: connecting, disconnecting, and what their threads ask for. */
#include "further_lab.h"

#include "iscsi/remote.h"
#include "scsi/words.h"

static int setup(void **state)
{
    return further_lab_set_up(1 * MIB);
}

static void log_in(void)
{
    SEND_LOGIN(node, 0x87, LAB_NAMES);
    expect_login_status(node, ISCSI_LOGIN_OK);
}

/* --- numbers --- */

static void numbers_as_on_the_wire(void **state)
{
    static const struct {
        uint64_t wire;
        int number;
    } cases[] = {
        {0, 0},
        {UINT64_C(0x0001) << 48, 1},
        {UINT64_C(0x00ff) << 48, 255},
        {UINT64_C(0x4001) << 48, 1}, /* flat space */
        {UINT64_C(0x7fff) << 48, 0x3fff},
        {UINT64_C(0x0101) << 48, -1},       /* of bus 1 */
        {UINT64_C(0x8001) << 48, -1},       /* logical unit addressing */
        {UINT64_C(0xc101) << 48, -1},       /* well known */
        {UINT64_C(0x0001000100000000), -1}, /* of two levels */
        {1, -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(iscsi_lun_number(cases[i].wire), cases[i].number);
}

/* --- connecting and disconnecting, without a session --- */

static struct iscsi_luns *luns; /* until they are released */
static unsigned connected, let_go, freed, released;
static const char *reason;              /* why the last one was not opened */
static struct iscsi_target *to_give[2]; /* NULL: it cannot be opened */

static void open_lun(struct iscsi_lun *lun)
{
    struct iscsi_target *target = to_give[lun->number - 1];
    lun->request.done(&lun->request, target, target ? NULL : "its disk is on fire");
}

static void on_opened(struct iscsi_lun *lun)
{
    if (!lun->connected)
        reason = lun->reason;
}

static void on_let_go(struct iscsi_lun *lun)
{
    assert_ptr_equal(lun->luns, luns);
    let_go++;
}

static void on_connected(struct iscsi_luns *which)
{
    assert_ptr_equal(which, luns);
    connected++;
}

static void on_freed(struct iscsi_luns *which)
{
    assert_ptr_equal(which, luns);
    assert_int_equal(released, 0); /* first this, then that */
    freed++;
}

static void on_released(void *context)
{
    assert_ptr_equal(context, &luns);
    luns = NULL;
    released++;
}

/* Of two: LUN 1 on the other thread, LUN 2 on that of the session. */
static void connect_luns(struct iscsi_target *first, struct iscsi_target *second)
{
    connected = let_go = freed = released = 0;
    reason = NULL;
    to_give[0] = first;
    to_give[1] = second;
    luns = iscsi_luns_new(lab->thread);
    luns->open = open_lun;
    luns->opened = on_opened;
    luns->connected = on_connected;
    luns->let_go = on_let_go;
    luns->freed = on_freed;
    for (unsigned i = 0; i < 2; i++)
        assert_non_null(
            iscsi_luns_add(luns, i + 1, i == 0 ? far->thread : lab->thread, i + 1, NULL));
    iscsi_luns_connect(luns);
}

static void release_luns(void)
{
    iscsi_luns_release(luns, on_released, &luns);
    lab_deliver(lab);
    assert_int_equal(let_go, 2);
    assert_int_equal(freed, 1);
    assert_int_equal(released, 1);
    assert_true(iscsi_target_is_idle(far->target));
    assert_true(iscsi_target_is_idle(lab->target));
}

static void they_are_connected_when_all_have_answered(void **state)
{
    connect_luns(far->target, lab->target);
    assert_int_equal(lab_deliver_to(lab), 1); /* LUN 2 is opened here... */
    assert_int_equal(lab_deliver_to(lab), 1); /* ...and is connected */
    assert_int_equal(connected, 0);
    lab_deliver(lab);
    assert_int_equal(connected, 1);
    for (unsigned i = 1; i < 3; i++)
        assert_int_equal(iscsi_luns_find(luns, (int)i)->number, i);
    assert_null(iscsi_luns_find(luns, 0));
    assert_null(iscsi_luns_find(luns, -1));
    assert_null(iscsi_luns_find(luns, 3));
    assert_null(iscsi_luns_find(luns, ISCSI_LUNS));
    assert_null(iscsi_luns_find(NULL, 1));
    assert_false(iscsi_target_is_idle(far->target));
    release_luns();
}

static void what_cannot_be_opened_is_left_out(void **state)
{
    connect_luns(NULL, lab->target);
    lab_deliver(lab);
    assert_int_equal(connected, 1);
    assert_null(iscsi_luns_find(luns, 1));
    assert_string_equal(reason, "its disk is on fire");
    assert_int_equal(let_go, 1);
    assert_int_equal(iscsi_luns_find(luns, 2)->number, 2);
    release_luns();
}

static void nothing_was_connected(void **state)
{
    connect_luns(NULL, NULL);
    lab_deliver(lab);
    assert_true(connected == 1 && let_go == 2);
    iscsi_luns_release(luns, on_released, &luns);
    assert_int_equal(released, 1); /* there is nobody to wait for */
}

static void they_are_released_when_all_have_let_go(void **state)
{
    connect_luns(far->target, lab->target);
    lab_deliver(lab);
    iscsi_luns_release(luns, on_released, &luns);
    lab_deliver_to(lab);
    lab_deliver_to(lab);
    assert_int_equal(released, 0);
    lab_deliver(lab);
    assert_int_equal(released, 1);
}

/* A volume is for one machine, also as a further LUN. */
static void what_another_machine_uses_is_left_out(void **state)
{
    struct initiator *other = initiator_new(far, 12);
    SEND_LOGIN(other, 0x87, LAB_NAMES);
    expect_login_status(other, ISCSI_LOGIN_OK);
    log_in();
    assert_null(iscsi_luns_find(node->conn.luns, 1));
    assert_string_equal(node->lun_reason, "it is in use from another address");
    initiator_free(other);
}

static struct iscsi_lun *lun_1(void)
{
    return iscsi_luns_find(node->conn.luns, 1);
}

/* --- what the LU's thread asks for --- */

static void evicting_ends_the_session_once(void **state)
{
    log_in();
    lab->holds_messages = true;
    iscsi_lun_evict(lun_1(), "the volume is removed");
    iscsi_lun_evict(lun_1(), "again");
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
    assert_int_equal(lab_deliver_to(lab), 1);
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
    assert_string_equal(node->conn.end_reason, "the volume is removed");
    further_lab_end_session();
    assert_true(node->released);
    assert_true(iscsi_target_is_idle(far->target));
}

static void closing_the_sessions_of_a_target_evicts(void **state)
{
    log_in();
    iscsi_target_close_sessions(far->target, "the daemon stops");
    initiator_run(node);
    initiator_run(node);
    assert_string_equal(node->conn.end_reason, "the daemon stops");
    assert_true(node->released);
}

static unsigned tasks_of(unsigned number)
{
    unsigned n = 0;
    list_for_each(link, &node->conn.session->tasks)
        n += iscsi_lun_number(container_of(link, struct iscsi_task, link)->lun) == (int)number;
    return n;
}

/* As who clears does, of what has come to the LU so far. */
static void mark_as_cleared(struct iscsi_lun *lun)
{
    list_for_each(link, &lun->tasks)
        container_of(link, struct iscsi_remote, link)->cleared = true;
}

static void clearing_cancels_what_is_on_that_lun(void **state)
{
    log_in();
    read_10(node, 0, 1, 512);
    read_10(node, 8, 1, 512);
    node->lun = 0;
    uint32_t kept = read_10(node, 0, 1, 512);
    lab->holds_messages = true;
    mark_as_cleared(lun_1());
    iscsi_lun_clear(lun_1());
    iscsi_lun_clear(lun_1());
    assert_int_equal(tasks_of(1), 2);
    assert_int_equal(lab_deliver_to(lab), 1);
    assert_int_equal(tasks_of(1), 0);
    assert_int_equal(tasks_of(0), 1);
    iscsi_lun_clear(lun_1()); /* another time */
    assert_int_equal(lab_deliver_to(lab), 1);
    lab->holds_messages = false;
    memdisk_run(far->disk, false);
    memdisk_run(lab->disk, false);
    expect_answer(node, ISCSI_DATA_IN, kept);
    assert_null(initiator_next(node)); /* who clears has to tell them */
    assert_int_equal(node->conn.session->n_tasks, 0);
}

enum { LOGICAL_UNIT_RESET = 5 };

/* A command behind the reset is none of those that it ends, whatever is still on its way. */
static void what_comes_after_a_reset_is_answered(void **state)
{
    uint8_t cdb[10] = {SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1};
    uint8_t block[512] = {1};
    log_in();
    send_command(node, ISCSI_FLAG_FINAL | ISCSI_FLAG_WRITE, cdb, 10, 512, block, 512);
    initiator_run(node);
    assert_int_equal(far->disk->n_pending, 1);
    lab->holds_messages = true;
    send_task_management(node, LOGICAL_UNIT_RESET, ISCSI_RESERVED_TAG, 0);
    uint32_t function = node->itt;
    lab_deliver_to(far); /* it is done there, but for what is on the disk */
    uint32_t after = read_10(node, 0, 1, 512);
    lab_deliver(lab);
    lab->holds_messages = false;
    initiator_run(node);
    expect_answer(node, ISCSI_SCSI_RESPONSE, after); /* it tells of the reset */
    assert_null(initiator_next(node));
    memdisk_run(far->disk, false);
    expect_answer(node, ISCSI_TASK_MANAGEMENT_RESPONSE, function);
}

/* Its connection goes while its LUNs are still being connected. */
static void who_goes_away_while_they_are_connected(void **state)
{
    lab->holds_messages = true;
    SEND_LOGIN(node, 0x87, LAB_NAMES);
    assert_true(node->connects);
    iscsi_conn_close(&node->conn, "closed by the initiator");
    initiator_run(node);
    assert_false(node->released);
    further_lab_end_session();
    assert_true(node->released);
    assert_true(iscsi_target_is_idle(far->target));
}

/* --- attaching to a session that has begun --- */

/* Without a further LUN; `far` is the one to come. */
static int setup_alone(void **state)
{
    int r = further_lab_set_up(1 * MIB);
    lab->n_further = 0;
    log_in();
    lab->n_further = 1;
    node->lun = 0;
    return r;
}

static uint32_t send_cdb(unsigned lun, const uint8_t *cdb, uint8_t size, uint32_t expected)
{
    node->lun = lun;
    send_command(node, ISCSI_FLAG_FINAL | (expected ? ISCSI_FLAG_READ : 0), cdb, size, expected,
                 NULL, 0);
    return node->itt;
}

/* Sense of the answer to TEST UNIT READY; 0: it is ready. */
static uint32_t test_unit(unsigned lun)
{
    static const uint8_t cdb[6] = {SCSI_TEST_UNIT_READY};
    uint32_t itt = send_cdb(lun, cdb, sizeof(cdb), 0);
    initiator_run(node);
    const struct answer *answer = expect_answer(node, ISCSI_SCSI_RESPONSE, itt);
    return answer->size > 2 ? scsi_sense_code(answer->data + 2, answer->size - 2) : SENSE_NONE;
}

static uint32_t send_report_luns(unsigned lun)
{
    static const uint8_t cdb[12] = {SCSI_REPORT_LUNS, [8] = 1};
    return send_cdb(lun, cdb, sizeof(cdb), 256);
}

/* How many LUNs are told. */
static unsigned expect_luns(uint32_t itt)
{
    const struct answer *answer = expect_answer(node, ISCSI_DATA_IN, itt);
    for (uint32_t i = 8; i < answer->size; i += 8)
        assert_int_equal(answer->data[i + 1], i / 8 - 1); /* in order */
    unsigned n = (answer->size - 8) / 8;
    if (!(answer->bhs[BHS_FLAGS] & 0x01)) /* its status comes behind it */
        expect_answer(node, ISCSI_SCSI_RESPONSE, itt);
    return n;
}

static unsigned report_luns(unsigned lun)
{
    uint32_t itt = send_report_luns(lun);
    initiator_run(node);
    return expect_luns(itt);
}

static void attach_lun(unsigned number)
{
    initiator_attach_lun(node, number);
    initiator_run(node);
    assert_null(node->lun_reason);
}

static void what_is_attached_is_told_and_works(void **state)
{
    assert_int_equal(test_unit(1), SENSE_LUN_NOT_SUPPORTED);
    attach_lun(1);
    assert_int_equal(test_unit(1), SENSE_NONE); /* it is new itself */
    assert_int_equal(test_unit(0), SENSE_REPORTED_LUNS_CHANGED);
    assert_int_equal(test_unit(0), SENSE_NONE);
    assert_int_equal(report_luns(0), 2);
}

/* The same list, whichever LU tells it; and all of them know that it was told. */
static void report_luns_clears_it_on_every_lun(void **state)
{
    static const unsigned on[] = {0, 1, 5}; /* here, on the other thread, on none */
    attach_lun(1);
    struct lab *third = lab_new(1 * MIB, 512);
    lab->further[lab->n_further++] = third;
    attach_lun(2);
    for (size_t i = 0; i < ARRAY_SIZE(on); i++) {
        struct scsi_nexus *first = &node->conn.session->nexus, *second = &lun_1()->nexus;
        scsi_nexus_establish_unit_attention(first, SENSE_REPORTED_LUNS_CHANGED);
        scsi_nexus_establish_unit_attention(second, SENSE_REPORTED_LUNS_CHANGED);
        scsi_nexus_establish_unit_attention(second, SENSE_LU_RESET);
        assert_int_equal(report_luns(on[i]), 3);
        assert_int_equal(test_unit(0), SENSE_NONE);
        assert_int_equal(test_unit(1), SENSE_LU_RESET);
        assert_int_equal(test_unit(1), SENSE_NONE);
        assert_int_equal(test_unit(2), SENSE_NONE);
    }
    further_lab_end_session();
    lab_free(third);
    lab->n_further--;
}

/* REPORT LUNS on its way through the other thread tells an old list: the news stays. */
static void an_old_list_clears_nothing(void **state)
{
    attach_lun(1);
    assert_int_equal(report_luns(1), 2);
    lab->holds_messages = true;
    uint32_t old = send_report_luns(1);
    struct lab *third = lab_new(1 * MIB, 512);
    lab->further[lab->n_further++] = third;
    initiator_attach_lun(node, 2);
    lab_deliver_to(third); /* it is connected... */
    lab_deliver_to(lab);   /* ...and told of... */
    lab->holds_messages = false;
    initiator_run(node); /* ...before this comes back */
    assert_int_equal(expect_luns(old), 2);
    assert_int_equal(test_unit(0), SENSE_REPORTED_LUNS_CHANGED);
    assert_int_equal(test_unit(1), SENSE_REPORTED_LUNS_CHANGED);
    assert_int_equal(report_luns(1), 3);
    further_lab_end_session();
    lab_free(third);
    lab->n_further--;
}

/* What was under way before carries the old list, of a session that had none. */
static void tasks_go_on_while_one_is_attached(void **state)
{
    uint32_t before = read_10(node, 0, 1, 512);
    attach_lun(1);
    memdisk_run(lab->disk, false);
    initiator_run(node);
    expect_answer(node, ISCSI_DATA_IN, before);
    node->lun = 1;
    uint32_t after = read_10(node, 0, 1, 512);
    initiator_run(node);
    memdisk_run(far->disk, false);
    initiator_run(node);
    expect_answer(node, ISCSI_DATA_IN, after);
}

static void what_cannot_be_attached_is_not_there(void **state)
{
    struct initiator *other = initiator_new(far, 12);
    SEND_LOGIN(other, 0x87, LAB_NAMES);
    expect_login_status(other, ISCSI_LOGIN_OK);
    initiator_attach_lun(node, 1);
    initiator_run(node);
    assert_string_equal(node->lun_reason, "it is in use from another address");
    assert_true(list_empty(&node->conn.luns->all));
    assert_int_equal(test_unit(1), SENSE_LUN_NOT_SUPPORTED);
    assert_int_equal(test_unit(0), SENSE_NONE);
    assert_int_equal(report_luns(0), 1);
    initiator_free(other);
    attach_lun(1);
    assert_int_equal(report_luns(0), 2);
}

/* The session ends at each moment of it. */
static void who_goes_away_while_one_is_attached(void **state)
{
    for (unsigned steps = 0; steps < 4; steps++) {
        if (steps > 0)
            setup_alone(state);
        lab->holds_messages = true;
        initiator_attach_lun(node, 1);
        for (unsigned i = 0; i < steps; i++)
            lab_deliver_to(i & 1 ? lab : far);
        iscsi_conn_close(&node->conn, "closed by the initiator");
        initiator_run(node);
        assert_int_equal(node->released, false);
        further_lab_end_session();
        assert_true(node->released);
        assert_true(iscsi_target_is_idle(far->target));
        if (steps < 3)
            further_lab_tear_down(state);
    }
}

#define ALONE_TEST(f) cmocka_unit_test_setup_teardown(f, setup_alone, further_lab_tear_down)
#define LUN_TEST(f)   cmocka_unit_test_setup_teardown(f, setup, further_lab_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(numbers_as_on_the_wire),
        LUN_TEST(they_are_connected_when_all_have_answered),
        LUN_TEST(what_cannot_be_opened_is_left_out),
        LUN_TEST(nothing_was_connected),
        LUN_TEST(they_are_released_when_all_have_let_go),
        LUN_TEST(what_another_machine_uses_is_left_out),
        LUN_TEST(evicting_ends_the_session_once),
        LUN_TEST(closing_the_sessions_of_a_target_evicts),
        LUN_TEST(clearing_cancels_what_is_on_that_lun),
        LUN_TEST(what_comes_after_a_reset_is_answered),
        LUN_TEST(who_goes_away_while_they_are_connected),
        ALONE_TEST(what_is_attached_is_told_and_works),
        ALONE_TEST(report_luns_clears_it_on_every_lun),
        ALONE_TEST(an_old_list_clears_nothing),
        ALONE_TEST(tasks_go_on_while_one_is_attached),
        ALONE_TEST(what_cannot_be_attached_is_not_there),
        ALONE_TEST(who_goes_away_while_one_is_attached),
    };
    return RUN_TESTS(tests);
}
