/* Real NBD servers (nbdkit), which are killed, stopped and told to fail. */
#include "scratch_dir.h"

#include "thread_call.h"

#include "block/nbd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define SIZE (4 * MIB)

#define NBDKIT      "nbdkit", "--foreground", "--exit-with-parent"
#define FILE_PLUGIN "file", bench.file

/* The socket is ours and outlives its servers (socket activation): who connects while there is none
 * waits for the next. */
struct bench {
    char *directory;
    char file[PATH_MAX], uri[PATH_MAX + 64];
    struct sockaddr_un address;
    int listener;
    pid_t server;
    struct io_thread *thread;
    struct block_device *device;
    uint64_t patience;
    struct error error;
    unsigned n_errors, n_lost; /* that on_error was told of */
};

static struct bench bench;
static uint8_t pattern[BUFFER_MAX_SIZE], buffer[BUFFER_MAX_SIZE];

/* --- servers --- */

static bool have_nbdkit(void)
{
    return system("nbdkit --version >/dev/null 2>&1") == 0;
}

static void listen_here(void)
{
    bench.listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(bench.listener >= 0);
    assert_int_equal(bind(bench.listener, (struct sockaddr *)&bench.address, sizeof(bench.address)),
                     0);
    assert_int_equal(listen(bench.listener, 16), 0);
}

/* Nobody answers from now on. */
static void vanish(void)
{
    close(bench.listener);
    bench.listener = -1;
    unlink(bench.address.sun_path);
}

static void exec_server(const char *const *argv)
{
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    unsetenv("ASAN_OPTIONS");
    if (bench.listener != 3 && dup2(bench.listener, 3) < 0)
        _exit(126);
    fcntl(3, F_SETFD, 0);
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

static void start(const char *const *argv)
{
    bench.server = fork();
    if (bench.server == 0)
        exec_server(argv);
    assert_true(bench.server > 0);
}

#define START(...) start((const char *const[]){NBDKIT, __VA_ARGS__, NULL})

static void end(int signal)
{
    if (bench.server > 0) {
        kill(bench.server, signal);
        waitpid(bench.server, NULL, 0);
    }
    bench.server = 0;
}

static int setup(void **state)
{
    bench = (struct bench){
        .directory = scratch_dir_make(), .listener = -1, .patience = 60 * USEC_PER_SEC};
    snprintf(bench.file, sizeof(bench.file), "%s/volume.raw", bench.directory);
    bench.address.sun_family = AF_UNIX;
    snprintf(bench.address.sun_path, sizeof(bench.address.sun_path), "%s/socket", bench.directory);
    snprintf(bench.uri, sizeof(bench.uri), "nbd+unix:///?socket=%s", bench.address.sun_path);
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(1 + i * 7 + (i >> 8));
    cleanup_close int fd = open(bench.file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)SIZE) < 0)
        abort();
    listen_here();
    if (io_thread_start(0, 8 * MIB, &bench.thread, &bench.error) < 0)
        fail_msg("%s", bench.error.text);
    return 0;
}

static int teardown(void **state)
{
    block_close(bench.device);
    io_thread_stop(bench.thread);
    end(SIGKILL);
    if (bench.listener >= 0)
        close(bench.listener);
    scratch_dir_remove(bench.directory);
    return 0;
}

/* --- the device --- */

static void on_error(struct block_device *device, enum block_operation operation, int result)
{
    bench.n_errors++;
    bench.n_lost += operation == BLOCK_FLUSH;
}

static int open_device(uint64_t size, uint32_t block_size, unsigned how)
{
    struct nbd_settings settings = {.uri = bench.uri,
                                    .size = size,
                                    .block_size = block_size,
                                    .how = how,
                                    .patience = bench.patience};
    block_close(take_ptr(bench.device));
    bench.error = (struct error){0};
    return block_nbd_open(bench.thread, &settings, &bench.device, &bench.error);
}

static void must_open(unsigned how)
{
    if (open_device(SIZE, 512, how) < 0)
        fail_msg("%s", bench.error.text);
    bench.device->on_error = on_error;
}

static void assert_told(int r, int expected, const char *words)
{
    assert_int_equal(r, expected);
    assert_int_equal(bench.error.code, expected);
    assert_null(bench.device);
    assert_contains(bench.error.text, words);
}

struct pending {
    struct block_request request;
    int result;
    struct bell done;
};

static void request_done(struct block_request *request, int result)
{
    struct pending *p = container_of(request, struct pending, request);
    p->result = result;
    bell_ring(&p->done);
}

static void submit(void *context)
{
    struct pending *p = context;
    block_submit(bench.device, &p->request);
}

static struct pending pending(enum block_operation operation, uint64_t offset, uint64_t length,
                              uint8_t *data)
{
    return (struct pending){.request = {.operation = operation,
                                        .offset = offset,
                                        .length = length,
                                        .data = data,
                                        .done = request_done},
                            .done = BELL_NEW};
}

