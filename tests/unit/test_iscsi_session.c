/* The full feature phase: commands, their data, numbering, task management. */
#include "iscsi_lab.h"

#include <errno.h>

#define BLOCK      512
#define DISK_SIZE  (4 * MIB)
#define READ_FLAGS (ISCSI_FLAG_FINAL | ISCSI_FLAG_READ)

static uint8_t pattern[DISK_SIZE];

static int setup(void **state)
{
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 7 + (i >> 8));
    return lab_set_up(DISK_SIZE);
}

static const struct answer *expect(uint8_t opcode, uint32_t itt)
{
    return expect_answer(node, opcode, itt);
}

static void expect_good(uint32_t itt)
{
    const struct answer *a = expect(ISCSI_SCSI_RESPONSE, itt);
    assert_int_equal(a->bhs[BHS_STATUS], SCSI_GOOD);
    assert_int_equal(a->bhs[BHS_FLAGS], 0x80); /* no residual */
}

static void expect_sense(uint32_t itt, enum scsi_sense sense)
{
    const struct answer *a = expect(ISCSI_SCSI_RESPONSE, itt);
    assert_int_equal(a->bhs[BHS_STATUS], SCSI_CHECK_CONDITION);
    assert_int_equal(a->size, 2 + SCSI_SENSE_SIZE);
    assert_int_equal(bhs_get16(a->data, (enum iscsi_field)0), SCSI_SENSE_SIZE);
    assert_int_equal(a->data[2 + 2], sense >> 16);
    assert_int_equal(a->data[2 + 12], sense >> 8 & 0xff);
    assert_int_equal(a->data[2 + 13], sense & 0xff);
}

/* Reads like iPXE does, and checks every PDU on the way. */
static void expect_data(uint32_t itt, uint32_t offset, uint32_t size, uint32_t segment)
{
    uint32_t got = 0, datasn = 0;
    while (got < size) {
        const struct answer *a = expect(ISCSI_DATA_IN, itt);
        assert_true(a->size <= segment);
        assert_int_equal(bhs_get32(a->bhs, BHS_DATASN), datasn++);
        assert_int_equal(bhs_get32(a->bhs, BHS_BUFFER_OFFSET), got);
        assert_memory_equal(a->data, pattern + offset + got, a->size);
        got += a->size;
        assert_int_equal(a->bhs[BHS_FLAGS] & ISCSI_FLAG_DATA_STATUS, got == size);
        if (got == size)
            assert_int_equal(a->bhs[BHS_STATUS], SCSI_GOOD);
    }
}

static void fill_disk(void)
{
    memcpy(lab->disk->data, pattern, sizeof(pattern));
    lab->disk->immediate = true;
}

/* --- reading --- */

static void reads_in_segments_of_the_initiators_size(void **state)
{
    fill_disk();
    login_like_ipxe(node);
    uint32_t itt = read_10(node, 16, 64, BLOCK);
    expect_data(itt, 16 * BLOCK, 64 * BLOCK, 8192);
    assert_null(initiator_next(node));
    assert_int_equal(buffer_pool_used(lab->thread->buffers), 0);
}

static void a_large_read_goes_in_bursts(void **state)
{
    fill_disk();
    login_like_linux(node);
    uint32_t itt = read_10(node, 0, 2048, BLOCK); /* 1 MiB */
    expect_data(itt, 0, 2048 * BLOCK, 262144);
    assert_int_equal(lab->disk->reads, 4);
}

static void bursts_that_finish_out_of_order_are_sent_in_order(void **state)
{
    fill_disk();
    lab->disk->immediate = false;
    login_like_linux(node);
    uint32_t itt = read_10(node, 0, 2048, BLOCK);
    while (lab->disk->n_pending > 0) {
        assert_true(lab->disk->n_pending <= 2); /* never more than two bursts */
        memdisk_run(lab->disk, true);
        initiator_run(node);
    }
    expect_data(itt, 0, 2048 * BLOCK, 262144);
}

static void residuals_of_reads(void **state)
{
    static const uint8_t cdb[10] = {SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 2};
    fill_disk();
    login_like_linux(node);
    uint32_t itt = send_command(node, READ_FLAGS, cdb, 10, 3 * BLOCK, NULL, 0);
    assert_int_equal(expect(ISCSI_DATA_IN, itt)->size, 2 * BLOCK);
    const struct answer *a = expect(ISCSI_SCSI_RESPONSE, itt);
    assert_int_equal(a->bhs[BHS_FLAGS], 0x80 | ISCSI_FLAG_DATA_UNDERFLOW);
    assert_int_equal(bhs_get32(a->bhs, BHS_RESIDUAL), BLOCK);
    assert_int_equal(bhs_get32(a->bhs, BHS_EXPDATASN), 1);

    itt = send_command(node, READ_FLAGS, cdb, 10, BLOCK, NULL, 0);
    assert_int_equal(expect(ISCSI_DATA_IN, itt)->size, BLOCK);
    a = expect(ISCSI_SCSI_RESPONSE, itt);
    assert_int_equal(a->bhs[BHS_FLAGS], 0x80 | ISCSI_FLAG_DATA_OVERFLOW);
    assert_int_equal(bhs_get32(a->bhs, BHS_RESIDUAL), BLOCK);
}

