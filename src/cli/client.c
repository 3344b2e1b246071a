#include "cli/client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MAX_HEAD (16 * KIB)
#define MAX_BODY (64 * MIB)

struct connection {
    int fd;
    char *data; /* read and not yet taken; always terminated */
    size_t size, room;
    bool ended;
};

static void connection_close(struct connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c->data);
}

static int cannot_connect(const char *path, int errnum, struct error *ret_error)
{
    switch (errnum) {
    case ENOENT:
    case ECONNREFUSED:
        return error_set(ret_error, -errnum,
                         "no daemon answers at %s; start it (systemctl start nodisk, or nodisk "
                         "serve --config FILE), or name its socket with --socket or NODISK_SOCKET",
                         path);
    case EACCES:
        return error_set(ret_error, -errnum, "not allowed to use %s; ask as root (sudo)", path);
    default:
        return error_set(ret_error, -errnum, "cannot reach the daemon at %s: %s", path,
                         strerror(errnum));
    }
}

static int connect_to(const char *path, struct connection *c, struct error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!str_copy(address.sun_path, sizeof(address.sun_path), path))
        return error_set(ret_error, -ENAMETOOLONG, "the socket's path %s is too long", path);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return cannot_connect(path, errno, ret_error);
    return 0;
}

static volatile sig_atomic_t interrupted, ever_interrupted;

static void on_signal(int number)
{
    interrupted = ever_interrupted = 1;
}

void client_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool client_is_interrupted(void)
{
    return ever_interrupted;
}

static void signal_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

