/*
 * posix_spawn() does not copy the daemon's memory map for each hook, and what is started is this
 * program again (/proc/self/exe), which then runs the hook.
 */
#include "hooks/program.h"

#include "hooks/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define HIGH_FD       16 /* out of the way of those that a child is given */
#define MAX_ARGUMENTS 8
#define GRACE_USEC    (10 * USEC_PER_SEC) /* for the process between to end it */

enum { INPUT, OUTPUT, ERRORS, SECRET, LIFELINE, N_FDS };

struct running {
    const struct hook_program *program;
    int child_end[N_FDS]; /* -1: none */
    int output, errors, lifeline;
    pid_t pid;
    char *text;
    size_t size, room;
    char said[512];
    size_t n_said;
    bool too_much, stopped;
};

static int high(int fd)
{
    if (fd < 0 || fd >= HIGH_FD)
        return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
    close(fd);
    return moved;
}

/* A file that can be read and never written, whatever the reader does. */
static int text_file(const char *text)
{
    size_t size = strlen(text);
    int fd = high(memfd_create("nodisk", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd < 0)
        return -errno;
    if (pwrite(fd, text, size, 0) != (ssize_t)size ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
        close(fd);
        return -EIO;
    }
    return fd;
}

static int make_pipe(int *ret_read, int *ret_write)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    *ret_read = high(ends[0]);
    *ret_write = high(ends[1]);
    return *ret_read < 0 || *ret_write < 0 ? -EMFILE : 0;
}

static int open_all(struct running *r)
{
    const struct hook_program *p = r->program;
    if ((r->child_end[INPUT] = text_file(p->input)) < 0 ||
        (p->secret && (r->child_end[SECRET] = text_file(p->secret)) < 0))
        return -EMFILE;
    if (make_pipe(&r->output, &r->child_end[OUTPUT]) < 0 ||
        make_pipe(&r->errors, &r->child_end[ERRORS]) < 0 ||
        make_pipe(&r->child_end[LIFELINE], &r->lifeline) < 0)
        return -EMFILE;
    return fcntl(r->output, F_SETFL, O_NONBLOCK) < 0 || fcntl(r->errors, F_SETFL, O_NONBLOCK) < 0
               ? -errno
               : 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_child_ends(struct running *r)
{
    for (size_t i = 0; i < N_FDS; i++)
        close_fd(&r->child_end[i]);
}

/* argv points into numbers and the program. */
static void make_arguments(const struct hook_program *p, char numbers[static 3][24],
                           const char *argv[static MAX_ARGUMENTS + 6])
{
    size_t n = 0;
    snprintf(numbers[0], 24, "%u", p->seconds);
    snprintf(numbers[1], 24, "%u", (unsigned)p->uid);
    snprintf(numbers[2], 24, "%u", (unsigned)p->gid);
    argv[n++] = HOOK_SUPERVISE_NAME;
    for (size_t i = 0; i < 3; i++)
        argv[n++] = numbers[i];
    argv[n++] = p->path;
    for (size_t i = 0; p->arguments && p->arguments[i] && i < MAX_ARGUMENTS; i++)
        argv[n++] = p->arguments[i];
    argv[n] = NULL;
}

static int spawn(struct running *r)
{
    const char *argv[MAX_ARGUMENTS + 6];
    char numbers[3][24];
    posix_spawn_file_actions_t actions;
    make_arguments(r->program, numbers, argv);
    posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < N_FDS; i++) {
        if (r->child_end[i] >= 0)
            posix_spawn_file_actions_adddup2(&actions, r->child_end[i], i);
        else
            posix_spawn_file_actions_addclose(&actions, i);
    }
    int error = posix_spawn(&r->pid, "/proc/self/exe", &actions, NULL, (char *const *)argv,
                            (char *const *)r->program->environment);
    posix_spawn_file_actions_destroy(&actions);
    return -error;
}

/* --- what it says --- */

/* Keeps the end of it, as one line that may be shown on a terminal. */
static void keep(struct running *r, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = text[i] >= ' ' && text[i] <= '~' ? text[i] : ' ';
        if (c == ' ' && (r->n_said == 0 || r->said[r->n_said - 1] == ' '))
            continue;
        if (r->n_said + 1 == sizeof(r->said)) {
            r->n_said -= 128;
            memmove(r->said, r->said + 128, r->n_said);
        }
        r->said[r->n_said++] = c;
    }
    r->said[r->n_said] = '\0';
}

