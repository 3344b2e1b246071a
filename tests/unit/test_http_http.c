#include "http_client.h"

#include "http/http.h"

#include <fcntl.h>

#define MAX_BODY 1000

struct counter {
    struct http_lines lines;
    unsigned next, last;
    bool *ended;
};

static char *next_number(struct http_lines *lines)
{
    struct counter *c = container_of(lines, struct counter, lines);
    char *text = NULL;
    if (c->next > c->last || asprintf(&text, "%0*u", (int)(c->next % 9000 + 1), c->next) < 0)
        return NULL;
    c->next++;
    return text;
}

static void end_numbers(struct http_lines *lines)
{
    struct counter *c = container_of(lines, struct counter, lines);
    *c->ended = true;
    free(c);
}

static bool lines_ended;

static void reply_lines(struct http_request *request)
{
    struct counter *c = calloc(1, sizeof(*c));
    *c = (struct counter){
        .lines = {.next = next_number, .end = end_numbers}, .last = 99, .ended = &lines_ended};
    http_reply_lines(request, 200, "text/plain", &c->lines);
}

/* Tells what it was asked. */
static void reply_echo(struct http_request *request)
{
    struct endpoint peer;
    char text[4096], peer_text[ENDPOINT_TEXT_SIZE] = "-";
    size_t size;
    const char *body = http_body(request, &size);
    const char *a = http_query(request, "a"), *header = http_header(request, "X-Test");
    if (http_peer(request, &peer))
        endpoint_format_address(&peer, peer_text);
    int n = snprintf(text, sizeof(text), "%s %s a=%s header=%s peer=%s body=%.*s",
                     http_method(request), http_path(request), a ? a : "(none)",
                     header ? header : "(none)", peer_text, (int)size, body ? body : "");
    http_reply(request, 200, "text/plain", text, (size_t)n);
}

static void handle(void *context, struct http_request *request)
{
    if (str_eq(http_path(request), "/lines"))
        reply_lines(request);
    else
        reply_echo(request);
}

static struct http_server *start(enum http_threads threads, struct endpoint *ret_where)
{
    struct endpoint any;
    struct error error;
    struct http_server *server = NULL;
    assert_int_equal(endpoint_parse("127.0.0.1:0", &any), 0);
    int fd = net_listen("http", &any, SOCK_STREAM, &error);
    assert_true(fd >= 0);
    assert_int_equal(endpoint_from_socket(fd, ret_where), 0);
    struct http_settings settings = {
        .fd = fd,
        .threads = threads,
        .pool_size = 2,
        .max_connections = 16,
        .idle_timeout = 10,
        .max_body = MAX_BODY,
        .handle = handle,
    };
    if (http_start(&settings, &server, &error) < 0)
        fail_msg("%s", error.text);
    return server;
}

static void assert_answer(const struct endpoint *where, const char *request, const char *status,
                          const char *end)
{
    cleanup_free char *answer = http_ask(where, "127.0.0.1", request);
    size_t n = strlen(answer), m = strlen(end);
    if (!str_has_prefix(answer, status) || n < m || !str_eq(answer + n - m, end))
        fail_msg("'%s' gave '%.500s'", request, answer);
}

static void check_all(enum http_threads threads)
{
    struct endpoint where;
    struct http_server *server = start(threads, &where);
    assert_answer(&where, "GET /x%20y?a=1%202 HTTP/1.0\r\nX-Test: t\r\n\r\n", "HTTP/1.1 200",
                  "GET /x y a=1 2 header=t peer=127.0.0.1 body=");
    assert_answer(&where, "GET /?a HTTP/1.0\r\n\r\n", "HTTP/1.1 200",
                  "GET / a= header=(none) peer=127.0.0.1 body=");
    assert_answer(&where, "POST /p HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody", "HTTP/1.1 200",
                  "a=(none) header=(none) peer=127.0.0.1 body=body");
    /* said at once: more than is read, and to one who asks */
    assert_answer(&where, "POST /p HTTP/1.0\r\nContent-Length: 5000000\r\n\r\n", "HTTP/1.1 413",
                  "\n");
    assert_answer(&where,
                  "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n"
                  "Expect: 100-continue\r\nConnection: close\r\n\r\n",
                  "HTTP/1.1 413", "\n");
    lines_ended = false;
    assert_answer(&where, "GET /lines HTTP/1.0\r\n\r\n", "HTTP/1.1 200", "099\n");
    http_stop(server);
    assert_true(lines_ended);
}

static void a_thread_for_each_connection(void **state)
{
    check_all(HTTP_THREAD_PER_CONNECTION);
}

static void a_pool_of_threads(void **state)
{
    check_all(HTTP_POOL);
}

/* It gets its answer, although it sends everything before it looks. */
static void a_body_that_is_too_large_is_read(void **state)
{
    struct endpoint where;
    struct http_server *server = start(HTTP_THREAD_PER_CONNECTION, &where);
    const size_t size = 1 << 20;
    cleanup_free char *request = malloc(size + 100);
    int head = sprintf(request, "POST /p HTTP/1.0\r\nContent-Length: %zu\r\n\r\n", size);
    memset(request + head, 'x', size);
    request[(size_t)head + size] = '\0';
    assert_answer(&where, request, "HTTP/1.1 413", "\n");
    http_stop(server);
}

static void a_chunked_body_is_limited_too(void **state)
{
    struct endpoint where;
    struct http_server *server = start(HTTP_POOL, &where);
    char request[4096] = "POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n";
    for (int i = 0; i < 10; i++)
        strcat(request, "80\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n");
    strcat(request, "0\r\n\r\n");
    assert_answer(&where, request, "HTTP/1.1 413", "\n");
    http_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_thread_for_each_connection),
        TEST(a_pool_of_threads),
        TEST(a_body_that_is_too_large_is_read),
        TEST(a_chunked_body_is_limited_too),
    };
    return RUN_TESTS(tests);
}
