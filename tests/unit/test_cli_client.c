#include "scratch_dir.h"

#include "cli/client.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

static int parse(const char *text, struct http_head *head)
{
    return client_parse_head(text, strlen(text), head);
}

static void reads_what_the_daemon_answers(void **state)
{
    struct http_head head;
    static const char answer[] = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n"
                                 "content-length:  12\r\n\r\n{\"a\": \"b\"}";
    assert_int_equal(parse(answer, &head), 1);
    assert_int_equal(head.status, 200);
    assert_true(head.has_length && head.length == 12 && !head.is_lines);
    assert_string_equal(answer + head.size, "{\"a\": \"b\"}");
    assert_int_equal(parse("HTTP/1.1 507 No\r\nContent-Type: application/x-ndjson\r\n\r\n", &head),
                     1);
    assert_true(head.status == 507 && head.is_lines && !head.has_length);
    assert_int_equal(parse("HTTP/1.1 204\r\n\r\n", &head), 1);
}

static void waits_for_the_whole_head(void **state)
{
    static const char answer[] = "HTTP/1.0 200 OK\r\nA: b\r\n\r\n";
    struct http_head head;
    for (size_t n = 0; n + 1 < sizeof(answer); n++)
        assert_int_equal(client_parse_head(answer, n, &head), n == sizeof(answer) - 1);
}

static void anything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "SSH-2.0-x\r\n\r\n",
        "\r\n\r\n",
        "HTTP/1.0 2x0 OK\r\n\r\n",
        "HTTP/1.0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    };
    struct http_head head;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (parse(bad[i], &head) != -EPROTO)
            fail_msg("'%s' should be refused", bad[i]);
    static char endless[64 * 1024];
    memset(endless, 'x', sizeof(endless));
    assert_int_equal(client_parse_head(endless, sizeof(endless), &head), -EPROTO);
}

static void no_daemon_is_told_with_what_to_do(void **state)
{
    struct error told;
    json_t *nothing = NULL;
    struct client_request request = {
        .socket = "/nowhere/nodisk.sock", .method = "GET", .path = "/v1/status"};
    assert_int_equal(client_call(&request, &nothing, &told), -ENOENT);
    assert_contains(told.text, "no daemon answers at /nowhere/nodisk.sock; start it");
}

/* --- a daemon that says what the test wants --- */

struct daemon {
    char *directory, socket[PATH_MAX];
    int listener;
    pthread_t thread;
    const char *answer;
    size_t piece; /* bytes sent at a time */
    char request[4096];
    bool stays; /* it does not close the connection */
    int connection;
};

static void *serve(void *argument)
{
    struct daemon *d = argument;
    d->connection = accept(d->listener, NULL, NULL);
    ssize_t n = recv(d->connection, d->request, sizeof(d->request) - 1, 0);
    d->request[n > 0 ? n : 0] = '\0';
    for (const char *p = d->answer; *p; p += MIN(d->piece, strlen(p)))
        if (send(d->connection, p, MIN(d->piece, strlen(p)), MSG_NOSIGNAL) < 0)
            break;
    if (!d->stays)
        close(d->connection);
    return NULL;
}

static void daemon_start(struct daemon *d, const char *answer)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    d->directory = scratch_dir_make();
    snprintf(d->socket, sizeof(d->socket), "%s/socket", d->directory);
    str_copy(address.sun_path, sizeof(address.sun_path), d->socket);
    d->answer = answer;
    d->piece = d->piece ? d->piece : 4096;
    d->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(d->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(d->listener, 1), 0);
    pthread_create(&d->thread, NULL, serve, d);
}

static void daemon_stop(struct daemon *d)
{
    pthread_join(d->thread, NULL);
    if (d->stays)
        close(d->connection);
    close(d->listener);
    scratch_dir_remove(d->directory);
}

struct progress {
    unsigned count;
    struct client_progress last;
};

static void note_progress(void *context, const struct client_progress *progress)
{
    struct progress *p = context;
    p->count++;
    p->last = *progress;
}

static struct error error;
static struct progress progress;
static json_t *json;

static int call(struct daemon *d, const char *answer, const json_t *body)
{
    json = NULL;
    progress = (struct progress){0};
    error = (struct error){0};
    daemon_start(d, answer);
    struct client_request request = {.socket = d->socket,
                                     .method = body ? "POST" : "GET",
                                     .path = "/v1/x",
                                     .body = body,
                                     .progress = note_progress,
                                     .context = &progress};
    int r = client_call(&request, &json, &error);
    daemon_stop(d);
    assert_int_equal(error.code, r < 0 ? r : 0);
    assert_true(r < 0 || json);
    return r;
}

#define OK_JSON  "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"
#define OK_LINES "HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"

