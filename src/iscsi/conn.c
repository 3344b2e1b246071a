#include "iscsi/conn.h"

#include <errno.h>
#include <isa-l/crc.h>

#include "iscsi/session.h"

#define CRC_INIT 0xffffffff

static const struct iscsi_limits default_limits = ISCSI_DEFAULT_LIMITS;

static uint32_t crc32c(uint32_t crc, const uint8_t *data, size_t size)
{
    return crc32_iscsi((unsigned char *)data, (int)size, crc);
}

/* As digests stand on the wire: the complement, least significant byte first. */
static void put_digest(uint8_t *place, uint32_t crc)
{
    struct wire_writer w = wire_writer_of(place, ISCSI_DIGEST_SIZE);
    wire_put_le32(&w, ~crc);
}

static bool digest_matches(const uint8_t *digest, uint32_t crc)
{
    uint8_t expected[ISCSI_DIGEST_SIZE];
    put_digest(expected, crc);
    return memcmp(digest, expected, sizeof(expected)) == 0;
}

int iscsi_conn_init(struct iscsi_conn *conn, const struct iscsi_conn_operations *operations,
                    struct io_thread *thread, const struct iscsi_login_policy *policy,
                    const struct endpoint *peer, const struct endpoint *local)
{
    conn->login = calloc(1, sizeof(*conn->login));
    if (!conn->login)
        return -ENOMEM;
    iscsi_login_init(conn->login, policy, peer);
    conn->login->identity.portal = *local;
    conn->limits = &default_limits;
    conn->operations = operations;
    conn->thread = thread;
    conn->peer = *peer;
    conn->local = *local;
    return 0;
}

static void free_login(struct iscsi_conn *conn)
{
    if (!conn->login)
        return;
    iscsi_login_clear(conn->login);
    free(conn->login);
    conn->login = NULL;
}

void iscsi_conn_clear(struct iscsi_conn *conn)
{
    free_login(conn);
}

/* --- output --- */

struct iscsi_out *iscsi_out_new(struct iscsi_conn *conn, enum iscsi_opcode opcode, uint32_t itt)
{
    struct iscsi_out *out = calloc(1, sizeof(*out));
    if (!out) {
        iscsi_conn_close(conn, "out of memory");
        return NULL;
    }
    out->header_size = ISCSI_BHS_SIZE;
    out->file = -1;
    out->header[BHS_OPCODE] = (uint8_t)opcode;
    out->header[BHS_FLAGS] = ISCSI_FLAG_FINAL;
    bhs_put32(out->header, BHS_ITT, itt);
    iscsi_session_put_window(conn->session, out->header);
    return out;
}

void iscsi_out_set_data(struct iscsi_out *out, const uint8_t *data, uint32_t size,
                        struct buffer *buffer)
{
    out->data = data;
    out->data_size = size;
    out->buffer = buffer;
    bhs_put24(out->header, BHS_DATA_LENGTH, size);
}

void iscsi_out_take_statsn(struct iscsi_conn *conn, struct iscsi_out *out)
{
    bhs_put32(out->header, BHS_STATSN, conn->statsn++);
    out->bears_status = true;
}

void iscsi_out_show_statsn(struct iscsi_conn *conn, struct iscsi_out *out)
{
    bhs_put32(out->header, BHS_STATSN, conn->statsn);
}

static void add_digests(const struct iscsi_conn *conn, struct iscsi_out *out)
{
    if (conn->header_digest) {
        put_digest(out->header + ISCSI_BHS_SIZE, crc32c(CRC_INIT, out->header, ISCSI_BHS_SIZE));
        out->header_size += ISCSI_DIGEST_SIZE;
    }
    if (conn->data_digest && out->data_size > 0) {
        uint32_t crc = crc32c(CRC_INIT, out->data, out->data_size);
        put_digest(out->trailer + out->trailer_size, crc32c(crc, out->trailer, out->trailer_size));
        out->trailer_size += ISCSI_DIGEST_SIZE;
    }
}

void iscsi_conn_queue(struct iscsi_conn *conn, struct iscsi_out *out)
{
    out->trailer_size = (uint8_t)iscsi_padding(out->data_size);
    add_digests(conn, out);
    if (conn->out_last)
        conn->out_last->next = out;
    else
        conn->out_first = out;
    conn->out_last = out;
    conn->operations->wake(conn);
}

static size_t out_size(const struct iscsi_out *out)
{
    return (size_t)out->header_size + out->data_size + out->trailer_size;
}