static int wait_for(struct pending *p)
{
    bell_wait(&p->done, 1);
    return p->result;
}

static int run(struct pending p)
{
    thread_call(bench.thread, submit, &p);
    return wait_for(&p);
}

static int read_at(uint64_t offset, uint64_t length)
{
    memset(buffer, 0xee, sizeof(buffer));
    return run(pending(BLOCK_READ, offset, length, buffer));
}

static int write_at(uint64_t offset, uint64_t length, unsigned flags)
{
    struct pending p = pending(BLOCK_WRITE, offset, length, pattern);
    p.request.flags = flags;
    return run(p);
}

static int zero_at(uint64_t offset, uint64_t length, unsigned flags)
{
    struct pending p = pending(BLOCK_WRITE_ZEROES, offset, length, NULL);
    p.request.flags = flags;
    return run(p);
}

static int flush(void)
{
    return run(pending(BLOCK_FLUSH, 0, 0, NULL));
}

static void assert_pattern(uint64_t offset, uint64_t length)
{
    assert_int_equal(read_at(offset, length), 0);
    assert_memory_equal(buffer, pattern, length);
}

static void assert_zeroes(uint64_t offset, uint64_t length)
{
    assert_int_equal(read_at(offset, length), 0);
    for (size_t i = 0; i < length; i++)
        if (buffer[i])
            fail_msg("byte %zu is %02x", i, buffer[i]);
}

/* --- a server that is well --- */

static void write_zero_and_read(void)
{
    uint64_t length;
    assert_int_equal(write_at(MIB, BUFFER_MAX_SIZE, 0), 0);
    assert_int_equal(write_at(512, 1024, BLOCK_FUA), 0);
    assert_int_equal(flush(), 0);
    assert_pattern(MIB, BUFFER_MAX_SIZE);
    assert_pattern(512, 1024);
    assert_int_equal(zero_at(MIB, BUFFER_MAX_SIZE - 512, BLOCK_FUA), 0);
    assert_zeroes(MIB, BUFFER_MAX_SIZE - 512);
    assert_int_equal(read_at(MIB + BUFFER_MAX_SIZE - 512, 1024), 0);
    assert_memory_equal(buffer, pattern + BUFFER_MAX_SIZE - 512, 512);
    assert_int_equal(buffer[512], 0);
    assert_true(bench.device->operations->is_allocated(bench.device, MIB, &length));
    assert_int_equal(length, SIZE - MIB);
    assert_int_equal(bench.n_errors, 0);
}

static void what_was_written_is_read(void **state)
{
    START(FILE_PLUGIN);
    must_open(0);
    write_zero_and_read();
    must_open(BLOCK_NBD_THICK);
    write_zero_and_read();
    cleanup_close int fd = open(bench.file, O_RDONLY | O_CLOEXEC); /* it is where it should be */
    assert_int_equal(pread(fd, buffer, 1024, 512), 1024);
    assert_memory_equal(buffer, pattern, 1024);
}

/* Requests are larger than the server takes at once, and zeroes are written. */
static void a_server_that_can_do_little(void **state)
{
    START("--filter=nozero", "--filter=blocksize-policy", FILE_PLUGIN, "zeromode=none",
          "blocksize-minimum=512", "blocksize-preferred=4096", "blocksize-maximum=65536",
          "blocksize-error-policy=error");
    must_open(0);
    write_zero_and_read();
    assert_int_equal(zero_at(0, SIZE, 0), 0);
    assert_zeroes(MIB + BUFFER_MAX_SIZE - 512, 512);
}

/* FUA is a flush after the write. */
static void a_server_without_fua(void **state)
{
    char pread[PATH_MAX + 128], pwrite[PATH_MAX + 128], flush_it[PATH_MAX + 64];
    snprintf(pread, sizeof(pread),
             "pread=dd if=%s iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none",
             bench.file);
    snprintf(pwrite, sizeof(pwrite),
             "pwrite=dd of=%s conv=notrunc oflag=seek_bytes seek=$4 status=none", bench.file);
    snprintf(flush_it, sizeof(flush_it), "flush=touch %s/flushed", bench.directory);
    START("eval", "get_size=echo 4M", "can_write=exit 0", "can_flush=exit 0", "can_fua=echo none",
          pread, pwrite, flush_it);
    must_open(0);
    char flushed[PATH_MAX + 16];
    snprintf(flushed, sizeof(flushed), "%s/flushed", bench.directory);
    assert_int_equal(write_at(0, 4096, 0), 0);
    assert_int_equal(access(flushed, F_OK), -1);
    assert_int_equal(write_at(4096, 4096, BLOCK_FUA), 0);
    assert_int_equal(access(flushed, F_OK), 0);
    assert_pattern(4096, 4096);
}

