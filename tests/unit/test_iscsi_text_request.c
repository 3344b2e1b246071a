/* Text requests in the full feature phase: discovery, and answers that need several PDUs. */
#include "iscsi_lab.h"

static int setup(void **state)
{
    return lab_set_up(1 * MIB);
}

static void start_discovery(const char *segment)
{
    char text[256];
    int n = snprintf(text, sizeof(text),
                     "InitiatorName=%s%cSessionType=Discovery%cMaxRecvDataSegmentLength=%s%c",
                     LAB_INITIATOR, 0, 0, segment, 0);
    send_login(node, 0x87, text, (size_t)n);
    expect_login_status(node, ISCSI_LOGIN_OK);
}

static void send_text(uint8_t flags, uint32_t itt, uint32_t ttt, const char *text, size_t size)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_TEXT, flags};
    bhs_put32(bhs, BHS_ITT, itt);
    bhs_put32(bhs, BHS_TTT, ttt);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn++);
    initiator_send(node, bhs, text, (uint32_t)size);
}

/* text: pairs, the last one without its NUL (the literal has it) */
#define ASK(text) send_text(ISCSI_FLAG_FINAL, 7, ISCSI_RESERVED_TAG, text, sizeof(text))

/* A whole answer in one PDU. */
static const struct answer *expect_text(void)
{
    const struct answer *a = expect_answer(node, ISCSI_TEXT_RESPONSE, 7);
    assert_int_equal(a->bhs[BHS_FLAGS], ISCSI_FLAG_FINAL);
    assert_int_equal(bhs_get32(a->bhs, BHS_TTT), ISCSI_RESERVED_TAG);
    return a;
}

static void expect_violation(void)
{
    initiator_run(node);
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
    assert_true(node->conn.violated);
}

static void discovery_lists_all_or_the_one_that_is_named(void **state)
{
    start_discovery("8192");
    ASK("SendTargets=All");
    const struct answer *a = expect_text();
    assert_string_equal(text_value(a, "TargetName"), LAB_TARGET);
    assert_string_equal(text_value(a, "TargetAddress"), "10.0.0.1:3260,1");
    ASK("SendTargets=" LAB_TARGET);
    assert_string_equal(text_value(expect_text(), "TargetName"), LAB_TARGET);
    send_text(ISCSI_FLAG_FINAL, 7, ISCSI_RESERVED_TAG, "SendTargets=" LAB_TARGET "x",
              strlen("SendTargets=" LAB_TARGET)); /* without its NUL */
    assert_string_equal(text_value(expect_text(), "TargetName"), LAB_TARGET);
    ASK("SendTargets=iqn.2026-11.lan.example:other");
    assert_int_equal(expect_text()->size, 0);
    ASK("SendTargets="); /* its own target: it has none */
    assert_string_equal(text_value(expect_text(), "SendTargets"), "Reject");
}

static void a_normal_session_sees_its_own_target_alone(void **state)
{
    login_like_linux(node);
    ASK("SendTargets=");
    assert_string_equal(text_value(expect_text(), "TargetName"), LAB_TARGET);
    ASK("SendTargets=" LAB_TARGET);
    assert_string_equal(text_value(expect_text(), "TargetName"), LAB_TARGET);
    ASK("SendTargets=All");
    const struct answer *a = expect_text();
    assert_string_equal(text_value(a, "SendTargets"), "Reject");
    assert_null(text_value(a, "TargetName"));
    ASK("SendTargets=iqn.2026-11.lan.example:other");
    assert_string_equal(text_value(expect_text(), "SendTargets"), "Reject");
}

static void a_segment_size_may_be_declared_anew(void **state)
{
    static const char *const wrong[] = {"511", "16777216", "x"};
    login_like_linux(node);
    ASK("MaxRecvDataSegmentLength=4096");
    assert_int_equal(expect_text()->size, 0); /* it is declared, not negotiated */
    assert_int_equal(node->conn.session->parameters.max_send_segment_length, 4096);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        char text[64];
        int n = snprintf(text, sizeof(text), "MaxRecvDataSegmentLength=%s", wrong[i]);
        send_text(ISCSI_FLAG_FINAL, 7, ISCSI_RESERVED_TAG, text, (size_t)n + 1);
        assert_string_equal(text_value(expect_text(), "MaxRecvDataSegmentLength"), "Reject");
        assert_int_equal(node->conn.session->parameters.max_send_segment_length, 4096);
    }
}

static void other_keys_are_not_understood(void **state)
{
    login_like_linux(node);
    ASK("X-org.example.Colour=red\0Y=1");
    const struct answer *a = expect_text();
    assert_string_equal(text_value(a, "X-org.example.Colour"), "NotUnderstood");
    assert_string_equal(text_value(a, "Y"), "NotUnderstood");
    ASK("");
    assert_int_equal(expect_text()->size, 0);
}

/* Fetches an answer in parts of up to 512 bytes; its size. */
static size_t fetch_parts(char *place, size_t room, unsigned *ret_parts)
{
    size_t size = 0;
    for (*ret_parts = 1;; ++*ret_parts) {
        const struct answer *a = expect_answer(node, ISCSI_TEXT_RESPONSE, 7);
        bool last = a->bhs[BHS_FLAGS] & ISCSI_FLAG_FINAL;
        uint32_t ttt = bhs_get32(a->bhs, BHS_TTT);
        assert_true(a->size <= 512 && size + a->size <= room);
        assert_int_equal(!(a->bhs[BHS_FLAGS] & ISCSI_FLAG_CONTINUE), last);
        assert_int_equal(ttt == ISCSI_RESERVED_TAG, last);
        memcpy(place + size, a->data, a->size);
        size += a->size;
        if (last)
            return size;
        send_text(ISCSI_FLAG_FINAL, 7, ttt, NULL, 0);
    }
}

