/*
 * Text requests in the full feature phase (RFC 7143 11.10, 11.11): SendTargets (appendix C), and
 * what may be declared anew. A request may come in several PDUs (C bit), a negotiation may take
 * several requests (F bit), and a long answer goes in several responses, each fetched by an empty
 * request with the tag of the one before.
 */
#include "iscsi/session.h"

#include "iscsi/target.h"

#define TEXT_TAG 1u /* one exchange per session at a time: the tag need not differ */
#define MAX_TEXT (64 * KIB)

/* An exchange: what was asked, as far as it has come, and what is still to be answered. */
struct iscsi_text_reply {
    uint32_t itt; /* of all its requests */
    char *request;
    size_t request_size;
    char *data;
    size_t size;
    size_t sent;
    bool more;    /* the initiator has not said yet that it has asked all (F bit) */
    FILE *stream; /* while it is written */
};

void iscsi_text_reply_free(struct iscsi_text_reply *reply)
{
    if (!reply)
        return;
    free(reply->request);
    free(reply->data);
    free(reply);
}

static void put_pair(struct iscsi_text_reply *reply, const char *key, const char *value)
{
    fprintf(reply->stream, "%s=%s%c", key, value, 0);
}

static void add_portal(struct iscsi_conn *conn, const struct endpoint *portal)
{
    char text[ENDPOINT_TEXT_SIZE], address[ENDPOINT_TEXT_SIZE + sizeof(ISCSI_PORTAL_GROUP_TAG)];
    endpoint_format_portal(portal, text);
    snprintf(address, sizeof(address), "%s," ISCSI_PORTAL_GROUP_TAG, text);
    put_pair(conn->session->text_reply, "TargetAddress", address);
}

/* A target, with its portals: first the one that this connection came to, which surely works. */
static void add_target(struct iscsi_conn *conn, const char *target)
{
    put_pair(conn->session->text_reply, "TargetName", target);
    add_portal(conn, &conn->local);
    conn->operations->list_portals(conn, add_portal);
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

/* The other keys of the standard belong to the login: RFC 7143 13, "Use". */
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
    } else if (iscsi_key_is_standard(key)) {
        if (!str_eq(key, "InitiatorAlias") && !iscsi_text_is_answer(value))
            put_pair(session->text_reply, key, "Reject");
    } else if (!iscsi_text_is_answer(value)) {
        put_pair(session->text_reply, key, "NotUnderstood");
    }
}

/* Answers all that has come, behind what was not fetched yet of the answers before. */
static int build_reply(struct iscsi_session *session)
{
    struct iscsi_text_reply *reply = session->text_reply;
    size_t cursor = 0;
    const char *key, *value;
    int r;
    free(take_ptr(reply->data));
    reply->size = reply->sent = 0;
    reply->stream = open_memstream(&reply->data, &reply->size);
    if (!reply->stream)
        return -1;
    while ((r = iscsi_text_next(reply->request, reply->request_size, &cursor, &key, &value)) > 0)
        answer_key(session, key, value);
    fclose(take_ptr(reply->stream));
    free(take_ptr(reply->request));
    reply->request_size = 0;
    return r;
}

/* Keeps the text of a request behind that of those which it continues. */
static bool gather(struct iscsi_text_reply *reply, const struct iscsi_input *in)
{
    char *grown = realloc(reply->request, reply->request_size + in->data_size + 1);
    if (!grown)
        return false;
    if (in->data_size > 0)
        memcpy(grown + reply->request_size, in->buffer->data, in->data_size);
    reply->request = grown;
    reply->request_size += in->data_size;
    grown[reply->request_size] = '\0';
    return true;
}

/* The next part of the answer; empty while the request has not come whole (RFC 7143 6.2). */
static void send_part(struct iscsi_session *session, uint32_t itt)
{
    struct iscsi_conn *conn = session->conn;
    struct iscsi_text_reply *reply = session->text_reply;
    uint32_t limit = (uint32_t)MIN(session->parameters.max_send_segment_length, BUFFER_MAX_SIZE);
    uint32_t size = (uint32_t)MIN(reply->size - reply->sent, limit);
    bool whole = reply->sent + size == reply->size;
    bool last = whole && !reply->more;
    struct buffer *buffer = size > 0 ? buffer_get(conn->thread->buffers, size) : NULL;
    struct iscsi_out *out = iscsi_out_new(conn, ISCSI_TEXT_RESPONSE, itt);
    if (!out || (size > 0 && !buffer)) {
        buffer_unref(conn->thread->buffers, buffer);
        free(out);
        iscsi_conn_close(conn, "out of memory");
        return;
    }
    out->header[BHS_FLAGS] = last ? ISCSI_FLAG_FINAL : whole ? 0 : ISCSI_FLAG_CONTINUE;
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

/* Takes the text of a request in; false: the connection was closed. */
static bool take_request(struct iscsi_session *session, const struct iscsi_input *in)
{
    struct iscsi_text_reply *reply = session->text_reply;
    uint8_t flags = in->bhs[BHS_FLAGS];
    if (reply->request_size + in->data_size > MAX_TEXT) {
        iscsi_conn_violation(session->conn, "sent a text request that is too long");
        return false;
    }
    if (!gather(reply, in)) {
        iscsi_conn_close(session->conn, "out of memory");
        return false;
    }
    reply->more = !(flags & ISCSI_FLAG_FINAL);
    if (flags & ISCSI_FLAG_CONTINUE)
        return true;
    if (build_reply(session) < 0) {
        iscsi_conn_violation(session->conn, "sent a text request that is not key=value");
        return false;
    }
    return true;
}

/* Does this request fit what has come before it? Without a tag of ours it begins anew; who fetches
 * an answer says nothing else meanwhile. */
static bool is_in_order(struct iscsi_session *session, const struct iscsi_input *in)
{
    struct iscsi_text_reply *reply = session->text_reply;
    uint8_t both = ISCSI_FLAG_FINAL | ISCSI_FLAG_CONTINUE, flags = in->bhs[BHS_FLAGS] & both;
    if (flags == both)
        return false;
    if (bhs_get32(in->bhs, BHS_TTT) == ISCSI_RESERVED_TAG)
        return true;
    if (!reply || bhs_get32(in->bhs, BHS_TTT) != TEXT_TAG ||
        bhs_get32(in->bhs, BHS_ITT) != reply->itt)
        return false;
    bool fetches = reply->sent < reply->size;
    return !fetches || (in->data_size == 0 && !(flags & ISCSI_FLAG_CONTINUE));
}

void iscsi_text_request_pdu(struct iscsi_session *session, struct iscsi_input *in)
{
    struct iscsi_text_reply *reply = session->text_reply;
    if (!is_in_order(session, in)) {
        iscsi_session_reject(session, in, ISCSI_REJECT_PROTOCOL);
        return;
    }
    if (bhs_get32(in->bhs, BHS_TTT) == ISCSI_RESERVED_TAG) {
        iscsi_text_reply_free(reply);
        session->text_reply = reply = calloc(1, sizeof(*reply));
    }
    if (!reply) {
        iscsi_conn_close(session->conn, "out of memory");
        return;
    }
    reply->itt = bhs_get32(in->bhs, BHS_ITT);
    bool fetches = reply->sent < reply->size;
    if (fetches || take_request(session, in))
        send_part(session, reply->itt);
}
