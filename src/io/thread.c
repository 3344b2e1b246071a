#include "io/thread.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>

#include "core/log.h"

#define RING_ENTRIES 512

static const struct __kernel_timespec tick = {.tv_sec = 1};

static void arm_mailbox(struct io_thread *thread)
{
    struct io_uring_sqe *sqe = ring_sqe(&thread->ring);
    io_uring_prep_poll_multishot(sqe, thread->mailbox.fd, POLLIN);
    ring_attach(sqe, &thread->mailbox_op);
}

static void mailbox_readable(struct io_op *op, int32_t result, uint32_t cqe_flags)
{
    struct io_thread *thread = container_of(op, struct io_thread, mailbox_op);
    if (!(cqe_flags & IORING_CQE_F_MORE))
        arm_mailbox(thread);
    mailbox_run(&thread->mailbox);
}

static void arm_tick(struct io_thread *thread)
{
    struct io_uring_sqe *sqe = ring_sqe(&thread->ring);
    io_uring_prep_timeout(sqe, (struct __kernel_timespec *)&tick, 0, 0);
    ring_attach(sqe, &thread->tick_op);
    thread->ticking = true;
}

/* Moves what is due to a list of its own first: a timer's work may start and stop others. */
static void run_timers(struct io_thread *thread)
{
    uint64_t now = clock_monotonic_usec();
    struct list due;
    list_init(&due);
    list_for_each(node, &thread->timers) {
        if (container_of(node, struct io_timer, link)->deadline <= now) {
            list_remove(node);
            list_append(&due, node);
        }
    }
    for (struct list *node; (node = list_pop(&due));) {
        struct io_timer *timer = container_of(node, struct io_timer, link);
        timer->expired(timer);
    }
}

/* Ticks only while there are timers, so that an idle thread sleeps for good. */
static void ticked(struct io_op *op, int32_t result, uint32_t cqe_flags)
{
    struct io_thread *thread = container_of(op, struct io_thread, tick_op);
    thread->ticking = false;
    run_timers(thread);
    if (!list_empty(&thread->timers) && !thread->ticking)
        arm_tick(thread);
}

void io_timer_start(struct io_thread *thread, struct io_timer *timer, uint64_t usec_from_now)
{
    io_timer_stop(timer);
    timer->deadline = clock_monotonic_usec() + usec_from_now;
    list_append(&thread->timers, &timer->link);
    if (!thread->ticking)
        arm_tick(thread);
}

void io_timer_stop(struct io_timer *timer)
{
    list_remove(&timer->link);
}

void io_thread_defer(struct io_thread *thread, struct io_deferred *deferred)
{
    if (!list_linked(&deferred->link))
        list_append(&thread->deferred, &deferred->link);
}

void io_deferred_cancel(struct io_deferred *deferred)
{
    list_remove(&deferred->link);
}

/* What is deferred meanwhile has its turn in the next round: so one that always has more to do
 * holds up nobody. */
static void run_deferred(struct io_thread *thread)
{
    struct list round;
    list_move(&round, &thread->deferred);
    for (struct list *node; (node = list_pop(&round));) {
        struct io_deferred *deferred = container_of(node, struct io_deferred, link);
        deferred->run(deferred);
    }
}

void io_receive_buffer_return(struct io_thread *thread, uint32_t cqe_flags)
{
    unsigned short id = (unsigned short)(cqe_flags >> IORING_CQE_BUFFER_SHIFT);
    io_uring_buf_ring_add(thread->receive_ring,
                          thread->receive_memory + (size_t)id * RECEIVE_BUFFER_SIZE,
                          RECEIVE_BUFFER_SIZE, id, io_uring_buf_ring_mask(RECEIVE_BUFFER_COUNT), 0);
    io_uring_buf_ring_advance(thread->receive_ring, 1);
}

static void *map_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static int open_receive_buffers(struct io_thread *thread)
{
    size_t ring_size = RECEIVE_BUFFER_COUNT * sizeof(struct io_uring_buf);
    thread->receive_memory = map_memory(RECEIVE_BUFFER_COUNT * RECEIVE_BUFFER_SIZE);
    thread->receive_ring = map_memory(ring_size);
    if (!thread->receive_memory || !thread->receive_ring)
        return -ENOMEM;
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)thread->receive_ring,
        .ring_entries = RECEIVE_BUFFER_COUNT,
        .bgid = RECEIVE_BUFFER_GROUP,
    };
    int r = io_uring_register_buf_ring(&thread->ring.uring, &reg, 0);
    if (r < 0)
        return r;
    io_uring_buf_ring_init(thread->receive_ring);
    for (uint32_t id = 0; id < RECEIVE_BUFFER_COUNT; id++)
        io_receive_buffer_return(thread, id << IORING_CQE_BUFFER_SHIFT);
    return 0;
}

