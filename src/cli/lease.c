/* nodisk lease list | release */
#include "cli/command.h"

static void add_row(struct table *table, const json_t *lease)
{
    char text[AGE_TEXT_SIZE];
    uint64_t expires = print_number(lease, "expires_at");
    const char *state = print_text(lease, "state");
    bool over = state && !str_eq(state, "released") && expires <= clock_wall_usec();
    table_add(table, print_text(lease, "address"));
    table_add(table, print_text(lease, "mac"));
    table_add(table, print_text(lease, "node"));
    table_add(table, print_text(lease, "host_name"));
    table_add(table, print_text(lease, "subnet"));
    table_add(table, over ? "expired" : state);
    table_add(table, print_time(expires, text));
}

static void print_leases(const json_t *answer)
{
    static const char *const headings[] = {"ADDRESS", "MAC",   "NODE",  "HOST NAME",
                                           "SUBNET",  "STATE", "UNTIL", NULL};
    table_print_all(headings, json_object_get(answer, "leases"), add_row,
                    "no addresses are handed out");
}

static int list(const struct cli *cli, const struct args *args)
{
    return cli_show(cli, "/v1/leases", print_leases);
}

static int release(const struct cli *cli, const struct args *args)
{
    json_t *json;
    cleanup_free char *path = cli_path("/v1/leases", args->words[0]);
    int r = cli_ask(cli, "DELETE", path, NULL, NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "the lease of %s is released\n", args->words[0]);
}

static const struct cli_verb verbs[] = {
    {"list", "", 0, "Which machine has which address, and until when", NULL, 0, NULL, list},
    {"release", "ADDRESS|NODE", 1, "Frees an address that nobody needs any more, or a node's", NULL,
     0,
     "A machine that still uses it does not know: see that it is off. A node that is up is "
     "refused.\n"
     "Also ends that an address is set aside because a machine found it in use.\n",
     release},
};

const struct cli_noun cli_lease = {"lease", "Addresses that are handed out", verbs,
                                   ARRAY_SIZE(verbs)};
