/*
 * One request to the daemon over its Unix socket.
 *
 * HTTP/1.0 by hand: one request, the answer up to the end of the connection. A library for more
 * would cost each command several times its own run time, and the daemon, which is the same
 * program, several MiB.
 */
#pragma once

#include "core/error.h"

#include <jansson.h>

struct client_progress {
    bool waiting;
    const char *stage;    /* what is being done, or NULL */
    uint64_t done, total; /* bytes */
};

struct client_request {
    const char *socket;
    const char *method;
    const char *path;   /* encoded, with its query */
    const json_t *body; /* or NULL */
    /* For each progress line of a long operation; or NULL. */
    void (*progress)(void *context, const struct client_progress *progress);
    void *context;
    unsigned tick_ms; /* of client_watch(); 0: a second */
};

/* From now on SIGINT and SIGTERM end the call under way, or else the next one, with -EINTR. */
void client_catch_signals(void);

/* Has one of them come? */
bool client_is_interrupted(void);
/* While an answer must not be missed: they come afterwards. */
void client_hold_signals(bool hold);
/* False: one of them came. */
bool client_sleep(unsigned milliseconds) MUST_CHECK;

/* Carries it out. *ret_json: the answer, or the result at the end of a stream; json_decref() it.
 * Errors: -ECONNREFUSED and -ENOENT (no daemon: the sentence says what to do), -EINTR (SIGINT or
 * SIGTERM), -EREMOTE (the daemon refused or failed: its sentence), -EPROTO. */
int client_call(const struct client_request *request, json_t **ret_json,
                struct error *ret_error) MUST_CHECK;

/* The lines of an endless stream, until it ends, an error, or line() or tick() returns false.
 * tick() is called when nothing has come for tick_ms; or NULL. 0: that, or the daemon ended it. */
int client_watch(const struct client_request *request,
                 bool (*line)(void *context, const char *text, json_t *json),
                 bool (*tick)(void *context), struct error *ret_error) MUST_CHECK;

/* --- pure, for the tests --- */

struct http_head {
    int status;
    bool is_lines; /* application/x-ndjson */
    bool has_length;
    uint64_t length; /* of the body, if has_length */
    size_t size;     /* bytes of the head itself */
};

/* 1: *ret_head is filled; 0: more bytes are needed; -EPROTO: this is not an HTTP answer. */
int client_parse_head(const char *data, size_t size, struct http_head *ret_head) MUST_CHECK;
