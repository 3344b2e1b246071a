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

static void expect_reject(void)
{
    const struct answer *a = expect_answer(node, ISCSI_REJECT, ISCSI_RESERVED_TAG);
    assert_int_equal(a->bhs[BHS_RESPONSE], 4); /* protocol error */
}

/* An empty answer that asks for more; its tag. */
static uint32_t expect_empty(void)
{
    const struct answer *a = expect_answer(node, ISCSI_TEXT_RESPONSE, 7);
    assert_int_equal(a->bhs[BHS_FLAGS], 0);
    assert_int_equal(a->size, 0);
    assert_true(bhs_get32(a->bhs, BHS_TTT) != ISCSI_RESERVED_TAG);
    return bhs_get32(a->bhs, BHS_TTT);
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

/* RFC 7143 13: those keys belong to the login. */
static void keys_of_the_login_are_rejected(void **state)
{
    static const char *const keys[] = {"MaxBurstLength", "InitialR2T",    "HeaderDigest",
                                       "AuthMethod",     "InitiatorName", "SessionType",
                                       "IFMarker",       "TargetAlias",   "iSCSIProtocolLevel"};
    login_like_linux(node);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        char text[64];
        int n = snprintf(text, sizeof(text), "%s=512", keys[i]);
        send_text(ISCSI_FLAG_FINAL, 7, ISCSI_RESERVED_TAG, text, (size_t)n + 1);
        assert_string_equal(text_value(expect_text(), keys[i]), "Reject");
    }
    assert_int_equal(node->conn.session->parameters.max_burst_length, 16776192);
    ASK("InitiatorAlias=somebody\0TargetAlias=NotUnderstood"); /* may be declared; an answer */
    assert_int_equal(expect_text()->size, 0);
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
    expect_reject();
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
    expect_reject();
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

/* RFC 7143 6.2: the C bit; a pair may be cut anywhere. */
static void a_request_may_come_in_parts(void **state)
{
    start_discovery("8192");
    send_text(ISCSI_FLAG_CONTINUE, 7, ISCSI_RESERVED_TAG, "SendTar", 7);
    uint32_t ttt = expect_empty();
    send_text(ISCSI_FLAG_CONTINUE, 7, ttt, NULL, 0);
    assert_int_equal(expect_empty(), ttt);
    send_text(ISCSI_FLAG_CONTINUE, 7, ttt, "gets=A", 6);
    assert_int_equal(expect_empty(), ttt);
    send_text(ISCSI_FLAG_FINAL, 7, ttt, "ll\0Y=1", 7);
    const struct answer *a = expect_text();
    assert_string_equal(text_value(a, "TargetName"), LAB_TARGET);
    assert_string_equal(text_value(a, "Y"), "NotUnderstood");
}

/* RFC 7143 11.10.1: without the F bit, the initiator has more to ask. */
static void a_negotiation_may_take_several_requests(void **state)
{
    start_discovery("8192");
    send_text(0, 7, ISCSI_RESERVED_TAG, "X=1", 4);
    const struct answer *a = expect_answer(node, ISCSI_TEXT_RESPONSE, 7);
    assert_int_equal(a->bhs[BHS_FLAGS], 0);
    assert_string_equal(text_value(a, "X"), "NotUnderstood");
    send_text(ISCSI_FLAG_FINAL, 7, bhs_get32(a->bhs, BHS_TTT), "Y=1", 4);
    a = expect_text();
    assert_null(text_value(a, "X"));
    assert_string_equal(text_value(a, "Y"), "NotUnderstood");
}

static void what_is_out_of_order_is_rejected(void **state)
{
    char text[2048];
    start_discovery("512");
    send_text(ISCSI_FLAG_FINAL | ISCSI_FLAG_CONTINUE, 7, ISCSI_RESERVED_TAG, "X=1", 4);
    expect_reject();
    send_text(ISCSI_FLAG_FINAL, 7, 99, "X=1", 4);
    expect_reject();
    send_text(ISCSI_FLAG_FINAL, 7, ISCSI_RESERVED_TAG, text, many_keys(text, sizeof(text)));
    uint32_t ttt = bhs_get32(expect_answer(node, ISCSI_TEXT_RESPONSE, 7)->bhs, BHS_TTT);
    send_text(ISCSI_FLAG_FINAL, 7, ttt, "X=1", 4); /* it must fetch first */
    expect_reject();
    send_text(ISCSI_FLAG_CONTINUE, 7, ttt, NULL, 0);
    expect_reject();
    send_text(ISCSI_FLAG_FINAL, 8, ttt, NULL, 0); /* another exchange */
    expect_reject();
    send_text(ISCSI_FLAG_FINAL, 7, ttt, NULL, 0);
    assert_int_equal(expect_answer(node, ISCSI_TEXT_RESPONSE, 7)->size, 512);
    ASK("SendTargets=All");
    assert_string_equal(text_value(expect_text(), "TargetName"), LAB_TARGET);
}

static void every_portal_is_listed(void **state)
{
    lab->two_portals = true;
    start_discovery("8192");
    ASK("SendTargets=All");
    const struct answer *a = expect_text();
    static const char expected[] = "TargetName=" LAB_TARGET "\0"
                                   "TargetAddress=10.0.0.1:3260,1\0TargetAddress=10.0.0.1:3261,1";
    assert_int_equal(a->size, sizeof(expected));
    assert_memory_equal(a->data, expected, sizeof(expected));
}

static void a_request_that_is_too_long_ends_it(void **state)
{
    static char text[64 * KIB + 1];
    start_discovery("8192");
    memset(text, 'x', sizeof(text) - 1);
    text[1] = '=';
    send_text(ISCSI_FLAG_FINAL, 7, ISCSI_RESERVED_TAG, text, sizeof(text) - 1);
    assert_string_equal(text_value(expect_text(), "x"), "NotUnderstood");
    send_text(ISCSI_FLAG_CONTINUE, 7, ISCSI_RESERVED_TAG, text, sizeof(text) - 1);
    uint32_t ttt = expect_empty();
    send_text(ISCSI_FLAG_FINAL, 7, ttt, "y", 1);
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
        TEXT_TEST(keys_of_the_login_are_rejected),
        TEXT_TEST(a_request_may_come_in_parts),
        TEXT_TEST(a_negotiation_may_take_several_requests),
        TEXT_TEST(what_is_out_of_order_is_rejected),
        TEXT_TEST(every_portal_is_listed),
        TEXT_TEST(a_request_that_is_too_long_ends_it),
        TEXT_TEST(discovery_has_no_disks),
    };
    return RUN_TESTS(tests);
}