/* Adds a piece behind *skip bytes that have left; *skip counts down. */
static size_t add_piece(struct iovec *iov, const void *data, size_t size, size_t *skip)
{
    size_t skipped = MIN(*skip, size);
    *skip -= skipped;
    if (skipped == size)
        return 0;
    iov->iov_base = (char *)data + skipped;
    iov->iov_len = size - skipped;
    return 1;
}

size_t iscsi_conn_output(const struct iscsi_conn *conn, struct iovec *iov, size_t max,
                         bool *ret_file_follows)
{
    size_t n = 0;
    size_t skip = conn->out_offset;
    const struct iscsi_out *last = NULL;
    *ret_file_follows = false;
    for (const struct iscsi_out *out = conn->out_first; out && n + 3 <= max; out = out->next) {
        n += add_piece(&iov[n], out->header, out->header_size, &skip);
        last = out;
        *ret_file_follows = out->file >= 0 && skip < out->data_size;
        if (*ret_file_follows)
            break;
        n += add_piece(&iov[n], out->data, out->data_size, &skip);
        n += add_piece(&iov[n], out->trailer, out->trailer_size, &skip);
    }
    if (last && conn->session)
        iscsi_session_sending(conn->session, last->header);
    return n;
}

bool iscsi_conn_file_output(const struct iscsi_conn *conn, int *ret_file, off_t *ret_offset,
                            size_t *ret_size)
{
    const struct iscsi_out *out = conn->out_first;
    if (!out || out->file < 0 || conn->out_offset < out->header_size)
        return false;
    size_t left = conn->out_offset - out->header_size;
    if (left >= out->data_size)
        return false;
    *ret_file = out->file;
    *ret_offset = out->file_offset + (off_t)left;
    *ret_size = out->data_size - left;
    return true;
}

static void pop_out(struct iscsi_conn *conn, bool sent)
{
    struct iscsi_out *out = conn->out_first;
    conn->out_first = out->next;
    if (!conn->out_first)
        conn->out_last = NULL;
    conn->out_offset = 0;
    buffer_unref(conn->thread->buffers, out->buffer);
    struct scsi_burst *burst = out->burst;
    if (out->bears_status && conn->session)
        iscsi_session_answered(conn->session);
    free(out);
    if (burst)
        iscsi_burst_moved(burst, sent); /* may queue more, and may close the connection */
}

void iscsi_conn_sent(struct iscsi_conn *conn, size_t size)
{
    conn->out_offset += size;
    while (conn->out_first && conn->out_offset >= out_size(conn->out_first)) {
        size_t more = conn->out_offset - out_size(conn->out_first);
        pop_out(conn, true);
        conn->out_offset = more;
    }
    if (conn->state == ISCSI_CONN_CLOSING && !conn->out_first)
        iscsi_conn_close(conn, conn->end_reason);
}

/* --- the end --- */

void iscsi_conn_close(struct iscsi_conn *conn, const char *reason)
{
    if (conn->state == ISCSI_CONN_CLOSED)
        return;
    if (!conn->end_reason)
        conn->end_reason = reason;
    conn->state = ISCSI_CONN_CLOSED;
    list_remove(&conn->attach_link);
    conn->operations->ended(conn, conn->end_reason);
    conn->operations->wake(conn);
}

void iscsi_conn_violation(struct iscsi_conn *conn, const char *reason)
{
    conn->violated |= conn->state != ISCSI_CONN_CLOSED;
    iscsi_conn_close(conn, reason);
}

void iscsi_conn_close_after_output(struct iscsi_conn *conn, const char *reason)
{
    if (conn->state >= ISCSI_CONN_CLOSING)
        return;
    conn->end_reason = reason;
    conn->state = ISCSI_CONN_CLOSING;
    conn->operations->wake(conn);
}

static void forget_input(struct iscsi_conn *conn)
{
    buffer_unref(conn->thread->buffers, conn->in.buffer);
    free(take_ptr(conn->login_text));
    conn->in = (struct iscsi_input){0};
}

static void luns_released(void *context)
{
    struct iscsi_conn *conn = context;
    conn->operations->released(conn);
}

void iscsi_conn_drop(struct iscsi_conn *conn)
{
    forget_input(conn);
    while (conn->out_first)
        pop_out(conn, false);
    if (conn->session)
        iscsi_session_end(conn->session); /* calls released() */
    else if (conn->luns)
        iscsi_luns_release(take_ptr(conn->luns), luns_released, conn);
    else
        conn->operations->released(conn);
}

/* --- login --- */

