/*
 * The thread, its listening sockets, and what becomes of a request: refused with an ERROR, left
 * unanswered (the client asks again) when too much is going on, or a transfer.
 */
#include "tftp/server.h"

#include "core/directory.h"
#include "core/log.h"
#include "tftp/server_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define RECEIVE_BATCH         256
#define RECEIVE_BUFFER        (1 << 20)
/* So many transfers are heard at a time, and so many times before others have their turn. */
#define SESSION_BATCH         256
#define SESSION_ROUNDS        16
#define MAX_ERRORS_PER_SECOND 50

void tftp_server_log(struct tftp_server *server, const struct endpoint *peer, const char *format,
                     ...)
{
    uint32_t suppressed;
    char text[512], from[ENDPOINT_TEXT_SIZE], more[64] = "";
    va_list args;
    if (!ratelimit_allow(&server->log_limit, peer, clock_monotonic_usec(), &suppressed))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (suppressed)
        snprintf(more, sizeof(more), " (and %u more like this before)", suppressed);
    log_notice("tftp: %s: %s%s", endpoint_format_address(peer, from), text, more);
}

/* --- a request --- */

struct arrival {
    int fd;
    uint64_t at; /* when the kernel had it; 0: it does not say */
    struct endpoint peer, local;
};

static void send_error(struct tftp_server *server, const struct arrival *arrival,
                       enum tftp_error code, const char *text)
{
    uint8_t packet[TFTP_MAX_ERROR];
    uint64_t second = clock_monotonic_usec() / USEC_PER_SEC;
    if (second != server->errors_second) {
        server->errors_second = second;
        server->errors_sent = 0;
    }
    if (server->errors_sent++ >= MAX_ERRORS_PER_SECOND)
        return;
    size_t size = tftp_build_error(packet, code, text);
    (void)!sendto(arrival->fd, packet, size, MSG_DONTWAIT, &arrival->peer.any,
                  endpoint_size(&arrival->peer));
}

/* name: cleaned, as it goes into the log. */
static void refuse(struct tftp_server *server, const struct arrival *arrival, enum tftp_error code,
                   const char *text, const char *name)
{
    counter_add(&server->counters->refused, 1);
    tftp_server_log(server, &arrival->peer, "asked for '%.200s': %s", name, text);
    send_error(server, arrival, code, text);
}

static void refuse_file(struct tftp_server *server, const struct arrival *arrival, int errnum,
                        const char *name)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        refuse(server, arrival, TFTP_ERROR_NOT_FOUND, "no such file", name);
        break;
    case EXDEV:
        refuse(server, arrival, TFTP_ERROR_ACCESS,
               "this leads out of the loaders directory (a link to elsewhere is not followed: copy "
               "the file there)",
               name);
        break;
    case EISDIR:
        refuse(server, arrival, TFTP_ERROR_ACCESS, "not a file", name);
        break;
    default:
        refuse(server, arrival, TFTP_ERROR_ACCESS, strerror(errnum), name);
        break;
    }
}

static bool is_from_same_port(const struct tftp_session *session, const struct arrival *arrival)
{
    return endpoint_same_host(&session->peer, &arrival->peer) &&
           endpoint_port(&session->peer) == endpoint_port(&arrival->peer);
}

static bool asks_the_same(const struct tftp_session *session, const struct arrival *arrival,
                          const char *name, const struct tftp_options *options)
{
    return endpoint_same_host(&session->local, &arrival->local) &&
           strncmp(session->name, name, sizeof(session->name) - 1) == 0 &&
           tftp_options_eq(&session->wanted, options);
}

/* It lay here while the client heard our first answer: with many at once, that takes its time. */
static bool was_on_its_way(const struct tftp_session *session, const struct arrival *arrival)
{
    return session->transfer.heard && arrival->at > 0 && arrival->at < session->heard_at;
}