void client_hold_signals(bool hold)
{
    sigset_t set;
    signal_set(&set);
    sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static struct timespec time_of(unsigned milliseconds)
{
    return (struct timespec){.tv_sec = milliseconds / 1000,
                             .tv_nsec = milliseconds % 1000 * 1000000L};
}

bool client_sleep(unsigned milliseconds)
{
    const struct timespec time = time_of(milliseconds);
    sigset_t set, usual;
    signal_set(&set);
    sigprocmask(SIG_BLOCK, &set, &usual);
    if (!ever_interrupted)
        (void)ppoll(NULL, 0, &time, &usual);
    sigprocmask(SIG_SETMASK, &usual, NULL);
    return !ever_interrupted;
}

static int lost(int errnum, struct error *ret_error)
{
    if (errnum == EINTR)
        return error_set(ret_error, -EINTR, "interrupted");
    return error_set(ret_error, -EPROTO, "the connection to the daemon broke%s%s",
                     errnum ? ": " : "; its log says why", errnum ? strerror(errnum) : "");
}

static int send_all(int fd, const char *data, size_t size, struct error *ret_error)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        /* it may have refused us before it read everything: its answer tells */
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return 0;
        if (n < 0)
            return lost(errno, ret_error);
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static int send_request(const struct connection *c, const struct client_request *request,
                        struct error *ret_error)
{
    cleanup_free char *body = request->body ? json_dumps(request->body, JSON_COMPACT) : NULL;
    cleanup_free char *text = NULL;
    int n;
    if (body)
        n = asprintf(&text,
                     "%s %s HTTP/1.0\r\nHost: nodisk\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     request->method, request->path, strlen(body), body);
    else
        n = asprintf(&text, "%s %s HTTP/1.0\r\nHost: nodisk\r\n\r\n", request->method,
                     request->path);
    if (n < 0 || (request->body && !body)) {
        text = n < 0 ? NULL : text;
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    return send_all(c->fd, text, (size_t)n, ret_error);
}

/* The only place that waits for the daemon's answer. A signal that came while nothing waited ends
 * it, too: the handler is kept out between the look at `interrupted` and the wait itself.
 * milliseconds: 0 is for ever. 1: there is something to read; 0: time is up. */
static int wait_readable(const struct connection *c, unsigned milliseconds, struct error *ret_error)
{
    const struct timespec time = time_of(milliseconds);
    struct pollfd pollfd = {.fd = c->fd, .events = POLLIN};
    sigset_t kept_out, usual;
    signal_set(&kept_out);
    sigprocmask(SIG_BLOCK, &kept_out, &usual);
    int n = interrupted ? -EINTR : ppoll(&pollfd, 1, milliseconds ? &time : NULL, &usual);
    if (n == -1)
        n = -errno;
    if (n < 0)
        interrupted = 0;
    sigprocmask(SIG_SETMASK, &usual, NULL);
    return n < 0 ? lost(-n, ret_error) : n;
}

/* Reads some more. 1: got some; 0: the end. */
static int receive(struct connection *c, struct error *ret_error)
{
    int r = wait_readable(c, 0, ret_error);
    if (r < 0)
        return r;
    if (c->size + 1 >= c->room) {
        size_t room = c->room ? c->room * 2 : 4096;
        char *grown = room <= MAX_BODY ? realloc(c->data, room) : NULL;
        if (!grown)
            return error_set(ret_error, -ENOMEM, "the daemon's answer is too large");
        c->data = grown;
        c->room = room;
    }
    ssize_t n = recv(c->fd, c->data + c->size, c->room - c->size - 1, 0);
    if (n < 0)
        return lost(errno, ret_error);
    c->ended = n == 0;
    c->size += (size_t)n;
    c->data[c->size] = '\0';
    return n > 0;
}

static void drop(struct connection *c, size_t size)
{
    if (c->size == 0)
        return;
    memmove(c->data, c->data + size, c->size - size + 1);
    c->size -= size;
}

/* The value of a header line if it has this name, else NULL. */
static const char *header_value(const char *line, const char *end, const char *name)
{
    size_t n = strlen(name);
    if ((size_t)(end - line) <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
        return NULL;
    for (line += n + 1; line < end && (*line == ' ' || *line == '\t'); line++)
        ;
    return line;
}

static int parse_length(const char *text, const char *end, uint64_t *ret_length)
{
    uint64_t length = 0;
    if (text == end)
        return -EPROTO;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9' || length > MAX_BODY)
            return -EPROTO;
        length = length * 10 + (uint64_t)(*text - '0');
    }
    *ret_length = length;
    return 0;
}

static int parse_line(const char *line, const char *end, struct http_head *head)
{
    const char *value = header_value(line, end, "content-type");
    static const char ndjson[] = "application/x-ndjson";
    if (value)
        head->is_lines = (size_t)(end - value) >= sizeof(ndjson) - 1 &&
                         strncasecmp(value, ndjson, sizeof(ndjson) - 1) == 0;
    value = header_value(line, end, "content-length");
    if (!value)
        return 0;
    head->has_length = true;
    return parse_length(value, end, &head->length);
}

int client_parse_head(const char *data, size_t size, struct http_head *ret_head)
{
    const char *end = data && size > 0 ? memmem(data, size, "\r\n\r\n", 4) : NULL;
    if (!end)
        return size > MAX_HEAD ? -EPROTO : 0;
    struct http_head head = {.size = (size_t)(end - data) + 4};
    const char *line = memmem(data, head.size, "\r\n", 2);
    if (line - data < 12 || strncmp(data, "HTTP/1.", 7) != 0 || data[8] != ' ')
        return -EPROTO;
    for (int i = 9; i < 12; i++) {
        if (data[i] < '0' || data[i] > '9')
            return -EPROTO;
        head.status = head.status * 10 + (data[i] - '0');
    }
    while (line < end) {
        line += 2;
        const char *next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        if (parse_line(line, next, &head) < 0)
            return -EPROTO;
        line = next;
    }
    *ret_head = head;
    return 1;
}

static int receive_head(struct connection *c, struct http_head *ret_head, struct error *ret_error)
{
    int r;
    while ((r = client_parse_head(c->data, c->size, ret_head)) == 0) {
        r = receive(c, ret_error);
        if (r <= 0)
            return r < 0 ? r : lost(0, ret_error);
    }
    if (r < 0)
        return error_set(ret_error, -EPROTO, "what answers at this socket is not nodisk");
    drop(c, ret_head->size);
    return 0;
}

static int bad_json(struct error *ret_error)
{
    return error_set(ret_error, -EPROTO,
                     "the daemon's answer makes no sense; is it another "
                     "version than this program?");
}

/* Is it {"error": "..."}? */
static int check_error(const json_t *json, int status, struct error *ret_error)
{
    const char *text = json_string_value(json_object_get(json, "error"));
    if (text)
        return error_set(ret_error, -EREMOTE, "%s", text);
    if (status >= 400)
        return error_set(ret_error, -EREMOTE, "the daemon refused with status %d", status);
    return 0;
}

static int receive_document(struct connection *c, const struct http_head *head, json_t **ret_json,
                            struct error *ret_error)
{
    int r;
    while ((r = receive(c, ret_error)) > 0)
        ;
    if (r < 0)
        return r;
    if (head->has_length && c->size < head->length)
        return lost(0, ret_error);
    json_t *json = json_loadb(c->data, c->size, 0, NULL);
    if (!json)
        return bad_json(ret_error);
    r = check_error(json, head->status, ret_error);
    if (r < 0)
        json_decref(json);
    else
        *ret_json = json;
    return r;
}

/* The next line, terminated in place; *ret_size with its newline. 1: there is one; 0: the end. */
static int receive_line(struct connection *c, size_t *ret_size, struct error *ret_error)
{
    for (;;) {
        char *newline = c->size ? memchr(c->data, '\n', c->size) : NULL;
        if (newline) {
            *newline = '\0';
            *ret_size = (size_t)(newline - c->data) + 1;
            return 1;
        }
        int r = receive(c, ret_error);
        if (r <= 0)
            return r;
    }
}

static void tell_progress(const struct client_request *request, const json_t *json)
{
    const json_t *p = json_object_get(json, "progress");
    if (!p || !request->progress)
        return;
    const struct client_progress progress = {
        .waiting = json_is_true(json_object_get(p, "waiting")),
        .stage = json_string_value(json_object_get(p, "stage")),
        .done = (uint64_t)json_integer_value(json_object_get(p, "done")),
        .total = (uint64_t)json_integer_value(json_object_get(p, "total")),
    };
    request->progress(request->context, &progress);
}

/* 1: go on; 0: it was the result. */
static int take_line(const struct client_request *request, const char *text, json_t **ret_json,
                     struct error *ret_error)
{
    json_t *json = json_loads(text, 0, NULL);
    if (!json)
        return bad_json(ret_error);
    int r = check_error(json, 0, ret_error);
    json_t *result = json_object_get(json, "result");
    if (r >= 0 && result)
        *ret_json = json_incref(result);
    else if (r >= 0)
        tell_progress(request, json);
    json_decref(json);
    return r < 0 ? r : !result;
}

static int receive_stream(struct connection *c, const struct client_request *request,
                          json_t **ret_json, struct error *ret_error)
{
    size_t size;
    int r;
    while ((r = receive_line(c, &size, ret_error)) > 0) {
        if (size > 1) {
            r = take_line(request, c->data, ret_json, ret_error);
            if (r <= 0)
                return r;
        }
        drop(c, size);
    }
    return r < 0 ? r : lost(0, ret_error); /* it ended without a result */
}

static int begin(struct connection *c, const struct client_request *request,
                 struct http_head *ret_head, struct error *ret_error)
{
    int r = connect_to(request->socket, c, ret_error);
    if (r >= 0)
        r = send_request(c, request, ret_error);
    return r < 0 ? r : receive_head(c, ret_head, ret_error);
}

int client_call(const struct client_request *request, json_t **ret_json, struct error *ret_error)
{
    struct connection c = {.fd = -1};
    struct http_head head = {0};
    int r = begin(&c, request, &head, ret_error);
    if (r >= 0)
        r = head.is_lines && head.status < 400 ? receive_stream(&c, request, ret_json, ret_error)
                                               : receive_document(&c, &head, ret_json, ret_error);
    connection_close(&c);
    return r;
}

/* Calls tick() again and again until there is something to read. 0: it wants no more. */
static int wait_and_tick(const struct connection *c, const struct client_request *request,
                         bool (*tick)(void *), struct error *ret_error)
{
    unsigned pause = request->tick_ms ? request->tick_ms : 1000;
    int r;
    while ((r = wait_readable(c, tick ? pause : 0, ret_error)) == 0)
        if (!tick(request->context))
            return 0;
    return r;
}

static int watch_lines(struct connection *c, const struct client_request *request,
                       bool (*line)(void *, const char *, json_t *), bool (*tick)(void *),
                       struct error *ret_error)
{
    for (;;) {
        char *newline = c->size ? memchr(c->data, '\n', c->size) : NULL;
        if (!newline) {
            int r = wait_and_tick(c, request, tick, ret_error);
            if (r > 0)
                r = receive(c, ret_error);
            if (r <= 0)
                return r;
            continue;
        }
        *newline = '\0';
        json_t *json = json_loads(c->data, 0, NULL);
        bool more = !json || line(request->context, c->data, json);
        json_decref(json);
        if (!more)
            return 0;
        drop(c, (size_t)(newline - c->data) + 1);
    }
}

int client_watch(const struct client_request *request,
                 bool (*line)(void *context, const char *text, json_t *json),
                 bool (*tick)(void *context), struct error *ret_error)
{
    struct connection c = {.fd = -1};
    struct http_head head = {0};
    json_t *json = NULL;
    int r = begin(&c, request, &head, ret_error);
    if (r >= 0 && (!head.is_lines || head.status >= 400)) {
        r = receive_document(&c, &head, &json, ret_error);
        json_decref(json);
    } else if (r >= 0) {
        r = watch_lines(&c, request, line, tick, ret_error);
    }
    connection_close(&c);
    return r;
}