static int queue_login_response(struct iscsi_conn *conn)
{
    struct iscsi_out *out = calloc(1, sizeof(*out));
    uint32_t size = bhs_get24(conn->login_response, BHS_DATA_LENGTH);
    struct buffer *buffer = size > 0 ? buffer_get(conn->thread->buffers, size) : NULL;
    if (!out || (size > 0 && !buffer)) {
        free(out);
        buffer_unref(conn->thread->buffers, buffer);
        return -ENOMEM;
    }
    out->header_size = ISCSI_BHS_SIZE;
    out->file = -1;
    memcpy(out->header, conn->login_response, ISCSI_BHS_SIZE);
    if (buffer) {
        memcpy(buffer->data, conn->login_text, size);
        iscsi_out_set_data(out, buffer->data, size, buffer);
    }
    free(take_ptr(conn->login_text));
    iscsi_conn_queue(conn, out);
    return 0;
}

static void report_refusal(struct iscsi_conn *conn)
{
    const struct iscsi_login *login = conn->login;
    conn->operations->refused(conn, login->status, login->reason);
    if (queue_login_response(conn) < 0)
        iscsi_conn_close(conn, "out of memory");
    else
        iscsi_conn_close_after_output(conn, "login refused");
}

static void login_request(struct iscsi_conn *conn)
{
    struct iscsi_input *in = &conn->in;
    conn->login_text = malloc(ISCSI_DEFAULT_SEGMENT);
    if (!conn->login_text) {
        iscsi_conn_close(conn, "out of memory");
        return;
    }
    struct iscsi_text answer = {.data = conn->login_text, .size = ISCSI_DEFAULT_SEGMENT};
    const uint8_t *text = in->buffer ? in->buffer->data : NULL;
    switch (iscsi_login_request(conn->login, in->bhs, text, in->data_size, conn->login_response,
                                &answer)) {
    case LOGIN_REPLY:
        if (queue_login_response(conn) < 0)
            iscsi_conn_close(conn, "out of memory");
        break;
    case LOGIN_ATTACH:
        conn->state = ISCSI_CONN_ATTACHING;
        conn->operations->attach(conn);
        break;
    case LOGIN_REFUSED:
        report_refusal(conn);
        break;
    case LOGIN_DROP:
        iscsi_conn_violation(conn, "does not speak iSCSI login");
        break;
    }
}

void iscsi_conn_refuse(struct iscsi_conn *conn, enum iscsi_login_status status, const char *reason)
{
    list_remove(&conn->attach_link);
    iscsi_login_refuse(conn->login, status, reason, conn->login_response);
    report_refusal(conn);
}

int iscsi_conn_start_session(struct iscsi_conn *conn, struct iscsi_session *session)
{
    struct iscsi_login *login = conn->login;
    iscsi_login_finish(login, session->tsih, session->max_cmdsn, conn->login_response);
    int r = queue_login_response(conn);
    if (r < 0)
        return r;
    conn->session = session;
    conn->statsn = login->statsn;
    conn->header_digest = login->parameters.header_digest;
    conn->data_digest = login->parameters.data_digest;
    conn->state = ISCSI_CONN_FULL;
    conn->operations->logged_in(conn);
    free_login(conn);
    return 0;
}

/* --- input --- */

/* Where the data segment of a login or text request goes. */
static bool take_into_buffer(struct iscsi_conn *conn, uint32_t limit)
{
    struct iscsi_input *in = &conn->in;
    if (in->data_size > limit) {
        iscsi_conn_violation(conn, "sent a data segment that is longer than agreed");
        return false;
    }
    in->buffer = buffer_get(conn->thread->buffers, in->data_size);
    if (!in->buffer) {
        iscsi_conn_close(conn, "out of memory");
        return false;
    }
    in->place = in->buffer->data;
    return true;
}

/* The header is complete: decide where the data goes. */
static void header_complete(struct iscsi_conn *conn)
{
    struct iscsi_input *in = &conn->in;
    if (conn->state == ISCSI_CONN_LOGIN) {
        if (in->data_size > 0)
            take_into_buffer(conn, ISCSI_DEFAULT_SEGMENT);
        return;
    }
    if (in->data_size > ISCSI_MAX_RECEIVE_SEGMENT)
        iscsi_conn_violation(conn, "sent a data segment that is longer than agreed");
    else
        iscsi_session_header(conn->session, in);
}

static void pdu_complete(struct iscsi_conn *conn, bool damaged)
{
    struct iscsi_input *in = &conn->in;
    if (conn->state == ISCSI_CONN_LOGIN)
        login_request(conn);
    else if (damaged)
        iscsi_session_damaged_pdu(conn->session, in);
    else
        iscsi_session_pdu(conn->session, in);
    buffer_unref(conn->thread->buffers, in->buffer);
    in->buffer = NULL;
    in->place = NULL;
    in->task = NULL;
    in->step = INPUT_BHS;
    in->got = 0;
}

