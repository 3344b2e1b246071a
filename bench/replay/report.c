#include "report.h"

struct figure {
    const char *name, *label;
    double value;
    int digits;
};

/* Of the nodes that have one. */
struct spread {
    double least, median, p99, most;
};

#define MAX_FIGURES 32

struct figures {
    struct figure all[MAX_FIGURES];
    size_t count;
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double seconds(uint64_t usec)
{
    return (double)usec / (double)USEC_PER_SEC;
}

static struct spread spread_of(double *values, size_t count)
{
    if (count == 0)
        return (struct spread){0};
    qsort(values, count, sizeof(double), compare);
    return (struct spread){values[0], values[count / 2],
                           values[MIN(count - 1, (count * 99 + 99) / 100 - 1)], values[count - 1]};
}

static double boot_seconds(const struct node *node)
{
    return node->up ? seconds(node->up - node->powered_on) : -1;
}

static double dhcp_ms(const struct node *node)
{
    return node->dhcp_time ? (double)node->dhcp_time / 1000 : -1;
}

static struct spread spread_over(const struct storm *storm, double (*value)(const struct node *))
{
    double *values = calloc(storm->n_nodes, sizeof(double));
    size_t count = 0;
    if (!values)
        return (struct spread){0};
    for (unsigned i = 0; i < storm->n_nodes; i++)
        if (value(&storm->nodes[i]) >= 0)
            values[count++] = value(&storm->nodes[i]);
    struct spread spread = spread_of(values, count);
    free(values);
    return spread;
}

/* The upper end of the bucket in which this share of all commands has ended. */
static double latency_ms(const struct storm *storm, double share)
{
    uint64_t wanted = (uint64_t)((double)storm->commands * share), seen = 0;
    unsigned i = 0;
    while (i < LATENCY_BUCKETS - 1 && (seen += storm->latencies[i]) <= wanted)
        i++;
    unsigned power = i / 8;
    double usec = power >= 3 ? (double)(1ULL << power) * (8 + i % 8 + 1) / 8 : 2 << power;
    return usec / 1000;
}

static void add(struct figures *figures, const char *name, const char *label, double value,
                int digits)
{
    if (figures->count < MAX_FIGURES)
        figures->all[figures->count++] = (struct figure){name, label, value, digits};
}

static void add_retries(struct figures *figures, const struct storm *storm)
{
    static const char *const names[RETRY_KINDS][2] = {
        [RETRY_DHCP] = {"dhcp_retries", "DHCP messages sent again"},
        [RETRY_TFTP] = {"tftp_retries", "TFTP packets sent again"},
        [RETRY_HTTP] = {"http_retries", "HTTP requests made again"},
        [RETRY_LOGIN] = {"login_retries", "logins made again"},
        [RETRY_SESSION] = {"session_retries", "sessions lost"},
        [RETRY_COMMAND] = {"command_retries", "commands sent again"},
    };
    unsigned retried = 0;
    uint64_t sums[RETRY_KINDS] = {0};
    for (unsigned i = 0; i < storm->n_nodes; i++) {
        unsigned sum = 0;
        for (unsigned kind = 0; kind < RETRY_KINDS; kind++) {
            sums[kind] += storm->nodes[i].retries[kind];
            sum += storm->nodes[i].retries[kind];
        }
        retried += sum > 0;
    }
    add(figures, "retried", "nodes that had to try again", retried, 0);
    for (unsigned kind = 0; kind < RETRY_KINDS; kind++)
        add(figures, names[kind][0], names[kind][1], (double)sums[kind], 0);
    add(figures, "tcp_retransmissions", "TCP segments sent again",
        (double)storm->tcp_retransmissions, 0);
}

static void gather(const struct storm *storm, struct figures *figures)
{
    struct spread boots = spread_over(storm, boot_seconds), dhcp = spread_over(storm, dhcp_ms);
    uint64_t last = 0;
    for (unsigned i = 0; i < storm->n_nodes; i++)
        last = MAX(last, storm->nodes[i].up);
    double lasted = last ? seconds(last - storm->started) : 0;
    add(figures, "nodes", "nodes", storm->n_nodes, 0);
    add(figures, "up", "up", storm->n_up, 0);
    add(figures, "failed", "not up", storm->n_nodes - storm->n_up, 0);
    add(figures, "seconds", "until the last one was up (s)", lasted, 2);
    add(figures, "boots_per_minute", "boots per minute", lasted > 0 ? storm->n_up * 60 / lasted : 0,
        0);
    add(figures, "boot_fastest", "a boot, fastest (s)", boots.least, 2);
    add(figures, "boot_median", "a boot, median (s)", boots.median, 2);
    add(figures, "boot_p99", "a boot, p99 (s)", boots.p99, 2);
    add(figures, "boot_slowest", "a boot, slowest (s)", boots.most, 2);
    add(figures, "dhcp_median_ms", "DISCOVER to ACK, median (ms)", dhcp.median, 2);
    add(figures, "dhcp_p99_ms", "DISCOVER to ACK, p99 (ms)", dhcp.p99, 2);
    add(figures, "dhcp_slowest_ms", "DISCOVER to ACK, slowest (ms)", dhcp.most, 2);
    add(figures, "command_median_ms", "a command, median (ms)", latency_ms(storm, 0.5), 3);
    add(figures, "command_p99_ms", "a command, p99 (ms)", latency_ms(storm, 0.99), 3);
    add(figures, "commands", "commands", (double)storm->commands, 0);
    add(figures, "read_mb", "read (MB)", (double)storm->bytes_read / 1e6, 1);
    add(figures, "written_mb", "written (MB)", (double)storm->bytes_written / 1e6, 1);
    add_retries(figures, storm);
}

void report_text(const struct storm *storm, FILE *out)
{
    struct figures figures = {0};
    gather(storm, &figures);
    for (size_t i = 0; i < figures.count; i++)
        fprintf(out, "%-32s %12.*f\n", figures.all[i].label, figures.all[i].digits,
                figures.all[i].value);
}

void report_json(const struct storm *storm, FILE *out)
{
    struct figures figures = {0};
    gather(storm, &figures);
    for (size_t i = 0; i < figures.count; i++)
        fprintf(out, "%s\"%s\": %.*f", i == 0 ? "{" : ", ", figures.all[i].name,
                figures.all[i].digits, figures.all[i].value);
    fputs("}\n", out);
}