/* As many keys as make the answer long. */
static size_t many_keys(char *text, size_t room)
{
    size_t size = 0;
    for (unsigned i = 0; i < 100; i++)
        size += (size_t)snprintf(text + size, room - size, "Key%03u=x", i) + 1;
    return size;
}

static void a_long_answer_comes_in_parts(void **state)
{
    char text[2048], whole[4096] = "", *p = whole;
    unsigned parts;
    start_discovery("512");
    send_text(ISCSI_FLAG_FINAL, 7, ISCSI_RESERVED_TAG, text, many_keys(text, sizeof(text)));
    size_t size = fetch_parts(whole, sizeof(whole), &parts);
    assert_int_equal(parts, (size + 511) / 512);
    assert_true(parts > 3);
    for (unsigned i = 0; i < 100; i++, p += strlen(p) + 1) {
        char expected[64];
        snprintf(expected, sizeof(expected), "Key%03u=NotUnderstood", i);
        assert_string_equal(p, expected);
    }
    assert_int_equal(p - whole, size);
    send_text(ISCSI_FLAG_FINAL, 7, 1, NULL, 0); /* there is no more of it */
    expect_violation();
}

static void a_new_request_drops_what_was_left_of_the_last_answer(void **state)
{
    char text[2048];
    start_discovery("512");
    send_text(ISCSI_FLAG_FINAL, 7, ISCSI_RESERVED_TAG, text, many_keys(text, sizeof(text)));
    const struct answer *a = expect_answer(node, ISCSI_TEXT_RESPONSE, 7);
    uint32_t ttt = bhs_get32(a->bhs, BHS_TTT);
    ASK("SendTargets=All");
    assert_string_equal(text_value(expect_text(), "TargetName"), LAB_TARGET);
    send_text(ISCSI_FLAG_FINAL, 7, ttt, NULL, 0);
    expect_violation();
}

static void one_that_ends_in_the_middle_leaves_nothing(void **state)
{
    char text[2048];
    start_discovery("512");
    send_text(ISCSI_FLAG_FINAL, 7, ISCSI_RESERVED_TAG, text, many_keys(text, sizeof(text)));
    expect_answer(node, ISCSI_TEXT_RESPONSE, 7); /* the teardown, and the leak checker, see */
}

static void what_is_no_text_ends_it(void **state)
{
    start_discovery("8192");
    ASK("novalue");
    expect_violation();
}

static void a_request_in_parts_ends_it(void **state)
{
    start_discovery("8192");
    send_text(ISCSI_FLAG_CONTINUE, 7, ISCSI_RESERVED_TAG, "SendTar", 7);
    expect_violation();
}

static void a_request_that_is_too_long_ends_it(void **state)
{
    static char text[ISCSI_DEFAULT_SEGMENT + 1];
    start_discovery("8192");
    memset(text, 'x', sizeof(text) - 1);
    text[1] = '=';
    send_text(ISCSI_FLAG_FINAL, 7, ISCSI_RESERVED_TAG, text, sizeof(text) - 1);
    assert_string_equal(text_value(expect_text(), "x"), "NotUnderstood");
    send_text(ISCSI_FLAG_FINAL, 7, ISCSI_RESERVED_TAG, text, sizeof(text));
    expect_violation();
}

/* RFC 7143 7.4.3: text, ping and logout are all that a discovery session may do. */
static void discovery_has_no_disks(void **state)
{
    static const uint8_t tur[6] = {SCSI_TEST_UNIT_READY};
    start_discovery("8192");
    send_command(node, ISCSI_FLAG_FINAL, tur, 6, 0, NULL, 0);
    assert_int_equal(expect_answer(node, ISCSI_REJECT, ISCSI_RESERVED_TAG)->bhs[BHS_RESPONSE], 4);
    send_task_management(node, 5, 0, 0);
    assert_int_equal(expect_answer(node, ISCSI_REJECT, ISCSI_RESERVED_TAG)->bhs[BHS_RESPONSE], 4);
    ASK("SendTargets=All");
    expect_text();
}

#define TEXT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, lab_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEXT_TEST(discovery_lists_all_or_the_one_that_is_named),
        TEXT_TEST(a_normal_session_sees_its_own_target_alone),
        TEXT_TEST(a_segment_size_may_be_declared_anew),
        TEXT_TEST(other_keys_are_not_understood),
        TEXT_TEST(a_long_answer_comes_in_parts),
        TEXT_TEST(a_new_request_drops_what_was_left_of_the_last_answer),
        TEXT_TEST(one_that_ends_in_the_middle_leaves_nothing),
        TEXT_TEST(what_is_no_text_ends_it),
        TEXT_TEST(a_request_in_parts_ends_it),
        TEXT_TEST(a_request_that_is_too_long_ends_it),
        TEXT_TEST(discovery_has_no_disks),
    };
    return RUN_TESTS(tests);
}
