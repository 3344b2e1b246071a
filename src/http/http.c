#include "http/http.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>

#include "http/certificate.h"
#include "http/crowd.h"

#define STACK_SIZE        (512 * KIB)
#define LINES_BLOCK       (4 * KIB)
#define STREAM_BLOCK      (64 * KIB)
/* What a connection has for the heads of a request and of its answer, and to read a body into. */
#define CONNECTION_MEMORY (16 * KIB)
/* A body that is too large is read to its end all the same if it has no more than this: many a
 * client looks for an answer only when it has sent everything. */
#define MAX_DROPPED       (1 * MIB)

struct http_server {
    struct http_settings settings;
    struct http_tls tls; /* .certificates NULL: none */
    struct MHD_Daemon *daemon;
    struct crowd crowd;
    pthread_mutex_t lock; /* protects all below */
    pthread_cond_t resumed;
    unsigned n_suspended; /* connections that wait for others than their peers */
    bool stopping;
};

/* What is kept of a connection. */
struct http_peer {
    struct crowd_member member;
    struct certificate *certificate; /* that it is shown; NULL: there is none */
    bool heard;                      /* it has brought a whole request */
};

struct http_request {
    struct http_server *server;
    struct MHD_Connection *connection;
    char *method;
    char *path;
    char *body;
    size_t body_size;
    bool too_large;
    void *later; /* of http_defer() */
    void (*release_later)(void *later);
    void *kept; /* of http_keep() */
    void (*release_kept)(void *kept);
    void (*done)(void *context, bool whole); /* of http_when_done() */
    void *done_context;
    enum MHD_Result answered; /* MHD_NO: not at all, and the connection ends */
};

static struct http_request *request_new(struct http_server *server, struct MHD_Connection *c,
                                        const char *method, const char *path)
{
    struct http_request *request = calloc(1, sizeof(*request));
    if (!request)
        return NULL;
    request->server = server;
    request->connection = c;
    request->method = strdup(method);
    request->path = strdup(path);
    if (request->method && request->path)
        return request;
    free(request->method);
    free(request->path);
    free(request);
    return NULL;
}

static struct http_peer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void copy_address(const struct sockaddr *from, struct endpoint *address)
{
    if (from->sa_family == AF_INET)
        memcpy(&address->v4, from, sizeof(address->v4));
    else if (from->sa_family == AF_INET6)
        memcpy(&address->v6, from, sizeof(address->v6));
}

static void remember(struct http_server *server, struct http_peer *peer,
                     struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info)
        copy_address(info->client_addr, &peer->member.address);
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info)
        crowd_enter(&server->crowd, &peer->member, info->connect_fd);
}

/* --- TLS --- */

int http_check_priorities(const char *priorities, struct error *ret_error)
{
    gnutls_priority_t cache;
    const char *at = priorities;
    int r = gnutls_priority_init(&cache, priorities, &at);
    if (r < 0)
        return error_set(ret_error, -EINVAL, "GnuTLS does not take the priorities from '%s' on: %s",
                         at, gnutls_strerror(r));
    gnutls_priority_deinit(cache);
    return 0;
}

/* GnuTLS' callback has no context but the session's. */
static void set_certificate(struct MHD_Connection *connection, struct certificate *certificate)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (info)
        gnutls_session_set_ptr(info->tls_session, certificate);
}

static int give_certificate(gnutls_session_t session, const gnutls_datum_t *issuers, int n_issuers,
                            const gnutls_pk_algorithm_t *algorithms, int n_algorithms,
                            gnutls_pcert_st **ret_chain, unsigned *ret_count,
                            gnutls_privkey_t *ret_key)
{
    struct certificate *certificate = gnutls_session_get_ptr(session);
    if (!certificate)
        return -1;
    *ret_chain = certificate_chain(certificate, ret_count);
    *ret_key = certificate_key(certificate);
    return 0;
}

/* --- connections --- */

