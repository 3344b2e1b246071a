/* nodisk group add | list | remove */
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
    {"remove", "NAME", 1, "Removes a group that has no nodes", NULL, 0, NULL, remove_group},
};

const struct cli_noun cli_group = {"group", "Nodes that belong together", verbs, ARRAY_SIZE(verbs)};
