/* nodisk boot: what machines boot, and why */
#include "cli/command.h"

#include <time.h>

#define MAX_AHEAD ((uint64_t)10 * 365 * 24 * 3600 * 1000) /* ms */

/* --- what is asked --- */

/* "06:30" of today, or of tomorrow if that has passed; "2026-12-01", "2026-12-01 06:30"; or from
 * now: "2h". */
static bool parse_until(const char *text, uint64_t *ret_usec)
{
    static const char *const formats[] = {"%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d", "%H:%M"};
    time_t now = time(NULL), when;
    uint64_t ms;
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        struct tm tm = {0};
        bool time_only = formats[i][1] == 'H';
        if (time_only)
            localtime_r(&now, &tm);
        tm.tm_sec = 0;
        const char *end = strptime(text, formats[i], &tm);
        if (!end || *end)
            continue;
        tm.tm_isdst = -1;
        when = mktime(&tm);
        if (time_only && when <= now) {
            tm.tm_mday++;
            tm.tm_isdst = -1;
            when = mktime(&tm);
        }
        *ret_usec = (uint64_t)when * USEC_PER_SEC;
        return when > 0;
    }
    if (!cli_parse_time(text, MAX_AHEAD, &ms))
        return false;
    *ret_usec = clock_wall_usec() + ms * (USEC_PER_SEC / 1000);
    return true;
}

static int put_limit(const struct args *args, json_t *body)
{
    const char *times = args_value(args, "times"), *until = args_value(args, "until");
    const char *after = args_value(args, "after");
    uint64_t usec = 0;
    char *end = NULL;
    unsigned long n = times ? strtoul(times, &end, 10) : 1;
    if (times && (*end || n < 1 || n > 1000000 || *times < '0' || *times > '9'))
        return cli_bad_value("times", times, "must be a number of boots, from 1 on");
    unsigned long failed = after ? strtoul(after, &end, 10) : 1;
    if (after && (*end || failed < 1 || failed > 20 || *after < '0' || *after > '9'))
        return cli_bad_value("after", after, "must be a number of failed boots, 1 to 20");
    if (until && !parse_until(until, &usec))
        return cli_bad_value(
            "until", until, "must be a time such as 06:30, 2026-12-01, \"2026-12-01 06:30\" or 2h");
    if (times || args_given(args, "once"))
        json_object_set_new(body, "times", json_integer((json_int_t)n));
    if (until)
        json_object_set_new(body, "until", json_integer((json_int_t)usec));
    if (after)
        json_object_set_new(body, "after", json_integer((json_int_t)failed));
    if (args_given(args, "fallback"))
        json_object_set_new(body, "slot", json_string("fallback"));
    return CLI_OK;
}

/* --- what is shown --- */

static const char *limit_text(const json_t *rule, char text[static 96])
{
    char time[AGE_TEXT_SIZE];
    uint64_t until = print_number(rule, "until");
    const json_t *times = json_object_get(rule, "times");
    text[0] = '\0';
    if (times)
        snprintf(text, 96, "%llu more boots", (unsigned long long)json_integer_value(times));
    if (times && json_integer_value(times) == 1)
        str_copy(text, 96, "1 more boot");
    if (until)
        snprintf(text + strlen(text), 96 - strlen(text), "%suntil %s", *text ? ", " : "",
                 print_time(until, time));
    uint64_t after = print_number(rule, "after");
    if (after)
        snprintf(text, 96, "after %llu failed boot%s", (unsigned long long)after,
                 after == 1 ? "" : "s");
    return text;
}

static void add_rule(struct table *table, const json_t *rule)
{
    char limit[96], set[AGE_TEXT_SIZE];
    const char *node = print_text(rule, "node"), *group = print_text(rule, "group");
    table_add(table, node ? "node" : group ? "group" : "default");
    table_add(table, node ? node : group);
    table_add(table, print_text(rule, "slot"));
    table_add(table, print_text(rule, "target"));
    table_add(table, limit_text(rule, limit));
    table_add(table, print_time(print_number(rule, "set_at"), set));
}

static void print_rules(const json_t *answer)
{
    static const char *const headings[] = {"OF", "NAME", "RULE", "BOOTS", "FOR", "SET", NULL};
    table_print_all(headings, json_object_get(answer, "rules"), add_rule,
                    "no rules: every node boots its disk; see: nodisk boot --help");
}

static void add_candidate(struct table *table, const json_t *candidate)
{
    char limit[96], set[AGE_TEXT_SIZE];
    uint64_t at = print_number(candidate, "set_at");
    table_add(table, print_text(candidate, "verdict"));
    table_add(table, print_text(candidate, "rule"));
    table_add(table, print_text(candidate, "target"));
    table_add(table, limit_text(candidate, limit));
    table_add(table, at ? print_time(at, set) : NULL);
}

void cli_print_boot_plan(const json_t *plan)
{
    cleanup_free char *boots = NULL;
    const char *volume = print_text(plan, "volume"), *target = print_text(plan, "target");
    bool named = volume && str_eq(target, "volume");
    const json_t *first = json_array_get(json_object_get(plan, "candidates"), 0);
    const char *rule = print_text(first, "rule");
    bool asked = rule && str_eq(rule, "hook");
    if (asprintf(&boots, "%s%s%s, by the rule: %s%s", target ? target : "-", named ? " " : "",
                 named ? volume : "", print_text(plan, "rule"),
                 asked ? "; unless the hook plan says something else" : "") < 0)
        abort();
    print_field("boots next", boots);
    uint64_t failures = print_number(plan, "failures");
    char text[32];
    snprintf(text, sizeof(text), "%llu in a row", (unsigned long long)failures);
    if (failures > 0)
        print_field("failed boots", text);
}

