#include "cli/selection.h"

#include "cli/rollout.h"

#include <errno.h>
#include <limits.h>

#define DEFAULT_MINUTES 15

/* A number from 1 on; what is there already if the option is not given. */
static bool read_number(const struct args *args, const char *option, unsigned long max,
                        unsigned long *number)
{
    const char *text = args_value(args, option);
    char *end;
    if (!text)
        return true;
    errno = 0;
    *number = strtoul(text, &end, 10);
    return *text >= '1' && *text <= '9' && !*end && !errno && *number <= max;
}

static int usage(const char *sentence)
{
    fprintf(stderr, "nodisk: %s\n", sentence);
    return CLI_USAGE;
}

/* How many ways of saying it were given. */
static int check(const struct args *args, const char *volume)
{
    unsigned long number;
    int given = (volume != NULL) + args_given(args, "node") + args_given(args, "group") +
                args_given(args, "all");
    if (given != 1)
        return usage("say which: a VOLUME, --node NODE, --group GROUP or --all");
    if (!read_number(args, "max", 100000, &number))
        return cli_bad_value("max", args_value(args, "max"), "is not a number from 1");
    if (!read_number(args, "timeout", 10000, &number))
        return cli_bad_value("timeout", args_value(args, "timeout"), "is no number of minutes");
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
    unsigned done, failed, unchanged, left; /* left: what was stopped before them */
    bool stopped;
    struct rollout *rollout; /* or NULL: it is not done to a few at a time */
    json_t *answers;
};

/* Where nobody has to boot for it, nothing has to be waited for. */
static struct rollout *make_rollout(const struct cli *cli, const struct args *args)
{
    unsigned long max = 0, minutes = DEFAULT_MINUTES;
    bool staged = args_given(args, "at-next-boot");
    if (!args_given(args, "max") || (!staged && !args_given(args, "force")) ||
        !read_number(args, "max", ULONG_MAX, &max) ||
        !read_number(args, "timeout", ULONG_MAX, &minutes))
        return NULL;
    return rollout_new(cli, max, (unsigned)minutes, staged);
}

/* Ctrl-C comes between two of them. */
static int do_it(const struct cli *cli, const struct args *args,
                 const struct selection_action *action, const char *name, json_t **ret_answer)
{
    client_hold_signals(true);
    int r = action->act(cli, args, name, ret_answer);
    client_hold_signals(false);
    return r;
}

static void act(const struct cli *cli, const struct args *args,
                const struct selection_action *action, const char *name, struct progress *progress)
{
    json_t *answer;
    char text[256];
    if (do_it(cli, args, action, name, &answer) != CLI_OK) {
        progress->failed++;
        return;
    }
    progress->done++;
    if (progress->rollout)
        rollout_done(progress->rollout);
    action->tell(args, answer, text, sizeof(text));
    if (!cli->json)
        printf("volume %s %s\n", name, text);
    fflush(stdout);
    json_array_append_new(progress->answers, answer);
}

/* Of one volume its own line says everything. */
static void print_sum(const struct progress *progress, size_t all)
{
    if (all == 1)
        return;
    printf("%u done, %u failed, %u had nothing to do", progress->done, progress->failed,
           progress->unchanged);
    if (progress->left)
        printf(", %u not begun", progress->left);
    printf("\n");
}

static bool may_go_on(const struct progress *progress, const json_t *volume)
{
    if (progress->stopped || client_is_interrupted())
        return false;
    return !progress->rollout || rollout_enter(progress->rollout, volume);
}

static void do_all(const struct cli *cli, const struct args *args,
                   const struct selection_action *action, const json_t *volumes,
                   struct progress *progress)
{
    size_t i;
    json_t *v;
    json_array_foreach(volumes, i, v)
    {
        if (action->is_due && !action->is_due(args, v)) {
            progress->unchanged++;
        } else if (may_go_on(progress, v)) {
            act(cli, args, action, print_text(v, "name"), progress);
        } else {
            progress->stopped = true;
            progress->left++;
        }
    }
    if (progress->rollout && !rollout_finish(progress->rollout))
        progress->stopped = true;
}

int selection_run(const struct cli *cli, const struct args *args, const char *volume,
                  const struct selection_action *action)
{
    json_t *volumes;
    int r = selection_read(cli, args, volume, &volumes);
    if (r != CLI_OK)
        return r;
    struct progress progress = {.answers = json_array(), .rollout = make_rollout(cli, args)};
    do_all(cli, args, action, volumes, &progress);
    if (cli->json)
        print_json(progress.answers);
    else
        print_sum(&progress, json_array_size(volumes));
    json_decref(progress.answers);
    json_decref(volumes);
    rollout_free(progress.rollout);
    return progress.failed || progress.stopped ? CLI_FAILED : CLI_OK;
}
