/*
 * The least program that answers what bench_load asks: one thread, one epoll, one LU. It shows what
 * sockets and page cache of this machine can do at most; no target can be cheaper. See --help.
 *
 * It trusts its client: no limits, no timeouts, every parameter as it was offered.
 */
#include "ceiling.h"

#include "core/net.h"
#include "core/size.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define EVENTS       256
#define SCRATCH_SIZE ((size_t)256 * 1024)
#define DISCARD_FROM 16384
#define DESCRIPTORS  20000

/* clang-format off */
static const char help[] =
    "usage: bench_ceiling --listen ADDRESS:PORT --size BYTES [OPTION...]\n"
    "\n"
    "Answers bench_load with as little work as there can be. Any target name is right. Prints where it\n"
    "listens, and serves until it is killed.\n"
    "\n"
    "  --listen ADDRESS:PORT   port 0: any\n"
    "  --size BYTES            of the LU\n"
    "  --file FILE             what is on it; needed unless everything is in memory\n"
    "  --from WHERE            reads are answered from\n"
    "                            memory      a copy of the file or zeros; nothing is read (default)\n"
    "                            page-cache  the file, by pread()\n"
    "                            sendfile    the file, by sendfile()\n"
    "  --writes WHERE          what is written goes to memory, to the file (pwrite), or is\n"
    "                          discarded (default)\n"
    "  --cpu N                 to run on\n";
/* clang-format on */

_Noreturn void ceiling_fail(const char *what, const char *why)
{
    fprintf(stderr, "bench_ceiling: %s: %s\n", what, why);
    exit(1);
}

/* --- receiving --- */

static size_t missing(const struct peer *peer)
{
    if (peer->have < peer->header_size)
        return peer->header_size - peer->have;
    return peer->data_left > 0 ? peer->data_left : peer->tail_left;
}

static void take(struct peer *peer, const uint8_t *data, size_t n)
{
    if (peer->have < peer->header_size) {
        memcpy(peer->header + peer->have, data, n);
        peer->have += (unsigned)n;
        if (peer->have == peer->header_size)
            peer_begin_pdu(peer);
    } else if (peer->data_left > 0) {
        peer_take_data(peer, data, n);
    } else {
        peer->tail_left -= (unsigned)n;
    }
    if (peer->have == peer->header_size && peer->data_left == 0 && peer->tail_left == 0) {
        peer->have = 0;
        peer_end_pdu(peer);
    }
}

static void consume(struct peer *peer, const uint8_t *data, size_t length)
{
    while (length > 0 && !peer->leaving) {
        size_t n = MIN(length, missing(peer));
        take(peer, data, n);
        data += n;
        length -= n;
    }
}

/* Data that nobody wants need not be copied; the header comes alone then. */
static bool may_discard(const struct peer *peer)
{
    return peer->ceiling->writes == WRITES_DISCARD && !peer->digests && !peer->text &&
           peer->have == peer->header_size && peer->data_left >= DISCARD_FROM;
}

