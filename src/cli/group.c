/* nodisk group add | list | show | set | remove */
#include "cli/command.h"

static int add(const struct cli *cli, const struct args *args)
{
    json_t *json;
    int r =
        cli_ask(cli, "POST", "/v1/groups", json_pack("{s:s}", "name", args->words[0]), NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "group %s is made\n", args->words[0]);
}

static void add_row(struct table *table, const json_t *group)
{
    cleanup_free char *nodes = cli_join(json_object_get(group, "nodes"));
    table_add(table, print_text(group, "name"));
    table_add(table, nodes);
}

static void print_groups(const json_t *answer)
{
    static const char *const headings[] = {"GROUP", "NODES", NULL};
    table_print_all(headings, json_object_get(answer, "groups"), add_row,
                    "no groups yet; make one: nodisk group add NAME");
}

static int list(const struct cli *cli, const struct args *args)
{
    return cli_show(cli, "/v1/groups", print_groups);
}

static void print_group(const json_t *group)
{
    char text[AGE_TEXT_SIZE];
    cleanup_free char *nodes = cli_join(json_object_get(group, "nodes"));
    print_field("group", print_text(group, "name"));
    print_field("nodes", nodes);
    cli_print_options(json_object_get(group, "options"));
    print_field("added", print_time(print_number(group, "created_at"), text));
}

static int show(const struct cli *cli, const struct args *args)
{
    cleanup_free char *path = cli_path("/v1/groups", args->words[0]);
    return cli_show(cli, path, print_group);
}

static const struct cli_option set_options[] = {CLI_OPTION_OPTIONS};

static int set(const struct cli *cli, const struct args *args)
{
    json_t *json, *body = json_object();
    cli_set_options(args, body);
    if (json_object_size(body) == 0) {
        json_decref(body);
        fprintf(stderr, "nodisk: say what to change; see: nodisk group set --help\n");
        return CLI_USAGE;
    }
    cleanup_free char *path = cli_path("/v1/groups", args->words[0]);
    int r = cli_ask(cli, "PATCH", path, body, NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "group %s is changed\n", args->words[0]);
}

static int remove_group(const struct cli *cli, const struct args *args)
{
    json_t *json;
    cleanup_free char *path = cli_path("/v1/groups", args->words[0]);
    int r = cli_ask(cli, "DELETE", path, NULL, NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "group %s is removed\n", args->words[0]);
}

static const struct cli_verb verbs[] = {
    {"add", "NAME", 1, "Makes a group; nodes join it with: nodisk node set NODE --group NAME", NULL,
     0, NULL, add},
    {"list", "", 0, "All groups and their nodes", NULL, 0, NULL, list},
    {"show", "NAME", 1, "One group", NULL, 0, NULL, show},
    {"set", "NAME", 1, "Changes the DHCP options of a group", set_options, ARRAY_SIZE(set_options),
     "A node's own options come before its group's, and these before its subnet's.\n", set},
    {"remove", "NAME", 1, "Removes a group that has no nodes", NULL, 0, NULL, remove_group},
};

const struct cli_noun cli_group = {"group", "Nodes that belong together", verbs, ARRAY_SIZE(verbs)};
