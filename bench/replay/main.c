/*
 * Boots N simulated nodes over one interface as a trace tells, and reports how it went. All of them
 * in one thread: what it takes of the processor, the server lacks.
 */
#include "report.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sys/resource.h>

#define MAX_NODES 65536

struct options {
    const char *trace, *interface;
    unsigned nodes, timeout;
    double pace, spread, patience;
    bool json, verbose;
};

static const char usage[] =
    "usage: bench_storm --trace FILE --interface NAME [OPTION...]\n"
    "\n"
    "Boots simulated nodes, MACs 52:54:00:00:00:00 and up, from whoever serves them on an "
    "interface.\n"
    "\n"
    "  --nodes N      how many (1)\n"
    "  --pace F       times the machine's own pauses (1; 0: none)\n"
    "  --spread S     the power-ons are spread over so many seconds (0: all at once)\n"
    "  --patience F   times the seconds after which a node tries again (1)\n"
    "  --timeout S    whoever is not up by then has failed (600)\n"
    "  --json         the report for programs\n"
    "  --verbose      tells of each retry\n";

static int get_number(const char *text, double least, double most, double *ret_number)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !(number >= least && number <= most))
        return -EINVAL;
    *ret_number = number;
    return 0;
}

enum { OPT_TRACE = 1, OPT_INTERFACE, OPT_NODES, OPT_PACE, OPT_SPREAD, OPT_PATIENCE, OPT_TIMEOUT };

/* 0, or what was wrong. */
static int take_option(struct options *options, int option, const char *value)
{
    double number = 0;
    int r = 0;
    switch (option) {
    case OPT_TRACE:
        options->trace = value;
        break;
    case OPT_INTERFACE:
        options->interface = value;
        break;
    case OPT_NODES:
        r = get_number(value, 1, MAX_NODES, &number);
        options->nodes = (unsigned)number;
        break;
    case OPT_PACE:
        r = get_number(value, 0, 1000, &options->pace);
        break;
    case OPT_SPREAD:
        r = get_number(value, 0, 86400, &options->spread);
        break;
    case OPT_PATIENCE:
        r = get_number(value, 0.001, 1000, &options->patience);
        break;
    case OPT_TIMEOUT:
        r = get_number(value, 1, 86400, &number);
        options->timeout = (unsigned)number;
        break;
    case 'j':
        options->json = true;
        break;
    case 'v':
        options->verbose = true;
        break;
    default:
        r = -EINVAL;
    }
    return r;
}

static int parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"trace", required_argument, NULL, OPT_TRACE},
        {"interface", required_argument, NULL, OPT_INTERFACE},
        {"nodes", required_argument, NULL, OPT_NODES},
        {"pace", required_argument, NULL, OPT_PACE},
        {"spread", required_argument, NULL, OPT_SPREAD},
        {"patience", required_argument, NULL, OPT_PATIENCE},
        {"timeout", required_argument, NULL, OPT_TIMEOUT},
        {"json", no_argument, NULL, 'j'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            exit(0);
        }
        if (take_option(options, option, optarg) < 0)
            return -EINVAL;
    }
    return optind == argc && options->trace && options->interface ? 0 : -EINVAL;
}

static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* whoever lacks one says so */
    }
}

static void pause_over(struct timer *timer)
{
    struct node *node = container_of(timer, struct node, pause);
    node_advance(node);
}

static int setup_node(struct storm *storm, unsigned number, double spread)
{
    struct node *node = &storm->nodes[number];
    double delay = spread * 1e6 * number / storm->n_nodes;
    *node = (struct node){
        .storm = storm,
        .number = number,
        .mac = {{0x52, 0x54, 0, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number}},
        .sessions = calloc(TRACE_MAX_SESSIONS, sizeof(struct session)),
        .pause.fire = pause_over};
    if (!node->sessions)
        return -ENOMEM;
    node->powered_on = node->last = storm->started + (uint64_t)delay;
    node->dhcp.xid = number;
    dhcp_setup(node);
    tftp_setup(node);
    http_setup(node);
    for (unsigned i = 0; i < TRACE_MAX_SESSIONS; i++)
        session_setup(node, i);
    loop_set_timer(&storm->loop, &node->pause, node->last);
    return 0;
}

static int setup_nodes(struct storm *storm, const struct options *options)
{
    storm->nodes = calloc(options->nodes, sizeof(struct node));
    if (!storm->nodes)
        return -ENOMEM;
    storm->n_nodes = options->nodes;
    storm->started = storm->loop.now = clock_monotonic_usec();
    for (unsigned i = 0; i < storm->n_nodes; i++) {
        int r = setup_node(storm, i, options->spread);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Counts what TCP had to send again, too. */
static void end_nodes(struct storm *storm)
{
    for (unsigned i = 0; i < storm->n_nodes; i++) {
        struct node *node = &storm->nodes[i];
        for (unsigned j = 0; node->sessions && j < TRACE_MAX_SESSIONS; j++)
            session_free(&node->sessions[j]);
        loop_drop(&node->tftp.source);
        loop_drop(&node->http.source);
        free(node->http.answer);
        free(node->sessions);
    }
}

struct limit {
    struct timer timer;
    struct loop *loop;
};

static void time_is_over(struct timer *timer)
{
    container_of(timer, struct limit, timer)->loop->ended = true;
}

static int run(struct storm *storm, const struct options *options, struct error *error)
{
    struct limit limit = {.timer.fire = time_is_over, .loop = &storm->loop};
    int r = dhcp_open(storm, error);
    if (r < 0)
        return r;
    r = setup_nodes(storm, options);
    if (r >= 0) {
        loop_set_timer(&storm->loop, &limit.timer,
                       storm->started + options->timeout * USEC_PER_SEC);
        r = loop_run(&storm->loop);
    }
    return r < 0 ? error_set(error, r, "the storm has broken down: %s", strerror(-r)) : 0;
}

int main(int argc, char **argv)
{
    struct options options = {.nodes = 1, .pace = 1, .patience = 1, .timeout = 600};
    struct error error = {0};
    if (parse(argc, argv, &options) < 0) {
        fputs(usage, stderr);
        return 2;
    }
    struct storm storm = {.interface = options.interface,
                          .pace = options.pace,
                          .patience = options.patience,
                          .verbose = options.verbose,
                          .dhcp.fd = -1};
    allow_descriptors();
    int r = loop_open(&storm.loop);
    if (r < 0)
        error_set(&error, r, "no epoll: %s", strerror(-r));
    if (r >= 0)
        r = trace_read(options.trace, &storm.trace, &error);
    if (r >= 0)
        r = run(&storm, &options, &error);
    if (r < 0)
        fprintf(stderr, "bench_storm: %s\n", error.text);
    end_nodes(&storm);
    if (r >= 0)
        (options.json ? report_json : report_text)(&storm, stdout);
    free(storm.nodes);
    loop_drop(&storm.dhcp);
    loop_close(&storm.loop);
    trace_free(&storm.trace);
    return r < 0 || storm.n_up < storm.n_nodes;
}
