/*
 * An HTTP server on one listening socket, over libmicrohttpd: requests whole, answers from memory,
 * line by line as they come about, or from a disk.
 *
 * The handler runs on a thread of the server and answers exactly once before it returns, or puts
 * that off. With HTTP_THREAD_PER_CONNECTION it may block (admin API); with HTTP_POOL it must not
 * (nodes).
 */
#pragma once

#include "core/error.h"
#include "core/net.h"

struct certificate_slot;
struct http_server;
struct http_request;

enum http_threads {
    HTTP_THREAD_PER_CONNECTION,
    HTTP_POOL, /* a few threads with an epoll each */
};

/* HTTPS. Both outlive the server. */
struct http_tls {
    struct certificate_slot *certificates; /* a connection has the one that counts as it comes */
    const char *priorities;                /* GnuTLS' words for versions and ciphers */
};

struct http_settings {
    int fd;                     /* a listening, non-blocking socket; taken over, also on failure */
    const struct http_tls *tls; /* copied; NULL: plain HTTP */
    enum http_threads threads;
    unsigned pool_size; /* threads of HTTP_POOL */
    unsigned max_connections;
    unsigned max_connections_per_peer; /* 0: all of them */
    unsigned idle_timeout;             /* seconds without a byte in either direction */
    size_t max_body;                   /* bytes; a larger one is answered with 413 and not kept */
    void (*handle)(void *context, struct http_request *request);
    /* A connection has ended that never brought a whole request: nothing at all, something that is
     * no HTTP, or a head too large; of HTTPS perhaps no TLS, or one of the two did not like what
     * the other one had. NULL: nobody cares. */
    void (*no_request)(void *context, const struct endpoint *peer);
    void *context;
};

/* Can these be had? -EINVAL, with the word that is wrong. */
int http_check_priorities(const char *priorities, struct error *ret_error) MUST_CHECK;

int http_start(const struct http_settings *settings, struct http_server **ret_server,
               struct error *ret_error) MUST_CHECK;
/* Ends all connections and waits for the handlers. Whoever makes lines must end them first.
 * NULL: no-op. */
void http_stop(struct http_server *server);

/* --- the request; all live until the answer is given --- */

const char *http_method(const struct http_request *request);
const char *http_path(const struct http_request *request); /* decoded, without the query */
/* A value of the query, decoded ("" for a bare key); NULL if it is not there. */
const char *http_query(const struct http_request *request, const char *key);
/* NULL if it is not there. */
const char *http_header(const struct http_request *request, const char *name);
/* Not terminated. NULL and 0 if there is none. */
const char *http_body(const struct http_request *request, size_t *ret_size);
/* The peer; false for a Unix socket. */
bool http_peer(const struct http_request *request, struct endpoint *ret_peer);
/* The connection's descriptor: only to wait for its end with http_peer_is_gone(). Lives as long as
 * the lines of http_reply_lines() do. */
int http_connection_fd(const struct http_request *request);
/* Has the peer closed the connection for good? Never blocks. */
bool http_peer_is_gone(int connection_fd);

/* --- the answer --- */

/* body is copied. */
void http_reply(struct http_request *request, unsigned status, const char *type, const void *body,
                size_t size);
/* body comes from malloc() and is taken over. */
void http_reply_owned(struct http_request *request, unsigned status, const char *type, char *body,
                      size_t size);

/* fd, a regular file's, is taken over; what is sent of it are the bytes up to size. A HEAD is
 * answered with its size alone, as it is with all of these. */
void http_reply_file(struct http_request *request, unsigned status, const char *type, int fd,
                     uint64_t size);
/* Before the answer: done() is called, once, when that has gone out whole, or when the connection
 * has ended before. */
void http_when_done(struct http_request *request, void (*done)(void *context, bool whole),
                    void *context);

/* HTTP_POOL only: whatever else has to be waited for.
 *
 * Puts the answer off: the handler returns without one, and is called once more for the same
 * request after http_resume(), on a thread of the server. later: for that second call; released if
 * there is none, because the peer has gone; NULL: nothing is. False: the server is being stopped;
 * answer at once. */
bool http_defer(struct http_request *request, void *later, void (*release)(void *later)) MUST_CHECK;
/* From any other thread, once for each time. *request may be gone right after it. */
void http_resume(struct http_request *request);
/* In the second call: what it was put off with, for the caller to release. Else NULL. */
void *http_take_deferred(struct http_request *request);

/* Through all calls for a request: something that goes with it, released at its end, however that
 * comes. Once. */
void http_keep(struct http_request *request, void *kept, void (*release)(void *kept));
/* NULL: nothing. */
void *http_kept(const struct http_request *request);

/* A body of a known size that has to be fetched from somewhere, a piece at a time. */
struct http_stream {
    /* Copies what there is from `position` on, up to `room` bytes: how many. 0: nothing is there
     * yet; then fetch() is called. Negative: it cannot be had; the connection ends. */
    ssize_t (*read)(struct http_stream *stream, uint64_t position, char *buffer, size_t room);
    /* Begins to get it; http_stream_ready() is called when that is done, here or anywhere. */
    void (*fetch)(struct http_stream *stream, uint64_t position);
    /* No more is wanted. Frees it. Always called once, while nothing is being fetched. */
    void (*end)(struct http_stream *stream);

    /* private */
    struct http_server *server;
    struct MHD_Connection *connection;
};

/* HTTP_POOL only. stream, embedded in what the caller needs, is taken over. */
void http_reply_stream(struct http_request *request, unsigned status, const char *type,
                       uint64_t size, struct http_stream *stream);
void http_stream_ready(struct http_stream *stream);

struct http_lines {
    /* The next line without its newline, from malloc(); NULL: that was all. May block with
     * HTTP_THREAD_PER_CONNECTION. */
    char *(*next)(struct http_lines *lines);
    /* No more is wanted: all were taken, or the peer has gone. Frees it. Always called once. */
    void (*end)(struct http_lines *lines);

    /* private */
    char *line;
    size_t offset, size;
};

/* lines, embedded in what the caller needs, is taken over. */
void http_reply_lines(struct http_request *request, unsigned status, const char *type,
                      struct http_lines *lines);
