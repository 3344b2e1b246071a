#include "cli/pending.h"

#include "core/net.h"
#include "core/size.h"

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

char *cli_pending_words(const json_t *machine)
{
    const char *maker = print_text(machine, "manufacturer"),
               *serial = print_text(machine, "serial");
    const char *product = print_text(machine, "product");
    char *text = NULL;
    if (asprintf(&text, "%s%s%s%s%s%s", or_empty(maker), maker && product ? " " : "",
                 or_empty(product), serial ? " (" : "", or_empty(serial), serial ? ")" : "") < 0)
        abort();
    return text;
}

/* "lab, port Eth1/7": where it was seen. */
static char *place_of(const json_t *machine)
{
    const char *subnet = print_text(machine, "subnet");
    const char *circuit = print_text(machine, "circuit_id");
    const char *remote = print_text(machine, "remote_id");
    char *text = NULL;
    if (asprintf(&text, "%s%s%s%s%s", or_empty(subnet), circuit ? ", port " : "", or_empty(circuit),
                 remote ? " of " : "", or_empty(remote)) < 0)
        abort();
    return text;
}

static void add_row(struct table *table, const json_t *machine)
{
    char age[AGE_TEXT_SIZE], memory[SIZE_TEXT_SIZE];
    cleanup_free char *words = cli_pending_words(machine);
    cleanup_free char *place = place_of(machine);
    uint64_t bytes = print_number(machine, "memory");
    table_add(table, print_text(machine, "mac"));
    table_add(table, place);
    table_add(table, words);
    table_add(table, bytes ? size_format(bytes, memory) : NULL);
    table_add(table, print_text(machine, "architecture"));
    table_add(table, print_text(machine, "uuid"));
    table_add(table, print_age(print_number(machine, "first_seen"), clock_wall_usec(), age));
    table_add(table, print_age(print_number(machine, "last_seen"), clock_wall_usec(), age));
    table_add(table, print_text(machine, "reason"));
}

static void print_pending(const json_t *answer)
{
    static const char *const headings[] = {"MAC",  "SUBNET", "MACHINE", ">MEMORY",         "ARCH",
                                           "UUID", "FIRST",  "LAST",    "WHY NOT ADOPTED", NULL};
    table_print_all(headings, json_object_get(answer, "pending"), add_row,
                    "no machine waits to be adopted (unknown = register in nodisk.conf(5))");
}

int cli_list_pending(const struct cli *cli)
{
    return cli_show(cli, "/v1/pending", print_pending);
}

static json_t *match_of(const struct args *args)
{
    static const struct {
        const char *option, *key;
    } texts[] = {{"mac-prefix", "mac_prefix"},
                 {"subnet", "subnet"},
                 {"manufacturer", "manufacturer"},
                 {"product", "product"}};
    json_t *match = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (args_value(args, texts[i].option))
            json_object_set_new(match, texts[i].key,
                                json_string(args_value(args, texts[i].option)));
    return match;
}

/* An exit status: of several, those that failed are told one by one. */
static int tell_several(const struct cli *cli, json_t *answer)
{
    size_t i;
    json_t *element;
    const json_t *nodes = json_object_get(answer, "nodes");
    const json_t *failed = json_object_get(answer, "failed");
    bool fine = json_array_size(failed) == 0;
    json_array_foreach(failed, i, element)
    {
        fprintf(stderr, "nodisk: %s: %s\n", print_text(element, "mac"),
                print_text(element, "error"));
    }
    if (cli->json)
        print_json(answer);
    json_array_foreach(nodes, i, element)
    {
        cleanup_free char *macs = cli_join(json_object_get(element, "macs"));
        if (!cli->json)
            printf("%s is node %s now\n", macs, print_text(element, "name"));
    }
    if (!cli->json && fine && json_array_size(nodes) == 0)
        printf("no machine that waits is like that\n");
    json_decref(answer);
    return fine ? CLI_OK : CLI_FAILED;
}

int cli_adopt(const struct cli *cli, const struct args *args, json_t *node)
{
    json_t *json, *match = match_of(args);
    bool several = args_given(args, "all") || json_object_size(match) > 0;
    if ((args->n_words == 1) != several) {
        json_decref(match);
        json_decref(node);
        fprintf(stderr, "nodisk: say which and how it is to be called: MAC NAME, or --all NAME\n");
        return CLI_USAGE;
    }
    json_object_set_new(node, "name", json_string(args->words[args->n_words - 1]));
    if (several)
        json_object_set(node, "match", match);
    else
        json_object_set_new(node, "mac", json_string(args->words[0]));
    json_decref(match);
    int r = cli_ask(cli, "POST", "/v1/adoptions", node, NULL, &json);
    if (r != CLI_OK)
        return r;
    if (several)
        return tell_several(cli, json);
    const char *name = print_text(json, "name"); /* that was made of the pattern */
    return cli_done(cli, json, "%s is node %s now\n", args->words[0], name ? name : args->words[1]);
}

int cli_forget(const struct cli *cli, const struct args *args)
{
    json_t *json;
    cleanup_free char *path = cli_path("/v1/pending", args->words[0]);
    int r = cli_ask(cli, "DELETE", path, NULL, NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "%s is forgotten; it is there again when it asks again\n",
                    args->words[0]);
}
