/* The stream: digests, headers with more behind them, output in pieces, and the end. */
#include "iscsi_lab.h"

#define BLOCK     512
#define DISK_SIZE (1 * MIB)

static uint8_t pattern[DISK_SIZE];

static int setup(void **state)
{
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 7 + (i >> 8));
    lab_set_up(DISK_SIZE);
    lab->disk->immediate = true;
    return 0;
}

/* --- digests --- */

static void login_with_digests(bool header, bool data)
{
    char text[512];
    int n =
        snprintf(text, sizeof(text),
                 "InitiatorName=%s%cTargetName=%s%cHeaderDigest=%s%cDataDigest=%s%c", LAB_INITIATOR,
                 0, LAB_TARGET, 0, header ? "CRC32C" : "None", 0, data ? "CRC32C" : "None", 0);
    send_login(node, 0x87, text, (size_t)n);
    expect_login_status(node, ISCSI_LOGIN_OK); /* the login itself has none */
    node->header_digest = header;
    node->data_digest = data;
}

static void the_answer_to_a_login_has_its_text(void **state)
{
    SEND_LOGIN(node, 0x87, LAB_NAMES "MaxBurstLength=8192\0InitialR2T=No\0");
    const struct answer *a = initiator_next(node);
    assert_int_equal(login_status(a), ISCSI_LOGIN_OK);
    assert_string_equal(text_value(a, "TargetPortalGroupTag"), "1");
    assert_string_equal(text_value(a, "MaxBurstLength"), "8192");
    assert_string_equal(text_value(a, "InitialR2T"), "No");
}

/* odd lengths of data: the padding is covered, too */
static void ping(const char *text, uint32_t size)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_NOP_OUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    bhs_put32(bhs, BHS_ITT, 5);
    bhs_put32(bhs, BHS_TTT, ISCSI_RESERVED_TAG);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn);
    initiator_send(node, bhs, text, size);
}

static void expect_echo(const char *text, uint32_t size)
{
    const struct answer *a = expect_answer(node, ISCSI_NOP_IN, 5);
    assert_int_equal(a->size, size);
    assert_memory_equal(a->data, text, size);
}

static uint32_t write_blocks(uint32_t count)
{
    uint8_t cdb[10] = {SCSI_WRITE_10};
    cdb[8] = (uint8_t)count;
    return send_command(node, ISCSI_FLAG_FINAL | ISCSI_FLAG_WRITE, cdb, 10, count * BLOCK, pattern,
                        count * BLOCK);
}

static void expect_read(uint32_t count)
{
    uint32_t itt = read_10(node, 0, (uint16_t)count, BLOCK), got = 0;
    while (got < count * BLOCK) {
        const struct answer *a = expect_answer(node, ISCSI_DATA_IN, itt);
        assert_memory_equal(a->data, pattern + got, a->size);
        got += a->size;
    }
}

static void every_mix_of_digests(void **state)
{
    for (unsigned mix = 0; mix < 8; mix++) {
        login_with_digests(mix & 1, mix & 2);
        node->piece = mix & 4 ? 1 : 0;
        for (uint32_t size = 0; size <= 9; size++) {
            ping("no news", MIN(size, 7));
            expect_echo("no news", MIN(size, 7));
        }
        expect_answer(node, ISCSI_SCSI_RESPONSE, write_blocks(16));
        assert_memory_equal(lab->disk->data, pattern, 16 * BLOCK);
        expect_read(16);
        initiator_free(node);
        node = initiator_new(lab, 11);
    }
}

static void several_pdus_may_come_at_once(void **state)
{
    for (unsigned mix = 0; mix < 4; mix++) {
        login_with_digests(mix & 1, mix & 2);
        node->collects = true;
        for (uint32_t size = 0; size <= 4; size++)
            ping("news", size);
        uint32_t itt = write_blocks(16);
        initiator_send_collected(node);
        for (uint32_t size = 0; size <= 4; size++)
            expect_echo("news", size);
        expect_answer(node, ISCSI_SCSI_RESPONSE, itt);
        assert_memory_equal(lab->disk->data, pattern, 16 * BLOCK);
        initiator_free(node);
        node = initiator_new(lab, 11);
    }
}

