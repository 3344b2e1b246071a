/* Real I/O threads. */
#include "test.h"

#include "thread_call.h"

#include <errno.h>
#include <sys/socket.h>

static struct io_thread *thread;

static int setup(void **state)
{
    struct error error;
    if (io_thread_start(3, 1 * MIB, &thread, &error) < 0)
        fail_msg("%s", error.text);
    return 0;
}

static int teardown(void **state)
{
    io_thread_stop(thread);
    return 0;
}

/* --- messages --- */

struct note {
    struct message message;
    unsigned number;
    unsigned *last; /* number of the one before */
    struct bell *bell;
};

static void take_note(struct message *message)
{
    struct note *note = container_of(message, struct note, message);
    assert_true(pthread_equal(pthread_self(), thread->thread));
    assert_int_equal(note->number, *note->last + 1);
    *note->last = note->number;
    bell_ring(note->bell);
}

static void messages_run_on_the_thread_in_order(void **state)
{
    enum { COUNT = 1000 };
    static struct note notes[COUNT];
    struct bell bell = BELL_NEW;
    unsigned last = 0;
    assert_int_equal(thread->index, 3);
    for (unsigned i = 0; i < COUNT; i++) {
        notes[i] = (struct note){{.run = take_note}, i + 1, &last, &bell};
        io_thread_post(thread, &notes[i].message);
    }
    bell_wait(&bell, COUNT);
    assert_int_equal(last, COUNT);
}

static void what_was_posted_before_the_stop_still_runs(void **state)
{
    enum { COUNT = 100 };
    static struct note notes[COUNT];
    struct bell bell = BELL_NEW;
    unsigned last = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        notes[i] = (struct note){{.run = take_note}, i + 1, &last, &bell};
        io_thread_post(thread, &notes[i].message);
    }
    io_thread_stop(thread);
    thread = NULL;
    assert_int_equal(last, COUNT);
}

static void stopping_none_is_no_mistake(void **state)
{
    io_thread_stop(NULL);
}

/* --- the end of a round --- */

struct round {
    struct io_deferred first, second, third;
    char order[16];
    struct bell bell;
};

static void run_first(struct io_deferred *deferred)
{
    struct round *r = container_of(deferred, struct round, first);
    strcat(r->order, "1");
    io_thread_defer(thread, &r->third); /* in this round, too */
}

static void run_second(struct io_deferred *deferred)
{
    strcat(container_of(deferred, struct round, second)->order, "2");
}

static void run_third(struct io_deferred *deferred)
{
    struct round *r = container_of(deferred, struct round, third);
    strcat(r->order, "3");
    bell_ring(&r->bell);
}

static void defer_all(void *context)
{
    struct round *r = context;
    io_thread_defer(thread, &r->first);
    io_thread_defer(thread, &r->second);
    io_thread_defer(thread, &r->first); /* it waits already */
    strcat(r->order, "0");
}

static void deferred_work_runs_once_at_the_end_of_the_round(void **state)
{
    struct round r = {.first.run = run_first, .second.run = run_second, .third.run = run_third};
    r.bell = BELL_NEW;
    thread_call(thread, defer_all, &r);
    bell_wait(&r.bell, 1);
    assert_string_equal(r.order, "0123");
    thread_call(thread, defer_all, &r);
    bell_wait(&r.bell, 2);
    assert_string_equal(r.order, "01230123");
}

static void defer_and_cancel(void *context)
{
    struct round *r = context;
    defer_all(r);
    io_deferred_cancel(&r->first);
    io_deferred_cancel(&r->first); /* no-op */
    io_thread_defer(thread, &r->third);
}

static void deferred_work_may_be_called_off(void **state)
{
    struct round r = {.first.run = run_first, .second.run = run_second, .third.run = run_third};
    r.bell = BELL_NEW;
    thread_call(thread, defer_and_cancel, &r);
    bell_wait(&r.bell, 1);
    assert_string_equal(r.order, "023");
}

/* --- timers --- */

struct clocks {
    struct io_timer early, late, never, again;
    uint64_t started_at;
    char order[16];
    bool stopped_other;
    struct bell bell;
};

static void tick(struct io_timer *timer, struct clocks *c, const char *letter)
{
    assert_false(list_linked(&timer->link));
    assert_true(clock_monotonic_usec() >= timer->deadline); /* never too early */
    strcat(c->order, letter);
    bell_ring(&c->bell);
}

