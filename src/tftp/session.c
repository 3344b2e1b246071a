/*
 * A transfer's own socket: a port of its own, connected to the client (its TID), so that the
 * kernel keeps others out (they get ICMP "port unreachable" where RFC 1350 4 would have an ERROR)
 * and tells when the client's port is gone.
 */
#include "core/log.h"
#include "tftp/server_internal.h"

#include <errno.h>
#include <netinet/ip.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define RECEIVE_BATCH 16
#define UDP_HEADER    8
#define IPV4_HEADER   20
#define IPV6_HEADER   40
#define FALLBACK_MTU  1500

/* An event on its way: knows all that it needs when the server is gone. */
struct letter {
    struct message message;
    void (*handle)(void *context, const struct tftp_event *event);
    void *context;
    struct tftp_event event;
};

static void deliver(struct message *message)
{
    struct letter *letter = container_of(message, struct letter, message);
    letter->handle(letter->context, &letter->event);
    free(letter);
}

static void post(struct tftp_session *session, enum tftp_event_kind kind, const char *failure)
{
    struct tftp_server *server = session->server;
    struct letter *letter = server->event ? calloc(1, sizeof(*letter)) : NULL;
    if (!letter) /* without memory the loader still loads; only its stage is not seen */
        return;
    *letter = (struct letter){
        .message.run = deliver,
        .handle = server->event,
        .context = server->context,
        .event =
            {
                .kind = kind,
                .peer = session->peer,
                .bytes = tftp_transfer_bytes(&session->transfer),
                .size = session->transfer.file_size,
                .started_at = session->started_at,
                .at = clock_wall_usec(),
            },
    };
    str_copy(letter->event.file, sizeof(letter->event.file), session->name);
    str_copy(letter->event.failure, sizeof(letter->event.failure), failure);
    mailbox_post(server->mailbox, &letter->message);
}

void tftp_session_free(struct tftp_session *session)
{
    list_remove(&session->in_server);
    counter_subtract(&session->server->counters->active, 1);
    sd_event_source_disable_unref(session->timer);
    util_close_fd(&session->socket);
    util_close_fd(&session->file);
    free(session);
}

static void finish(struct tftp_session *session)
{
    counter_add(&session->server->counters->finished, 1);
    counter_add(&session->server->counters->bytes, session->transfer.file_size);
    post(session, TFTP_EVENT_FINISHED, "");
    tftp_session_free(session);
}

static void fail(struct tftp_session *session, const char *failure)
{
    counter_add(&session->server->counters->failed, 1);
    tftp_server_log(session->server, &session->peer, "sending %s failed: %s", session->name,
                    failure);
    if (session->told)
        post(session, TFTP_EVENT_FAILED, failure);
    tftp_session_free(session);
}

/* The client broke it off. Before the first block that is no failure: firmware asks for the size
 * of a file like that. */
static void abandon(struct tftp_session *session)
{
    char failure[sizeof(((struct tftp_event *)0)->failure)];
    const struct tftp_answer *answer = &session->transfer.answer;
    snprintf(failure, sizeof(failure), "the client broke it off: error %u %s", answer->code,
             answer->text);
    if (session->told) {
        fail(session, failure);
        return;
    }
    counter_add(&session->server->counters->aborted, 1);
    tftp_session_free(session);
}

static void send_error(struct tftp_session *session, const char *text)
{
    uint8_t packet[TFTP_MAX_ERROR];
    size_t size = tftp_build_error(packet, TFTP_ERROR_OTHER, text);
    (void)!send(session->socket, packet, size, MSG_DONTWAIT);
}