static void expect_violation(void)
{
    initiator_run(node);
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
    assert_true(node->conn.violated);
    assert_true(node->released);
    assert_int_equal(node->ends, 1);
}

/* Sends a ping with one byte of the PDU turned over. */
static void ping_with_damage(size_t at)
{
    node->collects = true;
    ping("damage", 6);
    assert_int_equal(node->n_collected, ISCSI_BHS_SIZE + 4 + 8 + 4);
    node->collected[at] ^= 0x10;
    initiator_send_collected(node);
}

static void damage_is_noticed(void **state)
{
    static const size_t places[] = {BHS_ITT,
                                    ISCSI_BHS_SIZE - 1,      /* header */
                                    ISCSI_BHS_SIZE + 3,      /* its digest */
                                    ISCSI_BHS_SIZE + 4 + 2,  /* data */
                                    ISCSI_BHS_SIZE + 4 + 7,  /* padding */
                                    ISCSI_BHS_SIZE + 4 + 8}; /* its digest */
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        login_with_digests(true, true);
        ping_with_damage(places[i]);
        expect_violation();
        initiator_free(node);
        node = initiator_new(lab, 11);
    }
}

/* RFC 7143 7.7: it is rejected and costs the command; a lost command would be a gap. */
static void a_damaged_data_out_costs_the_command(void **state)
{
    static const uint8_t cdb[10] = {SCSI_WRITE_10, [8] = 2};
    static uint8_t data[1024];
    login_with_digests(true, true);
    uint32_t itt = send_command(node, ISCSI_FLAG_FINAL | ISCSI_FLAG_WRITE, cdb, 10, 1024, NULL, 0);
    uint32_t ttt = bhs_get32(expect_answer(node, ISCSI_R2T, itt)->bhs, BHS_TTT);
    node->collects = true;
    send_data_out(node, itt, ttt, 0, 0, data, 512, false);
    node->collected[ISCSI_BHS_SIZE + 4 + 100] ^= 1;
    initiator_send_collected(node);
    assert_int_equal(expect_answer(node, ISCSI_REJECT, ISCSI_RESERVED_TAG)->bhs[BHS_RESPONSE], 2);
    assert_null(initiator_next(node));
    send_data_out(node, itt, ttt, 1, 512, data, 512, true);
    const struct answer *a = expect_answer(node, ISCSI_SCSI_RESPONSE, itt);
    assert_int_equal(a->bhs[BHS_STATUS], SCSI_CHECK_CONDITION);
    assert_int_equal(a->data[2 + 2], 0x0b);
    assert_int_equal(a->data[2 + 12], 0x47);
    assert_int_equal(a->data[2 + 13], 0x05);
    ping("hello", 5);
    expect_echo("hello", 5);
}

/* --- headers --- */

/* The additional header is skipped, and covered by the digest of the header. */
static void additional_headers_are_skipped(void **state)
{
    static const uint8_t tur[6] = {SCSI_TEST_UNIT_READY};
    uint8_t pdu[ISCSI_BHS_SIZE + 12] = {ISCSI_SCSI_COMMAND, ISCSI_FLAG_FINAL};
    login_like_linux(node);
    pdu[BHS_AHS_LENGTH] = 3;
    bhs_put32(pdu, BHS_ITT, 77);
    bhs_put32(pdu, BHS_CMDSN, node->cmdsn++);
    initiator_send_bytes(node, pdu, sizeof(pdu));
    expect_answer(node, ISCSI_SCSI_RESPONSE, 77);
    expect_answer(node, ISCSI_SCSI_RESPONSE,
                  send_command(node, ISCSI_FLAG_FINAL, tur, 6, 0, NULL, 0));
}

static void a_segment_longer_than_agreed_ends_it(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_NOP_OUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    login_like_linux(node);
    bhs_put24(bhs, BHS_DATA_LENGTH, ISCSI_MAX_RECEIVE_SEGMENT);
    initiator_send_bytes(node, bhs, sizeof(bhs));
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
    initiator_free(node);
    node = initiator_new(lab, 11);
    login_like_linux(node);
    bhs_put24(bhs, BHS_DATA_LENGTH, ISCSI_MAX_RECEIVE_SEGMENT + 1);
    initiator_send_bytes(node, bhs, sizeof(bhs));
    expect_violation();
}

