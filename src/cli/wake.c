/*
 * nodisk node wake: wakes machines by Wake-on-LAN, one after the other, so that a rack does not
 * draw all of its current at once, and watches each of them until it is up or has taken too long.
 *
 * The daemon's events are read all the while. Whatever comes, or when nothing does for a moment, it
 * is looked whether the next machine is due and whether one is late.
 */
#include "cli/wake.h"

#include "cli/rollout.h"
#include "core/names.h"

#include <errno.h>
#include <stdarg.h>

#define DEFAULT_INTERVAL 1000               /* ms */
#define DEFAULT_TIMEOUT  (15 * 60 * 1000)   /* ms */
#define MAX_TIME         (24 * 3600 * 1000) /* ms */
#define LOOK_MS          50

enum outcome {
    WAITING, /* its turn has not come */
    WATCHED, /* woken */
    SENT,    /* woken, and nobody watches */
    UP,
    STOPPED, /* came to a stage and no further */
    SILENT,  /* nothing was heard of it */
    RUNNING, /* it was already */
    REFUSED, /* by the daemon */
    OUTCOMES,
};

static const char *const outcome_names[OUTCOMES] = {
    [WAITING] = "not begun", [WATCHED] = "watched", [SENT] = "sent",       [UP] = "up",
    [STOPPED] = "stopped",   [SILENT] = "silent",   [RUNNING] = "running", [REFUSED] = "refused",
};

struct machine {
    char name[NAME_MAX_LEN + 1];
    bool says_up;       /* its system says when it is up */
    uint64_t last_boot; /* when the boot began that it was in before */
    uint64_t woken_at;  /* monotonic usec */
    enum outcome outcome;
    char stage[32], detail[128]; /* the last one since then; "": none */
    uint64_t since;              /* usec since 1970 */
    json_t *answer;              /* of the daemon, or NULL */
};

struct wake {
    const struct cli *cli;
    bool force, watches;
    uint64_t interval, timeout; /* ms */
    struct machine *machines;
    size_t count, next; /* next: whose turn it is */
    uint64_t next_at;   /* when (monotonic usec) */
};