static void release(struct io_thread *thread)
{
    mailbox_close(&thread->mailbox);
    buffer_pool_free(thread->buffers);
    if (thread->receive_memory)
        munmap(thread->receive_memory, RECEIVE_BUFFER_COUNT * RECEIVE_BUFFER_SIZE);
    if (thread->receive_ring)
        munmap(thread->receive_ring, RECEIVE_BUFFER_COUNT * sizeof(struct io_uring_buf));
    free(thread);
}

/* What io_thread_start() waits for: the ring must be opened by the thread that will use it. */
struct start {
    struct io_thread *thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool finished;
    int result;
    struct error *error;
};

static int open_on_thread(struct io_thread *thread, struct error *ret_error)
{
    int r = ring_open(&thread->ring, RING_ENTRIES, ret_error);
    if (r < 0)
        return r;
    r = open_receive_buffers(thread);
    if (r < 0) {
        ring_close(&thread->ring);
        return error_set(ret_error, r, "cannot set up io_uring's receive buffers: %s",
                         strerror(-r));
    }
    arm_mailbox(thread);
    return 0;
}

/* What is deferred may give buffers back (a connection that ends), and who waits for them may be
 * the last one to do something: nothing else would wake this thread. */
static void finish_round(struct io_thread *thread)
{
    do {
        buffer_pool_serve(thread->buffers);
        run_deferred(thread);
    } while (buffer_pool_wants_serve(thread->buffers));
}

static void trim_due(struct io_timer *timer)
{
    buffer_pool_trim(container_of(timer, struct io_thread, trim)->buffers);
}

static void run_rounds(struct io_thread *thread)
{
    while (!thread->stopping) {
        thread->now = 0;
        int r = ring_run(&thread->ring, list_empty(&thread->deferred));
        if (r < 0) {
            log_error("I/O thread %u: io_uring failed: %s; stopping the daemon", thread->index,
                      strerror(-r));
            log_stop();
            abort(); /* nothing that this thread owns can be served any more */
        }
        finish_round(thread);
        if (!list_linked(&thread->trim.link) && buffer_pool_wants_trim(thread->buffers))
            io_timer_start(thread, &thread->trim, USEC_PER_SEC);
    }
}

static void *thread_main(void *arg)
{
    struct start *start = arg;
    struct io_thread *thread = start->thread;
    int result = open_on_thread(thread, start->error);

    pthread_mutex_lock(&start->lock);
    start->finished = true;
    start->result = result;
    pthread_cond_signal(&start->changed);
    pthread_mutex_unlock(&start->lock); /* from here on *start is gone */

    if (result < 0)
        return NULL;
    run_rounds(thread);
    ring_close(&thread->ring);
    return NULL;
}

static int run_thread(struct io_thread *thread, struct error *ret_error)
{
    struct start start = {.thread = thread,
                          .lock = PTHREAD_MUTEX_INITIALIZER,
                          .changed = PTHREAD_COND_INITIALIZER,
                          .error = ret_error};
    int r = -pthread_create(&thread->thread, NULL, thread_main, &start);
    if (r < 0)
        return error_set(ret_error, r, "cannot start a thread: %s", strerror(-r));
    char name[16];
    snprintf(name, sizeof(name), "io-%u", thread->index);
    pthread_setname_np(thread->thread, name);

    pthread_mutex_lock(&start.lock);
    while (!start.finished)
        pthread_cond_wait(&start.changed, &start.lock);
    pthread_mutex_unlock(&start.lock);
    if (start.result < 0)
        pthread_join(thread->thread, NULL);
    return start.result;
}

int io_thread_start(unsigned index, size_t buffer_budget, struct io_thread **ret_thread,
                    struct error *ret_error)
{
    struct io_thread *thread = calloc(1, sizeof(*thread));
    if (!thread)
        return error_set(ret_error, -ENOMEM, "out of memory");
    thread->index = index;
    thread->mailbox.fd = -1;
    thread->mailbox_op.complete = mailbox_readable;
    thread->tick_op.complete = ticked;
    thread->trim.expired = trim_due;
    list_init(&thread->deferred);
    list_init(&thread->timers);
    thread->buffers = buffer_pool_new(buffer_budget);
    int r = thread->buffers ? mailbox_open(&thread->mailbox) : -ENOMEM;
    if (r < 0)
        error_set(ret_error, r, "cannot start an I/O thread: %s", strerror(-r));
    else
        r = run_thread(thread, ret_error);
    if (r < 0) {
        release(thread);
        return r;
    }
    *ret_thread = thread;
    return 0;
}

void io_thread_post(struct io_thread *thread, struct message *message)
{
    mailbox_post(&thread->mailbox, message);
}

struct stop_message {
    struct message message;
    struct io_thread *thread;
};

static void stop_now(struct message *message)
{
    container_of(message, struct stop_message, message)->thread->stopping = true;
}

void io_thread_stop(struct io_thread *thread)
{
    if (!thread)
        return;
    struct stop_message stop = {.message.run = stop_now, .thread = thread};
    io_thread_post(thread, &stop.message);
    pthread_join(thread->thread, NULL);
    release(thread);
}
