#include "core/log.h"

#include <fcntl.h>
#include <pthread.h>

#include "test.h"

/* stderr as a pipe, and back. */
struct lab {
    int read_end, old_stderr;
};

static struct lab lab;

static int set_up(void **state)
{
    int ends[2];
    assert_return_code(pipe2(ends, O_CLOEXEC), 0);
    fflush(stderr);
    lab.old_stderr = dup(STDERR_FILENO);
    assert_return_code(dup2(ends[1], STDERR_FILENO), 0);
    close(ends[1]);
    lab.read_end = ends[0];
    log_set_level(LOG_INFO);
    return 0;
}

static int tear_down(void **state)
{
    close(lab.read_end);
    dup2(lab.old_stderr, STDERR_FILENO);
    close(lab.old_stderr);
    return 0;
}

/* What has been written since, up to size - 1 bytes. */
static char *read_some(char *text, size_t size)
{
    ssize_t n = read(lab.read_end, text, size - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

/* All of it, once nobody writes any more. */
static char *read_all(size_t *ret_size)
{
    char *text = NULL;
    size_t size = 0;
    ssize_t n;
    dup2(lab.old_stderr, STDERR_FILENO); /* closes the last writing end */
    do {
        text = realloc(text, size + 65536 + 1);
        assert_non_null(text);
        n = read(lab.read_end, text + size, 65536);
        assert_true(n >= 0);
        size += (size_t)n;
    } while (n > 0);
    text[size] = '\0';
    *ret_size = size;
    return text;
}

static void a_message_is_a_line_with_its_node(void **state)
{
    char text[256];
    log_write(LOG_INFO, "web1", "is %s", "up");
    assert_string_equal(read_some(text, sizeof(text)), "web1: is up\n");
    log_error("disk %d is gone", 7);
    assert_string_equal(read_some(text, sizeof(text)), "error: disk 7 is gone\n");
}

static void what_is_below_the_level_is_not_shown(void **state)
{
    char text[256];
    log_debug("hidden");
    log_set_level(LOG_DEBUG);
    log_debug("shown");
    log_set_level(LOG_ERR);
    log_info("hidden");
    log_error("told");
    assert_string_equal(read_some(text, sizeof(text)), "debug: shown\nerror: told\n");
}

static void the_thread_writes_everything_in_order_before_it_stops(void **state)
{
    size_t size;
    char expected[1024] = "";
    assert_int_equal(log_start(), 0);
    for (int i = 0; i < 50; i++) {
        log_write(LOG_INFO, i % 2 ? "web1" : NULL, "message %d", i);
        sprintf(expected + strlen(expected), "%smessage %d\n", i % 2 ? "web1: " : "", i);
    }
    log_stop();
    char *text = read_all(&size);
    assert_string_equal(text, expected);
    free(text);
    log_stop(); /* without a thread: no-op */
}

struct seen {
    unsigned long lines, lost;
};

static void *count_lines(void *argument)
{
    struct seen *seen = argument;
    FILE *file = fdopen(dup(lab.read_end), "r");
    char line[512];
    unsigned long lost;
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "warning: %lu messages were lost", &lost) == 1)
            seen->lost += lost;
        else
            seen->lines++;
    }
    fclose(file);
    return NULL;
}

/* A pipe takes 64 KiB: whoever wrote to it himself would wait for ever. */
static void nobody_waits_for_a_reader_that_does_not_read(void **state)
{
    enum { MESSAGES = 10000 };
    struct seen seen = {0};
    pthread_t reader;
    assert_int_equal(log_start(), 0);
    for (int i = 0; i < MESSAGES; i++)
        log_info("message %d %0200d", i, 0);
    assert_int_equal(pthread_create(&reader, NULL, count_lines, &seen), 0);
    log_stop();
    dup2(lab.old_stderr, STDERR_FILENO); /* the end of the pipe */
    pthread_join(reader, NULL);
    assert_true(seen.lost > 0);
    assert_int_equal(seen.lines + seen.lost, MESSAGES);
}

#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_message_is_a_line_with_its_node),
        LOG_TEST(what_is_below_the_level_is_not_shown),
        LOG_TEST(the_thread_writes_everything_in_order_before_it_stops),
        LOG_TEST(nobody_waits_for_a_reader_that_does_not_read),
    };
    return RUN_TESTS(tests);
}
