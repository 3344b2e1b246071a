/*
 * The bytes of an iSCSI connection. Data that is read is thrown away, by the kernel where there is
 * much of it: the processor is the server's.
 */
#include "session_internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/uio.h>

/* More than this of one PDU's data, and it is not even copied. */
#define SCRATCH_SIZE (16 * 1024)
#define TEXT_MAX     (16 * 1024)

void session_header(struct session *session, uint8_t *header, enum iscsi_opcode opcode,
                    uint8_t flags, uint32_t tag)
{
    memset(header, 0, ISCSI_BHS_SIZE);
    header[BHS_OPCODE] = (uint8_t)opcode;
    header[BHS_FLAGS] = flags;
    bhs_put32(header, BHS_ITT, tag);
    bhs_put32(header, BHS_CMDSN, session->cmdsn);
    bhs_put32(header, BHS_EXPSTATSN, session->expstatsn);
}

/* --- out --- */

static void want(struct session *session, bool writable)
{
    if (session->writable_wanted == writable)
        return;
    session->writable_wanted = writable;
    if (loop_change(&session->node->storm->loop, &session->source,
                    EPOLLIN | (writable ? (uint32_t)EPOLLOUT : 0)) < 0)
        node_fail(session->node, "its connection cannot be waited for");
}

static void keep(struct session *session, const struct iovec *parts, size_t n_parts, size_t sent)
{
    size_t size = session->out_size;
    for (size_t i = 0; i < n_parts; i++)
        size += parts[i].iov_len;
    uint8_t *out = realloc(session->out, size - sent);
    if (!out) {
        node_fail(session->node, "no memory");
        return;
    }
    session->out = out;
    for (size_t i = 0; i < n_parts; i++) {
        size_t skip = MIN(sent, parts[i].iov_len);
        sent -= skip;
        memcpy(out + session->out_size, (uint8_t *)parts[i].iov_base + skip,
               parts[i].iov_len - skip);
        session->out_size += parts[i].iov_len - skip;
    }
    want(session, true);
}

void session_send(struct session *session, uint8_t *header, const void *data, size_t size)
{
    static uint8_t padding[4];
    bhs_put24(header, BHS_DATA_LENGTH, (uint32_t)size);
    struct iovec parts[] = {
        {header, ISCSI_BHS_SIZE}, {(void *)data, size}, {padding, iscsi_padding((uint32_t)size)}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts)};
    if (session->source.fd < 0)
        return;
    ssize_t n = 0;
    if (session->out_size == 0)
        n = sendmsg(session->source.fd, &message, MSG_NOSIGNAL);
    if (n < 0)
        n = 0; /* full; if it is gone, reading tells */
    if ((size_t)n < ISCSI_BHS_SIZE + size + parts[2].iov_len)
        keep(session, parts, ARRAY_SIZE(parts), (size_t)n);
}

void session_flush(struct session *session)
{
    if (session->out_size > 0) {
        ssize_t n = send(session->source.fd, session->out, session->out_size, MSG_NOSIGNAL);
        if (n < 0)
            return; /* full; if it is gone, reading tells */
        session->out_size -= (size_t)n;
        memmove(session->out, session->out + n, session->out_size);
    }
    want(session, session->out_size > 0);
}

/* --- in --- */

static void end_pdu(struct session *session)
{
    session->header_size = 0;
    session_take(session, session->header);
}

/* The header is whole. */
static void begin_data(struct session *session)
{
    const uint8_t *header = session->header;
    uint32_t size = bhs_get24(header, BHS_DATA_LENGTH);
    session->data_left = header[BHS_AHS_LENGTH] * 4U + size + iscsi_padding(size);
    session->text_used = 0;
    if (bhs_opcode(header) == ISCSI_LOGIN_RESPONSE && size > 0) {
        free(session->text);
        session->text = calloc(1, TEXT_MAX + 1);
        session->text_size = MIN(size, (uint32_t)TEXT_MAX);
    }
    if (session->data_left == 0)
        end_pdu(session);
}

static size_t take_header(struct session *session, const uint8_t *data, size_t size)
{
    size_t n = MIN(size, ISCSI_BHS_SIZE - session->header_size);
    memcpy(session->header + session->header_size, data, n);
    session->header_size += n;
    if (session->header_size == ISCSI_BHS_SIZE)
        begin_data(session);
    return n;
}

static void pass_data(struct session *session, size_t size)
{
    session->data_left -= size;
    if (session->data_left == 0)
        end_pdu(session);
}

static size_t take_data(struct session *session, const uint8_t *data, size_t size)
{
    size_t n = MIN(size, session->data_left);
    if (session->text) {
        size_t some = MIN(n, session->text_size - session->text_used);
        memcpy(session->text + session->text_used, data, some);
        session->text_used += some;
    }
    pass_data(session, n);
    return n;
}

/* -1: gone; 0: nothing more now. */
static ssize_t receive_some(struct session *session)
{
    uint8_t scratch[SCRATCH_SIZE];
    bool throw_away = session->data_left > SCRATCH_SIZE && !session->text;
    size_t wanted = throw_away ? session->data_left : SCRATCH_SIZE;
    int fd = session->source.fd;
    ssize_t n = recv(fd, throw_away ? NULL : scratch, wanted, throw_away ? MSG_TRUNC : 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN ? 0 : -1;
    if (throw_away) {
        pass_data(session, (size_t)n);
        return (size_t)n == wanted;
    }
    for (size_t at = 0; at < (size_t)n && session->source.fd == fd;)
        at += (session->data_left > 0 ? take_data : take_header)(session, scratch + at,
                                                                 (size_t)n - at);
    return (size_t)n == wanted;
}

void session_receive(struct session *session)
{
    ssize_t n;
    do
        n = session->source.fd >= 0 ? receive_some(session) : 0;
    while (n > 0);
    if (n < 0)
        session_lost(session, "the connection to the target was lost");
}
