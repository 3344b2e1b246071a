/* nodisk status */
#include "cli/command.h"

#define ENDS_SOON (14 * 86400 * USEC_PER_SEC) /* of a certificate */

/* Of a file system: `where` says which. */
static void warn_if_low(const json_t *space, const char *where)
{
    char text[SIZE_TEXT_SIZE];
    if (json_is_true(json_object_get(space, "low")))
        printf("space is low: the file system of %s has less free than the %s of warn-free\n",
               where, size_format(print_number(space, "warn_below"), text));
}

static void print_space(const json_t *json)
{
    char images[SIZE_TEXT_SIZE], used[SIZE_TEXT_SIZE], promised[SIZE_TEXT_SIZE];
    char unwritten[SIZE_TEXT_SIZE], free_text[SIZE_TEXT_SIZE];
    const json_t *space = json_object_get(json, "space"), *usage = json_object_get(json, "usage");
    json_t *elsewhere;
    size_t i;
    printf("images take %s; volumes take %s of the %s that they were promised\n",
           size_format(print_number(usage, "images"), images),
           size_format(print_number(usage, "volumes"), used),
           size_format(print_number(usage, "promised"), promised));
    if (print_number(usage, "unwritten") > print_number(space, "free"))
        printf("over-committed: volumes may want %s more, and %s are free\n",
               size_format(print_number(usage, "unwritten"), unwritten),
               size_format(print_number(space, "free"), free_text));
    warn_if_low(space, print_text(json, "state_directory"));
    json_array_foreach(json_object_get(space, "elsewhere"), i, elsewhere)
    {
        warn_if_low(elsewhere, print_text(elsewhere, "path"));
    }
}

static void print_summary(const json_t *json)
{
    char free_text[SIZE_TEXT_SIZE], total_text[SIZE_TEXT_SIZE], age[AGE_TEXT_SIZE];
    const json_t *space = json_object_get(json, "space"), *counts = json_object_get(json, "counts");
    printf("nodisk %s, started %s; %s: %s of %s free\n", print_text(json, "version"),
           print_age(print_number(json, "started_at"), clock_wall_usec(), age),
           print_text(json, "state_directory"), size_format(print_number(space, "free"), free_text),
           size_format(print_number(space, "total"), total_text));
    print_space(json);
    printf("nodes: %llu, image versions: %llu, volumes: %llu\n\n",
           (unsigned long long)print_number(counts, "nodes"),
           (unsigned long long)print_number(counts, "images"),
           (unsigned long long)print_number(counts, "volumes"));
}

static uint64_t sum(const json_t *counters)
{
    uint64_t total = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)counters, key, value)
    {
        total += (uint64_t)json_integer_value(value);
    }
    return total;
}

static uint64_t sum_of(const json_t *counters, const char *const *names)
{
    uint64_t total = 0;
    for (; *names; names++)
        total += print_number(counters, *names);
    return total;
}

#define SUM_OF(counters, ...) sum_of(counters, (const char *const[]){__VA_ARGS__, NULL})

/* What each service did since the start; what went wrong stands last. */
static void print_counters(const json_t *json)
{
    const json_t *counters = json_object_get(json, "counters");
    const json_t *dhcp = json_object_get(counters, "dhcp");
    const json_t *tftp = json_object_get(counters, "tftp");
    const json_t *http = json_object_get(counters, "http");
    const json_t *iscsi = json_object_get(counters, "iscsi");
    static const char *const headings[] = {"SERVICE",  ">ASKED",   ">ANSWERED", ">NOW",
                                           ">REFUSED", ">DROPPED", NULL};
    struct table table = table_new(stdout, headings);
    const json_t *odd = json_object_get(dhcp, "odd");
    const struct {
        const char *service;
        uint64_t asked, answered;
        const uint64_t *now; /* NULL: makes no sense here */
        uint64_t refused, dropped;
    } rows[] = {
        {"dhcp", sum(json_object_get(dhcp, "received")), sum(json_object_get(dhcp, "sent")), NULL,
         print_number(json_object_get(dhcp, "sent"), "nak"),
         SUM_OF(odd, "malformed", "unsupported", "no_subnet", "no_address", "no_memory")},
        {"tftp", print_number(tftp, "requests"), print_number(tftp, "finished"),
         &(uint64_t){print_number(tftp, "active")}, print_number(tftp, "refused"),
         SUM_OF(tftp, "malformed", "busy", "failed")},
        {"http", print_number(http, "requests"), SUM_OF(http, "scripts", "unknown", "up"), NULL,
         print_number(http, "refused"), print_number(http, "dropped")},
        {"iscsi", print_number(iscsi, "connections"), print_number(iscsi, "logins"),
         &(uint64_t){print_number(iscsi, "sessions")}, print_number(iscsi, "refused"),
         SUM_OF(iscsi, "violations", "busy")},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        table_add(&table, rows[i].service);
        table_add_number(&table, rows[i].asked);
        table_add_number(&table, rows[i].answered);
        if (rows[i].now)
            table_add_number(&table, *rows[i].now);
        else
            table_add(&table, NULL);
        table_add_number(&table, rows[i].refused);
        table_add_number(&table, rows[i].dropped);
    }
    table_print(&table, "");
    putchar('\n');
}

