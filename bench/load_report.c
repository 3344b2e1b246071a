/* What a run has cost, and how it is told. */
#include "load.h"

#include <errno.h>

/* Values below HISTOGRAM_SHARES have a place each; above, each power of two is divided. */
static unsigned place_of(uint64_t value)
{
    if (value < HISTOGRAM_SHARES)
        return (unsigned)value;
    unsigned shift = 63U - (unsigned)__builtin_clzll(value) - 6;
    unsigned place = (shift + 1) * HISTOGRAM_SHARES + (unsigned)(value >> shift) - HISTOGRAM_SHARES;
    return MIN(place, HISTOGRAM_SIZE - 1);
}

static uint64_t value_at(unsigned place)
{
    if (place < HISTOGRAM_SHARES)
        return place;
    unsigned shift = place / HISTOGRAM_SHARES - 1;
    return ((uint64_t)(place % HISTOGRAM_SHARES) + HISTOGRAM_SHARES) << shift;
}

void histogram_add(struct histogram *histogram, uint64_t nsec)
{
    histogram->counts[place_of(nsec)]++;
    histogram->total++;
    histogram->sum += nsec;
    histogram->max = MAX(histogram->max, nsec);
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->total), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_SIZE; i++) {
        seen += histogram->counts[i];
        if (seen > wanted)
            return MIN(value_at(i), histogram->max);
    }
    return histogram->max;
}

static uint64_t clock_nsec(clockid_t clock)
{
    struct timespec ts;
    if (clock_gettime(clock, &ts) < 0)
        load_fail(NULL, "the processor time of a target cannot be read: %s", strerror(errno));
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

/* Of all its threads, also of those that have ended. */
static uint64_t process_nsec(pid_t pid)
{
    clockid_t clock;
    int r = clock_getcpuclockid(pid, &clock);
    if (r != 0)
        load_fail(NULL, "--pid %d: %s", (int)pid, strerror(r));
    return clock_nsec(clock);
}

/* Its share of what it has in memory, in bytes. */
static uint64_t process_memory(pid_t pid)
{
    char path[64], line[256];
    unsigned long long kib = 0;
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    cleanup_fclose FILE *file = fopen(path, "re");
    if (!file)
        load_fail(NULL, "%s: %s", path, strerror(errno));
    while (fgets(line, sizeof(line), file)) {
        if (str_has_prefix(line, "Pss:"))
            kib = strtoull(line + 4, NULL, 10);
    }
    return kib * KIB;
}

struct load_usage load_usage_now(const struct load *load, bool memory)
{
    struct load_usage usage = {.time = load_now(), .client = clock_nsec(CLOCK_PROCESS_CPUTIME_ID)};
    for (unsigned i = 0; i < load->options.n_pids; i++) {
        usage.targets += process_nsec(load->options.pids[i]);
        usage.memory += memory ? process_memory(load->options.pids[i]) : 0;
    }
    return usage;
}

struct figure {
    const char *key, *text, *unit;
    double value;
    bool known;
};

static double per(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static double quantile_usec(const struct load *load, double share)
{
    return (double)histogram_quantile(&load->counts.times, share) / 1000;
}

static void print_text(const struct figure *figures, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double value = figures[i].value;
        bool whole = value >= 1000 || value == (double)(int)value;
        if (figures[i].known)
            printf("%-26s %14.*f %s\n", figures[i].text, whole ? 0 : 2, value, figures[i].unit);
    }
}

static void print_json(const struct load *load, const struct figure *figures, size_t n)
{
    printf("{\"received\": \"%s\"", load->discard ? "discarded" : "copied");
    for (size_t i = 0; i < n; i++) {
        if (figures[i].known)
            printf(", \"%s\": %.4f", figures[i].key, figures[i].value);
    }
    printf("}\n");
}

void load_report(const struct load *load, const struct load_usage *before,
                 const struct load_usage *after)
{
    const struct load_options *o = &load->options;
    const struct load_counts *c = &load->counts;
    double seconds = (double)(after->time - before->time) / 1e9;
    double client = (double)(after->client - before->client) / 1000;
    double target = (double)(after->targets - before->targets) / 1000;
    double ios = (double)(c->reads + c->writes), logins = (double)c->logins;
    double memory = (double)after->memory - (double)before->memory;
    bool pids = o->n_pids > 0, storm = o->storm > 0, rw = !storm && !o->idle, times = !o->idle;
    const struct figure figures[] = {
        {"seconds", "measured for", "s", seconds, true},
        {"sessions", "sessions", "", o->sessions, true},
        {"reads", "reads", "", (double)c->reads, rw},
        {"writes", "writes", "", (double)c->writes, rw},
        {"iops", "requests", "/s", per(ios, seconds), rw},
        {"mb_per_s", "data", "MB/s", per((double)c->bytes / 1e6, seconds), rw},
        {"logins", "logins with their logouts", "", logins, storm},
        {"logins_per_s", "logins with their logouts", "/s", per(logins, seconds), storm},
        {"mean_us", "time, mean", "us", per((double)c->times.sum / 1000, (double)c->times.total),
         times},
        {"p50_us", "time, 50 %", "us", quantile_usec(load, 0.5), times},
        {"p90_us", "time, 90 %", "us", quantile_usec(load, 0.9), times},
        {"p99_us", "time, 99 %", "us", quantile_usec(load, 0.99), times},
        {"p999_us", "time, 99.9 %", "us", quantile_usec(load, 0.999), times},
        {"max_us", "time, longest", "us", (double)c->times.max / 1000, times},
        {"client_us", "client's processor", "us each", per(client, storm ? logins : ios), times},
        {"target_us", "target's processor", "us each", per(target, storm ? logins : ios),
         times && pids},
        {"target_s_per_gib", "target's processor", "s per GiB",
         per(target / 1e6, (double)c->bytes / (double)GIB), rw && pids},
        {"target_percent", "target's processor", "% of a core", per(target / 1e4, seconds), pids},
        {"bytes_per_session", "target's memory", "bytes per session",
         per(memory, o->sessions - 1.0), o->idle && pids},
        {"memory_bytes", "target's memory, all", "bytes", (double)after->memory, o->idle && pids},
        {"errors", "errors", "", (double)load->errors, rw},
        {"mismatches", "wrong data", "", (double)load->mismatches, o->verify},
        {"async_messages", "asynchronous messages", "", (double)load->async_messages, true},
        {"pings", "pings of the target", "", (double)load->pings, true},
    };
    if (o->json) {
        print_json(load, figures, ARRAY_SIZE(figures));
        return;
    }
    print_text(figures, ARRAY_SIZE(figures));
    if (rw && load->discard)
        printf(
            "What was read was thrown away by the kernel, without a copy: --copy to receive it.\n");
}
