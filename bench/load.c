/*
 * A load generator for iSCSI targets that takes little processor itself: raw iSCSI, one process,
 * one epoll, many commands with one send, many answers with one receive. See --help.
 */
#include "load.h"

#include "core/size.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define EVENTS       256
#define STALLED_NSEC ((uint64_t)60 * 1000000000)
#define DISCARD_FROM 16384

/* clang-format off */
static const char help[] =
    "usage: bench_load --portal ADDRESS:PORT --target NAME [OPTION...]\n"
    "\n"
    "Reads and writes on an iSCSI target, as fast as it goes, and prints requests per second, their\n"
    "times, and what they cost the target in processor time. Ends with 1 if there were errors.\n"
    "\n"
    "  --portal ADDRESS:PORT   of the target: 10.0.0.1:3260 or [::1]:3260\n"
    "  --target NAME           its name; %d in it is the number of the session, from 0\n"
    "  --targets N             numbers of --target and from 0 to N-1 only; sessions take turns\n"
    "  --initiator NAME        of the sessions; %d as above. The ISIDs always differ\n"
    "  --lun N                 (0)\n"
    "  --sessions N            (1)\n"
    "  --at-once N             so many log in at the same time (32)\n"
    "\n"
    "  --depth N               commands under way in each session (1)\n"
    "  --block BYTES           of a request (4K)\n"
    "  --reads PERCENT         the others write (100)\n"
    "  --order random|sequential\n"
    "  --offset BYTES          where the region begins (0)\n"
    "  --span BYTES            how long it is (the LU to its end)\n"
    "  --seconds S             to measure (5)\n"
    "  --requests N            measure until so many requests, or logins, are done, instead\n"
    "  --warm-up S             before that (0.5)\n"
    "  --pid PID               of the target, may be repeated: its processor time is measured\n"
    "  --cpu N                 to run on\n"
    "\n"
    "  --digests none|crc32c   of headers and data (none)\n"
    "  --segment BYTES         MaxRecvDataSegmentLength to declare (256K)\n"
    "  --first-burst BYTES     to offer (256K)\n"
    "  --max-burst BYTES       to offer (256K)\n"
    "  --no-immediate          offer ImmediateData=No\n"
    "  --initial-r2t           offer InitialR2T=Yes\n"
    "  --copy                  copy what is read; else the kernel throws it away when a request has\n"
    "                          16 KiB or more, nobody compares it and there are no digests\n"
    "\n"
    "  --fill                  write the pattern over the region first\n"
    "  --verify                compare what is read with the pattern, and write it\n"
    "  --against FILE          compare with that file, instead of the pattern\n"
    "\n"
    "  --idle                  do nothing with the sessions: what does each cost in memory, and all\n"
    "                          of them in processor time?\n"
    "  --login-storm N         log in and out, N at the same time; --sessions (0) are idle beside it\n"
    "\n"
    "  --json                  one line for programs\n";
/* clang-format on */

/* --- phases --- */

/* Until something happens or the time is over. False: nothing has happened. */
static bool poll_once(struct load *load, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    struct session *again = load->again;
    load->again = NULL;
    int n = epoll_wait(load->epoll, events, EVENTS, again ? 0 : timeout_ms);
    if (n < 0 && errno != EINTR)
        load_fail(NULL, "epoll_wait: %s", strerror(errno));
    load->now = load_now();
    for (int i = 0; i < n; i++)
        session_event(events[i].data.ptr);
    bool some = n > 0 || again;
    while (again) {
        struct session *session = again;
        again = session->next_again;
        session->in_again = false;
        session_event(session);
    }
    return some;
}

static void poll_for(struct load *load, double seconds)
{
    uint64_t end = load_now() + (uint64_t)(seconds * 1e9);
    for (uint64_t now; (now = load_now()) < end;)
        (void)poll_once(load, (int)((end - now) / 1000000) + 1);
}

/* Polls until that is so; ends the program when nothing goes on any more. */
static void poll_until(struct load *load, bool (*done)(struct load *load), const char *what)
{
    uint64_t last = load_now();
    while (!done(load)) {
        if (poll_once(load, 1000))
            last = load_now();
        else if (load_now() - last > STALLED_NSEC)
            load_fail(NULL, "the target is silent for a minute: %s", what);
    }
}

