#include "server/link_watch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

/* A bridge that is set up again makes a dozen messages within milliseconds. */
#define QUIET_TIME (USEC_PER_SEC / 2)

struct link_watch {
    int fd;
    sd_event_source *readable, *timer;
    void (*changed)(void *context);
    void *context;
};

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct link_watch *watch = userdata;
    watch->changed(watch->context);
    return 0;
}

/* What changed is not looked at: whoever is told reads the interfaces anew. */
static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct link_watch *watch = userdata;
    uint8_t ignored[256];
    while (recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT) >= 0 || errno == ENOBUFS)
        ;
    int r = sd_event_source_set_time(watch->timer, clock_monotonic_usec() + QUIET_TIME);
    return r < 0 ? r : sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

static int open_netlink(void)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK,
                                  .nl_groups =
                                      RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    cleanup_close int fd =
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return take_fd(&fd);
}

int link_watch_start(sd_event *loop, void (*changed)(void *context), void *context,
                     struct link_watch **ret_watch)
{
    struct link_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    watch->changed = changed;
    watch->context = context;
    watch->fd = open_netlink();
    int r = watch->fd;
    if (r >= 0)
        r = sd_event_add_io(loop, &watch->readable, watch->fd, EPOLLIN, on_readable, watch);
    if (r >= 0)
        r = sd_event_add_time(loop, &watch->timer, CLOCK_MONOTONIC, 0, 0, on_timer, watch);
    if (r >= 0)
        r = sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
    if (r < 0) {
        link_watch_stop(watch);
        return r;
    }
    *ret_watch = watch;
    return 0;
}

void link_watch_stop(struct link_watch *watch)
{
    if (!watch)
        return;
    sd_event_source_disable_unref(watch->readable);
    sd_event_source_disable_unref(watch->timer);
    util_close_fd(&watch->fd);
    free(watch);
}