/* A Unix socket is its owner's alone. */
static enum MHD_Result may_come(void *cls, const struct sockaddr *from, socklen_t size)
{
    struct http_server *server = cls;
    struct endpoint address = {.any.sa_family = AF_UNSPEC};
    copy_address(from, &address);
    return address.any.sa_family == AF_UNSPEC || crowd_has_room(&server->crowd, &address) ? MHD_YES
                                                                                          : MHD_NO;
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = cls;
    const struct http_settings *settings = &server->settings;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct http_peer *peer = *socket_context = calloc(1, sizeof(*peer));
        if (peer && server->tls.certificates)
            peer->certificate = certificate_slot_get(server->tls.certificates);
        if (server->tls.certificates)
            set_certificate(connection, peer ? peer->certificate : NULL);
        if (peer)
            remember(server, peer, connection);
        return;
    }
    struct http_peer *peer = take_ptr(*socket_context);
    if (peer)
        crowd_leave(&server->crowd, &peer->member); /* while its descriptor is open */
    if (peer && !peer->heard && settings->no_request)
        settings->no_request(settings->context, &peer->member.address);
    if (peer)
        certificate_unref(peer->certificate);
    free(peer);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode code)
{
    struct http_request *request = *con_cls;
    struct http_peer *peer = peer_of(connection);
    if (!request)
        return;
    if (peer)
        crowd_set_busy(&request->server->crowd, &peer->member, false);
    if (request->later)
        request->release_later(request->later);
    if (request->kept)
        request->release_kept(request->kept);
    if (request->done)
        request->done(request->done_context, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    free(request->method);
    free(request->path);
    free(request->body);
    free(request);
    *con_cls = NULL;
}

static void keep_body(struct http_request *request, const char *data, size_t size)
{
    if (request->too_large || request->body_size + size > request->server->settings.max_body) {
        request->too_large = true;
        return;
    }
    char *grown = realloc(request->body, request->body_size + size);
    if (!grown) {
        request->too_large = true;
        return;
    }
    memcpy(grown + request->body_size, data, size);
    request->body = grown;
    request->body_size += size;
}

/* Told before its body is read: nobody makes us read for ever, and who asks before it sends is
 * told at once. */
static bool announces_too_much(const struct http_request *request)
{
    const char *length = http_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    size_t most = request->server->settings.max_body;
    if (!http_header(request, MHD_HTTP_HEADER_EXPECT))
        most = MAX(most, MAX_DROPPED);
    return length && strtoull(length, NULL, 10) > most;
}

static enum MHD_Result refuse_body(struct http_request *request)
{
    static const char text[] = "{\"error\": \"the request is too large\"}\n";
    http_reply(request, MHD_HTTP_CONTENT_TOO_LARGE, "application/json", text, sizeof(text) - 1);
    return request->answered;
}

/* Called when the head is there, then for each piece of the body, then once more at its end. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_size, void **con_cls)
{
    struct http_server *server = cls;
    struct http_request *request = *con_cls;
    if (!request) {
        request = *con_cls = request_new(server, connection, method, url);
        if (!request)
            return MHD_NO;
        return announces_too_much(request) ? refuse_body(request) : MHD_YES;
    }
    if (*data_size > 0) {
        keep_body(request, data, *data_size);
        *data_size = 0;
        return MHD_YES;
    }
    struct http_peer *peer = peer_of(connection);
    if (peer) {
        peer->heard = true;
        crowd_set_busy(&server->crowd, &peer->member, true);
    }
    if (request->too_large)
        return refuse_body(request);
    server->settings.handle(server->settings.context, request);
    return request->answered;
}

/* libmicrohttpd's complaints are about peers' mistakes: the peer is told, not the operator. */
static void drop_log(void *cls, const char *format, va_list args)
{
}

static struct MHD_Daemon *start_daemon(struct http_server *server)
{
    const struct http_settings *s = &server->settings;
    bool pool = s->threads == HTTP_POOL;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    flags |= pool ? MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME
                  : MHD_USE_POLL | MHD_USE_THREAD_PER_CONNECTION;
    struct MHD_OptionItem more[4];
    size_t n = 0;
    if (pool && s->pool_size > 1)
        more[n++] =
            (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)s->pool_size, NULL};
    if (server->tls.certificates) {
        flags |= MHD_USE_TLS;
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0, give_certificate};
        more[n++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)server->tls.priorities};
    }
    more[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    /* the logger comes first: options behind it may already log */
    return MHD_start_daemon(
        flags, 0, may_come, server, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, drop_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, s->fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_CONNECTION_LIMIT,
        s->max_connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT, s->max_connections_per_peer,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_TIMEOUT, s->idle_timeout, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)STACK_SIZE, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

static void server_free(struct http_server *server)
{
    crowd_destroy(&server->crowd);
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->resumed);
    free(server);
}

