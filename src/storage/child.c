#include "storage/child.h"

#include "core/signals.h"
#include "storage/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Its threads' stacks are counted in it, though hardly touched. */
#define MAX_MEMORY  (2 * GIB)
#define END_SECONDS 60

/* What the child is made of; nothing is looked up or allocated after the fork. */
struct plan {
    char path[64];
    const struct child_spec *spec;
    int output, errors;
    pid_t parent;
};

static int find_program(const char *name, char *path, size_t size)
{
    static const char *const directories[] = {"/usr/bin", "/bin", "/usr/local/bin"};
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        snprintf(path, size, "%s/%s", directories[i], name);
        if (access(path, X_OK) == 0)
            return 0;
    }
    return -ENOENT;
}

/* --- in the child: system calls only --- */

static bool limit(int what, uint64_t value)
{
    const struct rlimit l = {.rlim_cur = value, .rlim_max = value};
    return setrlimit((__rlimit_resource_t)what, &l) == 0;
}

/* Whoever serves disks comes first; and where memory runs out, this is what may go. */
static void step_back(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "500", 3);
        close(fd);
    }
    (void)!setpriority(PRIO_PROCESS, 0, 10);
}

static bool set_limits(const struct child_spec *spec)
{
    step_back();
    return limit(RLIMIT_CORE, 0) && limit(RLIMIT_AS, MAX_MEMORY) &&
           limit(RLIMIT_CPU, spec->seconds) &&
           (!spec->file_size || limit(RLIMIT_FSIZE, spec->file_size));
}

/* Whoever forked us is to take us along. */
static bool die_with(pid_t parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* First out of the way of the places that they go to, then there. */
static bool place_files(const struct plan *plan)
{
    const int wanted[] = {plan->spec->input, plan->output, plan->errors, plan->spec->files[0],
                          plan->spec->files[1]};
    int copies[ARRAY_SIZE(wanted)];
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        copies[i] = wanted[i] < 0 ? -1 : fcntl(wanted[i], F_DUPFD_CLOEXEC, 16);
        if (wanted[i] >= 0 && copies[i] < 0)
            return false;
    }
    if (copies[0] < 0)
        copies[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        if (copies[i] < 0)
            close((int)i);
        else if (dup2(copies[i], (int)i) < 0)
            return false;
    }
    /* each of ours closes by itself at exec; this is for one that somebody forgot */
    (void)close_range(ARRAY_SIZE(wanted), ~0U, 0);
    return copies[0] >= 0;
}

static void become(const struct plan *plan)
{
    static const char *const environment[] = {"LC_ALL=C", "PATH=/usr/bin:/bin",
                                              "MALLOC_ARENA_MAX=2", NULL};
    signals_reset();
    if (die_with(plan->parent) && place_files(plan) && set_limits(plan->spec) &&
        confine_to_files(plan->spec->files[0] < 0 ? -1 : 3, plan->spec->files[1] < 0 ? -1 : 4))
        execve(plan->path, (char *const *)plan->spec->argv, (char *const *)environment);
    _exit(127);
}

/* --- in the parent --- */

static void close_both(int pipe[static 2])
{
    for (int i = 0; i < 2; i++)
        if (pipe[i] >= 0)
            close(pipe[i]);
}