/* False: nothing more has come, or the connection is gone. */
static bool receive(struct peer *peer)
{
    bool discard = may_discard(peer);
    size_t wanted = discard ? peer->data_left : SCRATCH_SIZE;
    if (!discard && peer->large_writes && peer->have < peer->header_size)
        wanted = missing(peer);
    ssize_t n = discard ? recv(peer->fd, NULL, wanted, MSG_TRUNC)
                        : recv(peer->fd, peer->ceiling->scratch, wanted, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    if (n <= 0) {
        peer->leaving = peer->gone = true;
        return false;
    }
    consume(peer, peer->ceiling->scratch, (size_t)n);
    return (size_t)n == wanted && !peer->leaving;
}

static void serve(struct peer *peer)
{
    bool more;
    do {
        more = receive(peer);
        if (!more || peer->queued >= PEER_QUEUE_ENOUGH)
            peer_send(peer);
    } while (more && !peer->leaving);
    if (peer->gone || (peer->leaving && peer->queued == 0))
        peer_free(peer);
}

static void accept_one(struct ceiling *ceiling, int listener)
{
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct peer *peer = peer_new(ceiling, fd);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = peer};
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    if (epoll_ctl(ceiling->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        ceiling_fail("epoll_ctl", strerror(errno));
}

static void run(struct ceiling *ceiling, int listener)
{
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN};
    if (epoll_ctl(ceiling->epoll, EPOLL_CTL_ADD, listener, &event) < 0)
        ceiling_fail("epoll_ctl", strerror(errno));
    for (;;) {
        int n = epoll_wait(ceiling->epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                serve(events[i].data.ptr);
            else
                accept_one(ceiling, listener);
        }
    }
}

/* --- the start --- */

static void open_file(struct ceiling *ceiling, const char *path)
{
    struct stat st;
    bool writes = ceiling->writes == WRITES_FILE;
    ceiling->file = open(path, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (ceiling->file < 0 || fstat(ceiling->file, &st) < 0)
        ceiling_fail(path, strerror(errno));
    if ((uint64_t)st.st_size < ceiling->size)
        ceiling_fail(path, "it is smaller than --size");
}

/* Touches every page of it. */
static void make_memory(struct ceiling *ceiling)
{
    ceiling->memory = mmap(NULL, ceiling->size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (ceiling->memory == MAP_FAILED)
        ceiling_fail("no memory for the LU", strerror(errno));
    for (uint64_t at = 0; ceiling->file >= 0 && at < ceiling->size;) {
        ssize_t n = pread(ceiling->file, ceiling->memory + at, ceiling->size - at, (off_t)at);
        if (n <= 0)
            ceiling_fail("the file", strerror(errno));
        at += (uint64_t)n;
    }
}

static void prepare_process(unsigned long cpu)
{
    struct rlimit limit = {DESCRIPTORS, DESCRIPTORS};
    struct rlimit old;
    if (getrlimit(RLIMIT_NOFILE, &old) == 0 && old.rlim_cur < DESCRIPTORS) {
        limit.rlim_max = MAX(old.rlim_max, limit.rlim_max);
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && old.rlim_max > old.rlim_cur) {
            limit.rlim_cur = limit.rlim_max = old.rlim_max;
            (void)setrlimit(RLIMIT_NOFILE, &limit);
        }
    }
    if (cpu != ULONG_MAX) {
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET(cpu, &cpus);
        if (sched_setaffinity(0, sizeof(cpus), &cpus) < 0)
            ceiling_fail("--cpu", strerror(errno));
    }
}

static unsigned word_of(const char *option, const char *value, const char *const words[static 3])
{
    for (unsigned i = 0; i < 3; i++) {
        if (str_eq(value, words[i]))
            return i;
    }
    ceiling_fail(option, "not understood; --help tells what may be said");
}

static void listen_there(const struct endpoint *endpoint, int *ret_fd)
{
    struct error error;
    struct endpoint bound;
    char text[ENDPOINT_TEXT_SIZE];
    *ret_fd = net_listen("ceiling", endpoint, SOCK_STREAM, &error);
    if (*ret_fd < 0)
        ceiling_fail("cannot listen", error.text);
    if (endpoint_from_socket(*ret_fd, &bound) < 0)
        ceiling_fail("cannot listen", "no address");
    printf("%s\n", endpoint_format(&bound, text));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"listen", required_argument, NULL, 'l'}, {"size", required_argument, NULL, 's'},
        {"file", required_argument, NULL, 'f'},   {"from", required_argument, NULL, 'r'},
        {"writes", required_argument, NULL, 'w'}, {"cpu", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},         {0}};
    static const char *const from[] = {"memory", "page-cache", "sendfile"};
    static const char *const writes[] = {"discard", "memory", "file"};
    struct ceiling ceiling = {.file = -1};
    struct endpoint endpoint = {0};
    const char *file = NULL;
    unsigned long cpu = ULONG_MAX;
    int listener;
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        if (c == 'h') {
            fputs(help, stdout);
            return 0;
        } else if (c == 'l') {
            if (endpoint_parse(optarg, &endpoint) < 0)
                ceiling_fail("--listen", "must be ADDRESS:PORT");
        } else if (c == 's') {
            if (size_parse(optarg, &ceiling.size) < 0 || ceiling.size % CEILING_BLOCK != 0)
                ceiling_fail("--size", "must be a number of bytes, a multiple of 512");
        } else if (c == 'f') {
            file = optarg;
        } else if (c == 'r') {
            ceiling.from = word_of("--from", optarg, from);
        } else if (c == 'w') {
            ceiling.writes = word_of("--writes", optarg, writes);
        } else if (c == 'c') {
            cpu = strtoul(optarg, NULL, 10);
        } else {
            return 2;
        }
    }
    if (endpoint.any.sa_family == 0 || ceiling.size == 0)
        ceiling_fail("the command line", "--listen and --size are needed; see --help");
    if (!file && (ceiling.from != FROM_MEMORY || ceiling.writes == WRITES_FILE))
        ceiling_fail("the command line", "--file is needed");
    prepare_process(cpu);
    if (file)
        open_file(&ceiling, file);
    if (ceiling.from == FROM_MEMORY || ceiling.writes == WRITES_MEMORY)
        make_memory(&ceiling);
    ceiling.scratch = malloc(SCRATCH_SIZE);
    ceiling.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!ceiling.scratch || ceiling.epoll < 0)
        ceiling_fail("no memory or epoll", strerror(errno));
    listen_there(&endpoint, &listener);
    run(&ceiling, listener);
}
