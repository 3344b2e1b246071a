/*
 * What a session receives, as bytes. It goes through one buffer that all sessions share; of each
 * PDU only the header is kept, and the data when somebody looks at them.
 */
#include "load_session.h"

#include <errno.h>

#define ROUNDS_AT_ONCE 64 /* receive calls before others have their turn */
#define MAX_TEXT       (64 * 1024)

/* Where the data of a PDU go: a read's are looked at as they come, if at all. */
static void begin_data(struct session *session)
{
    struct incoming *in = &session->in;
    in->text = NULL;
    in->text_length = 0;
    if (bhs_opcode(in->header) == ISCSI_DATA_IN && session->state == SESSION_READY) {
        unsigned number;
        const struct task *task = session_task(session, &number);
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
    uint32_t crc;
    if (digests) {
        memcpy(&crc, in->header + ISCSI_BHS_SIZE, sizeof(crc));
        if (crc != ~load_crc(UINT32_MAX, in->header, ISCSI_BHS_SIZE))
            load_fail(session, "a header's digest is wrong");
    }
    if (!session_expects_pdu(session) || in->header[BHS_AHS_LENGTH])
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
        const struct task *task = session_task(session, &number);
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
        session_end_pdu(session);
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
    session_end_pdu(session);
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
        session_finish_connect(session); /* its answer is another event */
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