int http_start(const struct http_settings *settings, struct http_server **ret_server,
               struct error *ret_error)
{
    struct http_server *server = calloc(1, sizeof(*server));
    if (!server) {
        close(settings->fd);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    server->settings = *settings;
    if (settings->tls)
        server->tls = *settings->tls;
    crowd_init(&server->crowd, settings->max_connections);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->resumed, NULL);
    errno = 0;
    server->daemon = start_daemon(server);
    if (!server->daemon) {
        int r = errno ? -errno : -EIO;
        close(settings->fd);
        server_free(server);
        return error_set(ret_error, r, "cannot start the HTTP server: %s", strerror(-r));
    }
    *ret_server = server;
    return 0;
}

void http_stop(struct http_server *server)
{
    if (!server)
        return;
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    while (server->n_suspended > 0)
        pthread_cond_wait(&server->resumed, &server->lock);
    pthread_mutex_unlock(&server->lock);
    MHD_stop_daemon(server->daemon); /* closes the listening socket, too */
    server_free(server);
}

/* --- connections that wait --- */

/* False: too late for that. */
static bool suspend(struct http_server *server, struct MHD_Connection *connection)
{
    pthread_mutex_lock(&server->lock);
    bool may = !server->stopping;
    server->n_suspended += may;
    pthread_mutex_unlock(&server->lock);
    if (may)
        MHD_suspend_connection(connection);
    return may;
}

static void resume(struct http_server *server, struct MHD_Connection *connection)
{
    MHD_resume_connection(connection);
    pthread_mutex_lock(&server->lock);
    server->n_suspended--;
    pthread_cond_signal(&server->resumed);
    pthread_mutex_unlock(&server->lock);
}

bool http_defer(struct http_request *request, void *later, void (*release)(void *later))
{
    if (!suspend(request->server, request->connection))
        return false;
    request->later = later;
    request->release_later = release;
    request->answered = MHD_YES;
    return true;
}

void http_resume(struct http_request *request)
{
    resume(request->server, request->connection);
}

void *http_take_deferred(struct http_request *request)
{
    return take_ptr(request->later);
}

void http_keep(struct http_request *request, void *kept, void (*release)(void *kept))
{
    request->kept = kept;
    request->release_kept = release;
}

void *http_kept(const struct http_request *request)
{
    return request->kept;
}

const char *http_method(const struct http_request *request)
{
    return request->method;
}

const char *http_path(const struct http_request *request)
{
    return request->path;
}

const char *http_query(const struct http_request *request, const char *key)
{
    const char *value = NULL;
    size_t size;
    if (MHD_lookup_connection_value_n(request->connection, MHD_GET_ARGUMENT_KIND, key, strlen(key),
                                      &value, &size) == MHD_NO)
        return NULL;
    return value ? value : "";
}

const char *http_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *http_body(const struct http_request *request, size_t *ret_size)
{
    *ret_size = request->body_size;
    return request->body;
}