/* A client that asks again from the same port either did not hear us, or has started anew (PXE
 * ROMs use the same port each time). True if the request is dealt with. */
static bool handle_repeated(struct tftp_server *server, const struct arrival *arrival,
                            const char *name, const struct tftp_options *options)
{
    list_for_each(l, &server->sessions) {
        struct tftp_session *session = container_of(l, struct tftp_session, in_server);
        if (!is_from_same_port(session, arrival))
            continue;
        bool same = asks_the_same(session, arrival, name, options);
        if (same && was_on_its_way(session, arrival))
            return true;
        if (session->transfer.heard || !same) {
            tftp_session_free(session);
            return false;
        }
        tftp_transfer_repeat_first(&session->transfer);
        tftp_session_go_on(session);
        return true;
    }
    return false;
}

/* Makes room: forged requests must not keep real clients out. The oldest of those that never said a
 * word goes; a real client answers within milliseconds, and asks again if it was that one. */
static bool drop_unheard(struct tftp_server *server)
{
    list_for_each(l, &server->sessions) {
        struct tftp_session *session = container_of(l, struct tftp_session, in_server);
        if (!session->transfer.heard) {
            tftp_session_free(session);
            return true;
        }
    }
    return false;
}

static bool has_room_for(struct tftp_server *server, const struct endpoint *peer)
{
    size_t all = 0, same = 0;
    list_for_each(l, &server->sessions) {
        const struct tftp_session *session = container_of(l, struct tftp_session, in_server);
        all++;
        same += endpoint_same_host(&session->peer, peer);
    }
    if (all == TFTP_MAX_TRANSFERS && drop_unheard(server))
        all--;
    return all < TFTP_MAX_TRANSFERS && same < TFTP_MAX_TRANSFERS_PER_CLIENT;
}

static void serve_file(struct tftp_server *server, const struct arrival *arrival, const char *name,
                       const struct tftp_options *options)
{
    cleanup_close int file = -1;
    uint64_t size;
    int r = directory_open_file(server->directory, name, &file, &size);
    if (r < 0) {
        refuse_file(server, arrival, -r, name);
        return;
    }
    r = tftp_session_start(server, &arrival->peer, &arrival->local, name, options, &file, size);
    if (r < 0)
        tftp_server_log(server, &arrival->peer, "cannot send %.200s: %s", name, strerror(-r));
}

static void handle_read(struct tftp_server *server, const struct arrival *arrival,
                        const struct tftp_request *request)
{
    char name[PATH_MAX];
    directory_clean_name(request->file, name);
    if (strcasecmp(request->mode, "octet") != 0) {
        /* netascii would change the bytes of a program, and the client would change them again */
        refuse(server, arrival, TFTP_ERROR_ILLEGAL, "only mode octet (binary) is served", name);
    } else if (!handle_repeated(server, arrival, name, &request->options)) {
        if (has_room_for(server, &arrival->peer)) {
            serve_file(server, arrival, name, &request->options);
        } else {
            counter_add(&server->counters->busy, 1);
            tftp_server_log(server, &arrival->peer, "has to wait: too many transfers under way");
        }
    }
}

static void handle(struct tftp_server *server, const struct arrival *arrival, const void *data,
                   size_t size)
{
    struct tftp_request request;
    int r = tftp_parse_request(data, size, &request);
    counter_add(&server->counters->requests, 1);
    if (r == -EOPNOTSUPP) {
        counter_add(&server->counters->refused, 1);
        tftp_server_log(server, &arrival->peer, "wants to write: nothing can be written here");
        send_error(server, arrival, TFTP_ERROR_ACCESS, "this server is read-only");
    } else if (r < 0) {
        counter_add(&server->counters->malformed, 1);
        tftp_server_log(server, &arrival->peer, "sent something that is no TFTP request");
    } else {
        handle_read(server, arrival, &request);
    }
}

/* --- transfers --- */