static void a_read_error_is_told(void **state)
{
    lab->disk->immediate = true;
    lab->disk->fail_with = -EIO;
    login_like_linux(node);
    expect_sense(read_10(node, 0, 8, BLOCK), SENSE_MEDIUM_READ_ERROR);
}

static void reading_over_the_end(void **state)
{
    login_like_linux(node);
    expect_sense(read_10(node, DISK_SIZE / BLOCK - 1, 2, BLOCK), SENSE_LBA_OUT_OF_RANGE);
    expect_sense(read_10(node, UINT32_MAX, 1, BLOCK), SENSE_LBA_OUT_OF_RANGE);
    expect_good(read_10(node, DISK_SIZE / BLOCK, 0, BLOCK)); /* nothing, at the end: fine */
}

/* --- writing --- */

static uint32_t write_10(uint32_t lba, uint16_t blocks, uint8_t byte1, bool final,
                         const void *immediate, uint32_t immediate_size)
{
    uint8_t cdb[10] = {SCSI_WRITE_10, byte1};
    struct wire_writer w = wire_writer_of(cdb + 2, 8);
    wire_put_be32(&w, lba);
    wire_put_u8(&w, 0);
    wire_put_be16(&w, blocks);
    return send_command(node, ISCSI_FLAG_WRITE | (final ? ISCSI_FLAG_FINAL : 0), cdb, sizeof(cdb),
                        (uint32_t)blocks * BLOCK, immediate, immediate_size);
}

/* Sends what an R2T asks for, in pieces. */
static void answer_r2t(const struct answer *r2t, const uint8_t *data, uint32_t piece)
{
    uint32_t ttt = bhs_get32(r2t->bhs, BHS_TTT), itt = bhs_get32(r2t->bhs, BHS_ITT);
    uint32_t offset = bhs_get32(r2t->bhs, BHS_BUFFER_OFFSET), datasn = 0;
    uint32_t end = offset + bhs_get32(r2t->bhs, BHS_DESIRED_LENGTH);
    assert_int_equal(bhs_opcode(r2t->bhs), ISCSI_R2T);
    assert_true(ttt != ISCSI_RESERVED_TAG);
    while (offset < end) {
        uint32_t size = MIN(piece, end - offset);
        send_data_out(node, itt, ttt, datasn++, offset, data + offset, size, offset + size == end);
        offset += size;
    }
}

static void immediate_data_is_written_without_more_ado(void **state)
{
    lab->disk->immediate = true;
    login_like_linux(node);
    expect_good(write_10(3, 8, 0, true, pattern, 8 * BLOCK));
    assert_memory_equal(lab->disk->data + 3 * BLOCK, pattern, 8 * BLOCK);
    assert_int_equal(lab->disk->writes, 1);
    assert_int_equal(lab->disk->fua, 0);
}

static void firmware_is_asked_for_everything(void **state)
{
    lab->disk->immediate = true;
    login_like_ipxe(node);
    uint32_t itt = write_10(0, 16, 0, true, NULL, 0);
    answer_r2t(expect(ISCSI_R2T, itt), pattern, 8192);
    expect_good(itt);
    assert_memory_equal(lab->disk->data, pattern, 16 * BLOCK);
}

static void immediate_unsolicited_and_solicited_data_together(void **state)
{
    lab->disk->immediate = true;
    login_like_linux(node);
    uint32_t itt = write_10(0, 2048, 0, false, pattern, 4096);
    send_data_out(node, itt, ISCSI_RESERVED_TAG, 0, 4096, pattern + 4096, 8192, false);
    assert_null(initiator_next(node)); /* no R2T before the unsolicited data has ended */
    send_data_out(node, itt, ISCSI_RESERVED_TAG, 1, 12288, pattern + 12288, 8192, true);
    uint32_t got = 20480;
    while (got < 2048 * BLOCK) {
        struct answer r2t = *expect(ISCSI_R2T, itt);
        assert_int_equal(bhs_get32(r2t.bhs, BHS_BUFFER_OFFSET), got);
        got += bhs_get32(r2t.bhs, BHS_DESIRED_LENGTH);
        answer_r2t(&r2t, pattern, 65536);
    }
    expect_good(itt);
    assert_memory_equal(lab->disk->data, pattern, 2048 * BLOCK);
    assert_int_equal(buffer_pool_used(lab->thread->buffers), 0);
}