/* Reads all of it, or fails: a file that became shorter must not end as if it were whole. */
static bool read_file(int fd, uint8_t *buffer, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t n = pread(fd, buffer, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        buffer += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return true;
}

/* False if the session was ended. */
static bool send_due(struct tftp_session *session)
{
    struct tftp_output output;
    uint8_t *packet = session->server->packet;
    while (tftp_transfer_next(&session->transfer, clock_monotonic_usec(), &output)) {
        memcpy(packet, output.header, output.size);
        if (!read_file(session->file, packet + output.size, output.file_bytes, output.offset)) {
            send_error(session, "the file cannot be read");
            fail(session, "the file cannot be read any more");
            return false;
        }
        if (session->transfer.state == TFTP_SENDING && !session->told) {
            session->told = true;
            post(session, TFTP_EVENT_STARTED, "");
        }
        /* What does not get out now is sent again like any packet that is lost on the way. */
        ssize_t n = send(session->socket, packet, output.size + output.file_bytes, MSG_DONTWAIT);
        if (n < 0 && errno == ECONNREFUSED) {
            fail(session, "the client is gone");
            return false;
        }
    }
    return true;
}

void tftp_session_go_on(struct tftp_session *session)
{
    if (!send_due(session))
        return;
    switch (session->transfer.state) {
    case TFTP_OFFERING:
    case TFTP_SENDING:
        break;
    case TFTP_FINISHED:
        finish(session);
        break;
    case TFTP_ABORTED:
        abandon(session);
        break;
    case TFTP_LOST:
        fail(session, "no answer from the client");
        break;
    }
}

void tftp_session_receive(struct tftp_session *session)
{
    for (int i = 0; i < RECEIVE_BATCH; i++) {
        uint8_t packet[TFTP_MAX_REQUEST];
        ssize_t n = recv(session->socket, packet, sizeof(packet), MSG_DONTWAIT);
        if (n < 0 && errno == ECONNREFUSED) {
            fail(session, "the client is gone");
            return;
        }
        if (n < 0)
            break;
        tftp_transfer_receive(&session->transfer, packet, (size_t)n, clock_monotonic_usec());
    }
    if (session->transfer.heard && session->heard_at == 0)
        session->heard_at = clock_wall_usec();
    tftp_session_go_on(session);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct tftp_session *session = userdata;
    uint64_t now = clock_monotonic_usec();
    tftp_transfer_tick(&session->transfer, now);
    /* Each ACK moves the deadline, but only here is the timer set: it may come too early. */
    int r = sd_event_source_set_time(source, MAX(session->transfer.deadline, now + 1000));
    if (r >= 0)
        r = sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    tftp_session_go_on(session);
    return r;
}

/* What fits one frame: larger blocks would travel as IP fragments, which some ROMs cannot take. */
static uint32_t max_blksize(int fd, int family)
{
    int mtu = FALLBACK_MTU;
    socklen_t size = sizeof(mtu);
    bool v6 = family == AF_INET6;
    if (getsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU : IP_MTU, &mtu, &size) < 0)
        mtu = FALLBACK_MTU;
    int room = mtu - (v6 ? IPV6_HEADER : IPV4_HEADER) - UDP_HEADER - TFTP_HEADER_SIZE;
    return (uint32_t)MIN(MAX(room, TFTP_DEFAULT_BLKSIZE), TFTP_MAX_BLKSIZE);
}

static int open_socket(const struct endpoint *local, const struct endpoint *peer)
{
    struct endpoint from = endpoint_with_port(local, 0);
    cleanup_close int fd = socket(from.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, &from.any, endpoint_size(&from)) < 0 ||
        connect(fd, &peer->any, endpoint_size(peer)) < 0)
        return -errno;
    return take_fd(&fd);
}

static int watch(struct tftp_session *session)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};
    if (epoll_ctl(session->server->ready, EPOLL_CTL_ADD, session->socket, &event) < 0)
        return -errno;
    return sd_event_add_time(session->server->loop, &session->timer, CLOCK_MONOTONIC,
                             session->transfer.deadline, 10000, on_timer, session);
}

int tftp_session_start(struct tftp_server *server, const struct endpoint *peer,
                       const struct endpoint *local, const char *name,
                       const struct tftp_options *options, int *file, uint64_t file_size)
{
    struct tftp_session *session = calloc(1, sizeof(*session));
    if (!session)
        return -ENOMEM;
    session->server = server;
    session->peer = *peer;
    session->local = *local;
    session->wanted = *options;
    session->started_at = clock_wall_usec();
    session->socket = open_socket(local, peer);
    session->file = take_fd(file);
    str_copy(session->name, sizeof(session->name), name);
    list_append(&server->sessions, &session->in_server);
    counter_add(&server->counters->active, 1);
    int r = session->socket;
    if (r >= 0) {
        tftp_transfer_start(&session->transfer, options, file_size,
                            max_blksize(session->socket, peer->any.sa_family),
                            clock_monotonic_usec());
        r = watch(session);
    }
    if (r < 0) {
        tftp_session_free(session);
        return r;
    }
    counter_add(&server->counters->started, 1);
    tftp_session_go_on(session);
    return 0;
}
