#include "test.h"

#include "io/ring.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static struct ring ring;
static struct error error;

static int setup(void **state)
{
    if (ring_open(&ring, 8, &error) < 0)
        fail_msg("%s", error.text);
    return 0;
}

static int teardown(void **state)
{
    ring_close(&ring);
    return 0;
}

struct counted {
    struct io_op op;
    unsigned completed;
    int32_t result;
};

static void count_it(struct io_op *op, int32_t result, uint32_t cqe_flags)
{
    struct counted *c = container_of(op, struct counted, op);
    c->completed++;
    c->result = result;
}

static struct io_uring_sqe *nop(struct counted *c)
{
    struct io_uring_sqe *sqe = ring_sqe(&ring);
    io_uring_prep_nop(sqe);
    ring_attach(sqe, &c->op);
    return sqe;
}

static void what_completes_is_told_once(void **state)
{
    struct counted c = {.op.complete = count_it};
    nop(&c);
    assert_int_equal(c.completed, 0); /* not before its turn */
    assert_int_equal(ring_run(&ring, true), 0);
    assert_int_equal(c.completed, 1);
    assert_int_equal(ring_run(&ring, false), 0);
    assert_int_equal(c.completed, 1);
}

/* More than the submission queue (8), the completion queue (64) and a batch (128) have room for. */
static void a_full_queue_is_submitted_first(void **state)
{
    struct counted c = {.op.complete = count_it};
    for (unsigned i = 0; i < 1000; i++)
        nop(&c);
    while (c.completed < 1000)
        assert_int_equal(ring_run(&ring, true), 0);
    assert_int_equal(ring_run(&ring, false), 0);
    assert_int_equal(c.completed, 1000);
}

struct chain {
    struct counted counted;
    unsigned left;
};

static void next_link(struct io_op *op, int32_t result, uint32_t cqe_flags)
{
    struct counted *c = container_of(op, struct counted, op);
    struct chain *chain = container_of(c, struct chain, counted);
    c->completed++;
    for (unsigned i = 0; chain->left > 0 && i < 4; i++, chain->left--)
        nop(c);
}

static void a_completion_may_submit_more(void **state)
{
    struct chain chain = {.counted.op.complete = next_link, .left = 500};
    nop(&chain.counted);
    while (chain.counted.completed < 501)
        assert_int_equal(ring_run(&ring, true), 0);
}

static void failures_are_told_as_errno(void **state)
{
    struct counted c = {.op.complete = count_it};
    struct io_uring_sqe *sqe = ring_sqe(&ring);
    io_uring_prep_read(sqe, -1, NULL, 1, 0);
    ring_attach(sqe, &c.op);
    assert_int_equal(ring_run(&ring, true), 0);
    assert_int_equal(c.completed, 1);
    assert_int_equal(c.result, -EBADF);
}

static void what_waits_can_be_cancelled(void **state)
{
    struct counted c = {.op.complete = count_it};
    uint64_t value;
    cleanup_close int fd = eventfd(0, EFD_CLOEXEC);
    struct io_uring_sqe *sqe = ring_sqe(&ring);
    io_uring_prep_read(sqe, fd, &value, sizeof(value), 0);
    ring_attach(sqe, &c.op);
    assert_int_equal(ring_run(&ring, false), 0);
    assert_int_equal(c.completed, 0);
    ring_cancel(&ring, &c.op);
    while (c.completed == 0)
        assert_int_equal(ring_run(&ring, true), 0);
    assert_int_equal(c.completed, 1);
    assert_int_equal(c.result, -ECANCELED);
}

static void cancelling_what_is_over_does_no_harm(void **state)
{
    struct counted c = {.op.complete = count_it};
    nop(&c);
    assert_int_equal(ring_run(&ring, true), 0);
    ring_cancel(&ring, &c.op);
    assert_int_equal(ring_run(&ring, true), 0);
    assert_int_equal(c.completed, 1);
}

/* --- when there can be no ring --- */

/* Lets io_uring_setup() fail with errnum in this process, as a container's seccomp profile does. */
static int refuse_rings(int errnum)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)errnum),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {ARRAY_SIZE(filter), filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static int try_to_open(int errnum, const char *words)
{
    struct ring r;
    if (refuse_rings(errnum) < 0)
        return 1;
    if (ring_open(&r, 8, &error) != -errnum || error.code != -errnum)
        return 2;
    return strstr(error.text, words) ? 0 : 3;
}

/* In a process of its own. */
static void assert_told(int errnum, const char *words)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(try_to_open(errnum, words));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void why_there_is_no_ring_is_told_with_what_to_do(void **state)
{
    assert_told(ENOSYS, "set kernel.io_uring_disabled=0");
    assert_told(EPERM, "the container's seccomp profile");
    assert_told(EINVAL, "nodisk needs Linux 6.1");
    assert_told(ENOMEM, "raise LimitMEMLOCK");
    assert_told(EMFILE, "cannot set up io_uring: Too many open files");
}

#define RING_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(what_completes_is_told_once),
        RING_TEST(a_full_queue_is_submitted_first),
        RING_TEST(a_completion_may_submit_more),
        RING_TEST(failures_are_told_as_errno),
        RING_TEST(what_waits_can_be_cancelled),
        RING_TEST(cancelling_what_is_over_does_no_harm),
        TEST(why_there_is_no_ring_is_told_with_what_to_do),
    };
    return RUN_TESTS(tests);
}
