/* What each PDU that a session receives means, once it is there as a whole (RFC 7143 section 11).
 */
#include "load_session.h"

#include <stdarg.h>

static const char *state_name(const struct session *session)
{
    static const char *const names[] = {
        [SESSION_CLOSED] = "closed",
        [SESSION_CONNECTING] = "connecting",
        [SESSION_LOGIN] = "login",
        [SESSION_CHECK] = "first commands",
        [SESSION_READY] = "reads and writes",
        [SESSION_LOGOUT] = "logout",
    };
    return names[session->state];
}

void load_fail(const struct session *session, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "bench_load: ");
    if (session)
        fprintf(stderr, "session %u (%s): ", session->index, state_name(session));
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

uint64_t load_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

struct task *session_task(struct session *session, unsigned *ret_number)
{
    uint32_t itt = bhs_get32(session->in.header, BHS_ITT);
    unsigned number = itt & 0xffff;
    if (number >= session->load->options.depth || !session->tasks[number].busy ||
        session->tasks[number].generation != itt >> 16)
        load_fail(session, "the target speaks of a task that there is not: %08x", itt);
    *ret_number = number;
    return &session->tasks[number];
}

static void count_task(struct load *load, const struct task *task)
{
    if (!load->measuring)
        return;
    load->counts.reads += !task->write;
    load->counts.writes += task->write;
    load->counts.bytes += load->options.block;
    histogram_add(&load->counts.times, load->now - task->started);
}

static void note_error(struct session *session, const struct task *task, uint8_t status)
{
    char buffer[64];
    if (session->load->errors++ < 10)
        fprintf(stderr, "session %u: %s at %llu: status %02x, %s\n", session->index,
                task->write ? "write" : "read", (unsigned long long)task->offset, status,
                session_sense_text(session, buffer));
}

static void finish_task(struct session *session, uint8_t status)
{
    unsigned number;
    struct task *task = session_task(session, &number);
    task->busy = false;
    session->free_tasks[session->n_free++] = (uint16_t)number;
    if (session->state == SESSION_CHECK) {
        session_handle_check(session, status);
        return;
    }
    session->load->outstanding--;
    if (status != SAM_GOOD)
        note_error(session, task, status);
    else if (!task->write && task->received != session->load->options.block)
        load_fail(session, "a read has ended with %u bytes", task->received);
    else
        count_task(session->load, task);
}

static void handle_response(struct session *session)
{
    const uint8_t *bhs = session->in.header;
    if (bhs[BHS_RESPONSE] != 0)
        load_fail(session, "the target could not do a command: response %02x", bhs[BHS_RESPONSE]);
    finish_task(session, bhs[BHS_STATUS]);
}

static void handle_data_in(struct session *session)
{
    struct incoming *in = &session->in;
    unsigned number;
    struct task *task = session_task(session, &number);
    if (session->state == SESSION_CHECK && in->text_length >= 12) {
        session->capacity = bhs_get64(in->text, (enum iscsi_field)0) + 1;
        session->block_size = bhs_get32(in->text, (enum iscsi_field)8);
        session->capacity *= session->block_size;
    }
    task->received += bhs_get24(in->header, BHS_DATA_LENGTH);
    if (in->header[BHS_FLAGS] & ISCSI_FLAG_DATA_STATUS)
        finish_task(session, in->header[BHS_STATUS]);
}

static void handle_r2t(struct session *session)
{
    const uint8_t *bhs = session->in.header;
    uint32_t from = bhs_get32(bhs, BHS_BUFFER_OFFSET), length = bhs_get32(bhs, BHS_DESIRED_LENGTH);
    uint32_t block = session->load->options.block;
    unsigned number;
    const struct task *task = session_task(session, &number);
    if (!task->write || length == 0 || from > block || length > block - from)
        load_fail(session, "the target asks for data that there are not: %u at %u", length, from);
    session_send_data_out(session, number, bhs_get32(bhs, BHS_TTT), from, length);
}

static void handle_nop_in(struct session *session)
{
    const uint8_t *in = session->in.header;
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_NOP_OUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    if (bhs_get32(in, BHS_TTT) == ISCSI_RESERVED_TAG)
        return;
    session->load->pings++;
    memcpy(bhs + BHS_LUN, in + BHS_LUN, 8);
    bhs_put32(bhs, BHS_ITT, ISCSI_RESERVED_TAG);
    bhs_put32(bhs, BHS_TTT, bhs_get32(in, BHS_TTT));
    bhs_put32(bhs, BHS_CMDSN, session->cmdsn);
    bhs_put32(bhs, BHS_EXPSTATSN, session->exp_statsn);
    session_send_pdu(session, bhs, NULL, 0);
}

static void handle_async(struct session *session)
{
    uint8_t event = session->in.header[36]; /* AsyncEvent, RFC 7143 11.9.1 */
    if (event >= 1 && event <= 3)
        load_fail(session, "the target asks to log out or drops us: asynchronous event %u", event);
    session->load->async_messages++;
}

static void handle_reject(struct session *session)
{
    load_fail(session, "the target has rejected a PDU: reason %02x",
              session->in.header[BHS_RESPONSE]);
}

struct handler {
    void (*handle)(struct session *session);
    unsigned states; /* in which it may come */
    bool has_statsn; /* that counts */
};

#define IN(state)   (1U << (state))
#define IN_COMMANDS (IN(SESSION_CHECK) | IN(SESSION_READY))
#define IN_SESSION  (IN_COMMANDS | IN(SESSION_LOGOUT))

static const struct handler handlers[ISCSI_OPCODE_MASK + 1] = {
    [ISCSI_NOP_IN] = {handle_nop_in, IN_SESSION, false},
    [ISCSI_SCSI_RESPONSE] = {handle_response, IN_COMMANDS, true},
    [ISCSI_LOGIN_RESPONSE] = {session_handle_login, IN(SESSION_LOGIN), true},
    [ISCSI_DATA_IN] = {handle_data_in, IN_COMMANDS, false},
    [ISCSI_LOGOUT_RESPONSE] = {session_handle_logout, IN(SESSION_LOGOUT), true},
    [ISCSI_R2T] = {handle_r2t, IN_COMMANDS, false},
    [ISCSI_ASYNC_MESSAGE] = {handle_async, IN_SESSION, true},
    [ISCSI_REJECT] = {handle_reject, IN_SESSION, true},
};

static void take_numbers(struct session *session, bool has_statsn)
{
    const uint8_t *bhs = session->in.header;
    uint32_t max = bhs_get32(bhs, BHS_MAXCMDSN);
    if (session->state == SESSION_LOGIN || serial_lt(session->max_cmdsn, max))
        session->max_cmdsn = max;
    if (has_statsn)
        session->exp_statsn = bhs_get32(bhs, BHS_STATSN) + 1;
}

bool session_expects_pdu(const struct session *session)
{
    const struct handler *handler = &handlers[bhs_opcode(session->in.header)];
    return handler->handle && handler->states & IN(session->state);
}

void session_end_pdu(struct session *session)
{
    struct incoming *in = &session->in;
    const struct handler *handler = &handlers[bhs_opcode(in->header)];
    bool with_status =
        bhs_opcode(in->header) == ISCSI_DATA_IN && in->header[BHS_FLAGS] & ISCSI_FLAG_DATA_STATUS;
    uint8_t *text = in->text;
    take_numbers(session, handler->has_statsn || with_status);
    in->have = 0;
    handler->handle(session);
    free(text);
    if (in->text == text)
        in->text = NULL;
}