static void the_next_burst_is_asked_for_while_the_disk_works(void **state)
{
    login_like_linux(node);
    uint32_t itt = write_10(0, 2048, 0, true, NULL, 0);
    answer_r2t(expect(ISCSI_R2T, itt), pattern, 262144);
    assert_int_equal(lab->disk->n_pending, 1);
    answer_r2t(expect(ISCSI_R2T, itt), pattern, 262144);
    assert_null(initiator_next(node)); /* two bursts, no more */
    memdisk_run(lab->disk, true);
    answer_r2t(expect(ISCSI_R2T, itt), pattern, 262144);
    answer_r2t(expect(ISCSI_R2T, itt), pattern, 262144);
    memdisk_run(lab->disk, true);
    expect_good(itt);
    assert_memory_equal(lab->disk->data, pattern, 2048 * BLOCK);
}

static void fua_is_passed_on(void **state)
{
    lab->disk->immediate = true;
    login_like_linux(node);
    expect_good(write_10(0, 1, 0x08, true, pattern, BLOCK));
    assert_int_equal(lab->disk->fua, 1);
}

static void a_full_disk_is_told(void **state)
{
    lab->disk->immediate = true;
    lab->disk->fail_with = -ENOSPC;
    login_like_linux(node);
    expect_sense(write_10(0, 1, 0, true, pattern, BLOCK), SENSE_NO_SPACE);
}

static void unsolicited_data_of_a_refused_command_is_let_pass(void **state)
{
    login_like_linux(node);
    uint32_t itt = write_10(DISK_SIZE / BLOCK, 16, 0, false, pattern, 4096);
    expect_sense(itt, SENSE_LBA_OUT_OF_RANGE);
    send_data_out(node, itt, ISCSI_RESERVED_TAG, 0, 4096, pattern, 4096, true);
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
}

static void data_that_was_not_asked_for_ends_the_connection(void **state)
{
    login_like_ipxe(node);
    uint32_t itt = write_10(0, 16, 0, true, NULL, 0);
    struct answer r2t = *expect(ISCSI_R2T, itt);
    send_data_out(node, itt, bhs_get32(r2t.bhs, BHS_TTT), 0, 512, pattern, 512, false);
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
}

/* --- the rest of the commands --- */

static void flush_and_unmap(void **state)
{
    static const uint8_t sync[10] = {SCSI_SYNCHRONIZE_CACHE_10};
    static const uint8_t unmap[10] = {SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 40};
    static const uint8_t list[40] = {0, 38, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2,
                                     0, 0,  0, 0,  0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0};
    fill_disk();
    login_like_linux(node);
    expect_good(send_command(node, ISCSI_FLAG_FINAL, sync, 10, 0, NULL, 0));
    assert_int_equal(lab->disk->flushes, 1);
    expect_good(send_command(node, ISCSI_FLAG_FINAL | ISCSI_FLAG_WRITE, unmap, 10, 40, list, 40));
    assert_int_equal(lab->disk->zeroes, 2);
    static const uint8_t zeroes[2 * BLOCK];
    assert_memory_equal(lab->disk->data + BLOCK, zeroes, 2 * BLOCK);
    assert_memory_equal(lab->disk->data + 3 * BLOCK, pattern + 3 * BLOCK, 5 * BLOCK);
    assert_memory_equal(lab->disk->data + 8 * BLOCK, zeroes, BLOCK);
}

static void write_same_repeats_its_block(void **state)
{
    static const uint8_t cdb[16] = {SCSI_WRITE_SAME_16, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x10, 0};
    lab->disk->immediate = true;
    login_like_linux(node);
    expect_good(
        send_command(node, ISCSI_FLAG_FINAL | ISCSI_FLAG_WRITE, cdb, 16, BLOCK, pattern, BLOCK));
    for (unsigned i = 1; i <= 0x1000; i++)
        assert_memory_equal(lab->disk->data + i * BLOCK, pattern, BLOCK);
    static const uint8_t zeroes[BLOCK];
    assert_memory_equal(lab->disk->data, zeroes, BLOCK);
    assert_memory_equal(lab->disk->data + 0x1001 * BLOCK, zeroes, BLOCK);
}

static void unknown_commands_and_luns(void **state)
{
    static const uint8_t strange[10] = {0xc1};
    login_like_linux(node);
    expect_sense(send_command(node, ISCSI_FLAG_FINAL, strange, 10, 0, NULL, 0),
                 SENSE_INVALID_OPCODE);

    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_SCSI_COMMAND, READ_FLAGS};
    bhs_put64(bhs, BHS_LUN, UINT64_C(1) << 48);
    bhs_put32(bhs, BHS_ITT, 1000);
    bhs_put32(bhs, BHS_EXPECTED_LENGTH, 36);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn++);
    bhs[BHS_CDB] = SCSI_INQUIRY;
    bhs[BHS_CDB + 4] = 36;
    initiator_send(node, bhs, NULL, 0);
    assert_int_equal(expect(ISCSI_DATA_IN, 1000)->data[0], 0x7f);
    bhs[BHS_CDB] = SCSI_TEST_UNIT_READY;
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn++);
    initiator_send(node, bhs, NULL, 0);
    expect_sense(1000, SENSE_LUN_NOT_SUPPORTED);
}