/* All that have something to read, once each. With a source of the loop for each, the loop would
 * ask the kernel anew about all of them before every single one. Whoever is heard ends at most
 * itself. */
static void hear_sessions(struct tftp_server *server)
{
    struct epoll_event events[SESSION_BATCH];
    int n = SESSION_BATCH;
    for (int i = 0; i < SESSION_ROUNDS && n == SESSION_BATCH; i++) {
        n = epoll_wait(server->ready, events, SESSION_BATCH, 0);
        for (int j = 0; j < n; j++)
            tftp_session_receive(events[j].data.ptr);
    }
}

static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    hear_sessions(userdata);
    return 0;
}

/* --- the listening sockets --- */

/* The address that it was sent to, and when it came. */
static void find_ancillary(struct msghdr *header, struct arrival *arrival)
{
    struct endpoint *local = &arrival->local;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO &&
            local->any.sa_family == AF_INET) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            local->v4.sin_addr = info.ipi_spec_dst;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            local->v6.sin6_addr = info.ipi6_addr;
            local->v6.sin6_scope_id = (uint32_t)info.ipi6_ifindex;
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec at;
            memcpy(&at, CMSG_DATA(c), sizeof(at));
            arrival->at = (uint64_t)at.tv_sec * USEC_PER_SEC + (uint64_t)at.tv_nsec / 1000;
        }
    }
}

static int on_request(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct tftp_server *server = userdata;
    /* what a client says in a transfer must be heard before what it asks next */
    hear_sessions(server);
    for (int i = 0; i < RECEIVE_BATCH; i++) {
        uint8_t packet[TFTP_MAX_REQUEST + 1];
        _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
                                                 CMSG_SPACE(sizeof(struct in_pktinfo)) +
                                                 CMSG_SPACE(sizeof(struct timespec))];
        struct arrival arrival = {.fd = fd};
        struct iovec iovec = {packet, sizeof(packet)};
        struct msghdr header = {
            .msg_name = &arrival.peer,
            .msg_namelen = sizeof(arrival.peer),
            .msg_iov = &iovec,
            .msg_iovlen = 1,
            .msg_control = control,
            .msg_controllen = sizeof(control),
        };
        ssize_t n = recvmsg(fd, &header, MSG_DONTWAIT);
        if (n < 0)
            break;
        if (endpoint_from_socket(fd, &arrival.local) < 0 || endpoint_port(&arrival.peer) == 0)
            continue;
        find_ancillary(&header, &arrival);
        handle(server, &arrival, packet, (size_t)n);
    }
    return 0;
}

static int watch_listener(struct tftp_server *server, int fd)
{
    sd_event_source *source = NULL;
    int r = sd_event_add_io(server->loop, &source, fd, EPOLLIN, on_request, server);
    if (r >= 0)
        r = sd_event_source_set_floating(source, true);
    sd_event_source_unref(source);
    return r;
}

static int add_listener(struct tftp_server *server, const struct tftp_settings *settings,
                        size_t which, struct error *ret_error)
{
    int on = 1, size = RECEIVE_BUFFER;
    bool v6 = settings->listen[which].any.sa_family == AF_INET6;
    int fd = net_listen_one_of("tftp", settings->listen, settings->n_listen, which, SOCK_DGRAM,
                               ret_error);
    if (fd < 0)
        return fd;
    server->listen[server->n_listen++] = fd;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size,
                         sizeof(size)); /* as much as is allowed */
    int r = 0;
    if (setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, &on,
                   sizeof(on)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0)
        r = -errno;
    if (r >= 0)
        r = watch_listener(server, fd);
    return r < 0 ? error_set(ret_error, r, "tftp: cannot watch a socket: %s", strerror(-r)) : 0;
}

/* --- the thread --- */

static int on_inbox(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct tftp_server *server = userdata;
    mailbox_run(&server->inbox);
    return 0;
}