/* The ends that we read from do not wait. */
static int make_pipes(int output[static 2], int errors[static 2])
{
    if (pipe2(output, O_CLOEXEC) < 0)
        return -errno;
    if (pipe2(errors, O_CLOEXEC) < 0 || fcntl(output[0], F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(errors[0], F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

int child_start(struct child *child, const struct child_spec *spec, struct error *ret_error)
{
    int output[2] = {-1, -1}, errors[2] = {-1, -1};
    struct plan plan = {.spec = spec, .parent = getpid()};
    *child = (struct child){.output = -1, .errors = -1, .status = -1};
    str_copy(child->program, sizeof(child->program), spec->argv[0]);
    if (find_program(spec->argv[0], plan.path, sizeof(plan.path)) < 0)
        return error_set(ret_error, -ENOENT,
                         "this needs %s, which is not installed; install it (apt install %s) and "
                         "try again",
                         spec->argv[0], spec->package);
    int r = make_pipes(output, errors);
    plan.output = output[1];
    plan.errors = errors[1];
    pid_t pid = r < 0 ? -1 : fork();
    if (pid == 0)
        become(&plan);
    if (pid < 0) {
        r = r < 0 ? r : -errno;
        close_both(output);
        close_both(errors);
        return error_set(ret_error, r, "%s cannot be started: %s", spec->argv[0], strerror(-r));
    }
    close(output[1]);
    close(errors[1]);
    child->pid = pid;
    child->output = output[0];
    child->errors = errors[0];
    return 0;
}

/* Keeps the end of it, as one line that may be shown on a terminal. */
static void keep(struct child *child, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = text[i] >= ' ' && text[i] <= '~' ? text[i] : ' ';
        if (c == ' ' && (child->n_said == 0 || child->said[child->n_said - 1] == ' '))
            continue;
        if (child->n_said + 1 == sizeof(child->said)) {
            child->n_said -= 64;
            memmove(child->said, child->said + 64, child->n_said);
        }
        child->said[child->n_said++] = c;
    }
    child->said[child->n_said] = '\0';
}

static void take_errors(struct child *child)
{
    char text[512];
    ssize_t n;
    while ((n = read(child->errors, text, sizeof(text))) > 0)
        keep(child, text, (size_t)n);
}

ssize_t child_read(struct child *child, void *data, size_t size, uint64_t until)
{
    for (;;) {
        take_errors(child);
        ssize_t n = read(child->output, data, size);
        if (n >= 0 || (errno != EAGAIN && errno != EINTR))
            return n < 0 ? -errno : n;
        uint64_t now = clock_monotonic_usec();
        if (now >= until)
            return -EAGAIN;
        struct pollfd polled[] = {{.fd = child->output, .events = POLLIN},
                                  {.fd = child->errors, .events = POLLIN}};
        /* what has hung up is readable at once and for ever: only the output decides */
        const struct timespec time = {.tv_sec = (time_t)((until - now) / USEC_PER_SEC),
                                      .tv_nsec = (long)((until - now) % USEC_PER_SEC) * 1000};
        if (ppoll(polled, 2, &time, NULL) > 0 && (polled[1].revents & POLLHUP) &&
            !polled[0].revents)
            (void)ppoll(polled, 1, &time, NULL);
    }
}

static void forget(struct child *child)
{
    close(child->output);
    close(child->errors);
    child->output = child->errors = -1;
    child->pid = 0;
}

static int reap(const struct child *child)
{
    int status = 0;
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static int ended_badly(const struct child *child, int status, struct error *ret_error)
{
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (number == SIGXCPU || number == SIGKILL)
        return error_set(ret_error, -EIO, "%s was stopped: it took too long", child->program);
    if (number == SIGXFSZ)
        return error_set(ret_error, -EIO, "%s was stopped: it wrote more than it should",
                         child->program);
    if (number)
        return error_set(ret_error, -EIO, "%s crashed (signal %d)", child->program, number);
    return error_set(ret_error, -EIO, "%s failed (%s)", child->program,
                     child->said[0] ? child->said : "it did not say why");
}

/* It has closed its output, so that it ends now; if it does not, it is ended. */
static void wait_for_end(const struct child *child)
{
    cleanup_close int fd = pidfd_open(child->pid, 0);
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    int r;
    do
        r = fd < 0 ? 1 : poll(&polled, 1, END_SECONDS * 1000);
    while (r < 0 && errno == EINTR);
    if (r <= 0)
        kill(child->pid, SIGKILL);
}

int child_finish(struct child *child, struct error *ret_error)
{
    wait_for_end(child);
    int status = reap(child);
    take_errors(child);
    forget(child);
    child->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return child->status == 0 ? 0 : ended_badly(child, status, ret_error);
}

void child_stop(struct child *child)
{
    if (child->pid <= 0)
        return;
    kill(child->pid, SIGKILL);
    reap(child);
    forget(child);
}

int child_run(const struct child_spec *spec, char *text, size_t size, struct error *ret_error)
{
    struct child child;
    uint64_t until = clock_monotonic_usec() + spec->seconds * USEC_PER_SEC;
    size_t used = 0;
    ssize_t n;
    int r = child_start(&child, spec, ret_error);
    if (r < 0)
        return r;
    while ((n = child_read(&child, text + used, size - used - 1, until)) > 0 && used + 1 < size)
        used += (size_t)n;
    text[used] = '\0';
    if (n == 0 && used + 1 < size)
        return child_finish(&child, ret_error);
    child_stop(&child);
    return error_set(ret_error, -EIO, "%s %s", child.program,
                     n == -EAGAIN ? "was stopped: it took too long" : "says more than it should");
}