/* --- numbering --- */

static void commands_outside_the_window_are_ignored(void **state)
{
    static const uint8_t tur[6] = {SCSI_TEST_UNIT_READY};
    login_like_linux(node);
    uint32_t right = node->cmdsn;
    node->cmdsn = right - 1;
    send_command(node, ISCSI_FLAG_FINAL, tur, 6, 0, NULL, 0);
    node->cmdsn = node->conn.session->max_cmdsn + 1;
    send_command(node, ISCSI_FLAG_FINAL, tur, 6, 0, NULL, 0);
    assert_null(initiator_next(node));
    node->cmdsn = right;
    expect_good(send_command(node, ISCSI_FLAG_FINAL, tur, 6, 0, NULL, 0));
}

/* All of them have their place in the order, unless they are immediate (RFC 7143 4.2.2.1). */
static void other_requests_are_numbered_too(void **state)
{
    static const uint8_t requests[] = {ISCSI_NOP_OUT, ISCSI_TEXT, ISCSI_TASK_MANAGEMENT,
                                       ISCSI_LOGOUT};
    login_like_linux(node);
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        uint8_t bhs[ISCSI_BHS_SIZE] = {requests[i], ISCSI_FLAG_FINAL};
        bhs_put32(bhs, BHS_ITT, 1000);
        bhs_put32(bhs, BHS_TTT, ISCSI_RESERVED_TAG);
        bhs_put32(bhs, BHS_CMDSN, node->cmdsn - 1);
        initiator_send(node, bhs, NULL, 0);
        assert_null(initiator_next(node)); /* it has been there already */
        bhs_put32(bhs, BHS_CMDSN, node->cmdsn++);
        initiator_send(node, bhs, NULL, 0);
        const struct answer *a = initiator_next(node);
        assert_int_equal(bhs_opcode(a->bhs), requests[i] | 0x20);
        assert_int_equal(bhs_get32(a->bhs, BHS_EXPCMDSN), node->cmdsn);
    }
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED); /* logged out */
}

static void the_window_closes_and_opens_with_the_commands_under_way(void **state)
{
    login_like_linux(node);
    uint32_t first = node->cmdsn;
    for (unsigned i = 0; i < ISCSI_QUEUE_DEPTH; i++)
        read_10(node, i, 1, BLOCK);
    assert_null(initiator_next(node));
    memdisk_run(lab->disk, false);
    uint32_t max = 0, statsn = 0;
    for (unsigned i = 0; i < ISCSI_QUEUE_DEPTH; i++) {
        const struct answer *a = initiator_next(node);
        assert_int_equal(bhs_opcode(a->bhs), ISCSI_DATA_IN);
        if (i > 0) {
            assert_int_equal(bhs_get32(a->bhs, BHS_STATSN), statsn + 1);
            assert_true(serial_le(max, bhs_get32(a->bhs, BHS_MAXCMDSN)));
        }
        statsn = bhs_get32(a->bhs, BHS_STATSN);
        max = bhs_get32(a->bhs, BHS_MAXCMDSN);
        assert_int_equal(bhs_get32(a->bhs, BHS_EXPCMDSN), first + ISCSI_QUEUE_DEPTH);
    }
    /* After the last answer the whole window is open again, or nobody could ever go on. */
    assert_int_equal(max, first + 2 * ISCSI_QUEUE_DEPTH - 1);
}

/* Responses for which the initiator waited with nothing else under way. */
static void round_trips_are_counted(void **state)
{
    static const uint8_t tur[6] = {SCSI_TEST_UNIT_READY};
    login_like_linux(node);
    for (unsigned i = 0; i < 3; i++)
        expect_good(send_command(node, ISCSI_FLAG_FINAL, tur, 6, 0, NULL, 0));
    assert_int_equal(node->conn.session->record.counters.round_trips, 3);
    uint32_t first = read_10(node, 0, 8, BLOCK), second = read_10(node, 8, 8, BLOCK);
    memdisk_run(lab->disk, false);
    expect(ISCSI_DATA_IN, first);
    expect(ISCSI_DATA_IN, second);
    assert_int_equal(node->conn.session->record.counters.round_trips, 4);
    assert_int_equal(node->conn.session->record.counters.commands, 5);
}

/* From when a command has come until its answer has left, by the thread's clock. */
static void how_long_commands_take_is_counted(void **state)
{
    login_like_linux(node);
    lab->thread->now = 1000000;
    uint32_t itt = read_10(node, 0, 8, BLOCK);
    lab->thread->now = 1000700;
    memdisk_run(lab->disk, false);
    expect(ISCSI_DATA_IN, itt);
    const struct iscsi_record *record = &node->conn.session->record;
    assert_int_equal(record->latency[10], 1);
    assert_int_equal(iscsi_record_quantile(record, 1000), 1024);
    assert_int_equal(record->errors, 0);
}