static void say(const struct wake *w, const struct machine *m, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void say(const struct wake *w, const struct machine *m, const char *format, ...)
{
    char text[512];
    va_list list;
    if (w->cli->json)
        return;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    printf("%s: %s\n", m->name, text);
    fflush(stdout);
}

/* --- which machines --- */

static bool is_named(const struct args *args, const char *name)
{
    for (unsigned i = 0; i < args->n_words; i++)
        if (str_eq(args->words[i], name))
            return true;
    return false;
}

static bool is_meant(const struct args *args, const json_t *node)
{
    const char *group = args_value(args, "group"), *its_group = print_text(node, "group");
    if (args->n_words)
        return is_named(args, print_text(node, "name"));
    return !group || (its_group && str_eq(group, its_group));
}

static const json_t *find_node(const json_t *nodes, const char *name)
{
    size_t i;
    json_t *node;
    json_array_foreach(nodes, i, node)
    {
        if (str_eq(print_text(node, "name"), name))
            return node;
    }
    return NULL;
}

/* Nobody is woken if one of those who were named is not there. */
static int check_nodes(const struct args *args, const json_t *nodes)
{
    struct error error;
    for (unsigned i = 0; i < args->n_words; i++) {
        if (find_node(nodes, args->words[i]))
            continue;
        error_set(&error, -ENOENT, "there is no node '%.64s'; see: nodisk node list",
                  args->words[i]);
        return cli_fail(&error);
    }
    return CLI_OK;
}

static void take_machine(struct wake *w, const json_t *node)
{
    const json_t *boot = json_object_get(node, "boot");
    const char *stage = print_text(boot, "stage");
    struct machine *m = &w->machines[w->count++];
    str_copy(m->name, sizeof(m->name), print_text(node, "name"));
    m->says_up = stage && str_eq(stage, "up");
    m->last_boot = print_number(boot, "started_at");
}

static int take_machines(struct wake *w, const struct args *args)
{
    json_t *status, *node;
    size_t i;
    struct error error;
    int r = cli_ask(w->cli, "GET", "/v1/status", NULL, NULL, &status);
    if (r != CLI_OK)
        return r;
    const json_t *nodes = json_object_get(status, "nodes");
    w->machines = calloc(json_array_size(nodes) + 1, sizeof(*w->machines));
    if (!w->machines)
        abort();
    r = check_nodes(args, nodes);
    json_array_foreach(nodes, i, node)
    {
        if (r == CLI_OK && is_meant(args, node))
            take_machine(w, node);
    }
    json_decref(status);
    if (r != CLI_OK || w->count > 0)
        return r;
    error_set(&error, -ENOENT, "there are no such nodes; see: nodisk node list, nodisk group list");
    return cli_fail(&error);
}

/* --- waking --- */

static void tell_sent(const struct wake *w, const struct machine *m)
{
    char places[256] = "";
    size_t i, at = 0;
    json_t *sent;
    json_array_foreach(json_object_get(m->answer, "sent"), i, sent)
    {
        int n = snprintf(places + at, sizeof(places) - at, "%s%s (%s)", i ? ", " : "",
                         print_text(sent, "interface"), print_text(sent, "broadcast"));
        at = MIN(at + (size_t)n, sizeof(places) - 1);
    }
    say(w, m, "woken through %s", places);
}

static void wake_one(struct wake *w, struct machine *m)
{
    json_t *body = json_pack("{s:s, s:b}", "node", m->name, "force", (int)w->force);
    m->woken_at = clock_monotonic_usec();
    client_hold_signals(true);
    int r = cli_ask(w->cli, "POST", "/v1/wakes", body, NULL, &m->answer);
    client_hold_signals(false);
    if (r != CLI_OK) {
        m->outcome = REFUSED;
        return;
    }
    const char *running = print_text(m->answer, "running");
    if (running && !w->force) {
        m->outcome = RUNNING;
        say(w, m, "is running (%s): not woken", running);
        return;
    }
    m->outcome = w->watches ? WATCHED : SENT;
    tell_sent(w, m);
}

/* Who runs already draws no current: the next one's turn comes at once. */
static void wake_due(struct wake *w)
{
    while (w->next < w->count && clock_monotonic_usec() >= w->next_at) {
        struct machine *m = &w->machines[w->next++];
        wake_one(w, m);
        if (m->outcome == WATCHED || m->outcome == SENT)
            w->next_at = clock_monotonic_usec() + w->interval * 1000;
    }
}

/* --- watching --- */

static struct machine *find(struct wake *w, const char *name)
{
    for (size_t i = 0; name && i < w->count; i++)
        if (str_eq(w->machines[i].name, name))
            return &w->machines[i];
    return NULL;
}

static void take_stage(struct wake *w, struct machine *m, const json_t *event, const char *stage,
                       uint64_t at)
{
    const char *detail = print_text(event, "detail");
    if (!m || m->outcome != WATCHED || !stage || str_eq(stage, m->stage))
        return;
    str_copy(m->stage, sizeof(m->stage), stage);
    str_copy(m->detail, sizeof(m->detail), detail ? detail : "");
    m->since = at;
    bool up = rollout_is_up(stage, m->says_up);
    if (up)
        m->outcome = UP;
    say(w, m, "%s%s%s%s", stage, *m->detail ? ", " : "", m->detail,
        up && !str_eq(stage, "up") ? " (its system does not say when it is up)" : "");
}

/* The first line, and again after events were lost. */
static void take_snapshot(struct wake *w, const json_t *nodes)
{
    size_t i;
    json_t *node;
    json_array_foreach(nodes, i, node)
    {
        const json_t *boot = json_object_get(node, "boot");
        struct machine *m = find(w, print_text(node, "name"));
        if (m && print_number(boot, "started_at") > m->last_boot)
            take_stage(w, m, boot, print_text(boot, "stage"), print_number(boot, "since"));
    }
}

static void give_up(const struct wake *w, struct machine *m)
{
    char age[AGE_TEXT_SIZE];
    m->outcome = m->stage[0] ? STOPPED : SILENT;
    if (m->outcome == STOPPED)
        say(w, m, "has stopped at %s%s%s, %s; its screen says more", m->stage,
            *m->detail ? ", " : "", m->detail, print_age(m->since, clock_wall_usec(), age));
    else
        say(w, m,
            "nothing was heard of it: see whether it is on, whether its firmware has Wake-on-LAN "
            "and boots from the network, and whether these are its MACs and that its subnet");
}

/* True while one is still to be woken or watched. */
static bool look(void *context)
{
    struct wake *w = context;
    bool more = false;
    uint64_t now = clock_monotonic_usec();
    if (client_is_interrupted())
        return false;
    wake_due(w);
    for (size_t i = 0; i < w->count; i++) {
        struct machine *m = &w->machines[i];
        if (m->outcome == WATCHED && now > m->woken_at && now - m->woken_at > w->timeout * 1000)
            give_up(w, m);
        more = more || m->outcome == WAITING || m->outcome == WATCHED;
    }
    return more;
}

static bool on_line(void *context, const char *text, json_t *json)
{
    struct wake *w = context;
    const char *event = print_text(json, "event");
    if (event && str_eq(event, "snapshot"))
        take_snapshot(w, json_object_get(json, "nodes"));
    else if (event && str_eq(event, "stage"))
        take_stage(w, find(w, print_text(json, "node")), json, print_text(json, "stage"),
                   print_number(json, "at"));
    return look(w);
}

static bool is_done(const struct wake *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->machines[i].outcome == WAITING || w->machines[i].outcome == WATCHED)
            return false;
    return true;
}

/* An exit status, if it could not be watched to the end. */
static int wake_and_watch(struct wake *w)
{
    struct error error;
    const struct client_request request = {.socket = w->cli->socket,
                                           .method = "GET",
                                           .path = "/v1/events",
                                           .context = w,
                                           .tick_ms = LOOK_MS};
    int r = client_watch(&request, on_line, look, &error);
    if (is_done(w))
        return CLI_OK;
    if (r == 0 && client_is_interrupted())
        error_set(&error, -EINTR, "interrupted");
    else if (r == 0)
        error_set(&error, -EPIPE, "the daemon has stopped");
    return cli_fail(&error);
}

