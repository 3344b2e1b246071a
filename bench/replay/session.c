/*
 * The sessions of a node with its target (RFC 7143): each begins with the login requests that were
 * recorded, with their ISID, so that a later one takes an earlier one's place where it did so then.
 */
#include "session_internal.h"

#include "core/wire.h"
#include "scsi/constants.h"

#include <errno.h>
#include <sys/epoll.h>

#define BLOCK         512
#define COMMAND_TRIES 8
#define NONE          UINT32_MAX
#define DEFAULT_SEND  8192   /* RFC 7143 13.12 */
#define DEFAULT_FIRST 65536  /* 13.14 */
#define DEFAULT_BURST 262144 /* 13.13 */

static struct storm *storm_of(struct session *session)
{
    return session->node->storm;
}

/* What nodes write: not zeros, which a server may treat as nothing. */
static const uint8_t *send_data(void)
{
    static uint8_t data[SEND_DATA_MAX];
    if (data[0] == 0)
        for (size_t i = 0; i < sizeof(data); i++)
            data[i] = (uint8_t)(i * 31 / 7 | 1);
    return data;
}

/* --- the connection --- */

static void forget(struct session *session)
{
    if (session->source.fd >= 0)
        node_note_tcp(session->node, session->source.fd);
    loop_drop(&session->source);
    loop_clear_timer(&storm_of(session)->loop, &session->timer);
    session->out_size = session->header_size = session->data_left = 0;
    session->connected = session->writable_wanted = false;
    free(session->text);
    session->text = NULL;
}

/* Forgets what is under way; returns how many steps that were. */
static unsigned drop_tasks(struct session *session)
{
    unsigned lost = session->n_tasks + (session->login != NULL) + (session->logout != NULL);
    memset(session->tasks, 0, sizeof(session->tasks));
    session->n_tasks = 0;
    session->login = session->logout = NULL;
    return lost;
}

static void begin_anew(struct timer *timer)
{
    struct session *session = container_of(timer, struct session, timer);
    struct node *node = session->node;
    node_go_back(node, storm_of(session)->trace.sessions[session->number].first,
                 drop_tasks(session));
}

/* The whole session once more, a little later. */
static void later(struct session *session)
{
    struct loop *loop = &storm_of(session)->loop;
    forget(session);
    session->refused++;
    loop_set_timer(loop, &session->timer,
                   loop->now + backoff_usec(storm_of(session), session->refused));
}

void session_lost(struct session *session, const char *why)
{
    struct node *node = session->node;
    const struct trace *trace = &node->storm->trace;
    bool busy = session->n_tasks > 0 || session->login || session->logout;
    if (session->logout) { /* the target may be quicker to close than to answer */
        forget(session);
        (void)drop_tasks(session);
        node_step_done(node);
    } else if (busy || node->next_step <= trace->sessions[session->number].last) {
        node_retry(node, session->login ? RETRY_LOGIN : RETRY_SESSION, why);
        later(session);
    } else {
        forget(session); /* a later one has taken its place */
    }
}

/* A key as it was recorded; a name is the node's own. */
static size_t put_key(const struct node *node, const char *key, size_t length, char *out,
                      size_t size)
{
    const struct {
        const char *key, *value;
    } names[] = {{"InitiatorName=", node->initiator},
                 {"InitiatorAlias=", node->name},
                 {"TargetName=", node->target}};
    const char *value = "";
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (length == strlen(names[i].key) && strncmp(key, names[i].key, length) == 0)
            value = names[i].value;
    int n = snprintf(out, size, "%.*s%s", (int)length, key, value);
    return MIN((size_t)n + 1, size);
}

/* keys: "-" for none. */
static void send_login(struct session *session, const char *keys)
{
    const struct step *step = session->login;
    char text[4096];
    size_t used = 0;
    for (const char *p = str_eq(keys, "-") ? "" : keys; *p;) {
        size_t length = strcspn(p, ";");
        used += put_key(session->node, p, length, text + used, sizeof(text) - used);
        p += length + (p[length] == ';');
    }
    uint8_t header[ISCSI_BHS_SIZE];
    session->login_tag = session->next_tag++;
    session_header(session, header, ISCSI_LOGIN, step->login.flags, session->login_tag);
    header[BHS_OPCODE] |= ISCSI_IMMEDIATE;
    memcpy(header + BHS_ISID, step->login.isid, sizeof(step->login.isid));
    bhs_put16(header, BHS_TSIH, session->tsih);
    session_send(session, header, text, used);
}