static struct session *new_sessions(struct load *load, unsigned first, unsigned count, bool storm)
{
    unsigned depth = load->options.depth;
    struct session *sessions = calloc(MAX(count, 1), sizeof(*sessions));
    for (unsigned i = 0; sessions && i < count; i++) {
        struct session *session = &sessions[i];
        session->load = load;
        session->index = first + i;
        session->fd = -1;
        session->storm = storm;
        session->tasks = calloc(depth, sizeof(*session->tasks));
        session->free_tasks = calloc(depth, sizeof(*session->free_tasks));
        if (!session->tasks || !session->free_tasks)
            load_fail(NULL, "out of memory");
        for (unsigned j = 0; j < depth; j++)
            session->free_tasks[session->n_free++] = (uint16_t)j;
    }
    if (!sessions)
        load_fail(NULL, "out of memory");
    return sessions;
}

static void free_sessions(struct session *sessions, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(sessions[i].tasks);
        free(sessions[i].free_tasks);
        outbox_clear(&sessions[i].out);
    }
    free(sessions);
}

/* Opens more as long as there are some to be ready. */
static bool all_are_ready(struct load *load)
{
    while (load->setting_up < load->options.at_once &&
           load->ready + load->setting_up < load->n_sessions) {
        unsigned next = load->ready + load->setting_up++;
        session_open(&load->sessions[next]);
    }
    return load->ready == load->n_sessions;
}

static void open_sessions(struct load *load, unsigned count)
{
    load->n_sessions = count;
    poll_until(load, all_are_ready, "sessions log in");
}

static bool nothing_is_under_way(struct load *load)
{
    for (unsigned i = 0; i < load->n_sessions; i++) {
        if (load->sessions[i].state != SESSION_READY || load->sessions[i].fill_left > 0)
            return false;
    }
    return load->outstanding == 0;
}

static void refill_all(struct load *load)
{
    load->now = load_now();
    for (unsigned i = 0; i < load->n_sessions; i++)
        session_refill(&load->sessions[i]);
}

static void fill_region(struct load *load)
{
    uint64_t places = load->options.span / load->options.block;
    refill_all(load);
    poll_until(load, nothing_is_under_way, "the region is written");
    load->options.fill = false;
    for (unsigned i = 0; i < load->n_sessions; i++)
        load->sessions[i].next = places * i / load->n_sessions;
}

static bool enough_is_done(struct load *load)
{
    const struct load_counts *c = &load->counts;
    return c->reads + c->writes + c->logins + load->errors >= load->options.requests;
}

static void measure(struct load *load)
{
    struct load_usage before, after;
    poll_for(load, load->options.warm_up);
    before = load_usage_now(load, false);
    load->measuring = true;
    if (load->options.requests > 0)
        poll_until(load, enough_is_done, "requests are made");
    else
        poll_for(load, load->options.seconds);
    load->measuring = false;
    after = load_usage_now(load, false);
    load->running = false;
    load_report(load, &before, &after);
}

static bool all_are_out(struct load *load)
{
    return load->ready == 0;
}

static void log_out(struct load *load)
{
    for (unsigned i = 0; i < load->n_sessions; i++)
        session_logout(&load->sessions[i]);
    poll_until(load, all_are_out, "sessions log out");
}

static void run_requests(struct load *load)
{
    open_sessions(load, load->options.sessions);
    if (load->options.fill)
        fill_region(load);
    load->running = true;
    refill_all(load);
    measure(load);
    poll_until(load, nothing_is_under_way, "requests are under way");
}

/* The first session is there before, so that what only the first one costs is not counted. */
static void run_idle(struct load *load)
{
    struct load_usage before, after, start;
    open_sessions(load, 1);
    poll_for(load, load->options.warm_up);
    before = load_usage_now(load, true);
    open_sessions(load, load->options.sessions);
    poll_for(load, load->options.warm_up);
    start = load_usage_now(load, true);
    poll_for(load, load->options.seconds);
    after = load_usage_now(load, false);
    after.memory = start.memory;
    start.memory = before.memory;
    load_report(load, &start, &after);
}

static void run_storm(struct load *load)
{
    unsigned n = load->options.storm;
    open_sessions(load, load->options.sessions);
    struct session *storm = new_sessions(load, load->options.sessions, n, true);
    load->running = true;
    for (unsigned i = 0; i < n; i++)
        session_open(&storm[i]);
    measure(load);
    for (unsigned i = 0; i < n; i++) {
        while (storm[i].state != SESSION_CLOSED) {
            if (!poll_once(load, 60000))
                load_fail(&storm[i], "the target is silent for a minute");
        }
    }
    free_sessions(storm, n);
}

/* --- the command line --- */