static void early_expired(struct io_timer *timer)
{
    struct clocks *c = container_of(timer, struct clocks, early);
    tick(timer, c, "e");
    io_timer_stop(&c->never); /* it may be due in this very moment */
    io_timer_start(thread, &c->again, 1);
}

static void late_expired(struct io_timer *timer)
{
    tick(timer, container_of(timer, struct clocks, late), "l");
}

static void never_expired(struct io_timer *timer)
{
    tick(timer, container_of(timer, struct clocks, never), "n");
}

static void again_expired(struct io_timer *timer)
{
    tick(timer, container_of(timer, struct clocks, again), "a");
}

static void start_clocks(void *context)
{
    struct clocks *c = context;
    io_timer_start(thread, &c->early, 1);
    io_timer_start(thread, &c->never, 1);
    io_timer_start(thread, &c->late, 3600 * USEC_PER_SEC);
    io_timer_start(thread, &c->late, 1500000); /* started anew: only this counts */
}

static void stop_clocks(void *context)
{
    struct clocks *c = context;
    io_timer_stop(&c->early);
    io_timer_stop(&c->late);
    io_timer_stop(&c->never);
    io_timer_stop(&c->again);
}

static void timers_expire_once_and_not_too_early(void **state)
{
    struct clocks c = {.early.expired = early_expired,
                       .late.expired = late_expired,
                       .never.expired = never_expired,
                       .again.expired = again_expired};
    c.bell = BELL_NEW;
    thread_call(thread, start_clocks, &c);
    bell_wait(&c.bell, 3);
    thread_call(thread, stop_clocks, &c);
    assert_null(strchr(c.order, 'n'));
    assert_int_equal(c.order[0], 'e');
    assert_non_null(strchr(c.order, 'a'));
    assert_non_null(strchr(c.order, 'l'));
    assert_int_equal(strlen(c.order), 3);
}

/* --- buffers and receiving --- */

struct hungry {
    struct buffer_share share;
    struct buffer *all[5];
    struct buffer_waiter waiter;
    struct buffer *got;
    struct io_deferred deferred;
    struct bell bell;
};

static void fed(struct buffer_waiter *waiter, struct buffer *buffer)
{
    struct hungry *h = container_of(waiter, struct hungry, waiter);
    h->got = buffer;
    bell_ring(&h->bell);
}

static void take_all_buffers(void *context)
{
    struct hungry *h = context;
    buffer_share_init(&h->share);
    h->waiter = (struct buffer_waiter){.size = 1, .ready = fed};
    h->all[0] = buffer_get_or_wait(thread->buffers, &h->share, &h->waiter); /* it has one */
    for (size_t i = 1; i < ARRAY_SIZE(h->all); i++)
        h->all[i] = buffer_get(thread->buffers, BUFFER_MAX_SIZE);
    assert_null(buffer_get_or_wait(thread->buffers, &h->share, &h->waiter));
}

static void give_buffers_back(void *context)
{
    struct hungry *h = context;
    for (size_t i = 0; i < ARRAY_SIZE(h->all); i++)
        buffer_unref(thread->buffers, take_ptr(h->all[i]));
    buffer_unref(thread->buffers, take_ptr(h->got));
}

static void go_away(void *context)
{
    struct hungry *h = context;
    give_buffers_back(h);
    buffer_share_clear(&h->share);
}

static void who_waits_for_a_buffer_is_served_in_the_round_that_frees_one(void **state)
{
    struct hungry h = {.bell = BELL_NEW};
    thread_call(thread, take_all_buffers, &h);
    thread_call(thread, give_buffers_back, &h);
    bell_wait(&h.bell, 1);
    assert_non_null(h.got);
    thread_call(thread, go_away, &h);
}

static void give_back_later(struct io_deferred *deferred)
{
    give_buffers_back(container_of(deferred, struct hungry, deferred));
}

static void defer_giving_back(void *context)
{
    struct hungry *h = context;
    h->deferred.run = give_back_later;
    io_thread_defer(thread, &h->deferred);
}

/* Nothing else would wake the thread. */
static void also_if_it_becomes_free_at_the_end_of_the_round(void **state)
{
    struct hungry h = {.bell = BELL_NEW};
    thread_call(thread, take_all_buffers, &h);
    thread_call(thread, defer_giving_back, &h);
    bell_wait(&h.bell, 1);
    assert_non_null(h.got);
    thread_call(thread, go_away, &h);
}