static void what_fails_is_told_as_the_last_error(void **state)
{
    char text[ISCSI_ERROR_TEXT_SIZE];
    login_like_linux(node);
    const struct iscsi_record *record = &node->conn.session->record;
    assert_null(iscsi_record_error_text(record, text));
    lab->disk->fail_with = -EIO;
    uint32_t itt = read_10(node, 0, 8, BLOCK);
    memdisk_run(lab->disk, false);
    expect(ISCSI_SCSI_RESPONSE, itt);
    assert_string_equal(iscsi_record_error_text(record, text),
                        "READ(10) failed: medium error: unrecovered read error");
    uint8_t snack[ISCSI_BHS_SIZE] = {ISCSI_SNACK, ISCSI_FLAG_FINAL};
    initiator_send(node, snack, NULL, 0);
    expect(ISCSI_REJECT, ISCSI_RESERVED_TAG);
    assert_contains(iscsi_record_error_text(record, text), "SNACK");
    assert_int_equal(record->errors, 2);
}

static void a_tag_in_use_ends_the_connection(void **state)
{
    login_like_linux(node);
    uint32_t itt = read_10(node, 0, 1, BLOCK);
    node->itt = itt - 1;
    read_10(node, 0, 1, BLOCK);
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
    initiator_run(node);
    memdisk_run(lab->disk, false);
}

static void a_gap_in_the_numbering_ends_the_connection(void **state)
{
    static const uint8_t tur[6] = {SCSI_TEST_UNIT_READY};
    login_like_linux(node);
    node->cmdsn++; /* one connection delivers in order: it can never be filled */
    send_command(node, ISCSI_FLAG_FINAL, tur, 6, 0, NULL, 0);
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
    assert_true(node->conn.violated);
}

static void an_immediate_command_takes_no_number(void **state)
{
    static const uint8_t tur[6] = {SCSI_TEST_UNIT_READY};
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_SCSI_COMMAND | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    login_like_linux(node);
    bhs_put32(bhs, BHS_ITT, 77);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn);
    initiator_send(node, bhs, NULL, 0);
    expect_good(77);
    expect_good(send_command(node, ISCSI_FLAG_FINAL, tur, 6, 0, NULL, 0)); /* with the same one */
}

/* --- NOP, logout --- */

static void a_ping_is_echoed(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_NOP_OUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    login_like_linux(node);
    bhs_put32(bhs, BHS_ITT, 5);
    bhs_put32(bhs, BHS_TTT, ISCSI_RESERVED_TAG);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn);
    initiator_send(node, bhs, "hello", 5);
    const struct answer *a = expect(ISCSI_NOP_IN, 5);
    assert_int_equal(a->size, 5);
    assert_memory_equal(a->data, "hello", 5);
    assert_int_equal(bhs_get32(a->bhs, BHS_TTT), ISCSI_RESERVED_TAG);
}

static void logout(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_LOGOUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL | 2};
    login_like_linux(node);
    bhs_put32(bhs, BHS_ITT, 9);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn);
    initiator_send(node, bhs, NULL, 0);
    assert_int_equal(expect(ISCSI_LOGOUT_RESPONSE, 9)->bhs[BHS_RESPONSE], 2); /* no recovery */
    bhs[BHS_FLAGS] = ISCSI_FLAG_FINAL;
    initiator_send(node, bhs, NULL, 0);
    assert_int_equal(expect(ISCSI_LOGOUT_RESPONSE, 9)->bhs[BHS_RESPONSE], 0);
    initiator_run(node);
    assert_true(node->released);
}

/* Not who never pings, and would perhaps not answer; nor firmware. */
static void who_pings_is_pinged(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_NOP_OUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    login_like_linux(node);
    assert_false(iscsi_session_ping(node->conn.session));
    bhs_put32(bhs, BHS_ITT, 5);
    bhs_put32(bhs, BHS_TTT, ISCSI_RESERVED_TAG);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn);
    initiator_send(node, bhs, NULL, 0);
    uint32_t statsn = bhs_get32(expect(ISCSI_NOP_IN, 5)->bhs, BHS_STATSN);
    assert_true(iscsi_session_ping(node->conn.session));
    initiator_run(node);
    const struct answer *a = expect(ISCSI_NOP_IN, ISCSI_RESERVED_TAG);
    assert_true(bhs_get32(a->bhs, BHS_TTT) != ISCSI_RESERVED_TAG);
    assert_int_equal(bhs_get32(a->bhs, BHS_STATSN), statsn + 1); /* shown, not taken */
    initiator_send(node, bhs, NULL, 0);
    assert_int_equal(bhs_get32(expect(ISCSI_NOP_IN, 5)->bhs, BHS_STATSN), statsn + 1);
}

static void the_window_is_as_deep_as_is_set(void **state)
{
    static const struct iscsi_limits limits = {.queue_depth = 3};
    node->conn.limits = &limits;
    login_like_linux(node);
    assert_int_equal(node->conn.session->max_cmdsn, node->cmdsn + 2);
}