static int wake_only(struct wake *w)
{
    struct error error;
    while (w->next < w->count && !client_is_interrupted()) {
        wake_due(w);
        uint64_t now = clock_monotonic_usec();
        if (w->next < w->count && now < w->next_at &&
            !client_sleep((unsigned)((w->next_at - now) / 1000) + 1))
            break;
    }
    if (is_done(w))
        return CLI_OK;
    error_set(&error, -EINTR, "interrupted");
    return cli_fail(&error);
}

/* --- the command --- */

static json_t *machine_to_json(const struct machine *m)
{
    return json_pack("{s:s, s:s, s:O?, s:O?, s:s?, s:s?, s:o}", "node", m->name, "outcome",
                     outcome_names[m->outcome], "running", json_object_get(m->answer, "running"),
                     "sent", json_object_get(m->answer, "sent"), "stage",
                     m->stage[0] ? m->stage : NULL, "detail", m->stage[0] ? m->detail : NULL,
                     "since", m->since ? json_integer((json_int_t)m->since) : json_null());
}

static void print_machines(const struct wake *w)
{
    json_t *list = json_array();
    for (size_t i = 0; i < w->count; i++)
        json_array_append_new(list, machine_to_json(&w->machines[i]));
    json_t *all = json_pack("{s:I, s:o}", "interval_ms", (json_int_t)w->interval, "nodes", list);
    print_json(all);
    json_decref(all);
}

static size_t count(const struct wake *w, enum outcome outcome)
{
    size_t n = 0;
    for (size_t i = 0; i < w->count; i++)
        n += w->machines[i].outcome == outcome;
    return n;
}

static void print_sum(const struct wake *w)
{
    const char *separator = "";
    if (w->count == 1)
        return;
    for (enum outcome o = 0; o < OUTCOMES; o++) {
        if (count(w, o) == 0)
            continue;
        printf("%s%zu %s", separator, count(w, o), outcome_names[o]);
        separator = ", ";
    }
    putchar('\n');
}

static int read_times(struct wake *w, const struct args *args)
{
    const char *interval = args_value(args, "interval"), *timeout = args_value(args, "timeout");
    w->interval = DEFAULT_INTERVAL;
    w->timeout = DEFAULT_TIMEOUT;
    if (interval && !cli_parse_time(interval, MAX_TIME, &w->interval))
        return cli_bad_value("interval", interval, "is no time such as 500ms, 5s or 2m");
    if (timeout && !cli_parse_time(timeout, MAX_TIME, &w->timeout))
        return cli_bad_value("timeout", timeout, "is no time such as 90s or 15m");
    return CLI_OK;
}

static int check(const struct args *args)
{
    int given = (args->n_words > 0) + args_given(args, "group") + args_given(args, "all");
    if (given == 1)
        return CLI_OK;
    fprintf(stderr, "nodisk: say which: NODE..., --group GROUP or --all\n");
    return CLI_USAGE;
}

static int run(struct wake *w)
{
    if (!w->cli->json && w->count > 1 && w->interval)
        printf("waking %zu machines, one every %g s\n", w->count, (double)w->interval / 1000);
    fflush(stdout);
    int r = w->watches ? wake_and_watch(w) : wake_only(w);
    if (w->cli->json)
        print_machines(w);
    else
        print_sum(w);
    size_t good = count(w, UP) + count(w, SENT) + count(w, RUNNING);
    return r == CLI_OK && good < w->count ? CLI_FAILED : r;
}

static int wake(const struct cli *cli, const struct args *args)
{
    struct wake w = {
        .cli = cli, .force = args_given(args, "force"), .watches = !args_given(args, "no-wait")};
    int r = check(args);
    if (r == CLI_OK)
        r = read_times(&w, args);
    if (r == CLI_OK)
        r = take_machines(&w, args);
    if (r == CLI_OK)
        r = run(&w);
    for (size_t i = 0; i < w.count; i++)
        json_decref(w.machines[i].answer);
    free(w.machines);
    return r;
}

static const struct cli_option options[] = {
    {"group", "GROUP", "all nodes of this group"},
    {"all", NULL, "all nodes"},
    {"interval", "TIME", "between one machine and the next (1s)"},
    {"no-wait", NULL, "wakes them, and does not watch them boot"},
    {"timeout", "TIME", "so long may one take until it is up (15m)"},
    {"force", NULL, "also those that are running already"},
};

const struct cli_verb cli_wake_verbs[CLI_N_WAKE_VERBS] = {
    {"wake", "[NODE...]", 0, "Wakes machines by Wake-on-LAN, and watches them boot", options,
     ARRAY_SIZE(options),
     "The magic packet goes out by UDP (port 9) and as a frame of its own (EtherType 0x0842), to\n"
     "all MACs of a node, through the interface of its subnet, or of all if its address is not\n"
     "known. Wake-on-LAN has to be switched on in the machine's firmware.\n"
     "\n"
     "  nodisk node wake --group rack1 --interval 2s\n",
     wake, ARGS_MAX_WORDS},
};