/* A socket pair of which the thread receives one end, a datagram a buffer. */
struct receiver {
    struct io_op op;
    int fd;
    uint32_t expected, received;
    bool keeps; /* gives no buffers back */
    uint32_t kept[2 * RECEIVE_BUFFER_COUNT];
    unsigned n_kept;
    int32_t last_error;
    struct bell bell;
};

static void arm(struct receiver *r)
{
    struct io_uring_sqe *sqe = ring_sqe(&thread->ring);
    io_uring_prep_recv(sqe, r->fd, NULL, RECEIVE_BUFFER_SIZE, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = RECEIVE_BUFFER_GROUP;
    ring_attach(sqe, &r->op);
}

static void on_received(struct io_op *op, int32_t result, uint32_t cqe_flags)
{
    struct receiver *r = container_of(op, struct receiver, op);
    if (result < 0) {
        r->last_error = result;
        bell_ring(&r->bell);
        return;
    }
    const uint8_t *data = io_receive_buffer(thread, cqe_flags);
    assert_int_equal(result, RECEIVE_BUFFER_SIZE);
    for (int32_t i = 0; i < result; i++)
        assert_int_equal(data[i], (uint8_t)r->received);
    r->received++;
    if (r->keeps)
        r->kept[r->n_kept++] = cqe_flags;
    else
        io_receive_buffer_return(thread, cqe_flags);
    if (r->received < r->expected)
        arm(r);
    bell_ring(&r->bell); /* from here on the test may be over */
}

static void start_receiving(void *context)
{
    arm(context);
}

static void send_one(int fd, unsigned number)
{
    static uint8_t data[RECEIVE_BUFFER_SIZE];
    memset(data, (uint8_t)number, sizeof(data));
    assert_int_equal(write(fd, data, sizeof(data)), (ssize_t)sizeof(data));
}

static void receive_buffers_go_round(void **state)
{
    struct receiver r = {.op.complete = on_received, .expected = 5 * RECEIVE_BUFFER_COUNT};
    int fds[2];
    r.bell = BELL_NEW;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    r.fd = fds[0];
    thread_call(thread, start_receiving, &r);
    for (unsigned i = 0; i < r.expected; i++) {
        send_one(fds[1], i);
        bell_wait(&r.bell, i + 1);
    }
    assert_int_equal(r.last_error, 0);
    close(fds[0]);
    close(fds[1]);
}

static void give_receive_buffers_back(void *context)
{
    struct receiver *r = context;
    while (r->n_kept > 0)
        io_receive_buffer_return(thread, r->kept[--r->n_kept]);
    r->keeps = false;
    arm(r);
}

static void when_receive_buffers_run_out_it_is_told(void **state)
{
    struct receiver r = {
        .op.complete = on_received, .expected = RECEIVE_BUFFER_COUNT + 1, .keeps = true};
    int fds[2];
    r.bell = BELL_NEW;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    r.fd = fds[0];
    thread_call(thread, start_receiving, &r);
    for (unsigned i = 0; i <= RECEIVE_BUFFER_COUNT; i++) {
        send_one(fds[1], i);
        bell_wait(&r.bell, i + 1);
    }
    assert_int_equal(r.received, RECEIVE_BUFFER_COUNT);
    assert_int_equal(r.last_error, -ENOBUFS);
    thread_call(thread, give_receive_buffers_back, &r);
    bell_wait(&r.bell, RECEIVE_BUFFER_COUNT + 2);
    assert_int_equal(r.received, RECEIVE_BUFFER_COUNT + 1);
    close(fds[0]);
    close(fds[1]);
}

#define THREAD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        THREAD_TEST(messages_run_on_the_thread_in_order),
        THREAD_TEST(what_was_posted_before_the_stop_still_runs),
        TEST(stopping_none_is_no_mistake),
        THREAD_TEST(deferred_work_runs_once_at_the_end_of_the_round),
        THREAD_TEST(deferred_work_may_be_called_off),
        THREAD_TEST(timers_expire_once_and_not_too_early),
        THREAD_TEST(who_waits_for_a_buffer_is_served_in_the_round_that_frees_one),
        THREAD_TEST(also_if_it_becomes_free_at_the_end_of_the_round),
        THREAD_TEST(receive_buffers_go_round),
        THREAD_TEST(when_receive_buffers_run_out_it_is_told),
    };
    return RUN_TESTS(tests);
}
