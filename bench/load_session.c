/*
 * One session with a target: connect, log in, ask until no unit attention is left, read and write,
 * log out (RFC 7143). What is received goes through one buffer that all sessions share; of each PDU
 * only the header is kept, and the data when somebody looks at them.
 */
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define ROUNDS_AT_ONCE 64 /* receive calls before others have their turn */
#define CHECKS         8  /* unit attentions that a new session may be told of */
#define MAX_TEXT       (64 * 1024)
#define CAPACITY_SIZE  32

enum {
    SAM_GOOD = 0x00,
    SAM_CHECK_CONDITION = 0x02,
};

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

/* --- sending --- */

static void send_pdu(struct session *session, uint8_t bhs[static ISCSI_BHS_SIZE],
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

static void flush(struct session *session)
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
static void begin_command(struct session *session, unsigned task, uint8_t flags, uint32_t length,
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
static void send_data_out(struct session *session, unsigned number, uint32_t ttt, uint32_t from,
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
        send_pdu(session, bhs, data + from, n);
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
    begin_command(session, number,
                  (uint8_t)(ISCSI_FLAG_WRITE | (unsolicited > 0 ? 0 : ISCSI_FLAG_FINAL)), length,
                  bhs);
    put_rw_cdb(session, true, task->offset, length, bhs);
    send_pdu(session, bhs, data, immediate);
    if (unsolicited > 0)
        send_data_out(session, number, ISCSI_RESERVED_TAG, immediate, unsolicited);
}

static void send_read(struct session *session, unsigned number)
{
    uint8_t bhs[ISCSI_BHS_SIZE];
    uint32_t length = session->load->options.block;
    begin_command(session, number, ISCSI_FLAG_FINAL | ISCSI_FLAG_READ, length, bhs);
    put_rw_cdb(session, false, session->tasks[number].offset, length, bhs);
    send_pdu(session, bhs, NULL, 0);
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
    flush(session);
}

/* --- login --- */

/* `pattern` with its %d replaced; freed by the caller. */
static char *numbered(const char *pattern, unsigned number)
{
    char *text = NULL;
    const char *at = strstr(pattern, "%d");
    int n = at ? asprintf(&text, "%.*s%u%s", (int)(at - pattern), pattern, number, at + 2)
               : asprintf(&text, "%s", pattern);
    if (n < 0)
        load_fail(NULL, "out of memory");
    return text;
}

static char *login_text(struct session *session, size_t *ret_length)
{
    const struct load_options *o = &session->load->options;
    unsigned nth = o->targets ? session->index % o->targets : session->index;
    cleanup_free char *initiator = numbered(o->initiator, session->index);
    cleanup_free char *target = numbered(o->target, nth);
    char *text;
    int n = asprintf(&text,
                     "InitiatorName=%s\nTargetName=%s\nSessionType=Normal\nHeaderDigest=%s\n"
                     "DataDigest=%s\nMaxRecvDataSegmentLength=%u\nErrorRecoveryLevel=0\n"
                     "InitialR2T=%s\nImmediateData=%s\nFirstBurstLength=%u\nMaxBurstLength=%u\n"
                     "MaxOutstandingR2T=8\nMaxConnections=1\nDefaultTime2Wait=2\n"
                     "DefaultTime2Retain=0\nDataPDUInOrder=Yes\nDataSequenceInOrder=Yes\n",
                     initiator, target, o->digests ? "CRC32C" : "None",
                     o->digests ? "CRC32C" : "None", o->segment, o->initial_r2t ? "Yes" : "No",
                     o->immediate ? "Yes" : "No", o->first_burst, o->max_burst);
    if (n < 0)
        load_fail(NULL, "out of memory");
    for (char *c = text; *c; c++)
        *c = *c == '\n' ? '\0' : *c; /* each key ends with a NUL, which asprintf cannot put */
    *ret_length = (size_t)n;
    return text;
}

static void send_login(struct session *session, const char *text, size_t length)
{
    static const uint8_t zeros[3];
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_LOGIN | ISCSI_IMMEDIATE};
    bhs[BHS_FLAGS] = ISCSI_FLAG_TRANSIT | 1 << 2 | 3; /* from operational to full feature */
    memcpy(bhs + BHS_ISID, session->isid, sizeof(session->isid));
    bhs_put32(bhs, BHS_CMDSN, session->cmdsn);
    bhs_put32(bhs, BHS_EXPSTATSN, session->exp_statsn);
    bhs_put24(bhs, BHS_DATA_LENGTH, (uint32_t)length);
    outbox_copy(&session->out, bhs, sizeof(bhs));
    if (length > 0) {
        outbox_copy(&session->out, text, length);
        outbox_copy(&session->out, zeros, iscsi_padding((uint32_t)length));
    }
    flush(session);
}

static void begin_login(struct session *session)
{
    size_t length;
    cleanup_free char *text = login_text(session, &length);
    session->state = SESSION_LOGIN;
    send_login(session, text, length);
}

static void set_isid(struct session *session)
{
    static uint32_t salt; /* of this process; the sessions of one before may not be gone yet */
    if (salt == 0)
        salt = (uint32_t)getpid() ^ (uint32_t)(load_now() >> 10);
    session->isid[0] = 0x80; /* random */
    session->isid[1] = (uint8_t)(salt >> 16);
    session->isid[2] = (uint8_t)(salt >> 8);
    session->isid[3] = (uint8_t)salt;
    session->isid[4] = (uint8_t)(session->index >> 8);
    session->isid[5] = (uint8_t)session->index;
}

static void set_defaults(struct session *session)
{
    session->segment = 8192;
    session->first_burst = 65536;
    session->max_burst = 262144;
    session->immediate = session->initial_r2t = true;
    session->digests = false;
    session->cmdsn = 1;
    session->max_cmdsn = 1;
    session->exp_statsn = 0;
    session->in = (struct incoming){0};
}

void session_open(struct session *session)
{
    const struct endpoint *portal = &session->load->options.portal;
    int one = 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = session};
    session->fd = socket(portal->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (session->fd < 0)
        load_fail(session, "no socket: %s", strerror(errno));
    (void)setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(session->fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    set_isid(session);
    set_defaults(session);
    session->state = SESSION_CONNECTING;
    session->started = load_now();
    if (connect(session->fd, &portal->any, endpoint_size(portal)) < 0 && errno != EINPROGRESS)
        load_fail(session, "cannot connect: %s", strerror(errno));
    if (epoll_ctl(session->load->epoll, EPOLL_CTL_ADD, session->fd, &event) < 0)
        load_fail(session, "epoll_ctl: %s", strerror(errno));
}

static void finish_connect(struct session *session)
{
    int error = 0;
    socklen_t size = sizeof(error);
    struct sockaddr_storage peer;
    socklen_t peer_size = sizeof(peer);
    (void)getsockopt(session->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0)
        load_fail(session, "cannot connect: %s", strerror(error));
    if (getpeername(session->fd, (struct sockaddr *)&peer, &peer_size) == 0)
        begin_login(session);
}

static uint32_t number_of(struct session *session, const char *value)
{
    char *end;
    unsigned long n = strtoul(value, &end, 0);
    if (*end != '\0' || n == 0 || n > ISCSI_DATA_SIZE_MAX)
        load_fail(session, "the target has answered with a number that is none: %s", value);
    return (uint32_t)n;
}

static void take_key(struct session *session, const char *key, const char *value)
{
    const struct load_options *o = &session->load->options;
    if (str_eq(value, "Reject") || str_eq(value, "NotUnderstood") || str_eq(value, "Irrelevant"))
        return;
    if (str_eq(key, "MaxRecvDataSegmentLength"))
        session->segment = number_of(session, value);
    else if (str_eq(key, "FirstBurstLength"))
        session->first_burst = MIN(number_of(session, value), o->first_burst);
    else if (str_eq(key, "MaxBurstLength"))
        session->max_burst = MIN(number_of(session, value), o->max_burst);
    else if (str_eq(key, "ImmediateData"))
        session->immediate = o->immediate && str_eq(value, "Yes");
    else if (str_eq(key, "InitialR2T"))
        session->initial_r2t = o->initial_r2t || str_eq(value, "Yes");
    else if (str_eq(key, "HeaderDigest") || str_eq(key, "DataDigest"))
        session->digests = str_eq(value, "CRC32C");
}

static size_t text_size(const char *text, size_t n)
{
    return strnlen(text, n) + 1;
}

static void take_keys(struct session *session)
{
    char *text = (char *)session->in.text;
    for (size_t at = 0; at < session->in.text_length;) {
        char *key = text + at, *equals = strchr(key, '=');
        at += text_size(key, session->in.text_length - at);
        if (equals) {
            *equals = '\0';
            take_key(session, key, equals + 1);
        }
    }
}

static void count_login(struct session *session);
static void send_check(struct session *session);

static void handle_login(struct session *session)
{
    const uint8_t *bhs = session->in.header;
    if (bhs[BHS_STATUS_CLASS] != 0)
        load_fail(session, "the login was refused: status %02x%02x", bhs[BHS_STATUS_CLASS],
                  bhs[BHS_STATUS_DETAIL]);
    if (bhs[BHS_FLAGS] & ISCSI_FLAG_CONTINUE)
        load_fail(session, "the login's answer comes in parts, which is not supported");
    take_keys(session);
    if (!(bhs[BHS_FLAGS] & ISCSI_FLAG_TRANSIT)) {
        send_login(session, NULL, 0);
        return;
    }
    if (session->digests != session->load->options.digests)
        load_fail(session, "the target does not agree to digests");
    session->tsih = bhs_get16(bhs, BHS_TSIH);
    session->state = SESSION_CHECK;
    if (session->storm)
        session_logout(session);
    else
        send_check(session);
}

/* --- the first commands --- */

static void send_check(struct session *session)
{
    uint8_t bhs[ISCSI_BHS_SIZE];
    unsigned number = session->free_tasks[--session->n_free];
    if (session->asked_capacity) {
        begin_command(session, number, ISCSI_FLAG_FINAL | ISCSI_FLAG_READ, CAPACITY_SIZE, bhs);
        bhs[BHS_CDB] = 0x9e;
        bhs[BHS_CDB + 1] = 0x10;
        bhs[BHS_CDB + 13] = CAPACITY_SIZE;
    } else {
        begin_command(session, number, ISCSI_FLAG_FINAL, 0, bhs);
    }
    send_pdu(session, bhs, NULL, 0);
    flush(session);
}

static void take_capacity(struct session *session)
{
    struct load_options *o = &session->load->options;
    if (session->capacity == 0)
        load_fail(session, "the LU does not tell its size");
    if (o->block % session->block_size != 0 || o->offset % session->block_size != 0)
        load_fail(session, "--block and --offset must be multiples of the LU's block, %u",
                  session->block_size);
    if (o->span == 0 && o->offset < session->capacity)
        o->span = session->capacity - o->offset;
    if (o->offset >= session->capacity || o->span > session->capacity - o->offset)
        load_fail(session, "the LU has %llu bytes, fewer than --offset and --span ask for",
                  (unsigned long long)session->capacity);
    if (o->span < o->block)
        load_fail(session, "--span is smaller than --block");
}

static void become_ready(struct session *session)
{
    struct load *load = session->load;
    const struct load_options *o = &load->options;
    bool own = strstr(o->target, "%d") && session->index < (o->targets ? o->targets : UINT32_MAX);
    take_capacity(session);
    session->state = SESSION_READY;
    session->fill_left = o->fill && (own || session->index == 0) ? o->span / o->block : 0;
    session->next = o->fill ? 0 : o->span / o->block * session->index / o->sessions;
    load->setting_up--;
    load->ready++;
}

static const char *sense_text(const struct session *session, char buffer[static 64])
{
    const uint8_t *text = session->in.text;
    if (session->in.text_length < 2 + 14)
        return "no sense";
    snprintf(buffer, 64, "sense %x/%02x/%02x", text[4] & 15, text[14], text[15]);
    return buffer;
}

static bool is_unit_attention(const struct session *session)
{
    return session->in.text_length >= 2 + 14 && (session->in.text[4] & 15) == 6;
}

static void handle_check(struct session *session, uint8_t status)
{
    char buffer[64];
    if (status != SAM_GOOD && (!is_unit_attention(session) || ++session->checks == CHECKS))
        load_fail(session, "status %02x, %s", status, sense_text(session, buffer));
    if (status == SAM_GOOD && session->asked_capacity) {
        become_ready(session);
        session_refill(session);
        return;
    }
    session->asked_capacity = status == SAM_GOOD;
    send_check(session);
}

/* --- receiving: what each PDU means --- */

static struct task *task_of(struct session *session, unsigned *ret_number)
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
                sense_text(session, buffer));
}