bool http_peer(const struct http_request *request, struct endpoint *ret_peer)
{
    return endpoint_from_peer(http_connection_fd(request), ret_peer) >= 0 &&
           ret_peer->any.sa_family != AF_UNIX;
}

int http_connection_fd(const struct http_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

bool http_peer_is_gone(int connection_fd)
{
    struct pollfd pollfd = {.fd = connection_fd};
    return poll(&pollfd, 1, 0) > 0 && (pollfd.revents & (POLLHUP | POLLERR));
}

static void answer(struct http_request *request, unsigned status, const char *type,
                   struct MHD_Response *response)
{
    request->answered = MHD_NO;
    if (!response)
        return;
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES)
        request->answered = MHD_queue_response(request->connection, status, response);
    MHD_destroy_response(response);
}

void http_reply(struct http_request *request, unsigned status, const char *type, const void *body,
                size_t size)
{
    answer(request, status, type,
           MHD_create_response_from_buffer(size, (void *)body, MHD_RESPMEM_MUST_COPY));
}

void http_reply_owned(struct http_request *request, unsigned status, const char *type, char *body,
                      size_t size)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(body);
    answer(request, status, type, response);
}

void http_reply_file(struct http_request *request, unsigned status, const char *type, int fd,
                     uint64_t size)
{
    struct MHD_Response *response = MHD_create_response_from_fd64(size, fd);
    if (!response)
        close(fd);
    answer(request, status, type, response);
}

void http_when_done(struct http_request *request, void (*done)(void *context, bool whole),
                    void *context)
{
    request->done = done;
    request->done_context = context;
}

static bool take_line(struct http_lines *lines)
{
    free(lines->line);
    lines->line = lines->next(lines);
    if (!lines->line)
        return false;
    lines->offset = 0;
    lines->size = strlen(lines->line);
    lines->line[lines->size++] = '\n'; /* in the place of the NUL: sizes count from here on */
    return true;
}

static ssize_t read_lines(void *cls, uint64_t position, char *buffer, size_t room)
{
    struct http_lines *lines = cls;
    if (lines->offset == lines->size && !take_line(lines))
        return MHD_CONTENT_READER_END_OF_STREAM;
    size_t n = MIN(room, lines->size - lines->offset);
    memcpy(buffer, lines->line + lines->offset, n);
    lines->offset += n;
    return (ssize_t)n;
}

static void end_lines(void *cls)
{
    struct http_lines *lines = cls;
    free(lines->line);
    lines->end(lines);
}

void http_reply_lines(struct http_request *request, unsigned status, const char *type,
                      struct http_lines *lines)
{
    lines->line = NULL;
    lines->offset = lines->size = 0;
    /* waiting for the next line is not idleness */
    MHD_set_connection_option(request->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
    struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, LINES_BLOCK,
                                                                      read_lines, lines, end_lines);
    if (!response)
        lines->end(lines);
    answer(request, status, type, response);
}

static ssize_t read_stream(void *cls, uint64_t position, char *buffer, size_t room)
{
    struct http_stream *stream = cls;
    ssize_t n = stream->read(stream, position, buffer, room);
    if (n > 0)
        return n;
    if (n < 0 || !suspend(stream->server, stream->connection))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    stream->fetch(stream, position);
    return 0;
}

static void end_stream(void *cls)
{
    struct http_stream *stream = cls;
    stream->end(stream);
}

void http_stream_ready(struct http_stream *stream)
{
    resume(stream->server, stream->connection);
}

void http_reply_stream(struct http_request *request, unsigned status, const char *type,
                       uint64_t size, struct http_stream *stream)
{
    stream->server = request->server;
    stream->connection = request->connection;
    struct MHD_Response *response =
        MHD_create_response_from_callback(size, STREAM_BLOCK, read_stream, stream, end_stream);
    if (!response)
        stream->end(stream);
    answer(request, status, type, response);
}
