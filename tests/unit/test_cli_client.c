#include "test.h"

#include "cli/client.h"

#include <errno.h>

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
    struct error error;
    json_t *json = NULL;
    struct client_request request = {
        .socket = "/nowhere/nodisk.sock", .method = "GET", .path = "/v1/status"};
    assert_int_equal(client_call(&request, &json, &error), -ENOENT);
    assert_non_null(strstr(error.text, "no daemon answers at /nowhere/nodisk.sock; start it"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_what_the_daemon_answers),
        TEST(waits_for_the_whole_head),
        TEST(anything_else_is_refused),
        TEST(no_daemon_is_told_with_what_to_do),
    };
    return RUN_TESTS(tests);
}
