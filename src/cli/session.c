/* nodisk session list | show */
#include "cli/command.h"

static const struct cli_option which_options[] = {
    {"node", "NODE", "only those of this node"},
    {"volume", "VOLUME", "only those that have this volume, as disk or further disk"},
};

/* "/v1/sessions?volume=NAME"; free() it. */
static char *path_of(const struct args *args, const char *collection)
{
    char *path = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(which_options); i++) {
        const char *value = args_value(args, which_options[i].name);
        if (!value)
            continue;
        cleanup_free char *name = cli_path("", value); /* "/NAME", encoded */
        cleanup_free char *before = path;
        if (asprintf(&path, "%s%c%s=%s", before ? before : collection, before ? '&' : '?',
                     which_options[i].name, name + 1) < 0)
            abort();
    }
    if (!path && !(path = strdup(collection)))
        abort();
    return path;
}

static void add_row(struct table *table, const json_t *s)
{
    char age[AGE_TEXT_SIZE];
    const char *node = print_text(s, "node");
    table_add_number(table, print_number(s, "id"));
    table_add(table, node ? node : print_text(s, "initiator"));
    table_add(table, print_text(s, "source"));
    table_add(table, print_text(s, "volume"));
    table_add(table, print_text(s, "stage"));
    table_add(table, print_age(print_number(s, "since"), clock_wall_usec(), age));
    table_add_number(table, print_number(s, "commands"));
    table_add_size(table, print_number(s, "read_bytes"));
    table_add_size(table, print_number(s, "written_bytes"));
    table_add_number(table, print_number(s, "errors"));
}

static void print_sessions(const json_t *answer)
{
    static const char *const headings[] = {
        ">ID",   "NODE OR INITIATOR", "SOURCE",  "VOLUME", "STAGE", "SINCE", ">COMMANDS",
        ">READ", ">WRITTEN",          ">ERRORS", NULL};
    table_print_all(headings, json_object_get(answer, "sessions"), add_row, "nobody is logged in");
}

static int list(const struct cli *cli, const struct args *args)
{
    cleanup_free char *path = path_of(args, "/v1/sessions");
    return cli_show(cli, path, print_sessions);
}

static void print_luns(const json_t *s)
{
    size_t i;
    json_t *lun;
    json_array_foreach(json_object_get(s, "luns"), i, lun)
    {
        char key[24];
        snprintf(key, sizeof(key), "LUN %u", (unsigned)print_number(lun, "lun"));
        print_field(key, print_text(lun, "volume"));
    }
}

static void print_who(const json_t *s)
{
    char text[AGE_TEXT_SIZE], id[24];
    snprintf(id, sizeof(id), "%llu", (unsigned long long)print_number(s, "id"));
    print_field("session", id);
    print_field("initiator", print_text(s, "initiator"));
    print_field("alias", print_text(s, "alias"));
    print_field("node", print_text(s, "node"));
    print_field("source", print_text(s, "source"));
    print_field("portal", print_text(s, "portal"));
    print_field("target", print_text(s, "target"));
    print_field("volume", print_text(s, "volume"));
    print_luns(s);
    print_field("stage", print_text(s, "stage"));
    print_field("program", print_text(s, "program"));
    print_field("CHAP", print_text(s, "chap"));
    print_field("since", print_time(print_number(s, "since"), text));
}

static void print_ids(const json_t *s)
{
    char text[64];
    snprintf(text, sizeof(text), "%s, TSIH %u, CID %u", print_text(s, "isid"),
             (unsigned)print_number(s, "tsih"), (unsigned)print_number(s, "cid"));
    print_field("ISID", text);
}

static void print_work(const json_t *s)
{
    char text[96], read[SIZE_TEXT_SIZE], written[SIZE_TEXT_SIZE];
    snprintf(text, sizeof(text), "%llu, %llu of them alone; %llu under way",
             (unsigned long long)print_number(s, "commands"),
             (unsigned long long)print_number(s, "round_trips"),
             (unsigned long long)print_number(s, "under_way"));
    print_field("commands", text);
    snprintf(text, sizeof(text), "%s read, %s written",
             size_format(print_number(s, "read_bytes"), read),
             size_format(print_number(s, "written_bytes"), written));
    print_field("data", text);
}

static void print_errors(const json_t *s)
{
    const json_t *error = json_object_get(s, "error");
    char text[512], time[AGE_TEXT_SIZE];
    if (json_is_null(error)) {
        print_field("last error", NULL);
        return;
    }
    snprintf(text, sizeof(text), "%s, %.400s (%llu in all)",
             print_time(print_number(error, "at"), time), print_text(error, "text"),
             (unsigned long long)print_number(s, "errors"));
    print_field("last error", text);
}

/* "64 us", "1024 us", "32 ms", "2 s": the bounds are powers of two of microseconds. */
static const char *format_usec(uint64_t usec, char text[static 32])
{
    if (usec < 10000)
        snprintf(text, 32, "%llu us", (unsigned long long)usec);
    else if (usec < 10000000)
        snprintf(text, 32, "%llu ms", (unsigned long long)usec / 1000);
    else
        snprintf(text, 32, "%llu s", (unsigned long long)usec / 1000000);
    return text;
}

static void add_bucket(struct table *table, const json_t *bucket)
{
    char text[32];
    bool bounded = !json_is_null(json_object_get(bucket, "below"));
    table_add(table, bounded ? format_usec(print_number(bucket, "below"), text) : "longer");
    table_add_number(table, print_number(bucket, "commands"));
}

static void print_latency(const json_t *s)
{
    static const char *const headings[] = {">BELOW", ">COMMANDS", NULL};
    putchar('\n');
    table_print_all(headings, json_object_get(json_object_get(s, "latency"), "buckets"), add_bucket,
                    "no command has ended yet");
}

static void print_keys(const json_t *s)
{
    static const char *const headings[] = {"AGREED", "VALUE", NULL};
    struct table table = table_new(stdout, headings);
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(s, "keys"), key, value)
    {
        table_add(&table, key);
        table_add(&table, json_string_value(value));
    }
    putchar('\n');
    table_print(&table, "nothing");
}

static void print_session(const json_t *s)
{
    print_who(s);
    print_ids(s);
    print_work(s);
    print_errors(s);
    print_keys(s);
    print_latency(s);
}

static int show(const struct cli *cli, const struct args *args)
{
    cleanup_free char *path = cli_path("/v1/sessions", args->words[0]);
    return cli_show(cli, path, print_session);
}

static const struct cli_verb verbs[] = {
    {"list", "", 0, "Who is logged in, to which volume, and what it does", which_options,
     ARRAY_SIZE(which_options), NULL, list},
    {"show", "ID", 1, "One session: what was agreed, how long its commands take", NULL, 0, NULL,
     show},
};

const struct cli_noun cli_session = {"session", "Initiators that are logged in", verbs,
                                     ARRAY_SIZE(verbs)};