static void a_document_is_read_whole(void **state)
{
    for (size_t piece = 1; piece < 100; piece += 98) {
        struct daemon d = {.piece = piece};
        assert_int_equal(call(&d, OK_JSON "{\"a\": [1, 2]}\n", NULL), 0);
        assert_int_equal(json_array_size(json_object_get(json, "a")), 2);
        json_decref(json);
        assert_string_equal(d.request, "GET /v1/x HTTP/1.0\r\nHost: nodisk\r\n\r\n");
    }
}

static void a_body_is_sent(void **state)
{
    struct daemon d = {0};
    json_t *body = json_pack("{s:s}", "name", "web1");
    assert_int_equal(call(&d, OK_JSON "{}", body), 0);
    assert_contains(d.request, "POST /v1/x HTTP/1.0\r\n");
    assert_contains(d.request, "Content-Length: 15\r\n\r\n{\"name\":\"web1\"}");
    json_decref(json);
    json_decref(body);
}

static void progress_is_told_until_the_result(void **state)
{
    struct daemon d = {.piece = 7};
    assert_int_equal(call(&d,
                          OK_LINES "{\"progress\":{\"done\":0,\"total\":9,\"waiting\":true}}\n\n"
                                   "{\"progress\":{\"done\":5,\"total\":9,\"waiting\":false}}\n"
                                   "{\"result\":{\"name\":\"x\"}}\n",
                          NULL),
                     0);
    assert_int_equal(progress.count, 2);
    assert_int_equal(progress.last.done, 5);
    assert_int_equal(progress.last.total, 9);
    assert_false(progress.last.waiting);
    assert_string_equal(json_string_value(json_object_get(json, "name")), "x");
    json_decref(json);
}