static void ready(struct source *source, uint32_t events)
{
    struct session *session = container_of(source, struct session, source);
    if (session->node->failed) {
        forget(session);
        return;
    }
    if (!session->connected) {
        if (events & (EPOLLERR | EPOLLHUP)) {
            session_lost(session, "no connection to the target");
            return;
        }
        session->connected = session->writable_wanted = true;
        send_login(session, session->login->login.keys);
    }
    if ((events & EPOLLOUT) && session->source.fd >= 0)
        session_flush(session);
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        session_receive(session);
}

static void connect_now(struct session *session)
{
    struct node *node = session->node;
    session->cmdsn = session->expstatsn = session->next_tag = 1;
    session->tsih = 0;
    session->max_send = DEFAULT_SEND;
    session->first_burst = DEFAULT_FIRST;
    session->max_burst = DEFAULT_BURST;
    session->immediate = session->initial_r2t = true;
    int fd = node_socket(node, SOCK_STREAM);
    if (fd < 0 || loop_add(&node->storm->loop, &session->source, fd, EPOLLOUT) < 0)
        node_fail(node, "no socket for a session: %m");
    else if (connect(fd, &node->portal.any, endpoint_size(&node->portal)) < 0 &&
             errno != EINPROGRESS)
        session_lost(session, "no connection to the target");
}

/* --- steps --- */

static void begin_login(struct session *session, const struct step *step)
{
    const struct trace *trace = &storm_of(session)->trace;
    session->login = step;
    if (step == &trace->steps[trace->sessions[session->number].first])
        connect_now(session);
    else
        send_login(session, session->login->login.keys);
}

/* Up to `size` bytes from `offset` on, as Data-Out PDUs. */
static void send_data_out(struct session *session, uint32_t tag, uint32_t transfer_tag,
                          uint32_t offset, uint32_t size)
{
    for (uint32_t sequence = 0; size > 0; sequence++) {
        uint8_t header[ISCSI_BHS_SIZE];
        uint32_t n = MIN(size, MIN(session->max_send, (uint32_t)SEND_DATA_MAX));
        session_header(session, header, ISCSI_DATA_OUT, n == size ? ISCSI_FLAG_FINAL : 0, tag);
        memcpy(header + BHS_LUN, session->node->lun, sizeof(session->node->lun));
        bhs_put32(header, BHS_TTT, transfer_tag);
        bhs_put32(header, BHS_CMDSN, 0);
        bhs_put32(header, BHS_DATASN, sequence);
        bhs_put32(header, BHS_BUFFER_OFFSET, offset);
        session_send(session, header, send_data(), n);
        offset += n;
        size -= n;
    }
}

static uint32_t size_of(const struct step *step, bool *ret_write)
{
    *ret_write = step->kind == STEP_WRITE || (step->kind == STEP_SCSI && step->scsi.size > 0);
    if (step->kind == STEP_SCSI)
        return MAX(step->scsi.size, step->scsi.receive);
    return step->io.blocks * BLOCK;
}

static void put_cdb(uint8_t *cdb, const struct step *step)
{
    if (step->kind == STEP_SCSI) {
        memcpy(cdb, step->scsi.cdb, sizeof(step->scsi.cdb));
        return;
    }
    struct wire_writer w = wire_writer_of(cdb, 16);
    wire_put_u8(&w, step->kind == STEP_READ ? SCSI_READ_16 : SCSI_WRITE_16);
    wire_put_u8(&w, step->kind == STEP_WRITE && step->io.fua ? 0x08 : 0);
    wire_put_be64(&w, step->io.lba);
    wire_put_be32(&w, step->io.blocks);
}

/* With as much data as may go without being asked for. */
static void send_command(struct session *session, struct task *task)
{
    const struct step *step = task->step;
    uint8_t header[ISCSI_BHS_SIZE];
    bool write;
    uint32_t size = size_of(step, &write), immediate = 0, unsolicited = 0;
    if (write) {
        uint32_t first = MIN(size, session->first_burst);
        immediate = session->immediate ? MIN(first, session->max_send) : 0;
        immediate = MIN(immediate, (uint32_t)SEND_DATA_MAX);
        unsolicited = session->initial_r2t ? 0 : first - immediate;
    }
    uint8_t flags = (unsolicited > 0 ? 0 : ISCSI_FLAG_FINAL) | 1 /* SIMPLE */;
    if (size > 0)
        flags |= write ? ISCSI_FLAG_WRITE : ISCSI_FLAG_READ;
    session_header(session, header, ISCSI_SCSI_COMMAND, flags, task->tag);
    session->cmdsn++;
    memcpy(header + BHS_LUN, session->node->lun, sizeof(session->node->lun));
    bhs_put32(header, BHS_EXPECTED_LENGTH, size);
    put_cdb(header + BHS_CDB, step);
    const uint8_t *data = step->kind == STEP_SCSI ? step->scsi.data : send_data();
    session_send(session, header, data, immediate);
    send_data_out(session, task->tag, NONE, immediate, unsolicited);
}

