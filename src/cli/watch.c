/*
 * nodisk watch: the nodes' boots as they go on. A table that renews itself on a terminal, a line
 * for each event elsewhere, the daemon's own lines with --json.
 */
#include "cli/pending.h"

#include <errno.h>
#include <sys/ioctl.h>

#define HOME_AND_CLEAR "\033[H\033[J"
#define MAX_DETAIL     60

struct watch {
    bool json, terminal;
    json_t *nodes;    /* of the snapshot, kept up to date */
    char pending[32]; /* the MAC of who has come last to become a node; "": nobody */
};

static json_t *find_node(const struct watch *w, const char *name)
{
    size_t i;
    json_t *node;
    json_array_foreach(w->nodes, i, node)
    {
        const char *found = print_text(node, "name");
        if (found && name && str_eq(found, name))
            return node;
    }
    return NULL;
}

static unsigned terminal_rows(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 4 ? size.ws_row : 24;
}

static int compare_since(const void *a, const void *b)
{
    uint64_t x = print_number(json_object_get(*(json_t *const *)a, "boot"), "since");
    uint64_t y = print_number(json_object_get(*(json_t *const *)b, "boot"), "since");
    return (x < y) - (x > y);
}

static void add_row(struct table *table, const json_t *node, uint64_t now)
{
    char age[AGE_TEXT_SIZE], detail[MAX_DETAIL + 1];
    const json_t *boot = json_object_get(node, "boot");
    cleanup_free char *address = cli_node_address(node);
    const char *stage = print_text(boot, "stage");
    const char *text = print_text(boot, "detail");
    str_copy(detail, sizeof(detail), text ? text : "");
    table_add(table, print_text(node, "name"));
    table_add(table, address);
    table_add(table, stage ? stage : "never booted");
    table_add(table, print_age(print_number(boot, "since"), now, age));
    table_add(table, detail);
}

/* The nodes that changed last, as many as fit. */
static bool draw(void *context)
{
    static const char *const headings[] = {"NODE", "ADDRESS", "STAGE", "SINCE", "", NULL};
    struct watch *w = context;
    size_t count = json_array_size(w->nodes), room = terminal_rows() - 3;
    json_t **order = calloc(count + 1, sizeof(json_t *));
    if (!order)
        return true;
    for (size_t i = 0; i < count; i++)
        order[i] = json_array_get(w->nodes, i);
    qsort(order, count, sizeof(json_t *), compare_since);
    struct table table = table_new(stdout, headings);
    for (size_t i = 0; i < MIN(count, room); i++)
        add_row(&table, order[i], clock_wall_usec());
    fputs(HOME_AND_CLEAR, stdout);
    table_print(&table, "no nodes yet");
    if (count > room)
        printf("and %zu more; Ctrl-C ends", count - room);
    else
        printf("Ctrl-C ends");
    if (w->pending[0])
        printf("; %s waits: nodisk node list --pending", w->pending);
    fflush(stdout);
    free(order);
    return true;
}

/* A stage event becomes the node's "boot". */
static void take_stage(struct watch *w, json_t *event)
{
    json_t *node = find_node(w, print_text(event, "node"));
    if (!node)
        return;
    json_object_set_new(node, "boot",
                        json_pack("{s:s?, s:I, s:s?}", "stage", print_text(event, "stage"), "since",
                                  (json_int_t)print_number(event, "at"), "detail",
                                  print_text(event, "detail")));
}

static void print_stage(const json_t *event)
{
    char text[AGE_TEXT_SIZE];
    const char *node = print_text(event, "node"), *stage = print_text(event, "stage");
    const char *detail = print_text(event, "detail");
    printf("%s %s: %s%s%s\n", print_time(print_number(event, "at"), text), node ? node : "-",
           stage ? stage : "-", detail && *detail ? ", " : "", detail ? detail : "");
}

static void print_snapshot(const struct watch *w)
{
    size_t i;
    json_t *node;
    json_array_foreach(w->nodes, i, node)
    {
        const json_t *boot = json_object_get(node, "boot");
        const char *stage = print_text(boot, "stage");
        char text[AGE_TEXT_SIZE];
        printf("%s %s: %s\n",
               print_time(stage ? print_number(boot, "since") : clock_wall_usec(), text),
               print_text(node, "name"), stage ? stage : "never booted");
    }
}

/* A machine that is no node. */
static void print_pending(const json_t *event)
{
    char text[AGE_TEXT_SIZE];
    const json_t *machine = json_object_get(event, "machine");
    cleanup_free char *words = cli_pending_words(machine);
    printf("%s %s waits to become a node%s%s\n", print_time(print_number(event, "at"), text),
           print_text(machine, "mac") ?: "-", *words ? ": " : "", words);
}

static void print_failed(const json_t *event)
{
    char text[AGE_TEXT_SIZE];
    const char *node = print_text(event, "node"), *stage = print_text(event, "stage");
    printf("%s %s: its last boot has failed: it came no further than %s\n",
           print_time(print_number(event, "at"), text), node ? node : "-", stage ? stage : "-");
}

static bool on_line(void *context, const char *text, json_t *json)
{
    struct watch *w = context;
    const char *event = print_text(json, "event");
    if (w->json) {
        puts(text);
    } else if (event && str_eq(event, "snapshot")) {
        json_decref(w->nodes);
        w->nodes = json_incref(json_object_get(json, "nodes"));
        if (!w->terminal)
            print_snapshot(w);
    } else if (event && str_eq(event, "stage")) {
        take_stage(w, json);
        if (!w->terminal)
            print_stage(json);
    } else if (event && str_eq(event, "failed")) {
        if (!w->terminal)
            print_failed(json);
    } else if (event && str_eq(event, "pending")) {
        str_copy(w->pending, sizeof(w->pending),
                 print_text(json_object_get(json, "machine"), "mac") ?: "");
        if (!w->terminal)
            print_pending(json);
    }
    if (w->terminal)
        (void)draw(w);
    return fflush(stdout) == 0;
}

static int watch(const struct cli *cli, const struct args *args)
{
    struct watch w = {.json = cli->json, .terminal = !cli->json && print_is_terminal(stdout)};
    struct error error;
    const struct client_request request = {
        .socket = cli->socket, .method = "GET", .path = "/v1/events", .context = &w};
    int r = client_watch(&request, on_line, w.terminal ? draw : NULL, &error);
    json_decref(w.nodes);
    if (w.terminal)
        putchar('\n');
    if (r == -EINTR) /* how everybody ends it */
        return CLI_OK;
    if (r == 0)
        error_set(&error, -EPIPE, "the daemon has stopped");
    return cli_fail(&error);
}

static const struct cli_verb verbs[] = {
    {"", "", 0, "Shows each node's boot as it goes on, until Ctrl-C", NULL, 0, NULL, watch},
};

const struct cli_noun cli_watch = {"watch", "Follow the nodes' boots live", verbs,
                                   ARRAY_SIZE(verbs)};