static void a_login_after_the_login_ends_it(void **state)
{
    login_like_linux(node);
    SEND_LOGIN(node, 0x87, LAB_NAMES);
    expect_violation();
}

/* --- output --- */

/* Queues the answers of three pings, one without data, without sending them. */
static void queue_three(void)
{
    uint8_t pdu[3][ISCSI_BHS_SIZE + 8] = {{0}};
    for (size_t i = 0; i < 3; i++) {
        pdu[i][BHS_OPCODE] = ISCSI_NOP_OUT | ISCSI_IMMEDIATE;
        pdu[i][BHS_FLAGS] = ISCSI_FLAG_FINAL;
        pdu[i][BHS_DATA_LENGTH + 2] = i == 1 ? 0 : 5;
        bhs_put32(pdu[i], BHS_ITT, (uint32_t)i);
        bhs_put32(pdu[i], BHS_CMDSN, node->cmdsn);
        memcpy(pdu[i] + ISCSI_BHS_SIZE, "hello", 5);
        size_t size = i == 1 ? ISCSI_BHS_SIZE : sizeof(pdu[i]);
        assert_int_equal(iscsi_conn_input(&node->conn, pdu[i], size), size);
    }
}

/* Takes what is queued, max pieces at a time, of which only `step` bytes ever leave at once. */
static size_t drain(uint8_t *place, size_t max, size_t step)
{
    struct iovec iov[16];
    size_t total = 0, n;
    bool file_follows;
    while ((n = iscsi_conn_output(&node->conn, iov, max, &file_follows)) > 0) {
        size_t sent = MIN(step, iov[0].iov_len);
        assert_true(n <= max);
        memcpy(place + total, iov[0].iov_base, sent);
        iscsi_conn_sent(&node->conn, sent);
        total += sent;
    }
    assert_false(iscsi_conn_has_output(&node->conn));
    return total;
}

static void output_may_leave_in_any_pieces(void **state)
{
    static uint8_t whole[512], again[512];
    login_like_linux(node);
    for (size_t max = 3; max <= 16; max += 13) {
        for (size_t step = 1; step < 100; step += 13) {
            node->conn.statsn = 1000;
            queue_three();
            size_t size = drain(whole, 16, 1000);
            assert_int_equal(size, 3 * ISCSI_BHS_SIZE + 2 * 8);
            node->conn.statsn = 1000;
            queue_three();
            assert_int_equal(drain(again, max, step), size);
            assert_memory_equal(again, whole, size);
        }
    }
    assert_int_equal(buffer_pool_used(lab->thread->buffers), 0);
}

static void several_pdus_may_leave_at_once(void **state)
{
    struct iovec iov[16];
    size_t total = 0;
    login_like_linux(node);
    queue_three();
    bool file_follows;
    size_t n = iscsi_conn_output(&node->conn, iov, ARRAY_SIZE(iov), &file_follows);
    assert_int_equal(n, 7); /* header, data and padding; a header; header, data and padding */
    for (size_t i = 0; i < n; i++)
        total += iov[i].iov_len;
    iscsi_conn_sent(&node->conn, total - 60); /* one whole, and the beginning of the second */
    assert_true(iscsi_conn_has_output(&node->conn));
    iscsi_conn_sent(&node->conn, 60);
    assert_false(iscsi_conn_has_output(&node->conn));
}