static void *thread_main(void *argument)
{
    struct tftp_server *server = argument;
    int r = sd_event_loop(server->loop);
    if (r < 0)
        log_error("tftp: stopped: %s; restart the program", strerror(-r));
    return NULL;
}

static void free_server(struct tftp_server *server)
{
    list_for_each(l, &server->sessions)
        tftp_session_free(container_of(l, struct tftp_session, in_server));
    sd_event_unref(server->loop);
    for (size_t i = 0; i < server->n_listen; i++)
        close(server->listen[i]);
    util_close_fd(&server->directory);
    util_close_fd(&server->ready);
    mailbox_close(&server->inbox);
    free(server);
}

static int prepare(struct tftp_server *server, const struct tftp_settings *settings,
                   struct error *ret_error)
{
    int r = directory_open(settings->directory, &server->directory, ret_error);
    if (r < 0)
        return r;
    r = sd_event_new(&server->loop);
    if (r >= 0)
        r = mailbox_open(&server->inbox);
    if (r >= 0)
        r = sd_event_add_io(server->loop, NULL, server->inbox.fd, EPOLLIN, on_inbox, server);
    if (r >= 0) {
        server->ready = epoll_create1(EPOLL_CLOEXEC);
        r = server->ready < 0 ? -errno : 0;
    }
    if (r >= 0)
        r = sd_event_add_io(server->loop, NULL, server->ready, EPOLLIN, on_ready, server);
    if (r < 0)
        return error_set(ret_error, r, "tftp: cannot make its loop: %s", strerror(-r));
    for (size_t i = 0; r >= 0 && i < settings->n_listen && i < TFTP_MAX_LISTEN; i++)
        r = add_listener(server, settings, i, ret_error);
    return r;
}

int tftp_server_start(const struct tftp_settings *settings, struct tftp_server **ret_server,
                      struct error *ret_error)
{
    struct tftp_server *server = calloc(1, sizeof(*server));
    if (!server)
        return error_set(ret_error, -ENOMEM, "out of memory");
    server->inbox.fd = server->directory = server->ready = -1;
    server->mailbox = settings->mailbox;
    server->event = settings->event;
    server->context = settings->context;
    server->counters = settings->counters;
    list_init(&server->sessions);
    int r = prepare(server, settings, ret_error);
    if (r >= 0) {
        r = -pthread_create(&server->thread, NULL, thread_main, server);
        if (r < 0)
            (void)error_set(ret_error, r, "tftp: cannot start its thread: %s", strerror(-r));
    }
    if (r < 0) {
        free_server(server);
        return r;
    }
    pthread_setname_np(server->thread, "tftp");
    *ret_server = server;
    return 0;
}

struct order {
    struct message message;
    struct tftp_server *server;
    int directory;
};

static void run_stop(struct message *message)
{
    struct order *order = container_of(message, struct order, message);
    sd_event_exit(order->server->loop, 0);
}

void tftp_server_stop(struct tftp_server *server)
{
    if (!server)
        return;
    struct order order = {.message.run = run_stop, .server = server};
    mailbox_post(&server->inbox, &order.message);
    pthread_join(server->thread, NULL);
    free_server(server);
}

static void run_set_directory(struct message *message)
{
    struct order *order = container_of(message, struct order, message);
    close(order->server->directory);
    order->server->directory = order->directory;
    free(order);
}

int tftp_server_set_directory(struct tftp_server *server, const char *path, struct error *ret_error)
{
    cleanup_close int fd = -1;
    int r = directory_open(path, &fd, ret_error);
    if (r < 0)
        return r;
    struct order *order = calloc(1, sizeof(*order));
    if (!order)
        return error_set(ret_error, -ENOMEM, "out of memory");
    *order = (struct order){
        .message.run = run_set_directory, .server = server, .directory = take_fd(&fd)};
    mailbox_post(&server->inbox, &order->message);
    return 0;
}
