/* nodisk lease list */
#include "cli/command.h"

static void add_row(struct table *table, const json_t *lease, uint64_t now)
{
    char text[AGE_TEXT_SIZE];
    uint64_t expires = print_number(lease, "expires_at");
    const char *state = print_text(lease, "state");
    bool over = state && str_eq(state, "bound") && expires <= now;
    table_add(table, print_text(lease, "address"));
    table_add(table, print_text(lease, "mac"));
    table_add(table, print_text(lease, "node"));
    table_add(table, print_text(lease, "host_name"));
    table_add(table, print_text(lease, "subnet"));
    table_add(table, over ? "expired" : state);
    table_add(table, print_time(expires, text));
}

static int list(const struct cli *cli, const struct args *args)
{
    static const char *const headings[] = {"ADDRESS", "MAC",   "NODE",  "HOST NAME",
                                           "SUBNET",  "STATE", "UNTIL", NULL};
    json_t *json, *lease;
    size_t i;
    int r = cli_get(cli, "/v1/leases", &json);
    if (r != CLI_OK)
        return r;
    if (cli->json) {
        print_json(json);
        json_decref(json);
        return CLI_OK;
    }
    struct table table = table_new(stdout, headings);
    json_array_foreach(json_object_get(json, "leases"), i, lease)
    {
        add_row(&table, lease, clock_wall_usec());
    }
    table_print(&table, "no addresses are handed out");
    json_decref(json);
    return CLI_OK;
}

static const struct cli_verb verbs[] = {
    {"list", "", 0, "Which machine has which address, and until when", NULL, 0, NULL, list},
};

const struct cli_noun cli_lease = {"lease", "Addresses that are handed out", verbs,
                                   ARRAY_SIZE(verbs)};
