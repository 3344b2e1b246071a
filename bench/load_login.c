/*
 * A session begins and ends: connect, log in with one request, TEST UNIT READY until no unit
 * attention is left, READ CAPACITY; and logout.
 */
#include "load_session.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#define CHECKS        8 /* unit attentions that a new session may be told of */
#define CAPACITY_SIZE 32

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
    session_flush(session);
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

void session_finish_connect(struct session *session)
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

static void send_check(struct session *session);

void session_handle_login(struct session *session)
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
        session_begin_command(session, number, ISCSI_FLAG_FINAL | ISCSI_FLAG_READ, CAPACITY_SIZE,
                              bhs);
        bhs[BHS_CDB] = 0x9e;
        bhs[BHS_CDB + 1] = 0x10;
        bhs[BHS_CDB + 13] = CAPACITY_SIZE;
    } else {
        session_begin_command(session, number, ISCSI_FLAG_FINAL, 0, bhs);
    }
    session_send_pdu(session, bhs, NULL, 0);
    session_flush(session);
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

const char *session_sense_text(const struct session *session, char buffer[static 64])
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

void session_handle_check(struct session *session, uint8_t status)
{
    char buffer[64];
    if (status != SAM_GOOD && (!is_unit_attention(session) || ++session->checks == CHECKS))
        load_fail(session, "status %02x, %s", status, session_sense_text(session, buffer));
    if (status == SAM_GOOD && session->asked_capacity) {
        become_ready(session);
        session_refill(session);
        return;
    }
    session->asked_capacity = status == SAM_GOOD;
    send_check(session);
}

/* --- logout --- */

static void count_login(struct session *session)
{
    struct load *load = session->load;
    if (!load->measuring)
        return;
    load->counts.logins++;
    histogram_add(&load->counts.times, load->now - session->started);
}

void session_handle_logout(struct session *session)
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
    session_send_pdu(session, bhs, NULL, 0);
    session->state = SESSION_LOGOUT;
    session_flush(session);
}