/* Its header goes before, and what follows it afterwards. */
static void data_of_a_file_leaves_by_itself(void **state)
{
    struct iovec iov[16];
    bool file_follows;
    int file;
    off_t offset;
    size_t size;
    login_like_linux(node);
    queue_three();
    struct iscsi_out *last = node->conn.out_first->next->next;
    last->file = 7;
    last->file_offset = 4096;
    assert_false(iscsi_conn_file_output(&node->conn, &file, &offset, &size));
    assert_int_equal(iscsi_conn_output(&node->conn, iov, ARRAY_SIZE(iov), &file_follows), 5);
    assert_true(file_follows);
    iscsi_conn_sent(&node->conn, 2 * ISCSI_BHS_SIZE + 8);
    assert_int_equal(iscsi_conn_output(&node->conn, iov, ARRAY_SIZE(iov), &file_follows), 1);
    assert_true(file_follows);
    iscsi_conn_sent(&node->conn, ISCSI_BHS_SIZE);
    for (size_t left = 5; left > 0; left--) {
        assert_true(iscsi_conn_file_output(&node->conn, &file, &offset, &size));
        assert_int_equal(file, 7);
        assert_int_equal(offset, 4096 + 5 - left);
        assert_int_equal(size, left);
        iscsi_conn_sent(&node->conn, 1);
    }
    assert_false(iscsi_conn_file_output(&node->conn, &file, &offset, &size));
    assert_int_equal(iscsi_conn_output(&node->conn, iov, ARRAY_SIZE(iov), &file_follows), 1);
    assert_false(file_follows);
    assert_int_equal(iov[0].iov_len, 3); /* the padding */
    iscsi_conn_sent(&node->conn, 3);
    assert_false(iscsi_conn_has_output(&node->conn));
}

/* --- the end --- */

static void the_first_reason_for_the_end_is_told_once(void **state)
{
    login_like_linux(node);
    iscsi_conn_close(&node->conn, "first");
    iscsi_conn_close(&node->conn, "second");
    iscsi_conn_violation(&node->conn, "third");
    iscsi_conn_close_after_output(&node->conn, "fourth");
    assert_string_equal(node->conn.end_reason, "first");
    assert_false(node->conn.violated); /* it was over by then */
    assert_int_equal(node->ends, 1);
}

static void what_is_queued_still_leaves_before_a_polite_end(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_NOP_OUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    static uint8_t sent[512];
    login_like_linux(node);
    queue_three();
    iscsi_conn_close_after_output(&node->conn, "goodbye");
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSING);
    assert_int_equal(node->ends, 0);
    assert_int_equal(iscsi_conn_input(&node->conn, bhs, sizeof(bhs)), 0); /* nothing more */
    drain(sent, 16, 1000);
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
    assert_string_equal(node->conn.end_reason, "goodbye");
    assert_int_equal(node->ends, 1);
}

static void what_is_queued_is_dropped_with_the_connection(void **state)
{
    login_like_linux(node);
    queue_three();
    assert_true(buffer_pool_used(lab->thread->buffers) > 0);
    iscsi_conn_close(&node->conn, "cable pulled");
    initiator_run(node);
    assert_true(node->released);
    assert_int_equal(buffer_pool_used(lab->thread->buffers), 0);
}

static void it_may_end_in_the_middle_of_a_pdu(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_NOP_OUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    login_like_linux(node);
    bhs_put24(bhs, BHS_DATA_LENGTH, 100);
    initiator_send_bytes(node, bhs, sizeof(bhs));
    initiator_send_bytes(node, pattern, 50);
    assert_true(buffer_pool_used(lab->thread->buffers) > 0);
    iscsi_conn_close(&node->conn, "cable pulled");
    initiator_run(node);
    assert_int_equal(buffer_pool_used(lab->thread->buffers), 0);
}

#define CONN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, lab_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONN_TEST(the_answer_to_a_login_has_its_text),
        CONN_TEST(every_mix_of_digests),
        CONN_TEST(several_pdus_may_come_at_once),
        CONN_TEST(damage_is_noticed),
        CONN_TEST(a_damaged_data_out_costs_the_command),
        CONN_TEST(additional_headers_are_skipped),
        CONN_TEST(a_segment_longer_than_agreed_ends_it),
        CONN_TEST(a_login_after_the_login_ends_it),
        CONN_TEST(output_may_leave_in_any_pieces),
        CONN_TEST(several_pdus_may_leave_at_once),
        CONN_TEST(data_of_a_file_leaves_by_itself),
        CONN_TEST(the_first_reason_for_the_end_is_told_once),
        CONN_TEST(what_is_queued_still_leaves_before_a_polite_end),
        CONN_TEST(what_is_queued_is_dropped_with_the_connection),
        CONN_TEST(it_may_end_in_the_middle_of_a_pdu),
    };
    return RUN_TESTS(tests);
}
