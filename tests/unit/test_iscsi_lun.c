/* The further LUNs of a session: connecting, disconnecting, and what their threads ask for. */
#include "further_lab.h"

#include "iscsi/remote.h"

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
static unsigned connected, freed, released;
static struct iscsi_target *to_give[2]; /* NULL: it cannot be opened */

static void open_lun(struct iscsi_lun *lun)
{
    struct iscsi_target *target = to_give[lun->number - 1];
    lun->request.done(&lun->request, target, target ? NULL : "its disk is on fire");
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
    connected = freed = released = 0;
    to_give[0] = first;
    to_give[1] = second;
    luns = iscsi_luns_new(lab->thread, 2);
    luns->open = open_lun;
    luns->connected = on_connected;
    luns->freed = on_freed;
    for (unsigned i = 0; i < 2; i++) {
        luns->luns[i].number = i + 1;
        luns->luns[i].thread = i == 0 ? far->thread : lab->thread;
    }
    iscsi_luns_connect(luns);
}

static void release_luns(void)
{
    iscsi_luns_release(luns, on_released, &luns);
    lab_deliver(lab);
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
    assert_int_equal(luns->scsi.n_luns, 3);
    for (unsigned i = 1; i < 3; i++) {
        assert_true(luns->scsi.luns[i].lun == (uint64_t)i << 48);
        assert_int_equal(iscsi_luns_find(luns, (int)i)->number, i);
    }
    assert_null(iscsi_luns_find(luns, 0));
    assert_null(iscsi_luns_find(luns, 3));
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
    assert_string_equal(luns->luns[0].reason, "its disk is on fire");
    assert_int_equal(luns->scsi.n_luns, 2);
    assert_true(luns->scsi.luns[1].lun == UINT64_C(2) << 48);
    release_luns();
}

static void nothing_was_connected(void **state)
{
    connect_luns(NULL, NULL);
    lab_deliver(lab);
    assert_int_equal(luns->scsi.n_luns, 1);
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
    assert_string_equal(node->conn.luns->luns[0].reason, "it is in use from another address");
    initiator_free(other);
}

/* --- what the LU's thread asks for --- */

static void evicting_ends_the_session_once(void **state)
{
    log_in();
    lab->holds_messages = true;
    iscsi_lun_evict(&node->conn.luns->luns[0], "the volume is removed");
    iscsi_lun_evict(&node->conn.luns->luns[0], "again");
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
    mark_as_cleared(&node->conn.luns->luns[0]);
    iscsi_lun_clear(&node->conn.luns->luns[0]);
    iscsi_lun_clear(&node->conn.luns->luns[0]);
    assert_int_equal(tasks_of(1), 2);
    assert_int_equal(lab_deliver_to(lab), 1);
    assert_int_equal(tasks_of(1), 0);
    assert_int_equal(tasks_of(0), 1);
    iscsi_lun_clear(&node->conn.luns->luns[0]); /* another time */
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

#define LUN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, further_lab_tear_down)

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
    };
    return RUN_TESTS(tests);
}
