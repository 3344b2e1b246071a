/*
 * The control thread's loop: DHCP, timers, signals and the messages that other threads post to it.
 * Nothing in it waits for a disk.
 */
#include "server/server.h"

#include "core/log.h"

#include <signal.h>
#include <systemd/sd-daemon.h>

static int on_message(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct server *server = userdata;
    mailbox_run(&server->mailbox);
    return 0;
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    struct server *server = userdata;
    log_info("stopping");
    return sd_event_exit(server->loop, 0);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    struct server *server = userdata;
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_monotonic_usec());
    server_reload(server);
    sd_notify(0, "READY=1");
    return 0;
}

static int block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGPIPE);
    return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int server_start_loop(struct server *server, struct error *ret_error)
{
    int r = block_signals(); /* before any thread is made: they inherit the mask */
    if (r >= 0)
        r = log_start();
    if (r >= 0)
        r = sd_event_new(&server->loop);
    if (r >= 0)
        r = sd_event_add_signal(server->loop, NULL, SIGTERM, on_stop, server);
    if (r >= 0)
        r = sd_event_add_signal(server->loop, NULL, SIGINT, on_stop, server);
    if (r >= 0)
        r = sd_event_add_signal(server->loop, NULL, SIGHUP, on_reload, server);
    if (r >= 0)
        r = mailbox_open(&server->mailbox);
    if (r >= 0)
        r = sd_event_add_io(server->loop, NULL, server->mailbox.fd, EPOLLIN, on_message, server);
    if (r >= 0)
        r = patient_mailbox_open(&server->session_mailbox, server->loop);
    if (r >= 0)
        r = sd_event_set_watchdog(server->loop, true);
    if (r < 0)
        return error_set(ret_error, r, "cannot make the control loop: %s", strerror(-r));
    return 0;
}