static void what_the_daemon_refuses_is_its_sentence(void **state)
{
    static const struct {
        const char *answer, *words;
    } cases[] = {
        {"HTTP/1.0 409 Conflict\r\n\r\n{\"error\": \"there is a node 'a' already\"}",
         "there is a node 'a' already"},
        {OK_LINES "{\"progress\":{\"done\":0,\"total\":9}}\n{\"error\":\"no space left\"}\n",
         "no space left"},
        {"HTTP/1.0 507 No\r\nContent-Type: application/x-ndjson\r\n\r\n{\"error\":\"full\"}\n",
         "full"},
        {"HTTP/1.0 500 No\r\n\r\n{}", "refused with status 500"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct daemon d = {0};
        assert_int_equal(call(&d, cases[i].answer, NULL), -EREMOTE);
        assert_contains(error.text, cases[i].words);
        assert_null(json);
    }
}

static void a_daemon_that_breaks_off_is_told(void **state)
{
    static const struct {
        const char *answer, *words;
    } cases[] = {
        {"", "the connection to the daemon broke"},
        {"HTTP/1.0 200 OK\r\nContent-Le", "the connection to the daemon broke"},
        {"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\n{}", "the connection to the daemon broke"},
        {OK_LINES "{\"progress\":{\"done\":0,\"total\":9}}\n",
         "the connection to the daemon broke"},
        {OK_LINES "{\"result\":", "the connection to the daemon broke"},
        {OK_JSON "{\"a\": ", "makes no sense"},
        {OK_JSON, "makes no sense"},
        {OK_LINES "nonsense\n", "makes no sense"},
        {"SSH-2.0-OpenSSH\r\n\r\n", "is not nodisk"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct daemon d = {0};
        assert_int_equal(call(&d, cases[i].answer, NULL), -EPROTO);
        assert_contains(error.text, cases[i].words);
    }
}

static void on_signal(int number)
{
}

/* SIGINT while the daemon works. */
static void an_interrupted_call_is_told(void **state)
{
    struct sigaction action = {.sa_handler = on_signal}, old;
    struct daemon d = {.stays = true};
    sigset_t set, old_set;
    sigaction(SIGALRM, &action, &old);
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &set, &old_set); /* for the daemon's thread */
    daemon_start(&d, "");
    pthread_sigmask(SIG_SETMASK, &old_set, NULL);
    struct client_request request = {.socket = d.socket, .method = "GET", .path = "/"};
    const struct itimerval soon = {.it_value.tv_usec = 10000, .it_interval.tv_usec = 10000};
    setitimer(ITIMER_REAL, &soon, NULL);
    int r = client_call(&request, &json, &error);
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    sigaction(SIGALRM, &old, NULL);
    daemon_stop(&d);
    assert_int_equal(r, -EINTR);
    assert_string_equal(error.text, "interrupted");
}

static void interrupt_at_progress(void *context, const struct client_progress *p)
{
    raise(SIGINT);
}

/* Between two reads: it must not be lost. */
static void a_call_that_is_interrupted_while_it_does_not_wait_ends_too(void **state)
{
    struct daemon d = {.stays = true};
    struct client_request request = {
        .socket = d.socket, .method = "GET", .path = "/", .progress = interrupt_at_progress};
    client_catch_signals();
    daemon_start(&d, OK_LINES "{\"progress\":{\"done\":1,\"total\":2}}\n");
    int r = client_call(&request, &json, &error);
    daemon_stop(&d);
    assert_int_equal(r, -EINTR);
    assert_string_equal(error.text, "interrupted");
}

/* --- watching --- */

struct watcher {
    unsigned lines, wanted;
    bool interrupts; /* at its first line */
    char last[128];
};

static bool take_line(void *context, const char *text, json_t *line)
{
    struct watcher *w = context;
    assert_true(json_is_object(line));
    str_copy(w->last, sizeof(w->last), text);
    if (w->interrupts)
        raise(SIGINT);
    return ++w->lines < w->wanted;
}

static int watch(struct watcher *w, const char *answer, unsigned wanted)
{
    struct daemon d = {.piece = 5};
    *w = (struct watcher){.wanted = wanted};
    error = (struct error){0};
    daemon_start(&d, answer);
    struct client_request request = {
        .socket = d.socket, .method = "GET", .path = "/v1/events", .context = w};
    int r = client_watch(&request, take_line, NULL, &error);
    daemon_stop(&d);
    return r;
}

static void lines_are_watched_until_the_daemon_or_the_watcher_ends_it(void **state)
{
    static const char answer[] = OK_LINES "{\"n\":1}\nnonsense\n{\"n\":2}\n{\"n\":3}\n{\"n\":";
    struct watcher w;
    assert_int_equal(watch(&w, answer, 100), 0);
    assert_int_equal(w.lines, 3); /* what is no JSON, or no whole line, is none */
    assert_string_equal(w.last, "{\"n\":3}");
    assert_int_equal(watch(&w, answer, 2), 0);
    assert_int_equal(w.lines, 2);
}

static bool never(void *context)
{
    fail();
    return false;
}

static void a_watcher_that_is_interrupted_while_it_shows_a_line_ends(void **state)
{
    struct daemon d = {.stays = true};
    struct watcher w = {.interrupts = true, .wanted = 100};
    struct client_request request = {
        .socket = d.socket, .method = "GET", .path = "/", .context = &w};
    client_catch_signals();
    daemon_start(&d, OK_LINES "{\"n\":1}\n");
    int r = client_watch(&request, take_line, never, &error);
    daemon_stop(&d);
    assert_int_equal(r, -EINTR);
    assert_int_equal(w.lines, 1);
}

struct ticker {
    struct daemon *daemon;
    unsigned ticks;
};

/* The daemon says nothing for a while, and then ends. */
static bool count_tick(void *context)
{
    struct ticker *t = context;
    t->ticks++;
    shutdown(t->daemon->connection, SHUT_RDWR);
    return true;
}

static bool no_line(void *context, const char *text, json_t *line)
{
    fail();
    return false;
}

static void a_watcher_is_woken_when_nothing_comes(void **state)
{
    struct daemon d = {.stays = true};
    struct ticker t = {&d, 0};
    struct client_request request = {
        .socket = d.socket, .method = "GET", .path = "/", .context = &t};
    daemon_start(&d, OK_LINES);
    assert_int_equal(client_watch(&request, no_line, count_tick, &error), 0);
    assert_int_equal(t.ticks, 1);
    daemon_stop(&d);
}

static bool end_at_third(void *context)
{
    return ++*(unsigned *)context < 3;
}

static void a_watcher_may_end_when_nothing_comes(void **state)
{
    struct daemon d = {.stays = true};
    unsigned ticks = 0;
    struct client_request request = {
        .socket = d.socket, .method = "GET", .path = "/", .context = &ticks, .tick_ms = 1};
    daemon_start(&d, OK_LINES);
    assert_int_equal(client_watch(&request, no_line, end_at_third, &error), 0);
    assert_int_equal(ticks, 3);
    daemon_stop(&d);
}

static void a_watcher_that_is_refused_is_told(void **state)
{
    struct watcher w;
    assert_int_equal(watch(&w, "HTTP/1.0 503 Busy\r\n\r\n{\"error\": \"too many watch\"}", 9),
                     -EREMOTE);
    assert_string_equal(error.text, "too many watch");
    assert_int_equal(w.lines, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_what_the_daemon_answers),
        TEST(waits_for_the_whole_head),
        TEST(anything_else_is_refused),
        TEST(no_daemon_is_told_with_what_to_do),
        TEST(a_document_is_read_whole),
        TEST(a_body_is_sent),
        TEST(progress_is_told_until_the_result),
        TEST(what_the_daemon_refuses_is_its_sentence),
        TEST(a_daemon_that_breaks_off_is_told),
        TEST(an_interrupted_call_is_told),
        TEST(a_call_that_is_interrupted_while_it_does_not_wait_ends_too),
        TEST(lines_are_watched_until_the_daemon_or_the_watcher_ends_it),
        TEST(a_watcher_that_is_interrupted_while_it_shows_a_line_ends),
        TEST(a_watcher_is_woken_when_nothing_comes),
        TEST(a_watcher_may_end_when_nothing_comes),
        TEST(a_watcher_that_is_refused_is_told),
    };
    return RUN_TESTS(tests);
}
