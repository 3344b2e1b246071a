/* Shared by server.c (the thread, the listening sockets) and session.c (a transfer's socket). */
#pragma once

#include "core/list.h"
#include "core/ratelimit.h"
#include "tftp/server.h"
#include "tftp/transfer.h"

#include <pthread.h>
#include <systemd/sd-event.h>

struct tftp_server {
    sd_event *loop;
    pthread_t thread;
    struct mailbox inbox; /* to the thread: stop, new directory */
    int directory;
    size_t n_listen;
    int listen[TFTP_MAX_LISTEN];

    struct mailbox *mailbox;
    void (*event)(void *context, const struct tftp_event *event);
    void *context;

    struct list sessions;
    int ready; /* epoll of their sockets: one look finds all that have something to read */
    struct ratelimit log_limit;
    uint64_t errors_second; /* for how many ERRORs are sent in a second */
    unsigned errors_sent;

    struct tftp_counters *counters;

    uint8_t packet[TFTP_HEADER_SIZE + TFTP_MAX_BLKSIZE]; /* the one being sent */
};

/* A transfer with its socket and file. */
struct tftp_session {
    struct list in_server;
    struct tftp_server *server;
    struct tftp_transfer transfer;
    struct tftp_options wanted; /* as the client asked */
    struct endpoint peer, local;
    int socket, file;
    sd_event_source *timer;
    bool told;                     /* TFTP_EVENT_STARTED was posted */
    uint64_t started_at, heard_at; /* heard_at 0: the client has not said anything yet */
    char name[TFTP_EVENT_FILE_SIZE];
};

/* local: the address that the request came to; the transfer answers from there. name: cleaned. The
 * file is taken over in any case. */
int tftp_session_start(struct tftp_server *server, const struct endpoint *peer,
                       const struct endpoint *local, const char *name,
                       const struct tftp_options *options, int *file, uint64_t file_size);
/* Ends it without a word. */
void tftp_session_free(struct tftp_session *session);
/* Takes what has arrived, and goes on: the session may be gone afterwards. */
void tftp_session_receive(struct tftp_session *session);
/* Sends what is due, and ends it if it is over: the session may be gone afterwards. */
void tftp_session_go_on(struct tftp_session *session);

/* Logged once per client and minute. */
void tftp_server_log(struct tftp_server *server, const struct endpoint *peer, const char *format,
                     ...) PRINTF_LIKE(3, 4);