static void explain(const json_t *plan)
{
    static const char *const headings[] = {"VERDICT", "RULE", "BOOTS", "FOR", "SET", NULL};
    print_field("node", print_text(plan, "node"));
    cli_print_boot_plan(plan);
    putchar('\n');
    table_print_all(headings, json_object_get(plan, "candidates"), add_candidate, "");
}

/* --- the command --- */

/* Whose rule it is. */
struct subject {
    const char *name, *group; /* both NULL: the site's */
    const char *entry;        /* NULL: none was given */
};

static int usage(const char *problem)
{
    fprintf(stderr, "nodisk: %s\nsee: nodisk boot --help\n", problem);
    return CLI_USAGE;
}

static int take_words(const struct args *args, struct subject *subject)
{
    bool named = !args_given(args, "default") && !args_given(args, "group");
    unsigned at = 0;
    *subject = (struct subject){.group = args_value(args, "group")};
    if (args_given(args, "default") && subject->group)
        return usage("--default and --group do not go together");
    if (named)
        subject->name = args->words[at++];
    if (at < args->n_words)
        subject->entry = args->words[at++];
    return at < args->n_words ? usage("that is a word too many") : CLI_OK;
}

static int set(const struct cli *cli, const struct args *args, const struct subject *s)
{
    json_t *json, *body = json_pack("{s:s}", "entry", s->entry);
    int r = put_limit(args, body);
    if (r != CLI_OK) {
        json_decref(body);
        return r;
    }
    if (s->name)
        json_object_set_new(body, "name", json_string(s->name));
    if (s->group)
        json_object_set_new(body, "group", json_string(s->group));
    r = cli_ask(cli, "POST", "/v1/boot-rules", body, NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "%s: %s\n",
                    s->name    ? s->name
                    : s->group ? s->group
                               : "default",
                    s->entry);
}

static int clear(const struct cli *cli, const struct subject *s)
{
    json_t *json;
    const char *name = s->name ? s->name : s->group;
    cleanup_free char *path = name ? cli_path("/v1/boot-rules", name) : NULL;
    cleanup_free char *full = NULL;
    if (asprintf(&full, "%s%s", path ? path : "/v1/boot-rules?default=true",
                 s->group ? "?group=true" : "") < 0)
        abort();
    int r = cli_ask(cli, "DELETE", full, NULL, NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "%s has no rules of its own any more\n", name ? name : "default");
}

static int show_plan(const struct cli *cli, const char *node)
{
    cleanup_free char *path = cli_path("/v1/boot-plans", node);
    return cli_show(cli, path, explain);
}

static int check_limits(const struct args *args)
{
    if (args_given(args, "once") && args_given(args, "times"))
        return usage("--once is --times 1: give one of them");
    if (args_given(args, "fallback") &&
        (args_given(args, "once") || args_given(args, "times") || args_given(args, "until")))
        return usage("a fallback is for ever");
    if (args_given(args, "after") && !args_given(args, "fallback"))
        return usage("--after goes with --fallback");
    return CLI_OK;
}

static int boot(const struct cli *cli, const struct args *args)
{
    struct subject subject;
    int r = take_words(args, &subject);
    if (r == CLI_OK)
        r = check_limits(args);
    if (r != CLI_OK)
        return r;
    bool nobody = !subject.name && !subject.group && !args_given(args, "default");
    if (args_given(args, "clear") && (nobody || subject.entry))
        return usage("say whose rules: a node, a group or --default, and nothing to boot");
    if (args_given(args, "clear"))
        return clear(cli, &subject);
    if (subject.entry)
        return args_given(args, "explain") ? usage("--explain takes a node alone")
                                           : set(cli, args, &subject);
    if (nobody)
        return cli_show(cli, "/v1/boot-rules", print_rules);
    if (subject.name)
        return show_plan(cli, subject.name);
    return usage("say what to boot");
}

static const struct cli_option options[] = {
    {"group", "GROUP", "of this group, also if a node has its name"},
    {"default", NULL, "of all nodes that have no rule of their own or their group's"},
    {"once", NULL, "at the next boot alone"},
    {"times", "N", "at the next N boots"},
    {"until", "TIME", "until 06:30, 2026-12-01, \"2026-12-01 06:30\"; or for 2h"},
    {"fallback", NULL, "after so many failed boots in a row as [boot] fallback-after says"},
    {"after", "N", "with --fallback: after so many instead"},
    {"explain", NULL, "what the node boots next, by which rule, and what else there is"},
    {"clear", NULL, "takes all rules of the node, the group or the default away"},
};

static const char more[] =
    "ENTRY is volume (the node's disk), the name of another volume that it may use, local (the\n"
    "machine's own disk), menu, shell, memtest, off, scripts (your own, of\n"
    "[scripts]), a boot entry (nodisk entry), or\n"
    "snapshot:NAME (the node's disk as it was then, for one boot; what it is now comes back).\n"
    "\n"
    "What a node is told for some boots or some time comes first, then its standing rule, those\n"
    "of the configuration ([rule]), its group's, the default. Without ENTRY: what NODE boots\n"
    "next, and why; without NODE: all rules.\n"
    "For a group, --once and --times are of each of its nodes.\n"
    "\n"
    "  nodisk boot web1 memtest --once\n"
    "  nodisk boot lab menu --until 18:00\n"
    "  nodisk boot --default local\n"
    "  nodisk boot web1 --clear\n";

static const struct cli_verb verbs[] = {
    {"", "[NODE|GROUP] [ENTRY]", 0, "What machines boot, and why", options, ARRAY_SIZE(options),
     more, boot, 2},
};

const struct cli_noun cli_boot = {"boot", "What machines boot, and why", verbs, ARRAY_SIZE(verbs)};