static void many_requests_at_once(void **state)
{
    enum { COUNT = 600 };
    static struct pending writes[COUNT];
    START(FILE_PLUGIN);
    must_open(0);
    for (size_t i = 0; i < COUNT; i++) {
        writes[i] = pending(BLOCK_WRITE, i * 4096, 4096, pattern + i * 64);
        thread_call(bench.thread, submit, &writes[i]);
    }
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(wait_for(&writes[i]), 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(read_at(i * 4096, 4096), 0);
        assert_memory_equal(buffer, pattern + i * 64, 4096);
    }
}

/* More than the socket takes while the server is stopped: it has to be polled for both ways. */
static void a_slow_server_is_waited_for(void **state)
{
    enum { COUNT = 24 };
    static struct pending writes[COUNT];
    START(FILE_PLUGIN);
    must_open(0);
    assert_int_equal(flush(), 0);
    kill(bench.server, SIGSTOP);
    for (size_t i = 0; i < COUNT; i++) {
        writes[i] = pending(BLOCK_WRITE, i * 65536, 65536, pattern);
        thread_call(bench.thread, submit, &writes[i]);
    }
    struct pending last = pending(BLOCK_READ, SIZE - 512, 512, buffer);
    thread_call(bench.thread, submit, &last);
    kill(bench.server, SIGCONT);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(wait_for(&writes[i]), 0);
    assert_int_equal(wait_for(&last), 0);
    for (size_t i = 0; i < COUNT; i++)
        assert_pattern(i * 65536, 65536);
}

static void a_probe_tells_what_there_is(void **state)
{
    struct nbd_export e;
    START("-r", FILE_PLUGIN);
    assert_int_equal(block_nbd_probe(bench.uri, &e, &bench.error), 0);
    assert_int_equal(e.size, SIZE);
    assert_true(e.read_only);
    assert_true(e.min_request <= 512);
}

/* --- what does not fit --- */

static void an_export_that_does_not_fit_is_refused(void **state)
{
    START("-r", FILE_PLUGIN);
    assert_told(open_device(SIZE + 512, 512, BLOCK_NBD_READ_ONLY), -EIO, "has only 4194304 of");
    assert_told(open_device(SIZE, 512, 0), -EROFS, "is read-only and the volume is not");
    must_open(BLOCK_NBD_READ_ONLY);
    assert_int_equal(write_at(0, 512, 0), -EIO);
    assert_zeroes(0, 512);
    end(SIGKILL);
    block_close(take_ptr(bench.device));
    START("--filter=blocksize-policy", FILE_PLUGIN, "blocksize-minimum=4096",
          "blocksize-preferred=4096", "blocksize-maximum=1M");
    assert_told(open_device(SIZE, 512, 0), -EINVAL, "takes blocks of 4096 bytes only");
    assert_int_equal(open_device(SIZE, 4096, 0), 0);
    assert_int_equal(write_at(4096, 4096, 0), 0);
}

static void what_cannot_be_reached_is_told(void **state)
{
    vanish();
    assert_told(open_device(SIZE, 512, 0), -ENOENT, "see whether its server runs");
    snprintf(bench.uri, sizeof(bench.uri), "nbd://127.0.0.1:1/export");
    assert_told(open_device(SIZE, 512, 0), -ECONNREFUSED, "nbd://127.0.0.1:1/export");
}

/* --- errors --- */

