#include "cli/selection.h"

#include <errno.h>
#include <limits.h>

static bool read_max(const struct args *args, unsigned long *ret_max)
{
    const char *text = args_value(args, "max");
    char *end;
    *ret_max = ULONG_MAX;
    if (!text)
        return true;
    errno = 0;
    *ret_max = strtoul(text, &end, 10);
    return *text >= '1' && *text <= '9' && !*end && !errno;
}

static int usage(const char *sentence)
{
    fprintf(stderr, "nodisk: %s\n", sentence);
    return CLI_USAGE;
}

/* How many ways of saying it were given. */
static int check(const struct args *args, const char *volume)
{
    unsigned long max;
    int given = (volume != NULL) + args_given(args, "node") + args_given(args, "group") +
                args_given(args, "all");
    if (given != 1)
        return usage("say which: a VOLUME, --node NODE, --group GROUP or --all");
    if (!read_max(args, &max))
        return cli_bad_value("max", args_value(args, "max"), "is not a number from 1");
    return CLI_OK;
}

/* Is this node meant, and has it a disk? */
static bool is_meant(const struct args *args, const json_t *node)
{
    const char *name = args_value(args, "node"), *group = args_value(args, "group");
    const char *its_group = print_text(node, "group");
    if (!print_text(node, "volume"))
        return false;
    if (name)
        return str_eq(name, print_text(node, "name"));
    return !group || (its_group && str_eq(group, its_group));
}

static bool is_disk_of_meant(const struct args *args, const json_t *nodes, const char *volume)
{
    size_t i;
    json_t *node;
    json_array_foreach(nodes, i, node)
    {
        if (is_meant(args, node) && str_eq(print_text(node, "volume"), volume))
            return true;
    }
    return false;
}

static json_t *pick(const struct args *args, const json_t *nodes, const json_t *volumes)
{
    json_t *list = json_array(), *volume;
    size_t i;
    json_array_foreach(volumes, i, volume)
    {
        if (is_disk_of_meant(args, nodes, print_text(volume, "name")))
            json_array_append(list, volume);
    }
    return list;
}

static int nothing_meant(const struct args *args)
{
    const char *name = args_value(args, "node"), *group = args_value(args, "group");
    struct error error;
    if (name)
        error_set(&error, -ENOENT, "there is no node '%.64s' with a disk; see: nodisk node list",
                  name);
    else if (group)
        error_set(&error, -ENOENT,
                  "no node of group '%.64s' has a disk; see: nodisk node list, nodisk group list",
                  group);
    else
        error_set(&error, -ENOENT, "no node has a disk yet; see: nodisk node list");
    return cli_fail(&error);
}

static int read_disks(const struct cli *cli, const struct args *args, json_t **ret_volumes)
{
    json_t *nodes, *volumes;
    int r = cli_ask(cli, "GET", "/v1/nodes", NULL, NULL, &nodes);
    if (r != CLI_OK)
        return r;
    r = cli_ask(cli, "GET", "/v1/volumes", NULL, NULL, &volumes);
    if (r == CLI_OK) {
        *ret_volumes =
            pick(args, json_object_get(nodes, "nodes"), json_object_get(volumes, "volumes"));
        json_decref(volumes);
    }
    json_decref(nodes);
    if (r == CLI_OK && json_array_size(*ret_volumes) == 0) {
        json_decref(*ret_volumes);
        return nothing_meant(args);
    }
    return r;
}

int selection_read(const struct cli *cli, const struct args *args, const char *volume,
                   json_t **ret_volumes)
{
    json_t *one;
    int r = check(args, volume);
    if (r != CLI_OK)
        return r;
    if (!volume)
        return read_disks(cli, args, ret_volumes);
    cleanup_free char *path = cli_path("/v1/volumes", volume);
    r = cli_ask(cli, "GET", path, NULL, NULL, &one);
    if (r == CLI_OK)
        *ret_volumes = json_pack("[o]", one);
    return r;
}

struct progress {
    unsigned done, failed, left; /* left: beyond --max */
    json_t *answers;
};

static void act(const struct cli *cli, const struct args *args,
                const struct selection_action *action, const char *name, struct progress *progress)
{
    json_t *answer;
    char text[256];
    if (action->act(cli, args, name, &answer) != CLI_OK) {
        progress->failed++;
        return;
    }
    progress->done++;
    action->tell(args, answer, text, sizeof(text));
    if (!cli->json)
        printf("volume %s %s\n", name, text);
    fflush(stdout);
    json_array_append_new(progress->answers, answer);
}

/* Of one volume its own line says everything. */
static void print_sum(const struct progress *progress, size_t all)
{
    size_t unchanged = all - progress->done - progress->failed - progress->left;
    if (all == 1)
        return;
    printf("%u done, %u failed, %zu had nothing to do", progress->done, progress->failed,
           unchanged);
    if (progress->left)
        printf(", %u to go: give the same command again", progress->left);
    printf("\n");
}

int selection_run(const struct cli *cli, const struct args *args, const char *volume,
                  const struct selection_action *action)
{
    json_t *volumes, *v;
    size_t i;
    unsigned long max;
    int r = selection_read(cli, args, volume, &volumes);
    if (r != CLI_OK)
        return r;
    struct progress progress = {.answers = json_array()};
    (void)read_max(args, &max);
    json_array_foreach(volumes, i, v)
    {
        if (action->is_due && !action->is_due(args, v))
            continue;
        if (progress.done + progress.failed >= max)
            progress.left++;
        else
            act(cli, args, action, print_text(v, "name"), &progress);
    }
    if (cli->json)
        print_json(progress.answers);
    else
        print_sum(&progress, json_array_size(volumes));
    json_decref(progress.answers);
    json_decref(volumes);
    return progress.failed ? CLI_FAILED : CLI_OK;
}