static void a_reason_for_logout_that_does_not_exist(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_LOGOUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL | 3};
    login_like_linux(node);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn);
    initiator_send(node, bhs, NULL, 0);
    assert_int_equal(expect(ISCSI_REJECT, ISCSI_RESERVED_TAG)->bhs[BHS_RESPONSE], 0x09);
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
}

static void the_answer_to_a_ping_of_ours_needs_none(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_NOP_OUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    login_like_linux(node);
    bhs_put32(bhs, BHS_ITT, ISCSI_RESERVED_TAG);
    bhs_put32(bhs, BHS_TTT, 1);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn);
    initiator_send(node, bhs, NULL, 0);
    assert_null(initiator_next(node));
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
}

static void ping(uint32_t itt, uint8_t bhs[static ISCSI_BHS_SIZE])
{
    memset(bhs, 0, ISCSI_BHS_SIZE);
    bhs[BHS_OPCODE] = ISCSI_NOP_OUT | ISCSI_IMMEDIATE;
    bhs[BHS_FLAGS] = ISCSI_FLAG_FINAL;
    bhs_put32(bhs, BHS_ITT, itt);
    bhs_put32(bhs, BHS_TTT, ISCSI_RESERVED_TAG);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn);
}

/* No window holds immediate requests back: they would fill the memory of the server. */
static void who_does_not_read_its_answers_is_dropped(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE];
    login_like_linux(node);
    ping(5, bhs);
    for (unsigned i = 0; i < 10 * ISCSI_MAX_UNNUMBERED; i++) { /* this one reads */
        initiator_send(node, bhs, NULL, 0);
        expect(ISCSI_NOP_IN, 5);
    }
    for (unsigned i = 0; i < ISCSI_MAX_UNNUMBERED; i++)
        assert_int_equal(iscsi_conn_input(&node->conn, bhs, sizeof(bhs)), sizeof(bhs));
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
    iscsi_conn_input(&node->conn, bhs, sizeof(bhs));
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
    assert_true(node->conn.violated);
}

/* RFC 7143 11.17.1, 06: before that, it is told. */
static void too_many_immediate_requests_are_rejected(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE];
    login_like_linux(node);
    ping(5, bhs);
    for (unsigned i = 0; i < ISCSI_MAX_IMMEDIATE + 2; i++)
        iscsi_conn_input(&node->conn, bhs, sizeof(bhs));
    initiator_run(node);
    for (unsigned i = 0; i < ISCSI_MAX_IMMEDIATE; i++)
        expect(ISCSI_NOP_IN, 5);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(expect(ISCSI_REJECT, ISCSI_RESERVED_TAG)->bhs[BHS_RESPONSE], 0x06);
    initiator_send(node, bhs, NULL, 0); /* it has read */
    expect(ISCSI_NOP_IN, 5);
}

/* RFC 7143 11.18: a NOP-Out without a tag only acknowledges, and is not answered. */
static void what_is_not_answered_is_not_held_against_it(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE];
    login_like_linux(node);
    ping(ISCSI_RESERVED_TAG, bhs);
    for (unsigned i = 0; i < 10 * ISCSI_MAX_UNNUMBERED; i++)
        initiator_send(node, bhs, NULL, 0);
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
}

static void a_connection_is_logged_out_by_its_number(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_LOGOUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL | 1};
    login_like_linux(node);
    bhs_put32(bhs, BHS_ITT, 9);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn);
    bhs_put16(bhs, BHS_CID, 1);
    initiator_send(node, bhs, NULL, 0);
    assert_int_equal(expect(ISCSI_LOGOUT_RESPONSE, 9)->bhs[BHS_RESPONSE], 1); /* no such CID */
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
    bhs_put16(bhs, BHS_CID, 0);
    initiator_send(node, bhs, NULL, 0);
    assert_int_equal(expect(ISCSI_LOGOUT_RESPONSE, 9)->bhs[BHS_RESPONSE], 0);
    initiator_run(node);
    assert_true(node->released);
}

static void an_unknown_opcode_is_rejected(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {0x1e, ISCSI_FLAG_FINAL};
    login_like_linux(node);
    initiator_send(node, bhs, NULL, 0);
    const struct answer *a = expect(ISCSI_REJECT, ISCSI_RESERVED_TAG);
    assert_int_equal(a->bhs[BHS_RESPONSE], 0x05);
    assert_memory_equal(a->data, bhs, ISCSI_BHS_SIZE);
}

