/*
 * Whatever a hook starts becomes, when its parent has gone, a child of ours
 * (PR_SET_CHILD_SUBREAPER), also what has made itself a daemon: so it can be found and ended with
 * the hook.
 */
#include "hooks/supervise.h"

#include "core/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define END_USEC (5 * USEC_PER_SEC) /* what is in the kernel's hands may not die at once */

struct supervised {
    const char *path;
    char **argv;
    uid_t uid;
    gid_t gid;
    uint64_t until; /* clock_monotonic_usec() */
    pid_t pid;
    int signals;
};

/* --- the hook, before it runs --- */

static bool become_user(const struct supervised *s)
{
    if (s->uid == geteuid() && s->gid == getegid())
        return true;
    return setgroups(0, NULL) == 0 && setresgid(s->gid, s->gid, s->gid) == 0 &&
           setresuid(s->uid, s->uid, s->uid) == 0;
}

static void run_hook(const struct supervised *s)
{
    signals_reset();
    (void)!setpgid(0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || !become_user(s))
        dprintf(STDERR_FILENO, "cannot become user %u: %s\n", (unsigned)s->uid, strerror(errno));
    else if (execv(s->path, s->argv) < 0)
        dprintf(STDERR_FILENO, "cannot be run: %s\n", strerror(errno));
    _exit(HOOK_NOT_RUN);
}

/* --- its end --- */

/* All that the kernel knows as our children. */
static void kill_children(void)
{
    char line[4096];
    cleanup_fclose FILE *file = fopen("/proc/thread-self/children", "re");
    size_t n = file ? fread(line, 1, sizeof(line) - 1, file) : 0;
    line[n] = '\0';
    for (char *p = line, *end; *p; p = end) {
        long pid = strtol(p, &end, 10);
        if (end == p || *end == '\0') /* one that was cut short is found at the next look */
            break;
        if (pid > 0)
            kill((pid_t)pid, SIGKILL);
    }
}

/* Who dies leaves its children to us: until there are none. */
static void end_all(const struct supervised *s)
{
    uint64_t until = clock_monotonic_usec() + END_USEC;
    const struct timespec moment = {.tv_nsec = 1000000};
    kill(-s->pid, SIGKILL);
    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno == ECHILD)
            return;
        if (pid > 0)
            continue;
        if (clock_monotonic_usec() > until)
            return;
        kill_children();
        nanosleep(&moment, NULL);
    }
}

/* 1: it has ended, with *ret_status. */
static bool reap(const struct supervised *s, int *ret_status)
{
    int status;
    pid_t pid;
    bool found = false;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != s->pid)
            continue;
        *ret_status = status;
        found = true;
    }
    return found;
}

/* The status with which the hook has ended, or -1: it is to be ended; *ret_late: since its time is
 * over. */
static int wait_for_hook(const struct supervised *s, bool *ret_late)
{
    struct signalfd_siginfo info;
    struct pollfd polled[] = {{.fd = s->signals, .events = POLLIN},
                              {.fd = HOOK_LIFELINE_FD, .events = POLLIN}};
    int status;
    while (!reap(s, &status)) {
        uint64_t now = clock_monotonic_usec();
        *ret_late = now >= s->until;
        if (*ret_late)
            return -1;
        int ms = (int)((s->until - now) / 1000) + 1;
        if (poll(polled, ARRAY_SIZE(polled), ms) <= 0)
            continue;
        if (polled[1].revents)
            return -1;
        if (polled[0].revents && read(s->signals, &info, sizeof(info)) < 0)
            return -1;
    }
    return status;
}

static void end_by(int number)
{
    const struct rlimit none = {0};
    setrlimit(RLIMIT_CORE, &none);
    signals_reset();
    raise(number);
    _exit(HOOK_NOT_RUN);
}

/* --- the process --- */

static void prepare_process(struct supervised *s)
{
    sigset_t child;
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "0", 1); /* the daemon goes last, and its hooks before */
        close(fd);
    }
    (void)close_range(HOOK_LIFELINE_FD + 1, ~0U, 0);
    fcntl(HOOK_LIFELINE_FD, F_SETFD, FD_CLOEXEC);
    (void)setsid();
    (void)!chdir("/");
    signals_reset();
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    s->signals = signalfd(-1, &child, SFD_CLOEXEC);
}

int hook_supervise(int argc, char **argv)
{
    if (argc < 5)
        return HOOK_NOT_RUN;
    struct supervised s = {
        .path = argv[4],
        .argv = argv + 4,
        .uid = (uid_t)strtoul(argv[2], NULL, 10),
        .gid = (gid_t)strtoul(argv[3], NULL, 10),
        .until = clock_monotonic_usec() + strtoull(argv[1], NULL, 10) * USEC_PER_SEC,
    };
    bool late = false;
    prepare_process(&s);
    if (s.signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return HOOK_NOT_RUN;
    s.pid = fork();
    if (s.pid == 0)
        run_hook(&s);
    if (s.pid < 0)
        return HOOK_NOT_RUN;
    int status = wait_for_hook(&s, &late);
    end_all(&s);
    if (status < 0)
        end_by(late ? SIGALRM : SIGKILL);
    if (WIFSIGNALED(status))
        end_by(WTERMSIG(status));
    return WEXITSTATUS(status);
}
