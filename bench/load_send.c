/* What a session sends: PDUs, commands, the data of writes; and what it asks for next. */
#include "load_session.h"

#include <errno.h>

void session_send_pdu(struct session *session, uint8_t bhs[static ISCSI_BHS_SIZE],
                      const uint8_t *data, uint32_t length)
{
    static const uint8_t zeros[3];
    uint32_t crc = UINT32_MAX, padding = iscsi_padding(length);
    bool digests = session->digests && session->state >= SESSION_CHECK;
    bhs_put24(bhs, BHS_DATA_LENGTH, length);
    outbox_copy(&session->out, bhs, ISCSI_BHS_SIZE);
    if (digests) {
        crc = ~load_crc(UINT32_MAX, bhs, ISCSI_BHS_SIZE);
        outbox_copy(&session->out, &crc, sizeof(crc));
    }
    if (length == 0)
        return;
    outbox_refer(&session->out, data, length);
    outbox_copy(&session->out, zeros, padding);
    if (!digests)
        return;
    crc = load_crc(UINT32_MAX, data, length);
    crc = ~load_crc(crc, zeros, padding);
    outbox_copy(&session->out, &crc, sizeof(crc));
}

void session_flush(struct session *session)
{
    if (session->fd < 0 || outbox_empty(&session->out))
        return;
    int r = outbox_send(&session->out, session->fd);
    if (r < 0)
        load_fail(session, "cannot send: %s", strerror(-r));
}

static void put_lun(struct session *session, uint8_t bhs[static ISCSI_BHS_SIZE])
{
    unsigned lun = session->load->options.lun;
    bhs[BHS_LUN] = (uint8_t)(lun < 256 ? 0 : 0x40 | lun >> 8);
    bhs[BHS_LUN + 1] = (uint8_t)lun;
}

/* A command for `task` (its number in the session); the CDB is put by the caller. */
void session_begin_command(struct session *session, unsigned task, uint8_t flags, uint32_t length,
                           uint8_t bhs[static ISCSI_BHS_SIZE])
{
    struct task *t = &session->tasks[task];
    memset(bhs, 0, ISCSI_BHS_SIZE);
    bhs[BHS_OPCODE] = ISCSI_SCSI_COMMAND;
    bhs[BHS_FLAGS] = (uint8_t)(flags | 1); /* simple */
    put_lun(session, bhs);
    t->generation = (t->generation + 1) & 0x7fff;
    t->busy = true;
    t->received = 0;
    bhs_put32(bhs, BHS_ITT, (uint32_t)t->generation << 16 | task);
    bhs_put32(bhs, BHS_EXPECTED_LENGTH, length);
    bhs_put32(bhs, BHS_CMDSN, session->cmdsn++);
    bhs_put32(bhs, BHS_EXPSTATSN, session->exp_statsn);
}

static void put_rw_cdb(struct session *session, bool write, uint64_t offset, uint32_t length,
                       uint8_t bhs[static ISCSI_BHS_SIZE])
{
    uint64_t lba = offset / session->block_size;
    uint32_t blocks = length / session->block_size;
    if (lba <= UINT32_MAX && blocks <= UINT16_MAX) {
        bhs[BHS_CDB] = write ? 0x2a : 0x28;
        bhs_put32(bhs, (enum iscsi_field)(BHS_CDB + 2), (uint32_t)lba);
        bhs_put16(bhs, (enum iscsi_field)(BHS_CDB + 7), (uint16_t)blocks);
    } else {
        bhs[BHS_CDB] = write ? 0x8a : 0x88;
        bhs_put64(bhs, (enum iscsi_field)(BHS_CDB + 2), lba);
        bhs_put32(bhs, (enum iscsi_field)(BHS_CDB + 10), blocks);
    }
}

/* Data-Out PDUs for [from, from + length) of a write. */
void session_send_data_out(struct session *session, unsigned number, uint32_t ttt, uint32_t from,
                           uint32_t length)
{
    struct task *task = &session->tasks[number];
    const uint8_t *data = load_data_for_write(session->load, task);
    for (uint32_t sn = 0; length > 0; sn++) {
        uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_DATA_OUT};
        uint32_t n = MIN(length, session->segment);
        bhs[BHS_FLAGS] = n == length ? ISCSI_FLAG_FINAL : 0;
        put_lun(session, bhs);
        bhs_put32(bhs, BHS_ITT, (uint32_t)task->generation << 16 | number);
        bhs_put32(bhs, BHS_TTT, ttt);
        bhs_put32(bhs, BHS_EXPSTATSN, session->exp_statsn);
        bhs_put32(bhs, BHS_DATASN, sn);
        bhs_put32(bhs, BHS_BUFFER_OFFSET, from);
        session_send_pdu(session, bhs, data + from, n);
        from += n;
        length -= n;
    }
}

static void send_write(struct session *session, unsigned number)
{
    struct task *task = &session->tasks[number];
    uint8_t bhs[ISCSI_BHS_SIZE];
    uint32_t length = session->load->options.block, first = MIN(session->first_burst, length);
    uint32_t immediate = session->immediate ? MIN(first, session->segment) : 0;
    uint32_t unsolicited = session->initial_r2t ? 0 : first - immediate;
    const uint8_t *data = load_data_for_write(session->load, task);
    session_begin_command(session, number,
                          (uint8_t)(ISCSI_FLAG_WRITE | (unsolicited > 0 ? 0 : ISCSI_FLAG_FINAL)),
                          length, bhs);
    put_rw_cdb(session, true, task->offset, length, bhs);
    session_send_pdu(session, bhs, data, immediate);
    if (unsolicited > 0)
        session_send_data_out(session, number, ISCSI_RESERVED_TAG, immediate, unsolicited);
}

static void send_read(struct session *session, unsigned number)
{
    uint8_t bhs[ISCSI_BHS_SIZE];
    uint32_t length = session->load->options.block;
    session_begin_command(session, number, ISCSI_FLAG_FINAL | ISCSI_FLAG_READ, length, bhs);
    put_rw_cdb(session, false, session->tasks[number].offset, length, bhs);
    session_send_pdu(session, bhs, NULL, 0);
}

/* --- what is asked for --- */

static uint64_t random_next(struct load *load)
{
    uint64_t x = load->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return load->random = x;
}

static uint64_t next_offset(struct session *session)
{
    struct load *load = session->load;
    uint64_t places = load->options.span / load->options.block;
    uint64_t place =
        load->options.sequential || load->options.fill ? session->next++ : random_next(load) >> 16;
    return load->options.offset + place % places * load->options.block;
}

static bool may_ask(struct session *session)
{
    struct load *load = session->load;
    if (session->n_free == 0 || !serial_le(session->cmdsn, session->max_cmdsn))
        return false;
    return load->options.fill ? session->fill_left > 0 : load->running;
}

static bool choose_write(struct load *load)
{
    if (load->options.fill || load->options.reads == 0)
        return true;
    return load->options.reads < 100 && random_next(load) % 100 >= load->options.reads;
}

static void ask(struct session *session)
{
    struct load *load = session->load;
    unsigned number = session->free_tasks[--session->n_free];
    struct task *task = &session->tasks[number];
    task->offset = next_offset(session);
    task->write = choose_write(load);
    task->started = load->now;
    if (load->options.fill)
        session->fill_left--;
    load->outstanding++;
    if (task->write)
        send_write(session, number);
    else
        send_read(session, number);
}

void session_refill(struct session *session)
{
    if (session->state == SESSION_READY && !session->storm) {
        while (may_ask(session))
            ask(session);
    }
    session_flush(session);
}