static void finish_task(struct session *session, uint8_t status)
{
    unsigned number;
    struct task *task = task_of(session, &number);
    task->busy = false;
    session->free_tasks[session->n_free++] = (uint16_t)number;
    if (session->state == SESSION_CHECK) {
        handle_check(session, status);
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
    struct task *task = task_of(session, &number);
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
    const struct task *task = task_of(session, &number);
    if (!task->write || length == 0 || from > block || length > block - from)
        load_fail(session, "the target asks for data that there are not: %u at %u", length, from);
    send_data_out(session, number, bhs_get32(bhs, BHS_TTT), from, length);
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
    send_pdu(session, bhs, NULL, 0);
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

static void count_login(struct session *session)
{
    struct load *load = session->load;
    if (!load->measuring)
        return;
    load->counts.logins++;
    histogram_add(&load->counts.times, load->now - session->started);
}

static void handle_logout(struct session *session)
{
    struct load *load = session->load;
    if (session->in.header[BHS_RESPONSE] != 0)
        load_fail(session, "the logout was refused: %u", session->in.header[BHS_RESPONSE]);
    close(session->fd);
    session->fd = -1;
    session->state = SESSION_CLOSED;
    if (session->storm) {
        count_login(session);
        if (load->running)
            session_open(session);
    } else {
        load->ready--;
    }
}

void session_logout(struct session *session)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_LOGOUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    bhs_put32(bhs, BHS_ITT, 0x7fffffff);
    bhs_put32(bhs, BHS_CMDSN, session->cmdsn);
    bhs_put32(bhs, BHS_EXPSTATSN, session->exp_statsn);
    send_pdu(session, bhs, NULL, 0);
    session->state = SESSION_LOGOUT;
    flush(session);
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
    [ISCSI_LOGIN_RESPONSE] = {handle_login, IN(SESSION_LOGIN), true},
    [ISCSI_DATA_IN] = {handle_data_in, IN_COMMANDS, false},
    [ISCSI_LOGOUT_RESPONSE] = {handle_logout, IN(SESSION_LOGOUT), true},
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

static void end_pdu(struct session *session)
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

/* --- receiving: bytes --- */

/* Where the data of a PDU go: a read's are looked at as they come, if at all. */
static void begin_data(struct session *session)
{
    struct incoming *in = &session->in;
    in->text = NULL;
    in->text_length = 0;
    if (bhs_opcode(in->header) == ISCSI_DATA_IN && session->state == SESSION_READY) {
        unsigned number;
        const struct task *task = task_of(session, &number);
        if (bhs_get32(in->header, BHS_BUFFER_OFFSET) != task->received ||
            in->data_left > session->load->options.block - task->received)
            load_fail(session, "data of a read have come out of order");
        return;
    }
    if (in->data_left > MAX_TEXT)
        load_fail(session, "the target sends %u bytes that nobody asked for", in->data_left);
    if (in->data_left > 0 && !(in->text = calloc(1, in->data_left + 1)))
        load_fail(session, "out of memory");
}

static void begin_pdu(struct session *session, bool digests)
{
    struct incoming *in = &session->in;
    const struct handler *handler = &handlers[bhs_opcode(in->header)];
    uint32_t crc;
    if (digests) {
        memcpy(&crc, in->header + ISCSI_BHS_SIZE, sizeof(crc));
        if (crc != ~load_crc(UINT32_MAX, in->header, ISCSI_BHS_SIZE))
            load_fail(session, "a header's digest is wrong");
    }
    if (!handler->handle || !(handler->states & IN(session->state)) || in->header[BHS_AHS_LENGTH])
        load_fail(session, "an unexpected PDU: opcode %02x", in->header[BHS_OPCODE]);
    in->data_left = bhs_get24(in->header, BHS_DATA_LENGTH);
    in->tail = iscsi_padding(in->data_left);
    if (digests && in->data_left > 0)
        in->tail += ISCSI_DIGEST_SIZE;
    in->tail_have = 0;
    in->crc = UINT32_MAX;
    begin_data(session);
}

static void take_data(struct session *session, const uint8_t *data, size_t n, bool digests)
{
    struct incoming *in = &session->in;
    uint32_t length = bhs_get24(in->header, BHS_DATA_LENGTH);
    if (digests)
        in->crc = load_crc(in->crc, data, n);
    if (in->text) {
        memcpy(in->text + in->text_length, data, n);
        in->text_length += (uint32_t)n;
    } else if (session->load->options.verify) {
        unsigned number;
        const struct task *task = task_of(session, &number);
        load_data_compare(session, task->offset + task->received + (length - in->data_left), data,
                          n);
    }
    in->data_left -= (uint32_t)n;
}

static void check_tail(struct session *session)
{
    struct incoming *in = &session->in;
    uint32_t crc, padding = in->tail - ISCSI_DIGEST_SIZE;
    memcpy(&crc, in->tail_bytes + padding, sizeof(crc));
    if (crc != ~load_crc(in->crc, in->tail_bytes, padding))
        load_fail(session, "the digest of data is wrong");
}

static size_t take_header(struct session *session, const uint8_t *data, size_t n, bool digests)
{
    struct incoming *in = &session->in;
    unsigned size = ISCSI_BHS_SIZE + (digests ? ISCSI_DIGEST_SIZE : 0);
    n = MIN(n, size - in->have);
    memcpy(in->header + in->have, data, n);
    in->have += (unsigned)n;
    if (in->have < size)
        return n;
    begin_pdu(session, digests);
    if (in->data_left == 0 && in->tail == 0)
        end_pdu(session);
    return n;
}

static size_t take_body(struct session *session, const uint8_t *data, size_t n, bool digests)
{
    struct incoming *in = &session->in;
    if (in->data_left > 0) {
        n = MIN(n, in->data_left);
        take_data(session, data, n, digests);
    } else {
        n = MIN(n, in->tail - in->tail_have);
        memcpy(in->tail_bytes + in->tail_have, data, n);
        in->tail_have += (unsigned)n;
    }
    if (in->data_left > 0 || in->tail_have < in->tail)
        return n;
    if (digests)
        check_tail(session);
    end_pdu(session);
    return n;
}

static bool in_header(const struct session *session, bool digests)
{
    return session->in.have < ISCSI_BHS_SIZE + (digests ? ISCSI_DIGEST_SIZE : 0);
}

static void consume(struct session *session, const uint8_t *data, size_t length)
{
    while (length > 0 && session->fd >= 0) {
        bool digests = session->digests && session->state >= SESSION_CHECK;
        size_t n = in_header(session, digests) ? take_header(session, data, length, digests)
                                               : take_body(session, data, length, digests);
        data += n;
        length -= n;
    }
}

/* What is missing of a header, of data, or of what comes after them. */
static size_t piece(const struct incoming *in)
{
    if (in->have < ISCSI_BHS_SIZE)
        return ISCSI_BHS_SIZE - in->have;
    return in->data_left > 0 ? in->data_left : in->tail - in->tail_have;
}

/* One call; false: there is no more at the moment. */
static bool receive(struct session *session)
{
    struct load *load = session->load;
    struct incoming *in = &session->in;
    bool piecewise = load->discard && session->state == SESSION_READY;
    bool discard = piecewise && !in->text && in->have == ISCSI_BHS_SIZE && in->data_left > 0;
    size_t wanted = piecewise ? MIN(piece(in), discard ? SIZE_MAX : SCRATCH_SIZE) : SCRATCH_SIZE;
    ssize_t n = discard ? recv(session->fd, NULL, wanted, MSG_TRUNC)
                        : recv(session->fd, load->scratch, wanted, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    if (n <= 0)
        load_fail(session, "the target has closed the connection: %s",
                  n < 0 ? strerror(errno) : "end of stream");
    load->now = load_now();
    consume(session, load->scratch, (size_t)n);
    return (size_t)n == wanted;
}

static void be_again(struct session *session)
{
    if (session->in_again)
        return;
    session->in_again = true;
    session->next_again = session->load->again;
    session->load->again = session;
}

void session_event(struct session *session)
{
    unsigned rounds = 0;
    if (session->state == SESSION_CONNECTING) {
        finish_connect(session); /* its answer is another event */
        return;
    }
    if (session->fd < 0)
        return;
    while (receive(session)) {
        session_refill(session);
        if (session->fd < 0 || session->state <= SESSION_CONNECTING)
            return;
        if (++rounds == ROUNDS_AT_ONCE) {
            be_again(session);
            return;
        }
    }
    session_refill(session);
}
