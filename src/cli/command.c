#include "cli/command.h"

#include "core/url.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>

int cli_fail(const struct error *error)
{
    fprintf(stderr, "nodisk: %s\n", error->text);
    return CLI_FAILED;
}

int cli_bad_value(const char *option, const char *value, const char *why)
{
    fprintf(stderr, "nodisk: --%s: '%s' %s\n", option, value, why);
    return CLI_USAGE;
}

int cli_ask(const struct cli *cli, const char *method, const char *path, json_t *body,
            const struct cli_job *job, json_t **ret_json)
{
    struct progress_bar bar = {.what = job ? job->what : NULL};
    struct error error;
    const struct client_request request = {
        .socket = cli->socket,
        .method = method,
        .path = path,
        .body = body,
        .progress = job ? progress_bar_show : NULL,
        .context = &bar,
    };
    int r = client_call(&request, ret_json, &error);
    json_decref(body);
    progress_bar_end(&bar);
    if (r == -EINTR && job)
        error_set(&error, r, "interrupted: %s", job->interrupted);
    return r < 0 ? cli_fail(&error) : CLI_OK;
}

int cli_show(const struct cli *cli, const char *path, void (*print)(const json_t *answer))
{
    json_t *json;
    int r = cli_ask(cli, "GET", path, NULL, NULL, &json);
    if (r != CLI_OK)
        return r;
    if (cli->json)
        print_json(json);
    else
        print(json);
    json_decref(json);
    return CLI_OK;
}

int cli_done(const struct cli *cli, json_t *json, const char *format, ...)
{
    if (cli->json) {
        print_json(json);
    } else {
        va_list list;
        va_start(list, format);
        vprintf(format, list);
        va_end(list);
    }
    json_decref(json);
    return CLI_OK;
}

char *cli_path(const char *collection, const char *name)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = strlen(collection);
    char *path = malloc(n + 2 + strlen(name) * 3);
    if (!path)
        abort();
    char *p = path + sprintf(path, "%s/", collection);
    for (const unsigned char *c = (const unsigned char *)name; *c; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || strchr("-._@", *c);
        if (plain) {
            *p++ = (char)*c;
        } else {
            *p++ = '%';
            *p++ = digits[*c >> 4];
            *p++ = digits[*c & 15];
        }
    }
    *p = '\0';
    return path;
}

char *cli_absolute_path(const char *path)
{
    char here[PATH_MAX];
    char *absolute = NULL;
    if (path[0] == '/')
        return strdup(path);
    if (!getcwd(here, sizeof(here)) || asprintf(&absolute, "%s/%s", here, path) < 0) {
        fprintf(stderr, "nodisk: the current directory has no path: %s\n", strerror(errno));
        return NULL;
    }
    return absolute;
}

char *cli_file_or_url(const char *file)
{
    return url_host(file) ? strdup(file) : cli_absolute_path(file);
}

bool cli_parse_time(const char *text, uint64_t max, uint64_t *ret_milliseconds)
{
    static const struct {
        const char *name;
        uint64_t milliseconds;
    } units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60 * 1000}, {"h", 3600 * 1000}};
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || errno)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (!str_eq(end, units[i].name) || n > max / units[i].milliseconds)
            continue;
        *ret_milliseconds = n * units[i].milliseconds;
        return true;
    }
    return false;
}

char *cli_node_address(const json_t *node)
{
    const char *own = print_text(node, "address"), *last = print_text(node, "last_address");
    char *text = NULL;
    if (asprintf(&text, "%s%s",
                 own    ? own
                 : last ? last
                        : "pool",
                 !own && last ? " (pool)" : "") < 0)
        abort();
    return text;
}

char *cli_join(const json_t *list)
{
    char *text = strdup("");
    size_t i;
    json_t *element;
    json_array_foreach(list, i, element)
    {
        char *longer = NULL;
        if (asprintf(&longer, "%s%s%s", text, i ? " " : "", json_string_value(element)) < 0)
            abort();
        free(text);
        text = longer;
    }
    return text;
}

json_t *cli_texts(const struct args *args, const char *option)
{
    json_t *list = json_array();
    for (size_t i = 0; i < args->n_values; i++)
        if (str_eq(args->values[i].option->name, option))
            json_array_append_new(list, json_string(args->values[i].value));
    return list;
}

void cli_set_options(const struct args *args, json_t *body)
{
    if (args_given(args, "option"))
        json_object_set_new(body, "options", cli_texts(args, "option"));
    if (args_given(args, "no-option"))
        json_object_set_new(body, "no_options", cli_texts(args, "no-option"));
}

void cli_print_options(const json_t *options)
{
    size_t i;
    json_t *option;
    json_array_foreach(options, i, option) print_field("option", json_string_value(option));
}

static void append_parts(json_t *list, const char *value)
{
    while (*value) {
        size_t n = strcspn(value, ",");
        if (n > 0)
            json_array_append_new(list, json_stringn(value, n));
        value += n + (value[n] == ',');
    }
}

json_t *cli_values(const struct args *args, const char *option)
{
    json_t *list = json_array();
    for (size_t i = 0; i < args->n_values; i++)
        if (str_eq(args->values[i].option->name, option))
            append_parts(list, args->values[i].value);
    return list;
}
