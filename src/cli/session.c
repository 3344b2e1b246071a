/* nodisk session list | show | kill | drain | release */
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

/* What nobody may log in to, below the table. */
static void print_holds(const json_t *holds)
{
    size_t i;
    json_t *hold;
    json_array_foreach(holds, i, hold)
    {
        char age[AGE_TEXT_SIZE];
        const char *volume = print_text(hold, "volume"), *node = print_text(hold, "node");
        const char *since = print_age(print_number(hold, "since"), clock_wall_usec(), age);
        if (volume || node)
            printf("%s %s is being drained since %s: nobody may log in\n",
                   volume ? "volume" : "node", volume ? volume : node, since);
        else
            printf("everything is being drained since %s: nobody may log in\n", since);
    }
}

static void print_sessions(const json_t *answer)
{
    static const char *const headings[] = {
        ">ID",   "NODE OR INITIATOR", "SOURCE",  "VOLUME", "STAGE", "SINCE", ">COMMANDS",
        ">READ", ">WRITTEN",          ">ERRORS", NULL};
    table_print_all(headings, json_object_get(answer, "sessions"), add_row, "nobody is logged in");
    print_holds(json_object_get(answer, "holds"));
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

/* --- sending them away --- */

/* What a command is about. */
struct subject {
    const char *volume, *node; /* NULL: not this */
    bool all;
};

static const struct cli_option kill_options[] = {
    {"node", "NODE", "all sessions of this node"},
    {"volume", "VOLUME", "all that have this volume, as disk or further disk"},
};

static const struct cli_option drain_options[] = {
    {"node", "NODE", "the sessions of this node, instead of a volume's"},
    {"all", NULL, "all sessions"},
    {"timeout", "SECONDS", "for them to leave by themselves; default 30"},
    {"resume", NULL, "the same as nodisk session release"},
};

static const struct cli_option release_options[] = {
    {"node", "NODE", "a node, instead of a volume"},
    {"all", NULL, "what --all has drained"},
};

static int usage(const char *sentence)
{
    fprintf(stderr, "nodisk: %s\n", sentence);
    return CLI_USAGE;
}

static int kill_sessions(const struct cli *cli, const struct args *args)
{
    const char *id = args->n_words > 0 ? args->words[0] : NULL;
    json_t *json;
    if ((id != NULL) + args_given(args, "node") + args_given(args, "volume") != 1)
        return usage("give one of ID, --node and --volume");
    char *path = id ? cli_path("/v1/sessions", id) : path_of(args, "/v1/sessions");
    int r = cli_ask(cli, "DELETE", path, NULL, NULL, &json);
    free(path);
    if (r != CLI_OK)
        return r;
    unsigned n = (unsigned)print_number(json, "ended");
    return cli_done(cli, json, "%u session%s ended; who had %s may log in again\n", n,
                    n == 1 ? " is" : "s are", n == 1 ? "it" : "them");
}

/* An exit status. */
static int read_subject(const struct args *args, struct subject *ret_subject)
{
    *ret_subject = (struct subject){.volume = args->n_words > 0 ? args->words[0] : NULL,
                                    .node = args_value(args, "node"),
                                    .all = args_given(args, "all")};
    if ((ret_subject->volume != NULL) + (ret_subject->node != NULL) + ret_subject->all == 1)
        return CLI_OK;
    return usage("give one of VOLUME, --node and --all");
}

/* "/v1/holds?volume=NAME", or with `all`; free() it. */
static char *subject_path(const char *collection, const struct subject *subject, const char *all)
{
    const char *name = subject->volume ? subject->volume : subject->node;
    cleanup_free char *encoded = name ? cli_path("", name) : NULL; /* "/NAME" */
    char *path = NULL;
    if (asprintf(&path, "%s%s%s", collection,
                 subject->volume ? "?volume="
                 : name          ? "?node="
                                 : all,
                 encoded ? encoded + 1 : "") < 0)
        abort();
    return path;
}

/* "volume data", "node web1", "everything". */
static const char *format_subject(const struct subject *subject, char text[static 96])
{
    const char *name = subject->volume ? subject->volume : subject->node;
    if (name)
        snprintf(text, 96, "%s %.64s", subject->volume ? "volume" : "node", name);
    else
        str_copy(text, 96, "everything");
    return text;
}

/* How to end it. */
static const char *format_release(const struct subject *subject, char text[static 128])
{
    snprintf(text, 128, "nodisk session release %s%.64s",
             subject->volume ? ""
             : subject->node ? "--node "
                             : "--all",
             subject->volume ? subject->volume
             : subject->node ? subject->node
                             : "");
    return text;
}

static int release_it(const struct cli *cli, const struct subject *subject)
{
    json_t *json;
    char what[96];
    cleanup_free char *path = subject_path("/v1/holds", subject, "?all=true");
    int r = cli_ask(cli, "DELETE", path, NULL, NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "%s may be logged in to again\n", format_subject(subject, what));
}

static int release(const struct cli *cli, const struct args *args)
{
    struct subject subject;
    int r = read_subject(args, &subject);
    return r == CLI_OK ? release_it(cli, &subject) : r;
}

/* How many are still there, but for those who only look around. An exit status. */
static int count_sessions(const struct cli *cli, const struct subject *subject, size_t *ret_count)
{
    json_t *json, *session;
    size_t i;
    cleanup_free char *path = subject_path("/v1/sessions", subject, "");
    int r = cli_ask(cli, "GET", path, NULL, NULL, &json);
    if (r != CLI_OK)
        return r;
    *ret_count = 0;
    json_array_foreach(json_object_get(json, "sessions"), i, session)
    {
        *ret_count += print_text(session, "target") != NULL;
    }
    json_decref(json);
    return CLI_OK;
}

/* Beyond the deadline: for what is still to be sent to them, and for a busy server. */
#define GRACE_SECONDS 30

/* Until nobody is left. An exit status. */
static int wait_until_gone(const struct cli *cli, const struct subject *subject, unsigned seconds)
{
    const struct timespec pause = {.tv_nsec = 200 * 1000 * 1000};
    uint64_t until = clock_monotonic_usec() + (seconds + GRACE_SECONDS) * USEC_PER_SEC;
    size_t n;
    for (;;) {
        int r = count_sessions(cli, subject, &n);
        if (r != CLI_OK || n == 0)
            return r;
        if (clock_monotonic_usec() > until)
            break;
        nanosleep(&pause, NULL);
    }
    fprintf(stderr, "nodisk: %zu sessions are still there; see: nodisk session list\n", n);
    return CLI_FAILED;
}

static int drain_it(const struct cli *cli, const struct subject *subject, unsigned seconds)
{
    json_t *json, *body = json_pack("{s:I}", "seconds", (json_int_t)seconds);
    char what[96], how[128];
    if (subject->all)
        json_object_set_new(body, "all", json_true());
    else
        json_object_set_new(body, subject->volume ? "volume" : "node",
                            json_string(subject->volume ? subject->volume : subject->node));
    int r = cli_ask(cli, "POST", "/v1/holds", body, NULL, &json);
    if (r != CLI_OK)
        return r;
    r = wait_until_gone(cli, subject, seconds);
    if (r != CLI_OK) {
        json_decref(json);
        return r;
    }
    return cli_done(cli, json,
                    "%s is drained (%u sessions were there); until you say\n  %s\n"
                    "new logins are refused\n",
                    format_subject(subject, what), (unsigned)print_number(json, "sessions"),
                    format_release(subject, how));
}

static int drain(const struct cli *cli, const struct args *args)
{
    const char *text = args_value(args, "timeout");
    struct subject subject;
    long seconds = 30;
    char *end;
    int r = read_subject(args, &subject);
    if (r != CLI_OK)
        return r;
    if (args_given(args, "resume"))
        return release_it(cli, &subject);
    if (text) {
        seconds = strtol(text, &end, 10);
        if (*text < '1' || *text > '9' || *end || seconds > UINT16_MAX)
            return cli_bad_value("timeout", text, "must be a number of seconds from 1 to 65535");
    }
    return drain_it(cli, &subject, (unsigned)seconds);
}

static const struct cli_verb verbs[] = {
    {"list", "", 0, "Who is logged in, to which volume, and what it does", which_options,
     ARRAY_SIZE(which_options), NULL, list},
    {"show", "ID", 1, "One session: what was agreed, how long its commands take", NULL, 0, NULL,
     show},
    {"kill", "[ID]", 0, "Ends sessions at once; their initiators may log in again", kill_options,
     ARRAY_SIZE(kill_options),
     "Commands under way are aborted; what is on its way to the disk lands before the next\n"
     "login of that initiator begins.\n",
     kill_sessions, 1},
    {"drain", "[VOLUME]", 0, "Lets nobody log in any more, and waits until nobody is left",
     drain_options, ARRAY_SIZE(drain_options),
     "Initiators that bear it are asked to log out; who is still there when the time is over is\n"
     "sent away. The others (firmware above all) stay until then. New logins are refused until\n"
     "nodisk session release, or a restart of the daemon; initiators go on trying.\n",
     drain, 1},
    {"release", "[VOLUME]", 0, "Ends a drain: logins are welcome again", release_options,
     ARRAY_SIZE(release_options), NULL, release, 1},
};

const struct cli_noun cli_session = {"session", "Initiators that are logged in", verbs,
                                     ARRAY_SIZE(verbs)};
