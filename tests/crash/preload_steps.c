/*
 * Preloaded into the daemon: counts the calls that change files, and at one of them kills the
 * process, or has the call fail.
 *
 * What is to happen stands in a file (NODISK_STEPS names it) that the test and the daemon both have
 * mapped; `armed` is set when counting begins. What an io_uring is asked for is counted only if the
 * test wants it: that is what clients do at the same time.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum action {
    COUNT,
    KILL_BEFORE,
    KILL_BEHIND,
    FAIL_ONCE,
    FAIL_FROM_THERE, /* all that come, until it is disarmed */
    SHORTEN,         /* a write; what is none fails */
};

/* As tests/crash/steps.py has it. */
struct steps {
    _Atomic uint32_t armed;
    _Atomic uint32_t count; /* steps, while armed */
    uint32_t at;            /* the step that it is about */
    uint32_t action;
    uint32_t error; /* errno */
    uint32_t with_ring;
    _Atomic uint32_t hits;
    char what[228]; /* the step that it came to */
};

static struct steps *steps;
/* Of this thread: whose requests up to `swept_to` are counted. */
static _Thread_local struct io_uring *swept;
static _Thread_local unsigned swept_to;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("NODISK_STEPS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*steps), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED)
        steps = map;
    if (fd >= 0)
        close(fd);
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static void note(const char *name, int fd, const char *path)
{
    char link[40], target[160] = "";
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (!path && readlink(link, target, sizeof(target) - 1) > 0)
        path = target;
    snprintf(steps->what, sizeof(steps->what), "%s %.180s", name, path ? path : "");
}

/* A call begins. Its number, or 0: it is not counted. *ret_fails: it is to fail, or be shortened.
 */
static uint32_t enter(const char *name, int fd, const char *path, bool *ret_fails)
{
    *ret_fails = false;
    if (!steps || !steps->armed)
        return 0;
    uint32_t n = ++steps->count;
    if (n == steps->at)
        note(name, fd, path);
    if (n == steps->at && steps->action == KILL_BEFORE)
        die();
    bool once = steps->action == FAIL_ONCE || steps->action == SHORTEN;
    *ret_fails = (n == steps->at && once) || (n >= steps->at && steps->action == FAIL_FROM_THERE);
    if (*ret_fails)
        steps->hits++;
    return n;
}

static void leave(uint32_t n)
{
    if (n && n == steps->at && steps->action == KILL_BEHIND) {
        steps->hits++;
        die();
    }
}

static long failed(void)
{
    errno = (int)steps->error;
    return -1;
}

/* Without space nothing can be written; what takes none still can be done. */
static bool takes_space(const char *name)
{
    static const char *const others[] = {"unlink", "rmdir", "fsync", "fdatasync", "fchmod"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(name, others[i]) == 0)
            return false;
    return true;
}

static bool is_failing(const char *name, bool fails)
{
    return fails && (steps->error != ENOSPC || takes_space(name));
}

/* Stands for a function of the C library. */
#define STEP(type, name, parameters, arguments, fd, path)                                          \
    type name parameters;                                                                          \
    type name parameters                                                                           \
    {                                                                                              \
        bool fails;                                                                                \
        uint32_t n = enter(#name, fd, path, &fails);                                               \
        if (is_failing(#name, fails))                                                              \
            return (type)failed();                                                                 \
        type(*next) parameters;                                                                    \
        *(void **)&next = dlsym(RTLD_NEXT, #name);                                                 \
        type result = next arguments;                                                              \
        int errnum = errno;                                                                        \
        leave(n);                                                                                  \
        errno = errnum;                                                                            \
        return result;                                                                             \
    }

STEP(int, fsync, (int fd), (fd), fd, NULL)
STEP(int, fdatasync, (int fd), (fd), fd, NULL)
STEP(int, ftruncate64, (int fd, off64_t size), (fd, size), fd, NULL)
STEP(int, fallocate64, (int fd, int mode, off64_t offset, off64_t size), (fd, mode, offset, size),
     fd, NULL)
STEP(int, fchmod, (int fd, mode_t mode), (fd, mode), fd, NULL)
STEP(int, mkdir, (const char *path, mode_t mode), (path, mode), -1, path)
STEP(int, rmdir, (const char *path), (path), -1, path)
STEP(int, unlink, (const char *path), (path), -1, path)
STEP(int, rename, (const char *from, const char *to), (from, to), -1, to)
STEP(int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags),
     (a, from, b, to, flags), -1, to)
STEP(ssize_t, copy_file_range,
     (int in, off64_t *in_at, int out, off64_t *out_at, size_t size, unsigned flags),
     (in, in_at, out, out_at, size, flags), out, NULL)

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    bool fails;
    uint32_t n = enter("pwrite64", fd, NULL, &fails);
    bool shorter = fails && steps->action == SHORTEN && size > 1;
    if (fails && !shorter)
        return failed();
    ssize_t (*next)(int, const void *, size_t, off64_t);
    *(void **)&next = dlsym(RTLD_NEXT, "pwrite64");
    ssize_t result = next(fd, data, shorter ? size / 2 : size, offset);
    int errnum = errno;
    leave(n);
    errno = errnum;
    return result;
}

/* Only what may make a file. */
int open64(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
    va_end(list);
    bool fails = false, creates = flags & O_CREAT;
    uint32_t n = creates ? enter("open64", -1, path, &fails) : 0;
    if (fails)
        return (int)failed();
    int (*next)(const char *, int, ...);
    *(void **)&next = dlsym(RTLD_NEXT, "open64");
    int fd = next(path, flags, mode), errnum = errno;
    leave(n);
    errno = errnum;
    return fd;
}

/* --- io_uring --- */

static const char *ring_name(const struct io_uring_sqe *sqe)
{
    switch (sqe->opcode) {
    case IORING_OP_WRITE:
    case IORING_OP_WRITEV:
    case IORING_OP_WRITE_FIXED:
        return "ring write";
    case IORING_OP_FSYNC:
        return "ring fsync";
    case IORING_OP_FALLOCATE:
        return "ring fallocate";
    default:
        return NULL;
    }
}

/* A descriptor with which a request fails: /dev/full says ENOSPC, -1 anything else. */
static int failing_fd(void)
{
    static int full = -1;
    if (steps->error != ENOSPC)
        return -1;
    if (full < 0)
        full = openat(AT_FDCWD, "/dev/full", O_RDWR | O_CLOEXEC);
    return full;
}

static void spoil(struct io_uring_sqe *sqe)
{
    if (steps->action == SHORTEN && sqe->opcode != IORING_OP_FSYNC && sqe->len > 1) {
        sqe->len /= 2;
        return;
    }
    sqe->flags &= (uint8_t)~IOSQE_FIXED_FILE;
    sqe->fd = failing_fd();
}

/* What is about to be submitted. Returns the number of the last step among it. */
static uint32_t sweep(struct io_uring *ring)
{
    uint32_t last = 0;
    if (!steps || !steps->armed || !steps->with_ring)
        return 0;
    for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++) {
        struct io_uring_sqe *sqe = &ring->sq.sqes[i & *ring->sq.kring_mask];
        const char *name = ring_name(sqe);
        if (!name || (swept == ring && (int)(i - swept_to) < 0))
            continue;
        bool fails;
        uint32_t n = enter(name, sqe->fd, NULL, &fails);
        if (fails)
            spoil(sqe);
        if (n == steps->at)
            last = n;
    }
    swept = ring;
    swept_to = ring->sq.sqe_tail;
    return last;
}

#define RING_STEP(name, parameters, arguments)                                                     \
    int name parameters                                                                            \
    {                                                                                              \
        uint32_t n = sweep(ring);                                                                  \
        int(*next) parameters;                                                                     \
        *(void **)&next = dlsym(RTLD_NEXT, #name);                                                 \
        int result = next arguments;                                                               \
        leave(n);                                                                                  \
        return result;                                                                             \
    }

RING_STEP(io_uring_submit, (struct io_uring * ring), (ring))
RING_STEP(io_uring_submit_and_get_events, (struct io_uring * ring), (ring))
RING_STEP(io_uring_submit_and_wait, (struct io_uring * ring, unsigned wait), (ring, wait))
