/*
 * nodisk node power: asks for the power of machines, or switches it, one after the other, so that a
 * rack does not draw all of its current at once.
 */
#include "cli/power.h"

#include "core/credentials.h"
#include "core/names.h"

#include <errno.h>

#define DEFAULT_INTERVAL 1000               /* ms, where current is drawn at once */
#define MAX_TIME         (24 * 3600 * 1000) /* ms */
#define MAX_PASSWORD     256

static const char *const actions[] = {"status", "on", "off", "soft", "reset", "cycle"};

/* --- node set --bmc --- */

bool cli_bmc_given(const struct args *args)
{
    return args_given(args, "bmc") || args_given(args, "bmc-user") ||
           args_given(args, "bmc-password-file");
}

/* "-": what comes on standard input. */
static FILE *open_password(const char *path, struct error *ret_error)
{
    int fd = str_eq(path, "-") ? dup(STDIN_FILENO) : secret_open(path, ret_error);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (fd >= 0 && !file)
        close(fd);
    if (!file && str_eq(path, "-"))
        error_set(ret_error, -EBADF, "there is no standard input to read a password from");
    return file;
}

/* The first line. */
static int read_password(const char *path, char password[static MAX_PASSWORD + 2])
{
    struct error error = {0};
    cleanup_fclose FILE *file = open_password(path, &error);
    if (!file)
        return cli_fail(&error);
    errno = 0;
    if (!fgets(password, MAX_PASSWORD + 2, file)) {
        error_set(&error, -EINVAL, "cannot read a password from %s: %s", path,
                  errno ? strerror(errno) : "it is empty");
        return cli_fail(&error);
    }
    password[strcspn(password, "\r\n")] = '\0';
    return CLI_OK;
}

int cli_bmc_set(const struct cli *cli, const struct args *args, const char *node)
{
    char password[MAX_PASSWORD + 2];
    json_t *json;
    const char *address = args_value(args, "bmc"), *user = args_value(args, "bmc-user");
    const char *file = args_value(args, "bmc-password-file");
    json_t *body = json_pack("{s:s}", "node", node);
    int r = file ? read_password(file, password) : CLI_OK;
    if (address)
        json_object_set_new(body, "address",
                            str_eq(address, "none") ? json_null() : json_string(address));
    if (user)
        json_object_set_new(body, "user", json_string(user));
    if (file && r == CLI_OK)
        json_object_set_new(body, "password", json_string(password));
    explicit_bzero(password, sizeof(password));
    if (r != CLI_OK) {
        json_decref(body);
        return r;
    }
    r = cli_ask(cli, "POST", "/v1/bmcs", body, NULL, &json);
    if (r == CLI_OK)
        json_decref(json);
    return r;
}

/* --- node power --- */

static bool is_action(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
        if (str_eq(actions[i], word))
            return true;
    return false;
}

/* The nodes that are meant, as an array of names; NULL: told. */
static json_t *find_nodes(const struct cli *cli, const struct args *args)
{
    json_t *answer, *node, *names = json_array();
    const char *group = args_value(args, "group");
    size_t i;
    if (args->n_words > 1) {
        for (unsigned k = 0; k + 1 < args->n_words; k++)
            json_array_append_new(names, json_string(args->words[k]));
        return names;
    }
    if (cli_ask(cli, "GET", "/v1/nodes", NULL, NULL, &answer) != CLI_OK) {
        json_decref(names);
        return NULL;
    }
    json_array_foreach(json_object_get(answer, "nodes"), i, node)
    {
        const char *its = print_text(node, "group");
        if (!group || (its && str_eq(its, group)))
            json_array_append(names, json_object_get(node, "name"));
    }
    json_decref(answer);
    return names;
}

static int switch_one(const struct cli *cli, const char *node, const char *action, json_t *results)
{
    json_t *answer;
    int r = cli_ask(cli, "POST", "/v1/power",
                    json_pack("{s:s, s:s}", "node", node, "action", action), NULL, &answer);
    if (r != CLI_OK)
        return r;
    const char *power = print_text(answer, "power");
    if (!cli->json && str_eq(action, "status"))
        printf("%s: %s\n", node, power ? power : "unknown");
    else if (!cli->json)
        printf("%s: %s done%s%s\n", node, action, power ? ", it is " : "", power ? power : "");
    fflush(stdout);
    json_array_append_new(results, answer);
    return CLI_OK;
}

/* One that fails does not keep the others from it. */
static int switch_all(const struct cli *cli, const json_t *names, const char *action,
                      unsigned interval)
{
    json_t *name, *results = json_array();
    size_t i;
    int r = CLI_OK;
    json_array_foreach((json_t *)names, i, name)
    {
        if ((i > 0 && interval && !client_sleep(interval)) || client_is_interrupted()) {
            fprintf(stderr, "nodisk: interrupted before %s\n", json_string_value(name));
            r = CLI_FAILED;
            break;
        }
        if (switch_one(cli, json_string_value(name), action, results) != CLI_OK)
            r = CLI_FAILED;
    }
    if (cli->json) {
        json_t *all = json_pack("{s:O}", "nodes", results);
        print_json(all);
        json_decref(all);
    }
    json_decref(results);
    return r;
}

static int check(const struct args *args, uint64_t *ret_interval)
{
    int given = (args->n_words > 1) + args_given(args, "group") + args_given(args, "all");
    const char *action = args->words[args->n_words - 1], *text = args_value(args, "interval");
    bool at_once = str_eq(action, "status") || str_eq(action, "off") || str_eq(action, "soft");
    if (!is_action(action)) {
        fprintf(stderr, "nodisk: '%s' is none of status, on, off, soft, reset and cycle\n", action);
        return CLI_USAGE;
    }
    if (given != 1) {
        fprintf(stderr, "nodisk: say which: NODE..., --group GROUP or --all\n");
        return CLI_USAGE;
    }
    *ret_interval = at_once ? 0 : DEFAULT_INTERVAL;
    if (text && !cli_parse_time(text, MAX_TIME, ret_interval))
        return cli_bad_value("interval", text, "is no time such as 500ms, 5s or 2m");
    return CLI_OK;
}

int cli_power(const struct cli *cli, const struct args *args)
{
    uint64_t interval;
    struct error error;
    int r = check(args, &interval);
    json_t *names = r == CLI_OK ? find_nodes(cli, args) : NULL;
    if (!names)
        return r == CLI_OK ? CLI_FAILED : r;
    if (json_array_size(names) > 0) {
        r = switch_all(cli, names, args->words[args->n_words - 1], (unsigned)interval);
    } else {
        error_set(&error, -ENOENT, "there are no such nodes; see: nodisk node list");
        r = cli_fail(&error);
    }
    json_decref(names);
    return r;
}

const struct cli_option cli_power_options[CLI_N_POWER_OPTIONS] = {
    {"group", "GROUP", "all nodes of this group"},
    {"all", NULL, "all nodes"},
    {"interval", "TIME", "between one machine and the next (1s; none for status, off and soft)"},
};