enum option_kind {
    OPTION_TEXT,
    OPTION_SIZE32,
    OPTION_SIZE64,
    OPTION_NUMBER,
    OPTION_SECONDS,
    OPTION_YES,
    OPTION_NO,
    OPTION_PORTAL,
    OPTION_PID,
    OPTION_ORDER,
    OPTION_DIGESTS,
};

struct option_row {
    const char *name;
    enum option_kind kind;
    size_t at; /* in struct load_options */
    uint64_t min, max;
};

#define AT(field) offsetof(struct load_options, field)

static const struct option_row rows[] = {
    {"portal", OPTION_PORTAL, AT(portal)},
    {"target", OPTION_TEXT, AT(target)},
    {"targets", OPTION_NUMBER, AT(targets), 1, 65535},
    {"initiator", OPTION_TEXT, AT(initiator)},
    {"lun", OPTION_NUMBER, AT(lun), 0, 16383},
    {"sessions", OPTION_NUMBER, AT(sessions), 0, 60000},
    {"at-once", OPTION_NUMBER, AT(at_once), 1, 4096},
    {"depth", OPTION_NUMBER, AT(depth), 1, 1024},
    {"block", OPTION_SIZE32, AT(block), 512, 8 << 20},
    {"reads", OPTION_NUMBER, AT(reads), 0, 100},
    {"order", OPTION_ORDER, AT(sequential)},
    {"offset", OPTION_SIZE64, AT(offset), 0, INT64_MAX},
    {"span", OPTION_SIZE64, AT(span), 512, INT64_MAX},
    {"seconds", OPTION_SECONDS, AT(seconds)},
    {"requests", OPTION_NUMBER, AT(requests), 1, UINT32_MAX},
    {"warm-up", OPTION_SECONDS, AT(warm_up)},
    {"pid", OPTION_PID, AT(pids)},
    {"cpu", OPTION_NUMBER, AT(cpu), 0, 1023},
    {"digests", OPTION_DIGESTS, AT(digests)},
    {"segment", OPTION_SIZE32, AT(segment), 512, ISCSI_DATA_SIZE_MAX},
    {"first-burst", OPTION_SIZE32, AT(first_burst), 512, ISCSI_DATA_SIZE_MAX},
    {"max-burst", OPTION_SIZE32, AT(max_burst), 512, ISCSI_DATA_SIZE_MAX},
    {"no-immediate", OPTION_NO, AT(immediate)},
    {"initial-r2t", OPTION_YES, AT(initial_r2t)},
    {"copy", OPTION_YES, AT(copy)},
    {"fill", OPTION_YES, AT(fill)},
    {"verify", OPTION_YES, AT(verify)},
    {"against", OPTION_TEXT, AT(against)},
    {"idle", OPTION_YES, AT(idle)},
    {"login-storm", OPTION_NUMBER, AT(storm), 1, 1024},
    {"json", OPTION_YES, AT(json)},
};

_Noreturn static void misuse(const char *name, const char *value)
{
    fprintf(stderr, "bench_load: --%s %s: not understood; --help tells what may be said\n", name,
            value);
    exit(2);
}

static uint64_t take_size(const struct option_row *row, const char *value)
{
    uint64_t size;
    if (size_parse(value, &size) < 0 || size < row->min || size > row->max)
        misuse(row->name, value);
    return size;
}

static unsigned take_number(const struct option_row *row, const char *value)
{
    char *end;
    unsigned long n = strtoul(value, &end, 10);
    if (*value == '\0' || *value == '-' || *end != '\0' || n < row->min || n > row->max)
        misuse(row->name, value);
    return (unsigned)n;
}

static double take_seconds(const struct option_row *row, const char *value)
{
    char *end;
    double seconds = strtod(value, &end);
    if (*value == '\0' || *end != '\0' || !(seconds >= 0 && seconds < 1e6))
        misuse(row->name, value);
    return seconds;
}

static void add_pid(struct load_options *options, const char *value)
{
    static const struct option_row row = {.name = "pid", .min = 1, .max = INT32_MAX};
    if (options->n_pids == LOAD_MAX_PIDS)
        misuse("pid", "(too many)");
    options->pids[options->n_pids++] = (pid_t)take_number(&row, value);
}

static bool take_word(const struct option_row *row, const char *value, const char *no,
                      const char *yes)
{
    if (!str_eq(value, no) && !str_eq(value, yes))
        misuse(row->name, value);
    return str_eq(value, yes);
}

