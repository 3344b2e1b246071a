/*
 * Text requests: SendTargets (RFC 7143 appendix C). A long answer goes in several responses, each
 * fetched by an empty request with the tag of the one before.
 */
#include "iscsi/session.h"

#include "iscsi/target.h"

#define TEXT_TAG 1u /* one long answer per session at a time: the tag need not differ */

struct iscsi_text_reply {
    char *data;
    size_t size;
    size_t sent;
    FILE *stream; /* while it is written */
};

void iscsi_text_reply_free(struct iscsi_text_reply *reply)
{
    if (!reply)
        return;
    free(reply->data);
    free(reply);
}

static void put_pair(struct iscsi_text_reply *reply, const char *key, const char *value)
{
    fprintf(reply->stream, "%s=%s%c", key, value, 0);
}

/* A target, with the portal that this connection came to: the one that surely works. */
static void add_target(struct iscsi_conn *conn, const char *target)
{
    char portal[ENDPOINT_TEXT_SIZE], address[ENDPOINT_TEXT_SIZE + 2];
    struct iscsi_text_reply *reply = conn->session->text_reply;
    endpoint_format(&conn->local, portal);
    snprintf(address, sizeof(address), "%s,1", portal);
    put_pair(reply, "TargetName", target);
    put_pair(reply, "TargetAddress", address);
}

/* All is for discovery sessions; a normal one may ask for its own target only, or by "". */
static void send_targets(struct iscsi_session *session, const char *value)
{
    struct iscsi_conn *conn = session->conn;
    if (!session->target && str_eq(value, "All"))
        conn->operations->list_targets(conn, NULL, add_target);
    else if (!session->target && *value)
        conn->operations->list_targets(conn, value, add_target);
    else if (session->target && (*value == '\0' || str_eq(value, session->target->name)))
        add_target(conn, session->target->name);
    else
        put_pair(session->text_reply, "SendTargets", "Reject");
}

static void answer_key(struct iscsi_session *session, const char *key, const char *value)
{
    uint32_t size;
    if (str_eq(key, "SendTargets")) {
        send_targets(session, value);
    } else if (str_eq(key, "MaxRecvDataSegmentLength")) {
        if (iscsi_text_number(value, &size) == 0 && size >= 512 && size <= ISCSI_DATA_SIZE_MAX)
            session->parameters.max_send_segment_length = size;
        else
            put_pair(session->text_reply, key, "Reject");
    } else {
        put_pair(session->text_reply, key, "NotUnderstood");
    }
}

static int build_reply(struct iscsi_session *session, char *text, size_t length)
{
    size_t cursor = 0;
    const char *key, *value;
    int r;
    while ((r = iscsi_text_next(text, length, &cursor, &key, &value)) > 0)
        answer_key(session, key, value);
    return r;
}

/* Starts a reply from the text of a request; false: the connection was closed. */
static bool start_reply(struct iscsi_session *session, const struct iscsi_input *in)
{
    struct iscsi_text_reply *reply = calloc(1, sizeof(*reply));
    char *text = malloc(in->data_size + 1);
    int r = -1;
    iscsi_text_reply_free(session->text_reply);
    session->text_reply = reply;
    if (reply && text && (reply->stream = open_memstream(&reply->data, &reply->size))) {
        if (in->data_size > 0)
            memcpy(text, in->buffer->data, in->data_size);
        text[in->data_size] = '\0';
        r = build_reply(session, text, in->data_size);
        fclose(reply->stream);
    }
    free(text);
    if (r < 0)
        iscsi_conn_violation(session->conn, "sent a text request that is not key=value");
    return r >= 0;
}

static void send_part(struct iscsi_session *session, uint32_t itt)
{
    struct iscsi_conn *conn = session->conn;
    struct iscsi_text_reply *reply = session->text_reply;
    uint32_t limit = (uint32_t)MIN(session->parameters.max_send_segment_length, BUFFER_MAX_SIZE);
    uint32_t size = (uint32_t)MIN(reply->size - reply->sent, limit);
    bool last = reply->sent + size == reply->size;
    struct buffer *buffer = size > 0 ? buffer_get(conn->thread->buffers, size) : NULL;
    struct iscsi_out *out = iscsi_out_new(conn, ISCSI_TEXT_RESPONSE, itt);
    if (!out || (size > 0 && !buffer)) {
        buffer_unref(conn->thread->buffers, buffer);
        free(out);
        iscsi_conn_close(conn, "out of memory");
        return;
    }
    out->header[BHS_FLAGS] = last ? ISCSI_FLAG_FINAL : ISCSI_FLAG_CONTINUE;
    bhs_put32(out->header, BHS_TTT, last ? ISCSI_RESERVED_TAG : TEXT_TAG);
    iscsi_out_take_statsn(conn, out);
    if (buffer) {
        memcpy(buffer->data, reply->data + reply->sent, size);
        iscsi_out_set_data(out, buffer->data, size, buffer);
    }
    reply->sent += size;
    iscsi_conn_queue(conn, out);
    if (last) {
        iscsi_text_reply_free(session->text_reply);
        session->text_reply = NULL;
    }
}

void iscsi_text_request_pdu(struct iscsi_session *session, struct iscsi_input *in)
{
    bool fetches = bhs_get32(in->bhs, BHS_TTT) != ISCSI_RESERVED_TAG;
    if (in->bhs[BHS_FLAGS] & ISCSI_FLAG_CONTINUE || in->data_size > ISCSI_DEFAULT_SEGMENT) {
        iscsi_conn_violation(session->conn, "sent a text request that is too long");
        return;
    }
    if (fetches && !session->text_reply) {
        iscsi_conn_violation(session->conn, "fetches a text answer that does not exist");
        return;
    }
    if (fetches || start_reply(session, in))
        send_part(session, bhs_get32(in->bhs, BHS_ITT));
}
