#include "loop.h"

#include <errno.h>
#include <sys/epoll.h>

#define BATCH 256

int loop_open(struct loop *loop)
{
    *loop = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC), .now = clock_monotonic_usec()};
    return loop->epoll < 0 ? -errno : 0;
}

void loop_close(struct loop *loop)
{
    close(loop->epoll);
    free(loop->heap);
}

/* --- timers: a binary heap, the soonest at 1 --- */

static void put_timer(struct loop *loop, size_t place, struct timer *timer)
{
    loop->heap[place] = timer;
    timer->place = place;
}

static void move_up(struct loop *loop, struct timer *timer)
{
    size_t place = timer->place;
    for (; place > 1 && loop->heap[place / 2]->at > timer->at; place /= 2)
        put_timer(loop, place, loop->heap[place / 2]);
    put_timer(loop, place, timer);
}

static void move_down(struct loop *loop, struct timer *timer)
{
    size_t place = timer->place;
    for (size_t child; (child = place * 2) <= loop->n_timers; place = child) {
        if (child < loop->n_timers && loop->heap[child + 1]->at < loop->heap[child]->at)
            child++;
        if (loop->heap[child]->at >= timer->at)
            break;
        put_timer(loop, place, loop->heap[child]);
    }
    put_timer(loop, place, timer);
}

static void make_room(struct loop *loop)
{
    if (loop->n_timers + 1 < loop->room)
        return;
    size_t room = MAX((size_t)64, loop->room * 2);
    struct timer **heap = realloc(loop->heap, room * sizeof(struct timer *));
    if (!heap)
        abort();
    loop->heap = heap;
    loop->room = room;
}

void loop_set_timer(struct loop *loop, struct timer *timer, uint64_t at)
{
    if (!timer_is_set(timer)) {
        make_room(loop);
        put_timer(loop, ++loop->n_timers, timer);
    }
    timer->at = at;
    move_up(loop, timer);
    move_down(loop, timer);
}

void loop_clear_timer(struct loop *loop, struct timer *timer)
{
    size_t place = timer->place;
    if (place == 0)
        return;
    timer->place = 0;
    struct timer *last = loop->heap[loop->n_timers--];
    if (last == timer)
        return;
    put_timer(loop, place, last);
    move_up(loop, last);
    move_down(loop, last);
}

static void run_timers(struct loop *loop)
{
    while (loop->n_timers > 0 && loop->heap[1]->at <= loop->now) {
        struct timer *timer = loop->heap[1];
        loop_clear_timer(loop, timer);
        timer->fire(timer);
    }
}

/* --- descriptors --- */

static int control(struct loop *loop, struct source *source, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    return epoll_ctl(loop->epoll, operation, source->fd, &event) < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, struct source *source, int fd, uint32_t events)
{
    source->fd = fd;
    return control(loop, source, EPOLL_CTL_ADD, events);
}

int loop_change(struct loop *loop, struct source *source, uint32_t events)
{
    return control(loop, source, EPOLL_CTL_MOD, events);
}

void loop_drop(struct source *source)
{
    if (source->fd >= 0)
        close(source->fd);
    source->fd = -1;
}

static int wait_for(struct loop *loop, struct epoll_event *events)
{
    struct timespec left, *timeout = NULL;
    if (loop->n_timers > 0) {
        uint64_t at = loop->heap[1]->at, usec = at > loop->now ? at - loop->now : 0;
        left = (struct timespec){.tv_sec = (time_t)(usec / USEC_PER_SEC),
                                 .tv_nsec = (long)(usec % USEC_PER_SEC) * 1000};
        timeout = &left;
    }
    int n = epoll_pwait2(loop->epoll, events, BATCH, timeout, NULL);
    return n < 0 && errno != EINTR ? -errno : MAX(n, 0);
}

int loop_run(struct loop *loop)
{
    struct epoll_event events[BATCH];
    while (!loop->ended) {
        int n = wait_for(loop, events);
        if (n < 0)
            return n;
        loop->now = clock_monotonic_usec();
        for (int i = 0; i < n; i++) {
            struct source *source = events[i].data.ptr;
            if (source->fd >= 0) /* else dropped by an event of this round */
                source->ready(source, events[i].events);
        }
        run_timers(loop);
    }
    return 0;
}