/* False: there is no more. */
static bool take_errors(struct running *r)
{
    char text[4096];
    ssize_t n = read(r->errors, text, sizeof(text));
    if (n > 0)
        keep(r, text, (size_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool take_output(struct running *r)
{
    if (r->size == r->room) {
        r->too_much = true;
        return false;
    }
    ssize_t n = read(r->output, r->text + r->size, r->room - r->size);
    if (n > 0)
        r->size += (size_t)n;
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Until both have ended, which is when the supervisor has and all that the hook has started. What
 * hangs in the kernel, and holds them open, is not waited for. */
static void listen_to(struct running *r)
{
    uint64_t until = clock_monotonic_usec() + r->program->seconds * USEC_PER_SEC + GRACE_USEC;
    while ((r->output >= 0 || r->errors >= 0) && clock_monotonic_usec() < until) {
        struct pollfd polled[] = {
            {.fd = r->output, .events = POLLIN},
            {.fd = r->errors, .events = POLLIN},
            {.fd = r->lifeline >= 0 ? r->program->stop_fd : -1, .events = POLLIN}};
        if (poll(polled, ARRAY_SIZE(polled), 1000) <= 0)
            continue;
        if (polled[2].revents) {
            r->stopped = true;
            close_fd(&r->lifeline);
        }
        if (polled[0].revents && !take_output(r)) {
            close_fd(&r->output);
            if (r->too_much)
                close_fd(&r->lifeline);
        }
        if (polled[1].revents && !take_errors(r))
            close_fd(&r->errors);
    }
}

/* --- its end --- */

static int failed(const struct running *r, int code, const char *what, struct error *ret_error)
{
    return error_set(ret_error, code, "%s%s%s", what, r->said[0] ? ": " : "", r->said);
}

static int judge(const struct running *r, int status, struct error *ret_error)
{
    char text[64];
    if (r->stopped)
        return failed(r, -ECANCELED, "was stopped with the server", ret_error);
    if (r->too_much)
        return failed(r, -EIO, "was stopped: it answered more than 64 KiB", ret_error);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
        snprintf(text, sizeof(text), "was stopped: it took more than %u s", r->program->seconds);
        return failed(r, -ETIMEDOUT, text, ret_error);
    }
    if (WIFSIGNALED(status)) {
        snprintf(text, sizeof(text), "crashed (signal %d)", WTERMSIG(status));
        return failed(r, -EIO, text, ret_error);
    }
    if (WEXITSTATUS(status) == 0)
        return memchr(r->text, '\0', r->size)
                   ? failed(r, -EIO, "answered something that is no text", ret_error)
                   : 0;
    snprintf(text, sizeof(text), "failed (status %d)", WEXITSTATUS(status));
    return failed(r, -EIO, text, ret_error);
}

static int reap(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static void release(struct running *r)
{
    close_child_ends(r);
    close_fd(&r->output);
    close_fd(&r->errors);
    close_fd(&r->lifeline);
    free(r->text);
}

int hook_program_run(const struct hook_program *program, struct hook_output *ret_output,
                     struct error *ret_error)
{
    struct running r = {.program = program,
                        .child_end = {-1, -1, -1, -1, -1},
                        .output = -1,
                        .errors = -1,
                        .lifeline = -1,
                        .room = HOOK_MAX_ANSWER + 1};
    r.text = malloc(r.room + 1);
    int code = r.text ? open_all(&r) : -ENOMEM;
    if (code >= 0)
        code = spawn(&r);
    if (code < 0) {
        release(&r);
        return error_set(ret_error, -EAGAIN, "could not be started: %s", strerror(-code));
    }
    close_child_ends(&r);
    listen_to(&r);
    if (r.n_said > 0 && r.said[r.n_said - 1] == ' ')
        r.said[--r.n_said] = '\0';
    code = judge(&r, reap(r.pid), ret_error);
    if (code >= 0) {
        r.text[r.size] = '\0';
        *ret_output = (struct hook_output){.text = take_ptr(r.text), .size = r.size};
        str_copy(ret_output->said, sizeof(ret_output->said), r.said);
    }
    release(&r);
    return code;
}