static void begin_command(struct session *session, const struct step *step)
{
    unsigned i = 0;
    while (i < TRACE_MAX_DEPTH && session->tasks[i].step)
        i++;
    if (i == TRACE_MAX_DEPTH) {
        node_fail(session->node, "more commands at once than a trace can have");
        return;
    }
    /* a tag says where its task is; a session that begins anew soon will send it then */
    uint32_t tag = (session->next_tag++ & 0xffffff) * TRACE_MAX_DEPTH + i;
    session->tasks[i] = (struct task){step, storm_of(session)->loop.now, tag, 0};
    session->n_tasks++;
    if (session->source.fd >= 0)
        send_command(session, &session->tasks[i]);
}

static void begin_logout(struct session *session, const struct step *step)
{
    uint8_t header[ISCSI_BHS_SIZE];
    session->logout = step;
    session_header(session, header, ISCSI_LOGOUT, ISCSI_FLAG_FINAL, session->next_tag++);
    session->cmdsn++;
    session_send(session, header, NULL, 0);
}

static void begin_close(struct session *session, const struct step *step)
{
    forget(session);
    node_step_done(session->node);
}

void session_begin(struct node *node, const struct step *step)
{
    static void (*const begin[STEP_KINDS])(struct session *, const struct step *) = {
        [STEP_LOGIN] = begin_login,  [STEP_READ] = begin_command,  [STEP_WRITE] = begin_command,
        [STEP_SCSI] = begin_command, [STEP_LOGOUT] = begin_logout, [STEP_CLOSE] = begin_close,
    };
    begin[step->kind](&node->sessions[step->session], step);
}

/* --- answers --- */

static bool is_yes(const char *value)
{
    return str_eq(value, "Yes");
}

static void take_key(struct session *session, const char *key, const char *value)
{
    uint32_t number = (uint32_t)strtoul(value, NULL, 0);
    if (str_eq(key, "MaxRecvDataSegmentLength"))
        session->max_send = MAX(number, 512U);
    else if (str_eq(key, "FirstBurstLength"))
        session->first_burst = number;
    else if (str_eq(key, "MaxBurstLength"))
        session->max_burst = number;
    else if (str_eq(key, "ImmediateData"))
        session->immediate = is_yes(value);
    else if (str_eq(key, "InitialR2T"))
        session->initial_r2t = is_yes(value);
}

static void take_keys(struct session *session)
{
    char *text = session->text;
    for (size_t at = 0; text && at < session->text_used; at += strlen(text + at) + 1) {
        char *equals = strchr(text + at, '=');
        if (!equals)
            continue;
        *equals = '\0';
        take_key(session, text + at, equals + 1);
        *equals = '=';
    }
    free(session->text);
    session->text = NULL;
}

static void take_login(struct session *session, const uint8_t *header)
{
    if (!session->login)
        return;
    if (header[BHS_STATUS_CLASS] != 0) {
        char why[64];
        snprintf(why, sizeof(why), "the login was refused with status %02x%02x",
                 header[BHS_STATUS_CLASS], header[BHS_STATUS_DETAIL]);
        node_retry(session->node, RETRY_LOGIN, why);
        later(session);
        return;
    }
    take_keys(session);
    if (session->login->login.flags & ~header[BHS_FLAGS] & ISCSI_FLAG_TRANSIT) {
        send_login(session, "-"); /* tgt wants the last word on its answers */
        return;
    }
    session->tsih = bhs_get16(header, BHS_TSIH);
    session->login = NULL;
    session->refused = 0;
    node_step_done(session->node);
}

static void note_latency(struct storm *storm, uint64_t usec)
{
    unsigned power = 63 - (unsigned)__builtin_clzll(usec | 1);
    unsigned eighth = power >= 3 ? (unsigned)(usec >> (power - 3)) & 7 : 0;
    storm->latencies[MIN(power * 8 + eighth, LATENCY_BUCKETS - 1U)]++;
}