/* How many bytes the current step has in all. */
static uint32_t step_size(const struct iscsi_conn *conn)
{
    const struct iscsi_input *in = &conn->in;
    switch (in->step) {
    case INPUT_BHS:
        return ISCSI_BHS_SIZE;
    case INPUT_AHS:
        return in->ahs_size;
    case INPUT_HEADER_DIGEST:
        return conn->header_digest ? ISCSI_DIGEST_SIZE : 0;
    case INPUT_DATA:
        return in->data_size;
    case INPUT_TRAILER:
        return iscsi_padding(in->data_size) +
               (conn->data_digest && in->data_size > 0 ? ISCSI_DIGEST_SIZE : 0);
    }
    return 0;
}

static void take_bytes(struct iscsi_conn *conn, const uint8_t *data, uint32_t size)
{
    struct iscsi_input *in = &conn->in;
    bool digest = in->step <= INPUT_AHS ? conn->header_digest : conn->data_digest;
    switch (in->step) {
    case INPUT_BHS:
        memcpy(in->bhs + in->got, data, size);
        break;
    case INPUT_AHS:
        break;
    case INPUT_DATA:
        if (in->place && data != in->place + in->got)
            memcpy(in->place + in->got, data, size);
        break;
    case INPUT_HEADER_DIGEST:
    case INPUT_TRAILER:
        memcpy(in->trailer + in->got, data, size);
        digest = false;
        break;
    }
    if (digest)
        in->crc = crc32c(in->crc, data, size);
    in->got += size;
}

/* Who has begun a login is told (RFC 7143 11.13.5, 020b); of all others not even the lengths in the
 * header can be believed. */
static void not_a_login(struct iscsi_conn *conn)
{
    if (conn->login->requests == 0)
        iscsi_conn_violation(conn, "does not speak iSCSI login");
    else
        iscsi_conn_refuse(conn, ISCSI_LOGIN_INVALID_REQUEST,
                          "sent another request during the login");
}

/* A step has all its bytes: go on to the next. */
static void finish_step(struct iscsi_conn *conn)
{
    struct iscsi_input *in = &conn->in;
    uint32_t padding = iscsi_padding(in->data_size);
    bool damaged;
    in->got = 0;
    switch (in->step) {
    case INPUT_BHS:
        if (conn->state == ISCSI_CONN_LOGIN && bhs_opcode(in->bhs) != ISCSI_LOGIN) {
            not_a_login(conn);
            return;
        }
        in->ahs_size = 4U * in->bhs[BHS_AHS_LENGTH];
        in->data_size = bhs_get24(in->bhs, BHS_DATA_LENGTH);
        in->step = INPUT_AHS;
        break;
    case INPUT_AHS:
        in->step = INPUT_HEADER_DIGEST;
        break;
    case INPUT_HEADER_DIGEST:
        /* What the length in a damaged header says is worth nothing: RFC 7143 7.7. */
        if (conn->header_digest && !digest_matches(in->trailer, in->crc)) {
            iscsi_conn_violation(conn, "header digest error");
            return;
        }
        in->crc = CRC_INIT;
        in->step = INPUT_DATA;
        header_complete(conn);
        break;
    case INPUT_DATA:
        in->step = INPUT_TRAILER;
        break;
    case INPUT_TRAILER:
        damaged = conn->data_digest && in->data_size > 0 &&
                  !digest_matches(in->trailer + padding, crc32c(in->crc, in->trailer, padding));
        in->crc = CRC_INIT;
        pdu_complete(conn, damaged);
        break;
    }
}

static bool takes_input(const struct iscsi_conn *conn)
{
    return conn->state == ISCSI_CONN_LOGIN || conn->state == ISCSI_CONN_FULL;
}

size_t iscsi_conn_input_place(const struct iscsi_conn *conn, uint8_t **ret_place)
{
    const struct iscsi_input *in = &conn->in;
    bool wanted = in->step == INPUT_DATA && in->place;
    *ret_place = wanted ? in->place + in->got : NULL;
    return wanted ? in->data_size - in->got : 0;
}

size_t iscsi_conn_input(struct iscsi_conn *conn, const uint8_t *data, size_t size)
{
    struct iscsi_input *in = &conn->in;
    size_t taken = 0;
    if (in->step == INPUT_BHS && in->got == 0)
        in->crc = CRC_INIT;
    while (takes_input(conn)) {
        uint32_t want = step_size(conn) - in->got;
        uint32_t n = (uint32_t)MIN(want, size - taken);
        if (n > 0)
            take_bytes(conn, data + taken, n);
        taken += n;
        if (n < want)
            break;
        finish_step(conn);
    }
    return taken;
}
