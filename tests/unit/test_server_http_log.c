#include "captured_log.h"

#include "server/http_log.h"

static struct http_log http_log;
static struct captured_log captured;

static int setup(void **state)
{
    http_log_init(&http_log);
    return 0;
}

static int teardown(void **state)
{
    http_log_destroy(&http_log);
    return 0;
}

static const char *tell(enum node_http_oddity_kind kind, const char *peer, const char *path,
                        const char *node)
{
    struct node_http_oddity oddity = {.kind = kind, .path = path, .node = node};
    assert_int_equal(endpoint_parse(peer, &oddity.peer), 0);
    captured_log_begin(&captured);
    http_log_oddity(&http_log, &oddity);
    return captured_log_end(&captured);
}

static void each_kind_has_its_sentence(void **state)
{
    assert_string_equal(tell(NODE_HTTP_NO_REQUEST, "10.0.0.1:1", NULL, NULL),
                        "http: 10.0.0.1 connected and sent no whole request: dropped\n");
    assert_string_equal(tell(NODE_HTTP_WRONG, "10.0.0.2:1", "/x", NULL),
                        "http: 10.0.0.2 asked for '/x', which makes no sense here: refused\n");
    assert_string_equal(tell(NODE_HTTP_STRANGER, "10.0.0.3:1", NULL, "web1"),
                        "warning: web1: http: 10.0.0.3, which is not this node's address, asked "
                        "for what is the node's: refused\n");
    assert_string_equal(tell(NODE_HTTP_LATE, "10.0.0.4:1", NULL, "web1"),
                        "warning: web1: http: 10.0.0.4 asked for the node's script with its CHAP "
                        "secrets, but the node does not boot now, or nothing shows that this is "
                        "the node: refused\n");
    assert_string_equal(tell(NODE_HTTP_NO_HTTPS, "10.0.0.5:1", NULL, NULL),
                        "https: 10.0.0.5 connected and sent no whole request, perhaps since it "
                        "does not trust the certificate, or has no version or cipher of TLS that "
                        "is let in: dropped\n");
    assert_string_equal(tell(NODE_HTTP_WITHOUT_HTTPS, "10.0.0.5:1", NULL, "web1"),
                        "warning: web1: https: the machine at 10.0.0.5 cannot boot: its iPXE "
                        "cannot fetch its script over HTTPS (it was built without that, or does "
                        "not trust the certificate, or its clock is wrong), and `require` of "
                        "[https] gives it none over HTTP\n");
}

static void how_a_node_boots_is_told(void **state)
{
    captured_log_begin(&captured);
    http_log_direct(&(struct node_http_direct){
        .node = "web1", .kernel = "/vmlinuz", .reason = "", .bytes = 4096});
    http_log_direct(&(struct node_http_direct){.node = "web1", .reason = "grub.cfg was changed"});
    assert_string_equal(captured_log_end(&captured),
                        "web1: boots /vmlinuz of its disk directly: kernel and initramfs have 4 "
                        "KiB\n"
                        "web1: boots by its disk's own loader: grub.cfg was changed\n");
}

static void each_source_is_told_of_once_a_minute(void **state)
{
    assert_string_not_equal(tell(NODE_HTTP_WRONG, "10.0.0.1:1", "/", NULL), "");
    assert_string_equal(tell(NODE_HTTP_WRONG, "10.0.0.1:2", "/y", NULL), "");
    assert_string_equal(tell(NODE_HTTP_NO_REQUEST, "10.0.0.1:3", NULL, NULL), "");
    assert_string_not_equal(tell(NODE_HTTP_WRONG, "10.0.0.2:1", "/", NULL), "");
}

/* What a peer sent goes to the operator's terminal. */
static void nothing_of_a_peers_is_obeyed_by_a_terminal(void **state)
{
    char path[300] = "/\x1b[2J\n";
    const char *log = tell(NODE_HTTP_WRONG, "10.0.0.1:1", path, NULL);
    assert_non_null(strstr(log, "'/?[2J?"));
    memset(path, 'x', sizeof(path) - 1);
    log = tell(NODE_HTTP_WRONG, "10.0.0.2:1", path, NULL);
    assert_true(strlen(log) < 200);
}

#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(each_kind_has_its_sentence),
        LOG_TEST(how_a_node_boots_is_told),
        LOG_TEST(each_source_is_told_of_once_a_minute),
        LOG_TEST(nothing_of_a_peers_is_obeyed_by_a_terminal),
    };
    return RUN_TESTS(tests);
}