static void what_is_not_supported_is_rejected_but_not_to_firmware(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_SNACK, ISCSI_FLAG_FINAL};
    login_like_linux(node);
    initiator_send(node, bhs, NULL, 0);
    const struct answer *a = expect(ISCSI_REJECT, ISCSI_RESERVED_TAG);
    assert_int_equal(a->bhs[BHS_RESPONSE], 0x03);
    assert_memory_equal(a->data, bhs, ISCSI_BHS_SIZE);

    struct initiator *firmware = initiator_new(lab, 11);
    firmware->conn.login->identity.isid[0] = 0;
    initiator_free(node);
    node = firmware;
    login_like_ipxe(node);
    initiator_send(node, bhs, NULL, 0);
    assert_null(initiator_next(node));
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
}

/* --- task management --- */

enum { ABORT_TASK = 1, ABORT_TASK_SET = 2, CLEAR_TASK_SET = 4, LU_RESET = 5, WARM_RESET = 6 };

static void expect_function(uint8_t response)
{
    const struct answer *a = expect(ISCSI_TASK_MANAGEMENT_RESPONSE, node->itt);
    assert_int_equal(a->bhs[BHS_RESPONSE], response);
}

static void aborting_waits_for_the_disk_and_silences_the_task(void **state)
{
    login_like_linux(node);
    uint32_t itt = write_10(0, 1, 0, true, pattern, BLOCK);
    send_task_management(node, ABORT_TASK, itt, node->cmdsn - 1);
    assert_null(initiator_next(node)); /* the write is on its way: it must not land later */
    memdisk_run(lab->disk, false);
    expect_function(0);
    assert_null(initiator_next(node));
}

static void aborting_a_task_that_waits_for_data(void **state)
{
    login_like_linux(node);
    uint32_t itt = write_10(0, 2048, 0, true, pattern, 4096);
    struct answer r2t = *expect(ISCSI_R2T, itt);
    send_task_management(node, ABORT_TASK, itt, node->cmdsn - 1);
    expect_function(0);
    assert_int_equal(buffer_pool_used(lab->thread->buffers), 0);
    /* What was on the wire already is let pass. */
    send_data_out(node, itt, bhs_get32(r2t.bhs, BHS_TTT), 0, 4096, pattern, 4096, false);
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
}

static void aborting_in_the_middle_of_a_data_out(void **state)
{
    login_like_linux(node);
    uint32_t itt = write_10(0, 64, 0, true, NULL, 0);
    struct answer r2t = *expect(ISCSI_R2T, itt);
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_DATA_OUT, ISCSI_FLAG_FINAL};
    bhs_put32(bhs, BHS_ITT, itt);
    bhs_put32(bhs, BHS_TTT, bhs_get32(r2t.bhs, BHS_TTT));
    bhs_put24(bhs, BHS_DATA_LENGTH, 64 * BLOCK);
    initiator_send_bytes(node, bhs, sizeof(bhs));
    initiator_send_bytes(node, pattern, 1000);
    struct iscsi_task *task = iscsi_task_find(node->conn.session, itt);
    iscsi_task_cancel(task); /* as another session's reset does */
    initiator_send_bytes(node, pattern + 1000, 64 * BLOCK - 1000);
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
    assert_int_equal(lab->disk->n_pending, 0);
}

static void aborting_what_does_not_exist(void **state)
{
    login_like_linux(node);
    send_task_management(node, ABORT_TASK, 4711, node->cmdsn - 1);
    expect_function(1);
}

static void a_reset_ends_everybodys_tasks_and_tells_them(void **state)
{
    static const uint8_t tur[6] = {SCSI_TEST_UNIT_READY};
    login_like_linux(node);
    lab->target->single_writer = false;
    struct initiator *first = node, *second = initiator_new(lab, 12);
    node = second;
    SEND_LOGIN(node, 0x87, "InitiatorName=" LAB_INITIATOR "2\0TargetName=" LAB_TARGET "\0");
    assert_non_null(initiator_next(node));
    static const uint8_t write[10] = {SCSI_WRITE_10, [8] = 1};
    send_command(first, ISCSI_FLAG_FINAL | ISCSI_FLAG_WRITE, write, 10, BLOCK, pattern, BLOCK);
    send_task_management(second, LU_RESET, 0, 0);
    assert_null(initiator_next(second));
    memdisk_run(lab->disk, false);
    expect_function(0);
    assert_null(initiator_next(first));
    node = first;
    expect_sense(send_command(node, ISCSI_FLAG_FINAL, tur, 6, 0, NULL, 0), SENSE_LU_RESET);
    expect_good(send_command(node, ISCSI_FLAG_FINAL, tur, 6, 0, NULL, 0));
    initiator_free(second);
}

static void functions_that_are_not_supported(void **state)
{
    login_like_linux(node);
    send_task_management(node, 8, 0, 0);
    expect_function(4);
    send_task_management(node, 3, 0, 0);
    expect_function(5);
}

/* --- the end --- */

static void a_connection_that_breaks_leaves_nothing_behind(void **state)
{
    login_like_linux(node);
    for (unsigned i = 0; i < 8; i++)
        read_10(node, 0, 2048, BLOCK);
    write_10(0, 2048, 0, true, pattern, 4096);
    iscsi_conn_close(&node->conn, "cable pulled");
    initiator_run(node);
    assert_false(node->released); /* the disk still writes into its buffers */
    memdisk_run(lab->disk, true);
    assert_true(node->released);
    assert_int_equal(buffer_pool_used(lab->thread->buffers), 0);
}

