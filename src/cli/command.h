/* What the nouns share: how a command asks the daemon, and how it ends. */
#pragma once

#include "cli/args.h"
#include "cli/client.h"
#include "cli/print.h"

#define CLI_OK     0
#define CLI_FAILED 1
#define CLI_USAGE  2

struct cli {
    const char *socket;
    bool json; /* print for programs */
};

/* Says "nodisk: ..." on stderr; returns CLI_FAILED. */
int cli_fail(const struct error *error);
/* The same for a value on the command line; returns CLI_USAGE. */
int cli_bad_value(const char *option, const char *value, const char *why);

/* Something that may take long. */
struct cli_job {
    char what[128];        /* of its progress bar: "importing debian12" */
    char interrupted[256]; /* what holds after Ctrl-C, and what to do */
};

/* Asks; on failure the sentence is already printed. 0 and *ret_json, or an exit status. body is
 * taken over. job: NULL if it takes no time. */
int cli_ask(const struct cli *cli, const char *method, const char *path, json_t *body,
            const struct cli_job *job, json_t **ret_json) MUST_CHECK;
/* Ends a command that changed something: prints json for programs, or the sentence for people.
 * Takes over json; returns CLI_OK. */
int cli_done(const struct cli *cli, json_t *json, const char *format, ...) PRINTF_LIKE(3, 4);
/* A command that only asks: GET, and the answer as JSON for programs or by print() for people.
 * Returns the exit status. */
int cli_show(const struct cli *cli, const char *path, void (*print)(const json_t *answer));

/* "/v1/nodes/NAME", with the name encoded; free() it. */
char *cli_path(const char *collection, const char *name);
/* Relative to where we are -> absolute; free() it. NULL (told) if it cannot be. */
char *cli_absolute_path(const char *path);
/* The same of a file; a URL (http, https) stays as it is. */
char *cli_file_or_url(const char *file);

/* "500ms", "5s", "5", "15m", "2h" -> milliseconds. False: it is none, or more than max. */
bool cli_parse_time(const char *text, uint64_t max, uint64_t *ret_milliseconds);

/* A node's address as a table shows it: its own, or "10.0.0.105 (pool)", or "pool"; free() it. */
char *cli_node_address(const json_t *node);

/* The texts of a list, joined by spaces; free() it. */
char *cli_join(const json_t *list);

/* The values of a repeated option as a JSON array of texts, each as it was given. */
json_t *cli_texts(const struct args *args, const char *option);
/* --option and --no-option: how a node or a group changes. Puts them into the body. */
#define CLI_OPTION_OPTIONS                                                                         \
    {"option", "NAME=VALUE", "a DHCP option, such as mtu=9000 or 224=hex:0a0b", true},             \
    {                                                                                              \
        "no-option", "NAME", "takes a DHCP option away", true                                      \
    }
void cli_set_options(const struct args *args, json_t *body);
/* A line for each. */
void cli_print_options(const json_t *options);

/* What a node boots next and by which rule, and what else there would be: as the API has it. */
void cli_print_boot_plan(const json_t *plan);

/* The values of a repeated option as a JSON array of texts; also splits them at commas. */
json_t *cli_values(const struct args *args, const char *option);

extern const struct cli_noun cli_node, cli_image, cli_volume, cli_group, cli_lease, cli_session,
    cli_status, cli_watch, cli_loaders, cli_script, cli_export, cli_ibft, cli_prepare, cli_boot,
    cli_entry;