static void print_duplicates(const json_t *list)
{
    char since[AGE_TEXT_SIZE], last[AGE_TEXT_SIZE];
    uint64_t now = clock_wall_usec();
    json_t *found;
    size_t i;
    json_array_foreach(list, i, found)
    {
        printf("%s%s (first seen %s, last %s)\n",
               json_is_true(json_object_get(found, "hint")) ? "" : "there twice: ",
               print_text(found, "message"), print_age(print_number(found, "since"), now, since),
               print_age(print_number(found, "last_seen"), now, last));
    }
    if (i > 0)
        putchar('\n');
}

static void print_failures(const json_t *nodes)
{
    json_t *node;
    size_t i, told = 0;
    json_array_foreach(nodes, i, node)
    {
        uint64_t failures = print_number(json_object_get(node, "boot"), "failures");
        const char *name = print_text(node, "name");
        if (failures == 0)
            continue;
        printf("%s has failed to boot, %llu time%s in a row; see: nodisk boot %s\n", name,
               (unsigned long long)failures, failures > 1 ? "s" : "", name);
        told++;
    }
    if (told > 0)
        putchar('\n');
}

static void add_row(struct table *table, const json_t *node)
{
    char age[AGE_TEXT_SIZE];
    const json_t *boot = json_object_get(node, "boot");
    cleanup_free char *address = cli_node_address(node);
    const char *stage = print_text(boot, "stage");
    table_add(table, print_text(node, "name"));
    table_add(table, address);
    table_add(table, print_text(node, "image"));
    table_add(table, print_text(node, "volume_state"));
    table_add(table, stage ? stage : "never booted");
    table_add(table, print_age(print_number(boot, "since"), clock_wall_usec(), age));
}

static const char *word_of_dates(uint64_t begins, uint64_t ends)
{
    uint64_t now = clock_wall_usec();
    if (now >= ends)
        return ": it has ended, and machines refuse it; renew it, and reload nodisk";
    if (now < begins)
        return ": it has not begun, and machines refuse it";
    return now + ENDS_SOON >= ends ? ": renew it soon, and reload nodisk" : "";
}

static void print_https(const json_t *https)
{
    char text[AGE_TEXT_SIZE];
    if (!json_is_object(https))
        return;
    uint64_t begins = print_number(https, "begins"), ends = print_number(https, "ends");
    printf("https: the certificate of %s, until %s%s\n\n", print_text(https, "certificate"),
           print_time(ends, text), word_of_dates(begins, ends));
}

static void print_status(const json_t *answer)
{
    static const char *const headings[] = {"NODE",  "ADDRESS", "IMAGE", "DISK",
                                           "STAGE", "SINCE",   NULL};
    print_summary(answer);
    print_counters(answer);
    print_https(json_object_get(answer, "https"));
    print_duplicates(json_object_get(answer, "duplicates"));
    print_failures(json_object_get(answer, "nodes"));
    table_print_all(headings, json_object_get(answer, "nodes"), add_row,
                    "no nodes yet; add one: nodisk node add NAME --mac MAC --image IMAGE");
}

static int status(const struct cli *cli, const struct args *args)
{
    return cli_show(cli, "/v1/status", print_status);
}

static const struct cli_verb verbs[] = {
    {"", "", 0, "How the server is, and how far each node's boot has come", NULL, 0, NULL, status},
};

const struct cli_noun cli_status = {"status", "The server and every node at a glance", verbs,
                                    ARRAY_SIZE(verbs)};