static void a_crowd_waits_for_buffers_and_all_are_served(void **state)
{
    fill_disk();
    login_like_linux(node);
    uint32_t first = node->itt + 1;
    lab->disk->immediate = false;
    for (unsigned i = 0; i < 100; i++) /* 100 x 512 KiB at once, with a budget of 8 MiB */
        read_10(node, 0, 2048, BLOCK);
    assert_true(buffer_pool_used(lab->thread->buffers) <= 8 * MIB);
    unsigned done = 0;
    while (memdisk_run(lab->disk, false) > 0)
        initiator_run(node);
    for (const struct answer *a; (a = initiator_next(node));)
        done += (a->bhs[BHS_FLAGS] & ISCSI_FLAG_DATA_STATUS) != 0;
    assert_int_equal(done, 100);
    assert_int_equal(node->itt, first + 99);
}

static void everything_byte_by_byte(void **state)
{
    lab->disk->immediate = true;
    node->piece = 1;
    login_like_linux(node);
    uint32_t itt = write_10(0, 40, 0, true, pattern, 4096);
    answer_r2t(expect(ISCSI_R2T, itt), pattern, 5000);
    expect_good(itt);
    itt = read_10(node, 0, 40, BLOCK);
    expect_data(itt, 0, 40 * BLOCK, 262144);
}

#define SESSION_TEST(f) cmocka_unit_test_setup_teardown(f, setup, lab_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(reads_in_segments_of_the_initiators_size),
        SESSION_TEST(a_large_read_goes_in_bursts),
        SESSION_TEST(bursts_that_finish_out_of_order_are_sent_in_order),
        SESSION_TEST(residuals_of_reads),
        SESSION_TEST(a_read_error_is_told),
        SESSION_TEST(reading_over_the_end),
        SESSION_TEST(immediate_data_is_written_without_more_ado),
        SESSION_TEST(firmware_is_asked_for_everything),
        SESSION_TEST(immediate_unsolicited_and_solicited_data_together),
        SESSION_TEST(the_next_burst_is_asked_for_while_the_disk_works),
        SESSION_TEST(fua_is_passed_on),
        SESSION_TEST(a_full_disk_is_told),
        SESSION_TEST(unsolicited_data_of_a_refused_command_is_let_pass),
        SESSION_TEST(data_that_was_not_asked_for_ends_the_connection),
        SESSION_TEST(flush_and_unmap),
        SESSION_TEST(write_same_repeats_its_block),
        SESSION_TEST(unknown_commands_and_luns),
        SESSION_TEST(commands_outside_the_window_are_ignored),
        SESSION_TEST(other_requests_are_numbered_too),
        SESSION_TEST(the_window_closes_and_opens_with_the_commands_under_way),
        SESSION_TEST(round_trips_are_counted),
        SESSION_TEST(how_long_commands_take_is_counted),
        SESSION_TEST(what_fails_is_told_as_the_last_error),
        SESSION_TEST(a_tag_in_use_ends_the_connection),
        SESSION_TEST(a_gap_in_the_numbering_ends_the_connection),
        SESSION_TEST(an_immediate_command_takes_no_number),
        SESSION_TEST(a_ping_is_echoed),
        SESSION_TEST(the_answer_to_a_ping_of_ours_needs_none),
        SESSION_TEST(who_does_not_read_its_answers_is_dropped),
        SESSION_TEST(what_is_not_answered_is_not_held_against_it),
        SESSION_TEST(a_connection_is_logged_out_by_its_number),
        SESSION_TEST(an_unknown_opcode_is_rejected),
        SESSION_TEST(logout),
        SESSION_TEST(who_pings_is_pinged),
        SESSION_TEST(the_window_is_as_deep_as_is_set),
        SESSION_TEST(a_reason_for_logout_that_does_not_exist),
        SESSION_TEST(too_many_immediate_requests_are_rejected),
        SESSION_TEST(what_is_not_supported_is_rejected_but_not_to_firmware),
        SESSION_TEST(aborting_waits_for_the_disk_and_silences_the_task),
        SESSION_TEST(aborting_a_task_that_waits_for_data),
        SESSION_TEST(aborting_in_the_middle_of_a_data_out),
        SESSION_TEST(aborting_what_does_not_exist),
        SESSION_TEST(a_reset_ends_everybodys_tasks_and_tells_them),
        SESSION_TEST(functions_that_are_not_supported),
        SESSION_TEST(a_connection_that_breaks_leaves_nothing_behind),
        SESSION_TEST(a_crowd_waits_for_buffers_and_all_are_served),
        SESSION_TEST(everything_byte_by_byte),
    };
    return RUN_TESTS(tests);
}