static void errors_of_the_server_are_told(void **state)
{
    char trigger[PATH_MAX + 32];
    snprintf(trigger, sizeof(trigger), "error-file=%s/fail", bench.directory);
    START("--filter=error", FILE_PLUGIN, "error=ENOSPC", "error-rate=100%", trigger);
    must_open(0);
    assert_int_equal(write_at(0, 4096, BLOCK_FUA), 0);
    close(open(trigger + strlen("error-file="), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(write_at(0, 4096, 0), -ENOSPC);
    assert_int_equal(read_at(0, 4096), -ENOSPC);
    assert_int_equal(bench.n_errors, 2);
    assert_false(bench.device->failed);
    unlink(trigger + strlen("error-file="));
    assert_pattern(0, 4096);
}

static void a_failed_flush_fails_the_device(void **state)
{
    START("eval", "get_size=echo 4M", "pread=dd if=/dev/zero count=$3 iflag=count_bytes",
          "pwrite=cat >/dev/null", "can_write=exit 0", "can_flush=exit 0",
          "flush=echo EIO >&2; exit 1");
    must_open(0);
    assert_int_equal(write_at(0, 4096, 0), 0);
    assert_int_equal(flush(), -EIO);
    assert_true(bench.device->failed);
    assert_int_equal(bench.n_lost, 1);
    assert_int_equal(read_at(0, 4096), -EIO);
    assert_int_equal(flush(), -EIO);
    assert_int_equal(bench.n_lost, 1); /* once */
}

/* --- a server that goes --- */

/* Its requests wait, and are carried out by the next one. */
static void requests_outlive_a_server(void **state)
{
    enum { COUNT = 16 };
    static struct pending writes[COUNT];
    static uint8_t data[BUFFER_MAX_SIZE];
    START(FILE_PLUGIN);
    must_open(0);
    assert_int_equal(write_at(0, 4096, BLOCK_FUA), 0);
    assert_int_equal(write_at(4096, 4096, 0), 0);
    assert_int_equal(flush(), 0);
    kill(bench.server, SIGSTOP); /* so that hardly anything is answered any more */
    for (size_t i = 0; i < COUNT; i++) {
        writes[i] = pending(BLOCK_WRITE, MIB + i * 65536, 65536, pattern);
        writes[i].request.flags = BLOCK_FUA; /* what is answered is not lost */
        thread_call(bench.thread, submit, &writes[i]);
    }
    struct pending read = pending(BLOCK_READ, 4096, 4096, data);
    struct pending sync = pending(BLOCK_FLUSH, 0, 0, NULL);
    thread_call(bench.thread, submit, &read);
    thread_call(bench.thread, submit, &sync);
    end(SIGKILL);
    START(FILE_PLUGIN);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(wait_for(&writes[i]), 0);
    assert_int_equal(wait_for(&read), 0);
    assert_memory_equal(data, pattern, 4096);
    assert_int_equal(wait_for(&sync), 0);
    for (size_t i = 0; i < COUNT; i++)
        assert_pattern(MIB + i * 65536, 65536);
    assert_false(bench.device->failed);
    assert_int_equal(bench.n_errors, 0);
}

/* Nothing was under way: it is noticed by the next request. */
static void an_idle_volume_outlives_a_server(void **state)
{
    START(FILE_PLUGIN);
    must_open(0);
    assert_int_equal(write_at(0, 4096, BLOCK_FUA), 0);
    for (int i = 0; i < 2; i++) {
        end(SIGKILL);
        START(FILE_PLUGIN);
        assert_pattern(0, 4096);
    }
    assert_int_equal(bench.n_errors, 0);
}

/* It took with it what was not flushed, or it did not: nobody knows. */
static void what_was_not_flushed_is_lost_with_its_server(void **state)
{
    START(FILE_PLUGIN);
    must_open(0);
    assert_int_equal(write_at(0, 4096, 0), 0);
    end(SIGKILL);
    START(FILE_PLUGIN);
    assert_int_equal(flush(), -EIO);
    assert_true(bench.device->failed);
    assert_int_equal(bench.n_lost, 1);
    assert_int_equal(read_at(0, 4096), -EIO);
    must_open(0); /* whoever begins anew has it again */
    assert_int_equal(read_at(0, 4096), 0);
    assert_int_equal(flush(), 0);
}

static void a_server_that_is_gone_is_not_waited_for_for_ever(void **state)
{
    bench.patience = USEC_PER_SEC;
    START(FILE_PLUGIN);
    must_open(0);
    assert_int_equal(write_at(0, 4096, BLOCK_FUA), 0);
    vanish();
    end(SIGKILL);
    assert_int_equal(read_at(0, 4096), -EIO);
    assert_int_equal(write_at(0, 4096, 0), -EIO);
    assert_false(bench.device->failed); /* nothing was lost */
    assert_int_equal(bench.n_lost, 0);
    listen_here();
    START(FILE_PLUGIN);
    assert_pattern(0, 4096);
    assert_int_equal(flush(), 0);
}

#define NBD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NBD_TEST(what_was_written_is_read),
        NBD_TEST(a_server_that_can_do_little),
        NBD_TEST(a_server_without_fua),
        NBD_TEST(many_requests_at_once),
        NBD_TEST(a_slow_server_is_waited_for),
        NBD_TEST(a_probe_tells_what_there_is),
        NBD_TEST(an_export_that_does_not_fit_is_refused),
        NBD_TEST(what_cannot_be_reached_is_told),
        NBD_TEST(errors_of_the_server_are_told),
        NBD_TEST(a_failed_flush_fails_the_device),
        NBD_TEST(requests_outlive_a_server),
        NBD_TEST(an_idle_volume_outlives_a_server),
        NBD_TEST(what_was_not_flushed_is_lost_with_its_server),
        NBD_TEST(a_server_that_is_gone_is_not_waited_for_for_ever),
    };
    signal(SIGPIPE, SIG_IGN);
    if (!have_nbdkit()) {
        printf("1..0 # SKIP nbdkit is not installed\n");
        return 0;
    }
    return RUN_TESTS(tests);
}