static void take_option(struct load_options *options, const struct option_row *row,
                        const char *value)
{
    void *at = (char *)options + row->at;
    switch (row->kind) {
    case OPTION_TEXT:
        *(const char **)at = value;
        break;
    case OPTION_SIZE32:
        *(uint32_t *)at = (uint32_t)take_size(row, value);
        break;
    case OPTION_SIZE64:
        *(uint64_t *)at = take_size(row, value);
        break;
    case OPTION_NUMBER:
        *(unsigned *)at = take_number(row, value);
        break;
    case OPTION_SECONDS:
        *(double *)at = take_seconds(row, value);
        break;
    case OPTION_YES:
    case OPTION_NO:
        *(bool *)at = row->kind == OPTION_YES;
        break;
    case OPTION_PORTAL:
        if (endpoint_parse(value, at) < 0)
            misuse(row->name, value);
        break;
    case OPTION_PID:
        add_pid(options, value);
        break;
    case OPTION_ORDER:
        *(bool *)at = take_word(row, value, "random", "sequential");
        break;
    case OPTION_DIGESTS:
        *(bool *)at = take_word(row, value, "none", "crc32c");
        break;
    }
}

static void parse_words(int argc, char **argv, struct load_options *options)
{
    struct option longs[ARRAY_SIZE(rows) + 2] = {0};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        bool flag = rows[i].kind == OPTION_YES || rows[i].kind == OPTION_NO;
        longs[i] = (struct option){rows[i].name, flag ? no_argument : required_argument, NULL, 'o'};
    }
    longs[ARRAY_SIZE(rows)] = (struct option){"help", no_argument, NULL, 'h'};
    for (int c, index; (c = getopt_long(argc, argv, "h", longs, &index)) != -1;) {
        if (c == 'h') {
            fputs(help, stdout);
            exit(0);
        }
        if (c != 'o')
            exit(2);
        take_option(options, &rows[index], optarg);
    }
    if (optind < argc)
        misuse(argv[optind], "");
}

static void check_options(struct load_options *options)
{
    if (options->portal.any.sa_family == 0 || !options->target)
        load_fail(NULL, "--portal and --target are needed; see --help");
    if (options->sessions == 0 && options->storm == 0)
        options->sessions = 1;
    if (options->idle && options->sessions < 2)
        load_fail(NULL, "--idle needs two --sessions or more");
    if (options->idle && options->storm > 0)
        load_fail(NULL, "--idle and --login-storm are two measurements");
    if (options->block % 512 != 0)
        load_fail(NULL, "--block must be a multiple of 512");
    if (options->against)
        options->verify = true;
    options->first_burst = MIN(options->first_burst, options->max_burst);
}

/* A descriptor for each session, and only one processor if that was asked for. */
static void prepare_process(const struct load_options *options)
{
    struct rlimit limit;
    rlim_t needed = options->sessions + options->storm + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < needed) {
        limit.rlim_cur = needed;
        limit.rlim_max = MAX(limit.rlim_max, needed);
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            load_fail(NULL, "no descriptors for so many sessions: %s", strerror(errno));
    }
    if (options->cpu >= 0) {
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET((unsigned)options->cpu, &cpus);
        if (sched_setaffinity(0, sizeof(cpus), &cpus) < 0)
            load_fail(NULL, "--cpu %d: %s", options->cpu, strerror(errno));
    }
    (void)prctl(PR_SET_TIMERSLACK, 1000);
}

int main(int argc, char **argv)
{
    static struct load load = {
        .options = {.initiator = "iqn.2026-11.nodisk.bench:load",
                    .at_once = 32,
                    .depth = 1,
                    .block = 4096,
                    .reads = 100,
                    .segment = 256 * KIB,
                    .first_burst = 256 * KIB,
                    .max_burst = 256 * KIB,
                    .immediate = true,
                    .seconds = 5,
                    .warm_up = 0.5,
                    .cpu = -1},
        .random = 0x2545f4914f6cdd1d,
    };
    struct load_options *options = &load.options;
    parse_words(argc, argv, options);
    check_options(options);
    prepare_process(options);
    load.discard =
        !options->copy && !options->verify && !options->digests && options->block >= DISCARD_FROM;
    load.random ^= load_now() << 1;
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.scratch = malloc(SCRATCH_SIZE);
    if (load.epoll < 0 || !load.scratch)
        load_fail(NULL, "no epoll or no memory");
    load_data_open(&load);
    load.sessions = new_sessions(&load, 0, options->sessions, false);
    if (options->storm > 0)
        run_storm(&load);
    else if (options->idle)
        run_idle(&load);
    else
        run_requests(&load);
    log_out(&load);
    return load.errors > 0 || load.mismatches > 0;
}