static void end_task(struct session *session, struct task *task)
{
    struct storm *storm = storm_of(session);
    bool write;
    uint32_t size = size_of(task->step, &write);
    storm->commands++;
    *(write ? &storm->bytes_written : &storm->bytes_read) += size;
    note_latency(storm, storm->loop.now - task->sent_at);
    task->step = NULL;
    session->n_tasks--;
    node_step_done(session->node);
}

/* Probing may fail, as it did when it was recorded; reading and writing may not. */
static void take_status(struct session *session, const uint8_t *header)
{
    struct task *task = &session->tasks[bhs_get32(header, BHS_ITT) % TRACE_MAX_DEPTH];
    uint8_t status = header[BHS_STATUS];
    if (!task->step || task->tag != bhs_get32(header, BHS_ITT))
        return;
    bool failed = header[BHS_RESPONSE] != 0 && bhs_opcode(header) == ISCSI_SCSI_RESPONSE;
    if (task->step->kind == STEP_SCSI || (status == 0 && !failed)) {
        end_task(session, task);
        return;
    }
    node_retry(session->node, RETRY_COMMAND, "a command has failed");
    if (++task->tries == COMMAND_TRIES)
        node_fail(session->node, "a command has failed %u times, with status %02x", COMMAND_TRIES,
                  status);
    else
        send_command(session, task);
}

static void take_response(struct session *session, const uint8_t *header)
{
    take_status(session, header);
}

static void take_data_in(struct session *session, const uint8_t *header)
{
    if (header[BHS_FLAGS] & ISCSI_FLAG_DATA_STATUS)
        take_status(session, header);
}

static void take_r2t(struct session *session, const uint8_t *header)
{
    send_data_out(session, bhs_get32(header, BHS_ITT), bhs_get32(header, BHS_TTT),
                  bhs_get32(header, BHS_BUFFER_OFFSET), bhs_get32(header, BHS_DESIRED_LENGTH));
}

static void take_nop(struct session *session, const uint8_t *header)
{
    uint8_t answer[ISCSI_BHS_SIZE];
    if (bhs_get32(header, BHS_TTT) == NONE)
        return;
    session_header(session, answer, ISCSI_NOP_OUT, ISCSI_FLAG_FINAL, NONE);
    answer[BHS_OPCODE] |= ISCSI_IMMEDIATE;
    memcpy(answer + BHS_LUN, header + BHS_LUN, 8);
    bhs_put32(answer, BHS_TTT, bhs_get32(header, BHS_TTT));
    session_send(session, answer, NULL, 0);
}

static void take_logout(struct session *session, const uint8_t *header)
{
    if (!session->logout)
        return;
    session->logout = NULL;
    forget(session);
    node_step_done(session->node);
}

static void take_reject(struct session *session, const uint8_t *header)
{
    node_fail(session->node, "the target has rejected a PDU, reason %02x", header[BHS_RESPONSE]);
}

static const struct {
    uint8_t opcode;
    bool has_statsn; /* one that counts */
    void (*take)(struct session *session, const uint8_t *header);
} answers[] = {
    {ISCSI_DATA_IN, false, take_data_in},
    {ISCSI_SCSI_RESPONSE, true, take_response},
    {ISCSI_R2T, false, take_r2t},
    {ISCSI_LOGIN_RESPONSE, true, take_login},
    {ISCSI_LOGOUT_RESPONSE, true, take_logout},
    {ISCSI_NOP_IN, false, take_nop},
    {ISCSI_REJECT, true, take_reject},
};

void session_take(struct session *session, const uint8_t *header)
{
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        if (answers[i].opcode != bhs_opcode(header))
            continue;
        bool status = answers[i].has_statsn || (answers[i].opcode == ISCSI_DATA_IN &&
                                                (header[BHS_FLAGS] & ISCSI_FLAG_DATA_STATUS));
        if (status)
            session->expstatsn = bhs_get32(header, BHS_STATSN) + 1;
        answers[i].take(session, header);
        return;
    }
}

void session_setup(struct node *node, unsigned number)
{
    node->sessions[number] = (struct session){.source = {.fd = -1, .ready = ready},
                                              .timer.fire = begin_anew,
                                              .node = node,
                                              .number = number};
}

void session_free(struct session *session)
{
    if (session->source.fd >= 0)
        node_note_tcp(session->node, session->source.fd);
    loop_drop(&session->source);
    free(session->text);
    free(session->out);
}
